from __future__ import annotations

from proxy.rules.parse import parse
from proxy.rules.rollouts import DEFAULT_GATES, Gate, Rollout, RolloutStep, Webhook

RULES = """\
services: {shop: {versions: {v1: {endpoints: [http://a:1]}, v2: {endpoints: [http://b:1]}}}}
routes:
  - name: shop
    service: shop
    rules:
      - {name: testers, match: {header: {foo: bar}}, split: {v1: 1, v2: 1}}
      - {name: everyone, split: {v1: 100, v2: 0}, sticky: {cookie: gray, mode: pin}}
rollouts:
"""


def rollout(text: str) -> Rollout:
    parsed = parse(RULES + text, "rules.yaml")
    assert [str(warning) for warning in parsed.warnings] == []
    (found,) = parsed.rule_file.rollouts.values()
    return found


def test_every_word_is_read_in_its_unit() -> None:
    """Shares from 0 to 1, seconds, plain numbers."""
    found = rollout("""\
  shop-v2:
    route: shop
    rule: everyone
    from: v1
    to: v2
    steps: [{weight: 5, hold: 10m}, {weight: 50, pause: true}, {weight: 100, hold: 30m}]
    gates:
      - {metric: success_rate, min: 99.5%, window: 1m}
      - {metric: latency_p99, max_ratio: 1.25, max: 500ms, window: 30s}
      - {prometheus: 'sum(rate(x[1m]))', max: 0.5, url: "http://prometheus:9090/"}
    min_requests: 20
    failures: 3
    on_failure: pause
    notify: [https://chat/hook?key=1, {url: http://b, on: failed}]
""")
    steps = (RolloutStep(5.0, 600.0), RolloutStep(50.0, pause=True), RolloutStep(100.0, 1800.0))
    gates = (
        Gate("success_rate", min=0.995),
        Gate("latency_p99", max=0.5, max_ratio=1.25, window=30.0),
        Gate(prometheus="sum(rate(x[1m]))", max=0.5, url="http://prometheus:9090"),
    )
    notify = (Webhook("https://chat/hook?key=1"), Webhook("http://b", ("failed",)))
    assert found == Rollout("shop-v2", "shop", "everyone", "v1", "v2", steps, gates, 20, 3, "pause", notify)


def test_defaults() -> None:
    """The rule without match; and one gate: the new version fails no more often than the old."""
    found = rollout("  shop-v2: {route: shop, from: v1, to: v2, steps: [{weight: 100}]}\n")
    assert (found.rule, found.gates, found.min_requests, found.failures) == ("everyone", DEFAULT_GATES, 100, 2)
    assert found.on_failure == "rollback"


def test_a_version_that_only_a_rollout_leads_to_is_not_warned_about() -> None:
    """Before the first step it gets nothing, as it should."""
    text = RULES.replace("split: {v1: 1, v2: 1}", "version: v1")
    rules = parse(text + "  new: {route: shop, from: v1, to: v2, steps: [{weight: 100}]}\n", "rules.yaml")
    assert rules.warnings == []
