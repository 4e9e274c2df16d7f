"""`service-match` and `service-weight` of ACK Ingress: its own examples and test cases, and what its documents promise.

Each row says where its case comes from. Annotations are written as the source has them; who gets which request is what
its text or its assertion says.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.imports.world import World, ingress

OLD, NEW = {"old-nginx": 100.0}, {"new-nginx": 100.0}
HALVES = {"old-nginx": 50.0, "new-nginx": 50.0}
QUARTER = {"old-nginx": 75.0, "new-nginx": 25.0}
FIFTH = {"old-nginx": 80.0, "new-nginx": 20.0}
SVC1, SVC2, FIRST = {"svc1": 100.0}, {"svc2": 100.0}, {"old": 100.0}
TOMCAT_HALVES = {"old-nginx": 50.0, "new-tomcat": 50.0}


def header(name: str, value: str) -> dict[str, Any]:
    return {"headers": {name: value}}


def cookie(name: str, value: str) -> dict[str, Any]:
    return {"cookies": {name: value}}


def query(text: str) -> dict[str, Any]:
    return {"path": f"/?{text}"}


class Case(NamedTuple):
    """What the annotations say, and who gets how much of which request. backends: in the order of the Ingress."""

    source: str
    match: str
    weight: str
    requests: list[tuple[dict[str, Any], dict[str, float]]]
    backends: tuple[Any, ...] = ("old-nginx", "new-nginx")


# --- Alibaba Cloud's documents: "Use the NGINX Ingress controller for canary releases and blue-green deployments" --

DOCUMENTED = [
    Case("docs, rule 1: header, regex", 'new-nginx: header("foo", /^bar$/)', "",
         [(header("foo", "bar"), NEW), (header("foo", "rebar"), OLD), (header("foo", "bars"), OLD), ({}, OLD)]),
    Case("docs, rule 2: header, exact", 'new-nginx: header("foo", "bar")', "",
         [(header("foo", "bar"), NEW), (header("FOO", "bar"), NEW), (header("foo", "Bar"), OLD), ({}, OLD)]),
    Case("docs, rule 3: cookie, regex", 'new-nginx: cookie("foo", /^sticky-.+$/)', "",
         [(cookie("foo", "sticky-1"), NEW), (cookie("foo", "sticky-"), OLD), (cookie("foo", "xsticky-1"), OLD),
          ({}, OLD)]),
    Case("docs, rule 4: query, exact", 'new-nginx: query("foo", "bar")', "",
         [(query("foo=bar"), NEW), (query("a=1&foo=bar"), NEW), (query("foo=baz"), OLD), ({}, OLD)]),
    Case("docs, weights 20 and 60", "", "new-nginx: 20, old-nginx: 60",
         [({}, QUARTER), (header("foo", "bar"), QUARTER)]),
    Case("docs, step 2: only those who match", ' \n  new-nginx: header("foo", /^bar$/)\n', "",
         [({}, OLD), (header("foo", "bar"), NEW)]),
    Case("docs, step 2: half of those who match", '\n  new-nginx: header("foo", /^bar$/)\n',
         "\n  new-nginx: 50, old-nginx: 50\n", [({}, OLD), (header("foo", "bar"), HALVES)]),
    Case("docs, step 2: half of all", "", "\n  new-nginx: 50, old-nginx: 50\n",
         [({}, HALVES), (header("foo", "bar"), HALVES)]),
    Case("docs, step 1: the old version alone", "", "", [({}, OLD)], ("old-nginx",)),
    Case("docs, step 3: the new version alone", "", "", [({}, NEW)], ("new-nginx",)),
    Case("docs, note: neither annotation, evenly", "", "", [({}, HALVES), (header("foo", "bar"), HALVES)]),
    Case("docs, Ingress template: no spaces, new one first", 'new-nginx: header("foo", /^bar$/)',
         "new-nginx: 50,old-nginx: 50", [({}, OLD), (header("foo", "bar"), HALVES)], ("new-nginx", "old-nginx")),
    Case("docs, note: a Service without a weight has 100", "", "new-nginx: 100", [({}, HALVES)]),
    Case("docs, weights: all to the new version", "", "new-nginx: 100, old-nginx: 0", [({}, NEW)]),
]  # fmt: skip

# --- The controller's own end-to-end tests: test/e2e/annotations/release.go -------------------------------------------

TOMCAT = ("old-nginx", ("new-tomcat", 8080))
END_TO_END = [
    Case("e2e bg50", "", "old-nginx: 50, new-nginx: 50", [({}, HALVES)]),
    Case("e2e bg20", "", "old-nginx: 20, new-nginx: 80", [({}, {"old-nginx": 20.0, "new-nginx": 80.0})],
         ("new-nginx", "old-nginx")),
    Case("e2e bg60.port", "", "old-nginx: 40, new-tomcat: 60", [({}, {"old-nginx": 40.0, "new-tomcat": 60.0})], TOMCAT),
    Case("e2e bg.endpoint", "", "old-nginx: 50, new-tomcat: 50", [({}, TOMCAT_HALVES)], TOMCAT),
    Case("e2e header", 'new-nginx: header("Foo", /bar|rab/)', "",
         [(header("Foo", "bar"), NEW), (header("Foo", "baar"), OLD)], ("new-nginx", "old-nginx")),
    Case("e2e cookie", 'new-nginx: cookie("Foo", /bar|rab/)', "",
         [(cookie("Foo", "rab"), NEW), (cookie("Foo", "raab"), OLD)], ("new-nginx", "old-nginx")),
    Case("e2e query", 'new-nginx: query("foo", /bar|rab/)', "", [(query("foo=bar"), NEW), (query("foo=baar"), OLD)]),
    Case("e2e header.port", 'new-tomcat: header("App", "tomcat")', "",
         [(header("App", "tomcat"), {"new-tomcat": 100.0}), ({}, OLD)], TOMCAT),
    Case("e2e gray.endpoint 1: the match names the one listed first", 'old-nginx: header("Foo", "bar")', "",
         [(header("Foo", "bar"), OLD), ({}, NEW)]),
    Case("e2e gray.endpoint 2", 'new-nginx: header("Foo", "bar")', "", [(header("Foo", "bar"), NEW), ({}, OLD)]),
    Case("e2e smsw", 'new-tomcat: header("App", "tomcat")', "old-nginx: 50, new-tomcat: 50",
         [(header("App", "tomcat"), TOMCAT_HALVES), ({}, OLD)], TOMCAT),
]  # fmt: skip

# --- The controller's source: the comments of its parsers, its arithmetic, its balancer -------------------------------

THIRDS = ("old", "svc1", "svc2")
SOURCE = [
    Case("servicematch.go, comment: two services", 'svc1: header("name", /value/), svc2: cookie("name", "value")', "",
         [(header("name", "a value"), SVC1), (cookie("name", "value"), SVC2), ({}, FIRST),
          (cookie("name", "values"), FIRST)], THIRDS),
    Case("serviceweight.go, comment", "", "new-svc: 20, old-svc: 60", [({}, {"old-svc": 75.0, "new-svc": 25.0})],
         ("old-svc", "new-svc")),
    Case("serviceweight.go: the other one has 100", "", "new-nginx: 25", [({}, FIFTH)]),
    Case("serviceweight.go: the other one has 100, beside a match", 'new-nginx: header("foo", "bar")', "new-nginx: 25",
         [({}, OLD), (header("foo", "bar"), FIFTH)]),
    Case("serviceweight.go: a sum of 0 is no weight", 'new-nginx: header("foo", "bar")', "new-nginx: 0, old-nginx: 0",
         [(header("foo", "bar"), NEW), ({}, OLD)]),
    Case("balancer.lua: weight 0 is never", "", "new-nginx: 0, old-nginx: 10", [({}, OLD)]),
    Case("balancer.lua: an absent value is an empty one", 'new-nginx: header("foo", /^$/)', "",
         [({}, NEW), (header("foo", ""), NEW), (header("foo", "bar"), OLD)]),
    Case("balancer.lua: a match of the one listed first", 'new-nginx: query("a", "b")', "",
         [(query("a=b"), NEW), ({}, OLD)], ("new-nginx", "old-nginx")),
    Case("balancer.lua: both named, so the one listed first takes the rest",
         'old-nginx: header("x", "o"), new-nginx: header("x", "n")', "",
         [(header("x", "n"), NEW), (header("x", "o"), OLD), ({}, OLD)]),
]  # fmt: skip

# --- What ACK's parser cut at the first parenthesis, and more than it could -----------------------------------------

BEYOND = [
    Case("a group in the regex", 'new-nginx: header("x", /^(a|b)$/)', "",
         [(header("x", "a"), NEW), (header("x", "b"), NEW), (header("x", "ab"), OLD)]),
    Case("groups, commas and calls in the regex", r'new-nginx: cookie("u", /^(?:a,(b|c)|header\(x\))$/)', "",
         [(cookie("u", "a,c"), NEW), (cookie("u", "header(x)"), NEW), (cookie("u", "a"), OLD)]),
    Case("a group, then another service", 'svc1: header("x", /^(a|b)$/), svc2: query("y", /(c)/)', "",
         [(header("x", "b"), SVC1), (query("y=c"), SVC2), ({}, FIRST)], THIRDS),
    Case("one service a line, with comments", '# testers\nsvc1: header("x", "a")\n# staff\nsvc2: header("x", "b")\n',
         "", [(header("x", "a"), SVC1), (header("x", "b"), SVC2)], THIRDS),
    Case("a field user's alternation", 'new-nginx: query("boge_id", /^aaa$|^bbb$/)', "",
         [(query("boge_id=aaa"), NEW), (query("boge_id=bbb"), NEW), (query("boge_id=aaabbb"), OLD)]),
    Case("a field user's version", 'new-nginx: header("Version", "1.0.0000")', "",
         [(header("Version", "1.0.0000"), NEW), (header("Version", "1x0.0000"), OLD)]),
    Case("three services by weight", "", "old: 50, svc1: 30, svc2: 20",
         [({}, {"old": 50.0, "svc1": 30.0, "svc2": 20.0})], THIRDS),
    Case("three services, one without a weight", "", "old: 50, svc1: 50",
         [({}, {"old": 25.0, "svc1": 25.0, "svc2": 50.0})], THIRDS),
    Case("three services, matched and weighted: each against the old one",
         'svc1: header("x", "1"), svc2: header("x", "2")', "old: 60, svc1: 20, svc2: 40",
         [(header("x", "1"), {"old": 75.0, "svc1": 25.0}), (header("x", "2"), {"old": 60.0, "svc2": 40.0}),
          ({}, FIRST)], THIRDS),
    Case("thirds are not cut to whole percents", "", "new-nginx: 1, old-nginx: 2",
         [({}, {"old-nginx": 66.7, "new-nginx": 33.3})]),
    Case("not a robot: a look-ahead", 'new-nginx: header("user-agent", /^(?!.*bot).*$/)', "",
         [(header("user-agent", "Firefox"), NEW), (header("user-agent", "a bot"), OLD), ({}, NEW)]),
    Case("an argument that is sent escaped", 'new-nginx: query("name", "a%20b")', "",
         [(query("name=a%20b"), NEW), ({}, OLD)]),
]  # fmt: skip
CASES = [*DOCUMENTED, *END_TO_END, *SOURCE, *BEYOND]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.source)
def test_each_request_goes_where_ack_sent_it(case: Case) -> None:
    """Shares in percent, to a tenth; whatever is imported passes the check without a warning."""
    said = {"service_match": case.match, "service_weight": case.weight}
    world = World(ingress(*case.backends, **{name: text for name, text in said.items() if text}))
    for request, expected in case.requests:
        assert world.shares(**request) == pytest.approx(expected, abs=0.11), (request, world.text)
    assert world.warnings == [] or case.source.startswith(("balancer.lua: weight 0", "docs, weights: all"))


TRUTH = [
    # match configured, the request matches it, weights configured: who gets it
    ("", {}, "", HALVES),
    ("", header("foo", "bar"), "new-nginx: 20, old-nginx: 60", QUARTER),
    ('new-nginx: header("foo", "bar")', {}, "", OLD),
    ('new-nginx: header("foo", "bar")', {}, "new-nginx: 20, old-nginx: 60", OLD),
    ('new-nginx: header("foo", "bar")', header("foo", "bar"), "", NEW),
    ('new-nginx: header("foo", "bar")', header("foo", "bar"), "new-nginx: 20, old-nginx: 60", QUARTER),
]


@pytest.mark.parametrize(("match", "request_", "weight", "expected"), TRUTH)
@pytest.mark.parametrize("backends", [("old-nginx", "new-nginx"), ("new-nginx", "old-nginx")])
def test_the_truth_table(
    match: str, request_: dict[str, Any], weight: str, expected: dict[str, float], backends: tuple[str, str]
) -> None:
    """Every way in which a match and weights come together, whichever version the Ingress lists first."""
    said = {name: text for name, text in (("service_match", match), ("service_weight", weight)) if text}
    assert World(ingress(*backends, **said)).shares(**request_) == pytest.approx(expected, abs=0.11)


def test_a_version_without_endpoints_is_stood_in_for_by_the_other() -> None:
    """Either way round, as the end-to-end tests of the controller have it: so `fallback` is any."""
    world = World(ingress("old-nginx", "new-nginx", service_match='new-nginx: header("Foo", "bar")'))
    (service,) = world.rule_file.services.values()
    assert (service.name, service.stable, service.fallback) == ("old-nginx", "old-nginx", "any")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('new-nginx: header("foo", /[/)', "is not a regex of RE2"),
        (r'new-nginx: header("foo", /(a)\1/)', "RE2 has no look-around and no back-reference"),
        ("new-nginx: header(foo, bar)", 'expected header, cookie or query with ("name", /regex/)'),
        ('new-nginx: header("foo", "")', "expected header, cookie or query"),
        ('new-nginx: body("foo", "bar")', "is no SERVICE: MATCH"),
        ('other: header("foo", "bar")', "no path of this Ingress leads to Service other and to another one"),
        ('new-nginx: header("a", "b"), new-nginx: header("foo", "bar")', "twice: the last one counts"),
        ('new-nginx: query("a", /%20/)', "arguments are compared decoded here"),
    ],
)
def test_a_match_that_cannot_be_kept_is_noted(text: str, said: str) -> None:
    """With its reason; the rest of the Ingress is kept, and the result passes the check."""
    world = World(ingress("old-nginx", "new-nginx", service_match=text))
    assert any(said in note for note in world.notes), world.notes
    assert world.shares(headers={"foo": "x"}) in (OLD, HALVES)


@pytest.mark.parametrize(
    ("text", "said", "expected"),
    [
        ("new-nginx: x, old-nginx: 100", "'new-nginx: x' is no SERVICE: NUMBER", HALVES),
        ("new-nginx: 5%", "is no SERVICE: NUMBER", HALVES),
        ("new-nginx: -5, old-nginx: 5", "new-nginx: -5 is taken as 0", OLD),
        ("new-nginx: 0, old-nginx: 0", "without effect, as in ACK", HALVES),
        ("other: 5", "no path of this Ingress leads to Service other", HALVES),
    ],
)
def test_a_weight_that_cannot_be_kept_is_noted(text: str, said: str, expected: dict[str, float]) -> None:
    world = World(ingress("old-nginx", "new-nginx", service_weight=text))
    assert any(said in note for note in world.notes), world.notes
    assert world.shares() == expected


def test_the_match_stays_as_it_was_written() -> None:
    """Word for word, where it means the same here."""
    text = r'header("x-user", /^(alice|bob), "(.+)"\d$/)'
    assert f"match: '{text}'" in World(ingress("old", "new", service_match=f"new: {text}")).text


def test_each_path_of_an_ingress_is_a_group_of_its_own() -> None:
    """A match counts where its Service stands; a path with one Service has no rules."""
    both = ingress("old-nginx", "new-nginx", service_match='new-nginx: header("foo", "bar")')
    (rule,) = both["spec"]["rules"]
    alone = {"path": "/static", "pathType": "Prefix", "backend": {"service": {"name": "files", "port": {"number": 80}}}}
    rule["http"]["paths"].append(alone)
    world = World(both)
    assert world.shares(path="/static/x", headers={"foo": "bar"}) == {"files": 100.0}
    assert world.shares(path="/cart", headers={"foo": "bar"}) == NEW
    assert world.notes == []
