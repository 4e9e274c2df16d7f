"""proxy/observe/series.py: which series exist before the first request."""

from __future__ import annotations

import pytest

from proxy.observe.series import series_of, shares_of
from proxy.rules.actions import Redirect, Respond
from proxy.rules.model import (
    EndpointSpec,
    FieldTest,
    Otherwise,
    PresentTest,
    Retry,
    Route,
    Rule,
    RuleFile,
    Service,
    Split,
    Version,
)
from proxy.rules.person import Sticky

FOO = FieldTest("header", "foo", PresentTest(True))
TESTERS = Rule("testers", match=FOO, version="v2")
SPLIT = Split((("v1", 999.0), ("v2", 1.0)))


def rule_file(*rules: Rule, otherwise: Otherwise | None = None, **service: object) -> RuleFile:
    versions = {name: Version(name, (EndpointSpec(f"http://{name}:80"),)) for name in ("v1", "v2", "v3")}
    shop = Service("shop", "v1", versions, **service)  # type: ignore[arg-type]
    return RuleFile({"shop": shop}, (Route("all", "shop", otherwise or Otherwise("version", "v1"), rules=rules),))


def decisions(file: RuleFile) -> set[tuple[str, str, str]]:
    """(version, rule, reason) of every decision declared."""
    return {labels[2:] for name, labels in series_of(file).counters if name == "decisions_total"}  # type: ignore[misc]


def test_every_version_has_its_series_even_one_that_no_rule_reaches() -> None:
    series = series_of(rule_file(TESTERS))
    assert ("requests_total", ("all", "shop", "v3", "200", "GET")) in series.counters
    assert ("request_duration_seconds", ("all", "shop", "v3")) in series.histograms
    assert ("upstream_errors_total", ("shop", "v3", "no_endpoint")) in series.counters
    assert ("requests_in_flight", ("shop", "v3")) in series.gauges
    assert ("shop", "v3", "http://v3:80") in series.endpoints


def test_retries_stand_at_0_for_what_the_service_tries_again() -> None:
    """Their causes always, statuses if named, and rescue where it is wanted."""
    series = series_of(rule_file(TESTERS, retry=Retry(statuses=(503,)), rescue=True))
    reasons = [labels[2] for name, labels in series.counters if name == "upstream_retries_total" and labels[1] == "v2"]
    assert reasons == ["connect_failure", "reset", "503", "rescue"]


def test_weights_are_shares_and_say_0_of_a_version_that_gets_nothing() -> None:
    series = series_of(rule_file(Rule("everyone", split=SPLIT)))
    assert series.weights == {
        ("all", "everyone", "shop", "v1"): 0.999,
        ("all", "everyone", "shop", "v2"): 0.001,
        ("all", "everyone", "shop", "v3"): 0.0,
    }


@pytest.mark.parametrize(
    ("otherwise", "rules", "last"),
    [
        (Otherwise("version", "v3"), (TESTERS,), ("", {"v3": 1.0})),
        (Otherwise("version", "v3"), (), ("", {"v3": 1.0})),
        (Otherwise("status", status=404), (TESTERS,), ("testers", {"v2": 1.0})),
        (Otherwise("next"), (TESTERS,), ("testers", {"v2": 1.0})),
        (Otherwise("version", "v3"), (TESTERS, Rule("rest", version="v1")), ("rest", {"v1": 1.0})),
    ],
)
def test_the_empty_rule_stands_for_requests_that_no_rule_takes(
    otherwise: Otherwise, rules: tuple[Rule, ...], last: tuple[str, dict[str, float]]
) -> None:
    """It is there only if such requests can come, and if a version gets them."""
    assert list(shares_of(rule_file(*rules, otherwise=otherwise).routes[0]))[-1] == last


def test_decisions_are_foretold_with_their_reasons() -> None:
    """match for a rule with one version, weight for a split, both sticky and weight for a sticky one, else default."""
    file = rule_file(TESTERS, Rule("half", FOO, split=SPLIT), Rule("kept", FOO, split=SPLIT, sticky=Sticky()))
    assert decisions(file) >= {
        ("v2", "testers", "match"),
        ("v1", "half", "weight"),
        ("v2", "half", "weight"),
        ("v2", "kept", "sticky"),
        ("v2", "kept", "weight"),
        ("v1", "", "default"),
    }


@pytest.mark.parametrize(("fallback", "stand_ins"), [("stable", {"v1"}), ("any", {"v1", "v3"}), ("none", set())])
def test_stand_ins_are_foretold_as_the_fallback_says(fallback: str, stand_ins: set[str]) -> None:
    found = decisions(rule_file(TESTERS, fallback=fallback))
    assert {version for version, rule, reason in found if (rule, reason) == ("testers", "fallback")} == stand_ins


def test_a_rescue_is_foretold_where_the_service_has_it_and_the_rule_can_need_it() -> None:
    assert ("v1", "testers", "rescue") in decisions(rule_file(TESTERS, rescue=True))
    assert ("v1", "", "rescue") not in decisions(rule_file(TESTERS, rescue=True))
    assert ("v1", "testers", "rescue") not in decisions(rule_file(TESTERS))


def test_own_answers_are_foretold_without_a_version() -> None:
    """A redirect and an answer of a route or rule; they have no weight, and nothing stands in for them."""
    away, gone = Rule("away", redirect=Redirect("https")), Rule("gone", FOO, respond=Respond(410))
    file = rule_file(away, gone, Rule("half", FOO, split=SPLIT))
    old = Route("old", "", Otherwise("next"), redirect=Redirect(host="a", status=301))
    file = RuleFile(file.services, (*file.routes, old))
    series = series_of(file)
    assert ("decisions_total", ("all", "shop", "", "away", "match")) in series.counters
    assert ("decisions_total", ("old", "", "", "", "default")) in series.counters
    assert ("requests_total", ("all", "shop", "", "410", "GET")) in series.counters
    assert ("requests_total", ("old", "", "", "301", "GET")) in series.counters
    assert ("request_duration_seconds", ("old", "", "")) in series.histograms
    assert {labels[1] for labels in series.weights} == {"half", ""}
    assert not [found for found in decisions(file) if found[1] == "gone" and found[2] != "match"]
