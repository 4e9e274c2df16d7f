"""The words of rollouts: weights that the proxy itself moves, step by step, while its gates hold. Part of the model."""

from __future__ import annotations

from typing import Final, Literal

from proxy.data import dataclass

Metric = Literal["success_rate", "latency_p50", "latency_p90", "latency_p95", "latency_p99"]
OnFailure = Literal["rollback", "pause"]
Event = Literal[
    "started", "step", "waiting", "paused", "resumed", "failed", "rolled_back", "promoted", "weight_set", "blocked"
]  # fmt: skip
"""What happens to a rollout."""


@dataclass(frozen=True, slots=True)
class RolloutStep:
    """One share of the traffic, and how long it stays."""

    weight: float
    """Percent of what `from` and `to` get together that `to` gets in this step."""
    hold: float = 0.0
    """Seconds that pass in this step, with every gate holding, before the next; 0: as soon as the gates have held."""
    pause: bool = False
    """true: the next step waits for `grayhound rollout promote`, after `hold`."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What must be true of the new version for the rollout to go on. One of `metric` and `prometheus`."""

    metric: Metric | None = None
    """Of the proxy's own counts of what the rollout's rule gives to both versions: success_rate is the share of whole
    answers with a status below 500; latency_p99 the time by which 99% of the answers were complete."""
    prometheus: str = ""
    """A query in PromQL, asked of `url` once a window; each of the values it gives must hold."""
    min: float | None = None
    """At least so much: a percentage for success_rate, a number for a query."""
    max: float | None = None
    """At most so much: a duration for a latency, a number for a query."""
    max_ratio: float | None = None
    """At most so many times that of `from` in the same window: latencies, or for success_rate the share of failures."""
    window: float = 60.0
    """Seconds over which it is judged, time and again."""
    status: tuple[tuple[int, int], ...] = ()
    """Of success_rate: the statuses, from and to, that are a success; none: all below 500."""
    url: str = ""
    """Where Prometheus is, like http://prometheus:9090."""

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.metric or "prometheus"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who is told what happens."""

    url: str
    """Where each event is sent, as JSON by POST."""
    events: tuple[Event, ...] = ()
    """Which of them; none: all."""


DEFAULT_GATES: Final = (Gate("success_rate", max_ratio=1.0),)
"""Of a rollout that names none."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """Moves the weights of one split from an old version to a new one."""

    name: str
    """Unique; a metric label and what commands name."""
    route: str
    """The route whose rule it moves."""
    rule: str
    """The rule whose split it moves. Default: the route's rule without match."""
    old: str
    """The version that gives, `from` in the file."""
    new: str
    """The version that gets, `to` in the file."""
    steps: tuple[RolloutStep, ...]
    """In order, weights rising. After the last one the rollout is done."""
    gates: tuple[Gate, ...]
    """All must hold. Default: failures are not more frequent than those of `from`."""
    min_requests: int = 100
    """Fewer requests of the new version in a window are no verdict: the step holds."""
    failures: int = 2
    """Failed verdicts of a gate in a row before `on_failure`."""
    on_failure: OnFailure = "rollback"
    """rollback: the new version gets nothing from then on; pause: the weights stay until somebody decides."""
    notify: tuple[Webhook, ...] = ()
    """URLs that are told what happens."""
