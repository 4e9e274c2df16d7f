"""The one truth of a container: what its workers count is added up here; exposition.py renders it.

Counters never go back while the container lives, whatever becomes of a worker or a version. Gauges tell of what is
now: those of a worker that is gone, and of a version that the rules no longer name, vanish.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import field
from typing import Final, Literal

import proxy
from proxy.data import dataclass
from proxy.observe.counts import BUCKETS, Answers, Counts, Labels
from proxy.observe.mirrors import EXAMPLES_MAX, Example
from proxy.observe.series import Series, series_of
from proxy.rollout.plan import EVENTS, PHASES, Phase
from proxy.rules.model import RuleFile
from proxy.rules.rollouts import Event

PREFIX: Final = "grayhound_"
BOUNDS: Final = (*map(str, BUCKETS), "+Inf")

ReloadResult = Literal["ok", "refused", "unchanged"]
RESULTS: Final[tuple[ReloadResult, ...]] = ("ok", "refused", "unchanged")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a metric is: its labels in order, and what its help text teaches."""

    labels: tuple[str, ...]
    help: str


COUNTERS: Final = {
    "requests_total": Kind(
        ("route", "service", "version", "code", "method"),
        "Requests answered, by status code. Error ratio of a version: "
        '1 - sum(rate(...{version="v2",code!~"5.."}[1m])) / sum(rate(...{version="v2"}[1m])).',
    ),
    "request_bytes_total": Kind(("service", "version"), "Bytes of request bodies passed on to a version."),
    "response_bytes_total": Kind(("service", "version"), "Bytes of response bodies passed on to clients."),
    "decisions_total": Kind(
        ("route", "service", "version", "rule", "reason"),
        "Which version the rules chose and why: match, weight, sticky, default (no rule took the request), "
        "fallback (the chosen version had no available endpoint), rescue (retried on the stable version).",
    ),
    "upstream_errors_total": Kind(
        ("service", "version", "kind"),
        "Tries that brought no response: connect, timeout, reset, protocol (not HTTP), no_endpoint (none available). "
        "A retry that went well still leaves its first try here.",
    ),
    "upstream_retries_total": Kind(
        ("service", "version", "reason"), "Tries after the first, by what went wrong before."
    ),
    "tls_handshakes_total": Kind(
        ("listener", "result"),
        "TLS handshakes with clients, by their end: ok, failed (nothing in common, or a certificate was not accepted), "
        "timeout, closed (the client left).",
    ),
    "proxy_headers_total": Kind(
        ("listener", "result"),
        "Connections to a +proxy listener, by their PROXY header: ok, malformed (or none), untrusted (not from one of "
        "--trusted-proxies), timeout, closed (the sender left).",
    ),
    "mirror_requests_total": Kind(
        ("service", "version", "result"),
        "Copies of requests for a version: answered (not compared), same, different (compared with the real answer), "
        "timeout, failed (no whole answer), too_large (the request's body: not sent), dropped (not sent: too many are "
        "under way, or no endpoint is available).",
    ),
    "mirror_differences_total": Kind(
        ("service", "version", "kind"),
        "Answers to copies that differed from the real one, by what differed: status, headers, length, body.",
    ),
    "rollout_events_total": Kind(
        ("rollout", "event"),
        "What has happened to a rollout: started, step, waiting, paused, resumed, failed (a gate, for good), "
        "rolled_back, promoted, weight_set, blocked (the rule file cannot be edited).",
    ),
    "config_reloads_total": Kind(
        ("result",),
        "Times the rules were read: ok (in use), refused (a fault; the last good ones keep serving), unchanged.",
    ),
    "worker_restarts_total": Kind((), "Worker processes replaced because they died. Should not grow."),
    "access_log_dropped_total": Kind(
        (), "Lines of the access log that were lost, since its sink was too slow, full or gone. Should not grow."
    ),
    "spans_dropped_total": Kind((), "Spans that were lost, since the collector was too slow or gone. Should not grow."),
}
HISTOGRAMS: Final = {
    "request_duration_seconds": Kind(
        ("route", "service", "version"),
        "From the request's head to the last byte of its answer, retries included: what clients feel.",
    ),
    "upstream_duration_seconds": Kind(
        ("service", "version"), "From the request's head sent to the response's head received: what the version takes."
    ),
}
GAUGES: Final = {
    "requests_in_flight": Kind(("service", "version"), "Requests under way. 0: the version may be switched off."),
    "tunnels_open": Kind(("service", "version"), "Upgraded connections (WebSocket) open now."),
    "mirror_requests_in_flight": Kind(
        ("service", "version"),
        "Copies of requests under way. No client waits for them: the version may be switched off.",
    ),
    "connections_open": Kind(("listener",), "Client connections open now, idle ones included."),
    "version_weight": Kind(
        ("route", "rule", "service", "version"),
        "Share (0 to 1) of the requests taken by this rule that the rules give to the version; "
        'rule="" stands for requests that no rule takes.',
    ),
    "rollout_phase": Kind(
        ("rollout", "phase"),
        "1 for the phase a rollout is in: pending, progressing, waiting, paused, promoted or rolled_back.",
    ),
    "rollout_step": Kind(("rollout",), "The step a rollout is at, from 1."),
    "rollout_blocked": Kind(("rollout",), "1: its weights cannot be put into the rule file; /api/rollouts says why."),
    "endpoint_up": Kind(
        ("service", "version", "endpoint"),
        "1: every worker sends requests there. 0: its health check fails, or a worker has ejected it.",
    ),
    "tls_certificate_not_after_seconds": Kind(
        ("certificate",), "When a certificate shown to clients expires, in Unix time; by its first name."
    ),
    "config_last_reload_success": Kind((), "1: the rules as last read are in use. 0: they were refused."),
    "config_last_reload_success_timestamp_seconds": Kind((), "When the rules in use were taken, in Unix time."),
    "config_generation": Kind((), "The number of the rules in use: each reload that is taken adds 1."),
    "workers": Kind((), "Worker processes that accept connections."),
    "build_info": Kind(("version", "python"), "Always 1; the labels say what is running."),
}
OF_VERSIONS: Final = frozenset({"requests_in_flight", "tunnels_open", "mirror_requests_in_flight"})
"""Gauges of workers whose series follow the rules, and so vanish with them."""


@dataclass(slots=True)
class Distribution:
    """One series of a histogram: how many fell into each bucket (the last is +Inf), and their sum."""

    counts: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))
    sum: float = 0.0


@dataclass(frozen=True, slots=True)
class EndpointState:
    """One endpoint as seen by the container.

    healthy: the verdict of the health check. workers: how many know it; available: how many of them send requests to
    it; ejected: how many have ejected it for bad answers. in_flight, connections: over all workers.
    """

    healthy: bool
    workers: int
    available: int
    ejected: int
    in_flight: int
    connections: int

    @property
    def up(self) -> bool:
        """Whether every worker sends requests there; before any has reported, the health check alone counts."""
        return self.healthy and self.available == self.workers


class Registry:
    """Every series of the container. It lives on control's event loop; `undeclared` alone may be asked in a thread."""

    def __init__(self) -> None:
        self._counters: dict[str, dict[Labels, float]] = {name: {} for name in COUNTERS}
        self._histograms: dict[str, dict[Labels, Distribution]] = {name: {} for name in HISTOGRAMS}
        self._own: dict[str, dict[Labels, float]] = {name: {} for name in GAUGES}  # control's own gauges
        self._reported: dict[int, Counts] = {}  # by worker: its last counts, for their gauges and endpoints
        self._declared: dict[str, dict[Labels, float]] = {}  # gauges that stand at 0 until a worker reports
        self._endpoints: tuple[Labels, ...] = ()
        self._examples: dict[Labels, deque[Example]] = {}
        self._answers: dict[Labels, Answers] = {}
        self._healthy: dict[str, bool] = {}
        self._own["build_info"][proxy.__version__, sys.version.split()[0]] = 1
        self._own["config_last_reload_success"][()] = 0
        self.set_workers(0)
        self._counters["worker_restarts_total"][()] = 0
        self._counters["access_log_dropped_total"][()] = 0
        self._counters["spans_dropped_total"][()] = 0
        self._counters["config_reloads_total"] = {(result,): 0 for result in RESULTS}

    def undeclared(self, rule_file: RuleFile) -> Series:
        """The series of all that `rule_file` names, to be declared; without those that exist and stay."""
        series = series_of(rule_file)
        series.counters = [one for one in series.counters if one[1] not in self._counters[one[0]]]
        series.histograms = [one for one in series.histograms if one[1] not in self._histograms[one[0]]]
        return series

    def declare(self, series: Series, generation: int) -> None:
        """Make these series of the rules exist, at 0, and let the gauges of what is gone vanish."""
        for name, labels in series.counters:
            self._counters[name].setdefault(labels, 0)
        for name, labels in series.histograms:
            self._histograms[name].setdefault(labels, Distribution())
        self._declared = {name: {} for name in OF_VERSIONS}
        for name, labels in series.gauges:
            self._declared[name][labels] = 0
        self._endpoints = tuple(series.endpoints)
        self._own["version_weight"] = series.weights
        self._own["config_generation"][()] = generation

    def merge(self, worker_id: int, counts: Counts) -> None:
        """Add what a worker has counted since its last message; its gauges replace those it sent before.

        A metric that no table here names is a KeyError: a mistake of ours.
        """
        for name, added in counts.add.items():
            counter = self._counters[name]
            for labels, number in added.items():
                counter[labels] = counter.get(labels, 0) + number
        for name, observed in counts.observe.items():
            histogram = self._histograms[name]
            for labels, (buckets, total) in observed.items():
                known = histogram.setdefault(labels, Distribution())
                known.counts = [a + b for a, b in zip(known.counts, buckets, strict=True)]
                known.sum += total
        for labels, answers in counts.answers.items():
            self._answers.setdefault(labels, Answers()).add(answers)
        for labels, examples in counts.examples.items():
            self._examples.setdefault(labels, deque(maxlen=EXAMPLES_MAX)).extend(examples)
        self._reported[worker_id] = counts

    def forget(self, worker_id: int) -> None:
        """A worker is gone: so is what it had under way. What it counted stays."""
        self._reported.pop(worker_id, None)

    def reported(self, worker_id: int) -> Counts | None:
        """What a live worker last said, if it has said anything."""
        return self._reported.get(worker_id)

    def set_health(self, up: Mapping[str, bool]) -> None:
        """The health checks' verdicts by endpoint url, all of them; an endpoint without one counts as healthy."""
        self._healthy = dict(up)

    def set_certificates(self, not_after: Mapping[str, float]) -> None:
        """When the certificates that clients are shown expire, in Unix time."""
        self._own["tls_certificate_not_after_seconds"] = {(name,): moment for name, moment in not_after.items()}

    def set_workers(self, accepting: int) -> None:
        """How many workers accept connections."""
        self._own["workers"][()] = accepting

    def worker_restarted(self) -> None:
        """A worker died and is being replaced."""
        self._counters["worker_restarts_total"][()] += 1

    def reloaded(self, result: ReloadResult, now: float) -> None:
        """The rules were read, at `now` in Unix time; `unchanged` says that they are the ones in use."""
        self._counters["config_reloads_total"][result,] += 1
        self._own["config_last_reload_success"][()] = int(result != "refused")
        if result == "ok":
            self._own["config_last_reload_success_timestamp_seconds"][()] = now

    def set_rollouts(self, states: Mapping[str, tuple[Phase, int, bool]]) -> None:
        """The phase and step of each rollout that the rules name, and whether its file cannot be written."""
        phases = {name: phase for name, (phase, *_) in states.items()}
        self._own["rollout_phase"] = {(name, one): int(phases[name] == one) for name in phases for one in PHASES}
        self._own["rollout_step"] = {(name,): step for name, (_, step, _) in states.items()}
        self._own["rollout_blocked"] = {(name,): int(blocked) for name, (*_, blocked) in states.items()}
        for name in states:
            for event in EVENTS:
                self._counters["rollout_events_total"].setdefault((name, event), 0)

    def rollout_event(self, rollout: str, event: Event) -> None:
        """Something has happened to a rollout."""
        events = self._counters["rollout_events_total"]
        events[rollout, event] = events.get((rollout, event), 0) + 1

    def endpoint(self, service: str, version: str, url: str) -> EndpointState:
        """What the workers and the health check last said of an endpoint."""
        key = (service, version, url)
        said = [worker.endpoints[key] for worker in self._reported.values() if key in worker.endpoints]
        return EndpointState(
            healthy=self._healthy.get(url, True),
            workers=len(said),
            available=sum(bool(one["available"]) for one in said),
            ejected=sum(bool(one["ejected"]) for one in said),
            in_flight=int(sum(one["in_flight"] for one in said)),
            connections=int(sum(one["connections"] for one in said)),
        )

    def gauge(self, name: str) -> dict[Labels, float]:
        """The series of a gauge: control's own, or what the rules declare plus the sum of what live workers report.

        A version that the rules no longer name stays while it has something under way: it is draining.
        """
        if name == "endpoint_up":
            return {key: int(self.endpoint(*key).up) for key in self._endpoints}
        declared = self._declared.get(name, {})
        totals = self._own[name] | declared
        for worker in self._reported.values():
            for labels, number in worker.gauge.get(name, {}).items():
                totals[labels] = totals.get(labels, 0) + number
        if name in OF_VERSIONS:
            return {labels: number for labels, number in totals.items() if number or labels in declared}
        return totals

    def counter(self, name: str) -> Mapping[Labels, float]:
        """The series of a counter."""
        return self._counters[name]

    def histogram(self, name: str) -> Mapping[Labels, Distribution]:
        """The series of a histogram."""
        return self._histograms[name]

    def answers(self, route: str, service: str, rule: str, version: str) -> Answers:
        """What became of the requests that this rule's split gave to the version, since the start."""
        return self._answers.get((route, service, rule, version)) or Answers()

    def examples(self, service: str, version: str) -> list[Example]:
        """The last answers of a mirrored version that differed from the real ones, the latest first."""
        return list(reversed(self._examples.get((service, version), ())))
