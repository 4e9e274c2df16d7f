"""How rollouts are written: their part of the grammar."""

from __future__ import annotations

import re
from typing import Any, Final, get_args
from urllib.parse import urlsplit

from proxy.rules.read import units
from proxy.rules.read.match import BOOLEAN, SOME_TEXT, STATUSES, some
from proxy.rules.read.shapes import ByKind, Key, ListOf, MapOf, Record, Then, Unit, choice, integer
from proxy.rules.rollouts import Event, Gate, Metric, OnFailure, Rollout, RolloutStep, Webhook

STEPS_MAX: Final = 100
"""One for each percent; each is at least one save of the rule file."""
GATES_MAX: Final = 20
"""Each is judged once a window, as long as the rollout lasts."""
WEBHOOKS_MAX: Final = 10
"""Each is told every event, some tries each."""
REQUESTS_MAX: Final = 1_000_000_000
FAILURES_MAX: Final = 1000


def _percent_of_traffic(text: str) -> float:
    number = units.weight(text)
    if not 0 < number <= 100:
        raise ValueError(f"a step's weight is in percent: more than 0, at most 100, not {text}")
    return number


def _limit(text: str) -> str:
    """A percentage, a duration or a number: which of them, the metric says."""
    if not re.fullmatch(f"{units.PERCENT}|{units.DURATION}|-?{units.NUMBER}", text):
        raise ValueError(f"expected a percentage like 99.5%, a duration like 500ms or a number, not '{text}'")
    return text


def _ratio(text: str) -> float:
    if not re.fullmatch(units.NUMBER, text) or float(text) < 1:
        raise ValueError(f"expected a number >= 1, like 1.25, not '{text}'")
    return float(text)


def _url(text: str) -> str:
    parts = urlsplit(_webhook_url(text))
    if parts.query or parts.fragment:
        raise ValueError(f"expected a URL like http://prometheus:9090, not '{text}'")
    return text.rstrip("/")


def _webhook_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of the port, or of brackets that are no address
        sound = False
    if not sound:
        raise ValueError(f"expected a URL like http://prometheus:9090, not '{text}'")
    return text


_LIMIT: Final = Unit("a percentage, a duration or a number", _limit, {"type": ["string", "number"]})
DURATION: Final = Unit("a duration like 5s", units.some_duration, {"type": "string", "pattern": f"^{units.DURATION}$"})


def _gate(**found: Any) -> Gate:
    """The limits in the unit of the metric."""
    metric: Metric | None = found.get("metric")
    if not found.keys() & {"min", "max", "max_ratio"}:
        raise ValueError("a gate needs a limit: `min`, `max` or `max_ratio`")
    if metric is not None and "url" in found:
        raise ValueError("`url` says where a `prometheus` query is asked; a metric is the proxy's own")
    if metric != "success_rate" and "status" in found:
        raise ValueError("`status` says which answers are a success: it is for success_rate")
    if metric is None and "url" not in found:
        raise ValueError("a query needs the `url` of the Prometheus that answers it")
    if metric is None and "max_ratio" in found:
        raise ValueError("`max_ratio` compares the proxy's own metrics; a query compares by itself: new / old")
    wrong = {"success_rate": "max"}.get(metric or "", "min" if metric else "")
    if wrong in found:
        other = "`min` or `max_ratio`" if wrong == "max" else "`max` or `max_ratio`"
        raise ValueError(f"{metric} takes {other}, not `{wrong}`")
    for key in ("min", "max"):
        if key in found:
            found[key] = _read(metric, found[key])
    return Gate(**found)


def _read(metric: Metric | None, text: str) -> float:
    if metric == "success_rate":
        return units.percent(text)
    if metric is not None:
        return units.some_duration(text)
    if not re.fullmatch(f"-?{units.NUMBER}", text):
        raise ValueError(f"what a query gives is compared with a number, not '{text}'")
    return float(text)


STEP: Final = Record(
    RolloutStep,
    Key(
        "weight",
        Unit("a percentage without %, like 20", _percent_of_traffic,
             {"type": "number", "exclusiveMinimum": 0, "maximum": 100}, plain=True),
        required=True,
    ),
    Key("hold", DURATION),
    Key("pause", BOOLEAN),
)  # fmt: skip
GATE: Final = Record(
    Gate,
    Key("metric", choice(*get_args(Metric))),
    Key("prometheus", SOME_TEXT),
    Key("min", _LIMIT),
    Key("max", _LIMIT),
    Key("max_ratio", Unit("a number >= 1, like 1.25", _ratio, {"type": "number", "minimum": 1}, plain=True)),
    Key("window", DURATION),
    Key("status", ListOf(STATUSES, low=1, single=True)),
    Key("url", some("a URL", _url)),
    build=_gate,
    one_of=True,
    aside=("min", "max", "max_ratio", "window", "status", "url"),
)
_WEBHOOK_URL: Final = some("a URL", _webhook_url)
WEBHOOK: Final = ByKind(
    "a URL, or a map with `url` and `on`",
    scalar=Then(_WEBHOOK_URL, Webhook),
    map=Record(
        Webhook,
        Key("url", _WEBHOOK_URL, required=True),
        Key("on", ListOf(choice(*get_args(Event)), low=1, single=True), field="events"),
        build=lambda url, on=(): Webhook(url, on),
    ),
)
_NAME: Final = Unit("a name", units.name, {"type": "string", "pattern": f"^(?:{units.NAME})$"})
_TITLE: Final = Unit("a name", units.title, {"type": "string", "minLength": 1})
ROLLOUT: Final = Record(
    Rollout,
    Key("route", _TITLE, required=True),
    Key("rule", _TITLE),
    Key("from", _NAME, required=True, field="old"),
    Key("to", _NAME, required=True, field="new"),
    Key("steps", ListOf(STEP, low=1, high=STEPS_MAX), required=True),
    Key("gates", ListOf(GATE, high=GATES_MAX)),
    Key("min_requests", integer(1, REQUESTS_MAX)),
    Key("failures", integer(1, FAILURES_MAX)),
    Key("on_failure", choice(*get_args(OnFailure))),
    Key("notify", ListOf(WEBHOOK, high=WEBHOOKS_MAX, single=True)),
    build=dict,
)
ROLLOUTS: Final = MapOf("rollouts", units.name, ROLLOUT)
