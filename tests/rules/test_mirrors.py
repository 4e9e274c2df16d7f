"""proxy/rules/mirrors.py: which requests are copied where, and what the file may say of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.errors import RuleError
from proxy.http.message import RequestHead
from proxy.rules.actions import Compare, Mirror
from proxy.rules.analysis.explain import explain
from proxy.rules.analysis.report import render_text, to_json
from proxy.rules.mirrors import mirrored, mirrors_of, person_of, sampler, told_copies
from proxy.rules.parse import parse
from proxy.rules.person import Sticky, StickyKey
from proxy.rules.split import bucketer, owners
from tests.rules.build import request, route, rule, rule_file

HEAD = """services:
  shop:
    versions: {v1: {endpoints: [http://a]}, v2: {endpoints: [http://b]}}
routes:
  - service: shop
"""
BY_USER = Sticky((StickyKey("header", "x-user"),), salt="shop/all")


def never() -> float:
    raise AssertionError("nothing is drawn")


@pytest.mark.parametrize(
    ("text", "mirror"),
    [
        ("{version: v2}", Mirror("v2")),
        ("{version: v2, percent: 10}", Mirror("v2", percent=0.1)),
        ("{version: v2, percent: 12.5%}", Mirror("v2", percent=0.125)),
        ("{version: v2, methods: [get, POST]}", None),
        ("{version: v2, methods: POST}", Mirror("v2", methods=("POST",))),
        ("{version: v2, compare: true}", Mirror("v2", compare=Compare(("content-type", "location")))),
        ("{version: v2, compare: false}", Mirror("v2")),
        ("{version: v2, compare: {headers: [ETag, X-Total]}}", Mirror("v2", compare=Compare(("etag", "x-total")))),
        ("{version: v2, compare: {headers: []}}", Mirror("v2", compare=Compare(()))),
        ("{version: v3}", None),
        ("{version: v2, by: users}", None),
        ("{version: v2, percent: 101}", None),
        ("{percent: 10}", None),
        ("{version: v2, compare: {header: a}}", None),
    ],
)
def test_what_a_file_may_say(text: str, mirror: Mirror | None) -> None:
    """None: a fault, which says where."""
    if mirror is None:
        with pytest.raises(RuleError) as raised:
            parse(f"{HEAD}    mirror: [{text}]\n", "rules.yaml")
        assert all(fault.path.startswith("routes[0].mirror[0]") for fault in raised.value.faults)
    else:
        parsed = parse(f"{HEAD}    mirror: [{text}]\n", "rules.yaml")
        assert parsed.rule_file.routes[0].mirror == (mirror,)


def test_users_must_be_known_somewhere_in_the_route() -> None:
    """By the rule's `sticky`, or else by the first one of the route."""
    rules = "    rules: [{match: {method: GET}, version: v1}, {split: {v1: 1}, sticky: {by: {header: x-user}}}]\n"
    parsed = parse(f"{HEAD}{rules}    mirror: [{{version: v2, by: users}}]\n", "rules.yaml")
    made = parsed.rule_file.routes[0]
    known = made.rules[1].sticky
    assert known is not None
    assert person_of(made, made.rules[0]) == person_of(made, made.rules[1]) == person_of(made, None) == known


def test_a_version_that_only_gets_copies_is_not_unreachable() -> None:
    assert [fault.text for fault in parse(HEAD, "rules.yaml").warnings] == ["no rule leads to version 'v2'"]
    assert parse(f"{HEAD}    mirror: [{{version: v2}}]\n", "rules.yaml").warnings == []


def test_a_rules_own_list_stands_in_place_of_its_routes() -> None:
    silent, own = replace(rule("a", version="v1"), mirror=()), replace(rule("b", version="v1"), mirror=(Mirror("v3"),))
    made = replace(route("all", silent, own, rule("c", version="v1")), mirror=(Mirror("v2"),))
    said = [mirrors_of(made, one) for one in (*made.rules, None)]
    assert said == [(), (Mirror("v3"),), (Mirror("v2"),), (Mirror("v2"),)]
    assert mirrored(rule_file(made)) == [("shop", "v2"), ("shop", "v3")]
    assert mirrored(rule_file(replace(made, mirror=(Mirror("v2", percent=0.0),)))) == [("shop", "v3")]


def test_of_requests_each_is_drawn() -> None:
    draws = iter((0.09, 0.1, 0.99, 0.0))
    sampled = sampler(Mirror("v2", percent=0.1), BY_USER, lambda: next(draws))
    assert [sampled(request("/", "x-user: alice")) for _ in range(4)] == [True, False, False, True]
    assert sampler(Mirror("v2"), None, never)(request("/"))


def test_of_users_each_is_in_or_out_and_who_brings_no_key_is_drawn() -> None:
    """The share is kept, a larger share only adds people, and who is in does not hang on the split."""
    people = [request("/", f"x-user: {number}") for number in range(4000)]
    copied = {
        share: {
            number for number, head in enumerate(people) if sampler(Mirror("v2", share, "users"), BY_USER, never)(head)
        }
        for share in (0.1, 0.2)
    }
    assert 320 < len(copied[0.1]) < 480 and copied[0.1] < copied[0.2]
    on_new = {number for number in copied[0.2] if _bucket(number) < owners((("v1", 80.0), ("v2", 20.0)), "v1")[0].end}
    assert 100 < len(on_new) < 220  # a fifth of 800, as if by chance
    drawn = sampler(Mirror("v2", 0.1, "users"), BY_USER, lambda: 0.05)
    assert drawn(request("/"))


def _bucket(number: int) -> int:
    return bucketer(BY_USER.salt)(str(number).encode())


def test_a_mirror_that_copies_nothing_is_told() -> None:
    """All its requests go to the mirrored version itself."""
    to_new = "    rules: [{match: {method: GET}, version: v2, mirror: [{version: v2}]}, {split: {v1: 1, v2: 1}}]\n"
    (told,) = parse(HEAD + to_new, "rules.yaml").warnings
    assert (told.path, told.text) == (
        "routes[0].rules[0].mirror[0]",
        "nothing is copied: all these requests go to version 'v2' itself",
    )
    assert not parse(HEAD + to_new.replace(", mirror: [{version: v2}]", ""), "rules.yaml").warnings
    ones_own = f"{HEAD}    otherwise: v2\n    mirror: [{{version: v2}}]\n"
    assert [told.path for told in parse(ones_own, "rules.yaml").warnings] == ["routes[0].mirror[0]"]


WHO, PUT = "header x-user is in bucket", "method is PUT, wanted"
MIRRORS = (Mirror("v3"), Mirror("v2", 0.1, "users", methods=("GET", "POST")))


@pytest.mark.parametrize(
    ("head", "taken", "answered_by", "told"),
    [
        (request("/"), 0, "v1", ("to v3: yes", "to v2: drawn, 10 % are")),
        (request("/"), 0, "", ("to v3: yes", "to v2: drawn, 10 % are; not if v2 answers")),
        (request("/"), 0, "v2", ("to v3: yes",)),
        (request("/", "x-user: 3"), 0, "v1", ("to v3: yes", f"to v2: yes, {WHO} 386, wanted below 1,000")),
        (request("/", "x-user: 1"), 1, "v1", ("to v3: yes", f"to v2: no, {WHO} 9,958, wanted below 1,000")),
        (request("/", method="PUT"), None, "v1", (f"to v3: no, {PUT} GET or HEAD", f"to v2: no, {PUT} GET or POST")),
    ],
)
def test_explain_says_what_is_copied(
    head: RequestHead, taken: int | None, answered_by: str, told: tuple[str, ...]
) -> None:
    """And why not; by the same buckets that copies are sampled by."""
    made = route("r", replace(rule("a", v1=1, v2=1), sticky=BY_USER), rule("b", version="v1"))
    made = replace(made, mirror=MIRRORS)
    assert told_copies(made, None if taken is None else made.rules[taken], answered_by, head) == told


def test_explain_shows_it_before_the_decision() -> None:
    trace = explain(rule_file(replace(route("r"), mirror=MIRRORS[:1])), request("/"))
    assert render_text(trace).splitlines()[-4:-1] == ["what is copied", "  to v3: yes", ""]
    assert to_json(trace)["copies"] == ("to v3: yes",)
