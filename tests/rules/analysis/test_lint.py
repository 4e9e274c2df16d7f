from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.rules.actions import Redirect
from proxy.rules.analysis.dead import dead_rules
from proxy.rules.model import MethodTest
from proxy.rules.parse import parse
from tests.rules.build import route, rule

SHOP = """services:
  shop:
    versions: {v1: {endpoints: [http://a]}, v2: {endpoints: [http://b]}}
routes:
"""


BOTH = "no request has both: "


def warnings(routes: str) -> list[tuple[str, str]]:
    return [(warning.path, warning.text) for warning in parse(SHOP + routes, "rules.yaml").warnings]


def rules(*matches: str) -> list[int]:
    """The numbers of the rules that are told can never match."""
    lines = [f"      - {{version: v2{', match: ' + match if match else ''}}}\n" for match in matches]
    told = warnings("  - service: shop\n    rules:\n" + "".join(lines))
    assert all("can never match" in text for _, text in told)
    return [int(path.removeprefix("routes[0].rules[").removesuffix("]")) for path, _ in told]


@pytest.mark.parametrize(
    ("matches", "dead"),
    [
        (("", "{method: GET}"), [1]),
        (("{method: GET}", ""), []),
        (("{header: {a: b}}", "{header: {A: b}}"), [1]),
        (("{header: {a: b}}", "{cookie: {a: b}}"), []),
        (("{header: {a: [b, c]}}", "{header: {a: c}}"), [1]),
        (("{header: {a: c}}", "{header: {a: [b, c]}}"), []),
        (("{header: {a: b}}", "{header: {a: c}}", "{header: {a: [b, c]}}"), [2]),
        (("{header: {a: b}}", "{header: {a: {exact: B, ignore_case: true}}}"), []),
        (("{header: {a: b}}", "{header: {a: b}, method: GET}"), [1]),
        (("{header: {a: b}, method: GET}", "{header: {a: b}}"), []),
        (("{header: {a: b}, method: GET}", "{method: GET, header: {a: b}}"), [1]),
        (("{any: [{header: {a: b}}, {cookie: {a: b}}]}", "{cookie: {a: b}}"), [1]),
        (("{cookie: {a: b}}", "{any: [{header: {a: b}}, {cookie: {a: b}}]}"), []),
        (("{method: [GET, PUT]}", "{method: PUT}"), [1]),
        (("{not: {method: GET}}", "{not: {method: GET}}"), [1]),
        (("{header: {a: {prefix: x}}}", "{header: {a: [xy, xz]}}"), [1]),
        (("{header: {a: {prefix: x}}}", "{header: {a: [xy, z]}}"), []),
        (("{header: {a: {present: true}}}", "{header: {a: {regex: ^x.$}}}"), [1]),
        (("{cookie: {n: {range: [1, 100]}}}", "{cookie: {n: {range: [10, 20]}}}"), [1]),
        (("{cookie: {n: {range: [10, 20]}}}", "{cookie: {n: {range: [10, 21]}}}"), []),
        (("{query: {n: {mod: {divisor: 10, below: 3}}}}", "{query: {n: 12}}"), [1]),
        (("{header: {a: {contains: b}}}", "{header: {a: {exact: ABC, ignore_case: true}}}"), []),
        (("{header: {a: {contains: b, ignore_case: true}}}", "{header: {a: {suffix: XB}}}"), [1]),
        (("{header: {a: b}}", "{method: GET, all: [{header: {a: b}}, {cookie: {c: d}}]}"), [1]),
        (("{client_ip: 10.0.0.0/8}", "{client_ip: [10.1.0.0/16, 10.2.3.4]}"), [1]),
        (("{client_ip: 10.0.0.0/8}", "{client_ip: [10.1.0.0/16, 11.0.0.0/8]}"), []),
        (("{path: /a}", "{path: {exact: /a/b}}"), [1]),
        (("{path: /a}", "{path: /ab}"), []),
        (("{path: /}", "{method: GET}"), [1]),
        (("{not: {header: {a: b}}}", "{header: {a: {present: false}}}"), [1]),
        (("{not: {any: [{header: {a: b}}, {method: PUT}]}}", "{method: GET, not: {header: {a: [b, c]}}}"), [1]),
        (("{any: [{method: GET}, {method: PUT}]}", "{method: [PUT, GET], cookie: {a: b}}"), [1]),
    ],
)
def test_a_rule_behind_others_that_take_all_it_could(matches: tuple[str, ...], dead: list[int]) -> None:
    """Told where it is certain, and never of a rule that something may still reach."""
    assert rules(*matches) == dead


@pytest.mark.parametrize(
    ("match", "why"),
    [
        ("{method: POST}", BOTH + "method GET, and method POST"),
        ("{path: {exact: /b}}", BOTH + "path prefix /a, and path exact /b"),
        ("{path: /b}", BOTH + "path prefix /a, and path prefix /b"),
        ("{not: {path: /a}}", BOTH + "path prefix /a, and not (path prefix /a)"),
        ("{cookie: {c: x}, all: [{cookie: {c: y}}]}", BOTH + "cookie c 'x', and cookie c 'y'"),
        (
            "{header: {h: x}, not: {header: {h: {present: true}}}}",
            BOTH + "header h 'x', and header h absent",
        ),
        ("{any: [{method: PUT}, {path: /b}]}", BOTH + "method GET, and method PUT"),
    ],
)
def test_a_rule_that_asks_for_what_no_request_is(match: str, why: str) -> None:
    """Within the scope of its route; a cookie has one value."""
    route = f"  - {{service: shop, path: /a, methods: GET, rules: [{{name: r, match: {match}, version: v2}}]}}\n"
    assert ("routes[0].rules[0]", f"rule 'r' can never match: {why}") in warnings(route)
    assert ("services.shop.versions.v2", "no rule leads to version 'v2'") in warnings(route)


@pytest.mark.parametrize(
    "match", ["{header: {h: x}, all: [{header: {h: y}}]}", "{query: {q: x}, all: [{query: {q: y}}]}", "{path: /a/b}"]
)
def test_a_name_may_stand_in_a_request_twice(match: str) -> None:
    """So it can have two values at once, and a rule that asks for both is of use."""
    assert warnings(f"  - {{service: shop, path: /a, rules: [{{match: {match}, version: v2}}]}}\n") == []


def test_a_redirect_takes_none_of_those_who_are_there_already() -> None:
    """So a rule behind it is of use."""
    redirect = replace(rule("there"), redirect=Redirect("https"))
    found = dead_rules(route("r", redirect, rule("all", version="v2"), rule("late", MethodTest(("GET",)), "v2")))
    assert found == {2: "rule 'all' before it takes all it could"}


def test_routes_behind_those_that_take_every_method_or_path() -> None:
    """Methods that earlier routes name between them; and a regex, which comes after each prefix of its host."""
    one, two = "  - {service: shop, methods: GET}\n", "  - {service: shop, methods: [PUT, POST], otherwise: v2}\n"
    all_of_them = "  - {service: shop, methods: [GET, PUT]}\n"
    assert [path for path, _ in warnings(one + two + all_of_them)] == ["routes[2]"]
    assert warnings(one + two + "  - {service: shop}\n") == []
    regex = "  - {service: shop, path: {regex: ^/x}, otherwise: v2}\n"
    found = warnings(regex + "  - {service: shop, path: /}\n")
    assert ("routes[0]", "no request reaches route 'route-1': route 'route-2' takes all it could") in found
    assert warnings(regex + "  - {service: shop, hosts: a, path: /}\n") == []
    assert warnings(regex + "  - {service: shop, path: /x}\n") == []


def test_a_route_behind_one_of_the_same_scope() -> None:
    """Equal hosts, path and methods; not if the earlier one passes requests on."""
    first, second = "  - {service: shop, hosts: [a, b], otherwise: v2}\n", "  - {service: shop, hosts: b}\n"
    assert warnings(first + second) == [
        ("routes[1]", "no request reaches route 'route-2': route 'route-1' takes all it could")
    ]
    passes_on = "  - {service: shop, hosts: b, otherwise: next, rules: [{%sversion: v2}]}\n"
    assert warnings(passes_on % "match: {method: GET}, " + second) == []
    assert [path for path, _ in warnings(passes_on % "" + second)] == ["routes[1]"]
    assert warnings(first + "  - {service: shop, hosts: [b, c]}\n") == []


def test_a_version_no_rule_can_reach() -> None:
    """A weight of 0 reaches nobody but those who are kept; `fallback: any` may reach every version; the stable one is
    always of use."""
    assert warnings("  - {service: shop, rules: [{split: {v1: 1, v2: 0}}]}\n") == [
        ("services.shop.versions.v2", "no rule leads to version 'v2'")
    ]
    assert warnings("  - {service: shop, otherwise: v2}\n") == []
    keep = "sticky: {cookie: gray, mode: pin, on_zero: keep}"
    assert warnings(f"  - {{service: shop, rules: [{{split: {{v1: 1, v2: 0}}, {keep}}}]}}\n") == []
    assert parse(SHOP.replace("shop:\n", "shop:\n    fallback: any\n") + "  - {service: shop}\n", "r").warnings == []


def test_a_service_no_route_leads_to() -> None:
    """Told once, and not for each of its versions."""
    other = SHOP.replace(
        "routes:", "  card: {versions: {v1: {endpoints: [http://c]}, v2: {endpoints: [http://d]}}}\nroutes:"
    )
    told = parse(other + "  - {service: shop, otherwise: v2}\n", "r").warnings
    assert [(warning.line, warning.path) for warning in told] == [(4, "services.card")]


def test_a_share_smaller_than_a_bucket() -> None:
    """1 in 10,000 people is a bucket, less may be nobody; drawn per request any share counts."""
    route = "  - {service: shop, rules: [{split: {v1: %d, v2: 1}%s}]}\n"
    sticky = ", sticky: {cookie: a}"
    assert warnings(route % (9999, sticky)) == []
    assert [path for path, _ in warnings(route % (10_000, sticky))] == ["routes[0].rules[0].split.v2"]
    assert warnings(route % (10_000, "")) == []


def test_a_redirect_takes_only_those_who_are_elsewhere() -> None:
    """Rules and routes behind one are reached by the others; those behind an answer are not."""
    routes = """  - service: shop
    redirect: {scheme: https}
    rules:
      - {redirect: {path: /a}}
      - {match: {method: GET}, respond: {status: 410}}
      - {match: {method: GET}, version: v2}
  - {redirect: {host: b}}
  - {service: shop, path: /x, otherwise: v2}
  - {service: shop, path: /x}
  - {hosts: c, respond: {}}
  - {hosts: c, service: shop}
"""
    assert [path for path, _ in warnings(routes)] == ["routes[0].rules[2]", "routes[1]", "routes[3]", "routes[5]"]


def test_own_answers_that_lack_a_field() -> None:
    """RFC 9110 sections 15.5.2 and 15.5.6: how to log in, and what is allowed; wherever the file says it."""
    routes = """  - {hosts: a, respond: {status: 401}}
  - {hosts: b, service: shop, methods: GET, otherwise: v2}
  - {hosts: c, service: shop, otherwise: {status: 405}, rules: [{match: {method: GET}, version: v2}]}
  - {hosts: d, service: shop, rules: [{match: {method: PUT}, respond: {status: 405, headers: {A: b}}}]}
  - {hosts: e, respond: {status: 401, headers: {www-authenticate: Basic}}}
  - {hosts: f, respond: {status: 405}, response_headers: {set: {allow: GET}}}
  - {hosts: g, service: shop, rules: [{respond: {status: 405}, response_headers: {add: {Allow: GET}}}]}
  - {hosts: h, service: shop, rules: [{respond: {status: 404}}]}
"""
    text = "status {} goes with the field {} (RFC 9110): give it in `response_headers`"
    assert [one for one in warnings(routes) if "RFC" in one[1]] == [
        ("routes[0].respond", text.format(401, "WWW-Authenticate")),
        ("routes[2].otherwise", text.format(405, "Allow")),
        ("routes[3].rules[0].respond", text.format(405, "Allow")),
    ]


def test_a_redirect_that_never_applies() -> None:
    """It names the only host of its route, and nothing else."""
    routes = """  - {hosts: a, service: shop, otherwise: v2, redirect: {host: a}}
  - {hosts: b, service: shop, redirect: {host: b, scheme: https}, rules: [{redirect: {host: b}}]}
  - {hosts: [c, d], service: shop, redirect: {host: c}}
"""
    text = "never applies: every request of the route is at {} already"
    assert warnings(routes) == [
        ("routes[0].redirect", text.format("a")),
        ("routes[1].rules[0].redirect", text.format("b")),
    ]
