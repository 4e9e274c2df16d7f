"""proxy/rules/analysis/reach.py: by which ways requests can come to a version."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.rules.actions import Mirror, Redirect, Respond
from proxy.rules.analysis.reach import fallbacks, reach, rescuer
from proxy.rules.model import Fallback, Otherwise, Route, RuleFile
from proxy.rules.person import Sticky, StickyCookie
from tests.rules.build import NEXT, SHOP, equal, route, rule

FOO = equal("header", "foo", "bar")
LONE = replace(SHOP, fallback="none")


def ways(*routes: Route, **service: object) -> dict[str, list[str]]:
    """The ways to each version of a shop without fallback, unless said; only of those that have any."""
    found = reach(RuleFile({"shop": replace(LONE, **service)}, routes))  # type: ignore[arg-type]
    assert list(found) == [("shop", "v1"), ("shop", "v2"), ("shop", "v3")]
    return {version: [way.text for way in those] for (_, version), those in found.items() if those}


def test_rules_and_what_none_of_them_takes() -> None:
    """A version of its own, shares of a split, and `otherwise`, where a request can come so far."""
    some, everyone = rule("testers", FOO, "v2"), rule("everyone", v1=90, v2=0, v3=30)
    assert ways(route("r", some)) == {
        "v1": ["route 'r': requests that no rule takes"],
        "v2": ["route 'r', rule 'testers': all of its requests"],
    }
    assert ways(route("r", some, everyone, rule("late", version="v2"), otherwise=Otherwise("version", "v2"))) == {
        "v1": ["route 'r', rule 'everyone': 75 % of its requests"],
        "v2": ["route 'r', rule 'testers': all of its requests"],
        "v3": ["route 'r', rule 'everyone': 25 % of its requests"],
    }
    assert ways(route("r", some, otherwise=NEXT), route("s", otherwise=Otherwise("status", status=404))) == {
        "v2": ["route 'r', rule 'testers': all of its requests"]
    }
    assert ways() == {}


def test_what_stands_in_for_others() -> None:
    """For those that requests can come to, and for no other: a version with weight 0 needs no fallback."""
    to_new = route("r", rule("everyone", v1=0, v2=1))
    fallback, rescue = "fallback of version 'v2', when it has no available endpoint", "rescue of version 'v2'"
    assert ways(to_new, fallback="stable")["v1"] == [fallback]
    assert set(ways(to_new, fallback="stable")) == {"v1", "v2"}
    assert set(ways(to_new, fallback="any")) == {"v1", "v2", "v3"}
    assert ways(to_new, rescue=True)["v1"] == [f"{rescue}, for requests that failed there"]
    assert set(ways(to_new, stable="v2", fallback="stable", rescue=True)) == {"v2"}
    assert ways(fallback="any", rescue=True) == {}


def test_people_who_are_kept() -> None:
    """Weight 0 gives a version nobody new, and `on_zero: keep` leaves it whom it has."""
    weights = rule("everyone", v1=1, v2=0)
    for sticky, wanted in (
        (Sticky(cookie=StickyCookie("gray")), {"v1"}),
        (Sticky(cookie=StickyCookie("gray"), mode="pin"), {"v1"}),
        (Sticky(cookie=StickyCookie("gray"), mode="pin", on_zero="keep"), {"v1", "v2"}),
    ):
        found = ways(route("r", replace(weights, sticky=sticky)))
        assert set(found) == wanted
    assert found["v2"] == ["route 'r', rule 'everyone': people pinned to it are kept"]


def test_copies() -> None:
    """A rule's mirrors stand in place of its route's; copies have no fallback; 0 percent is none."""
    to_new, none = Mirror("v2", 0.1), Mirror("v3", 0.0)
    assert ways(route("r", mirror=(to_new, none)))["v2"] == ["route 'r': copies of 10 % of its requests"]
    everyone = rule("everyone", version="v1")
    found = ways(route("r", everyone, mirror=(to_new,)), fallback="any")
    assert found["v2"][0] == "route 'r', rule 'everyone': copies of 10 % of its requests"
    assert not any("'v2'" in text for text in found["v3"])
    assert set(ways(route("r", replace(everyone, mirror=()), mirror=(to_new,)))) == {"v1"}


def test_what_the_proxy_answers_itself_leads_nowhere() -> None:
    """A redirect lets those pass who are there already; what responds takes all it matches."""
    late = rule("late", version="v2")
    redirects, responds = replace(rule("go"), redirect=Redirect("https")), replace(rule("no"), respond=Respond(403))
    assert set(ways(route("r", redirects, late))) == {"v2"}
    assert ways(route("r", responds, late)) == {}
    assert ways(route("r", late, respond=Respond(403))) == {}
    assert ways(replace(route("r", redirect=Redirect("https")), service="", otherwise=NEXT)) == {}


@pytest.mark.parametrize(
    ("kind", "of", "wanted"),
    [
        ("stable", "v2", ["v1"]),
        ("stable", "v1", []),
        ("any", "v1", ["v2", "v3"]),
        ("any", "v3", ["v1", "v2"]),
        ("none", "v2", []),
    ],
)
def test_fallbacks_in_order(kind: Fallback, of: str, wanted: list[str]) -> None:
    """The stable version first, then the others in file order."""
    assert fallbacks(replace(SHOP, fallback=kind), of) == wanted


def test_the_stable_version_rescues_all_but_itself() -> None:
    assert [rescuer(replace(SHOP, rescue=True), name) for name in SHOP.versions] == ["", "v1", "v1"]
    assert rescuer(SHOP, "v2") == ""
