from __future__ import annotations

import pytest

from proxy.rules.parse import parse

SHOP = """services:
  shop:
    versions: {v1: {endpoints: [http://a]}, v2: {endpoints: [http://b]}}
routes:
"""


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
    ],
)
def test_a_rule_behind_others_that_take_all_it_could(matches: tuple[str, ...], dead: list[int]) -> None:
    """Told where it is certain, and never of a rule that something may still reach."""
    assert rules(*matches) == dead


def test_a_route_behind_one_of_the_same_scope() -> None:
    """Equal hosts, path and methods; not if the earlier one passes requests on."""
    first, second = "  - {service: shop, hosts: [a, b], otherwise: v2}\n", "  - {service: shop, hosts: b}\n"
    assert warnings(first + second) == [
        ("routes[1]", "no request reaches route 'route-2': route 'route-1' has the same scope")
    ]
    assert warnings("  - {service: shop, hosts: b, otherwise: next, rules: [{version: v2}]}\n" + second) == []
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
