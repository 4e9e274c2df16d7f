"""proxy/observe/mirrors.py: what becomes of copies is counted, and a bounded number of examples goes to control."""

from __future__ import annotations

from proxy.observe.counters import Counters
from proxy.observe.exposition import render
from proxy.observe.metrics import Registry
from proxy.observe.mirrors import EXAMPLES_MAX
from proxy.observe.series import series_of
from proxy.rules.actions import Mirror
from proxy.rules.model import EndpointSpec, Otherwise, Route, RuleFile, Service, Version

VERSIONS = {name: Version(name, (EndpointSpec(f"http://{name}:80"),)) for name in ("v1", "v2")}
ROUTE = Route("r", "s", Otherwise("version", "v1"), mirror=(Mirror("v2"),))
FILE = RuleFile({"s": Service("s", "v1", VERSIONS)}, (ROUTE,))


def test_results_and_kinds_are_handed_over_once() -> None:
    counters = Counters()
    mirror = counters.mirror("s", "v2")
    mirror.in_flight = 1
    mirror.ended("same")
    mirror.ended("same")
    assert mirror.differed(["status", "body"])
    counts = counters.take()
    assert counts.add["mirror_requests_total"] == {("s", "v2", "same"): 2}
    assert counts.add["mirror_differences_total"] == {("s", "v2", "status"): 1, ("s", "v2", "body"): 1}
    assert counts.gauge["mirror_requests_in_flight"] == {("s", "v2"): 1}
    again = counters.take()
    assert again.add["mirror_requests_total"] == again.add["mirror_differences_total"] == {}
    assert again.gauge["mirror_requests_in_flight"] == {("s", "v2"): 1}


def test_a_worker_makes_no_more_examples_than_are_kept() -> None:
    counters = Counters()
    mirror = counters.mirror("s", "v2")
    while mirror.differed(["body"]):
        mirror.examples.append({"at": len(mirror.examples)})
    assert len(mirror.examples) == EXAMPLES_MAX
    assert counters.take().examples == {("s", "v2"): [{"at": number} for number in range(EXAMPLES_MAX)]}
    assert counters.take().examples == {}
    assert mirror.differed(["body"])


def test_control_keeps_the_last_examples_of_all_workers() -> None:
    registry = Registry()
    counters = Counters()
    for number in range(3 * EXAMPLES_MAX):
        counters.mirror("s", "v2").examples = [{"at": number}]
        registry.merge(number % 2, counters.take())
    kept = registry.examples("s", "v2")
    assert [one["at"] for one in kept] == list(range(3 * EXAMPLES_MAX - 1, 2 * EXAMPLES_MAX - 1, -1))
    assert registry.examples("s", "v1") == []


def test_series_of_mirrored_versions_stand_at_0_and_no_others() -> None:
    registry = Registry()
    registry.declare(series_of(FILE), 1)
    text = render(registry)[0].decode()
    for result in ("answered", "same", "different", "timeout", "failed", "too_large", "dropped"):
        assert f'grayhound_mirror_requests_total{{result="{result}",service="s",version="v2"}} 0.0' in text
    for kind in ("status", "headers", "length", "body"):
        assert f'grayhound_mirror_differences_total{{kind="{kind}",service="s",version="v2"}} 0.0' in text
    assert 'grayhound_mirror_requests_in_flight{service="s",version="v2"} 0.0' in text
    assert not [line for line in text.splitlines() if "mirror" in line and 'version="v1"' in line]
