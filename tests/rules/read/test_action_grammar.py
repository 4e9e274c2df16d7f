"""proxy/rules/read/action_grammar.py: what an action may say; the faults stand in faults/actions.yaml."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.errors import RuleError
from proxy.http.message import HOP_BY_HOP
from proxy.rules.actions import HeaderChanges, PathChange, Redirect, Respond, Rewrite
from proxy.rules.model import Route
from proxy.rules.parse import parse
from proxy.rules.read.action_grammar import BODY_BYTES_MAX, HEADER_CHANGES_MAX, VALUE_BYTES_MAX

SHOP = "services: {s: {versions: {v1: {endpoints: http://a}}}}\nroutes:\n  - name: r\n"


def route(text: str) -> Route:
    return parse(f"{SHOP}    {text}\n", "rules.yaml").rule_file.routes[0]


def fault(text: str) -> str:
    with pytest.raises(RuleError) as error:
        route(text)
    return error.value.faults[0].text


@pytest.mark.parametrize(
    ("text", "redirect"),
    [
        ("{scheme: https}", Redirect("https")),
        ("{host: A.example.com, port: 8443, status: 308}", Redirect(host="a.example.com", port=8443, status=308)),
        ("{host: '[::1]'}", Redirect(host="[::1]")),
        ("{path: '/a?b'}", Redirect(path=PathChange("full", "/a?b"))),
        ("{replace_prefix: ''}", Redirect(path=PathChange("prefix", ""))),
    ],
)
def test_redirects(text: str, redirect: Redirect) -> None:
    """Hosts in lower case; 302 unless said otherwise."""
    assert route(f"redirect: {text}").redirect == redirect


@pytest.mark.parametrize(
    ("text", "rewrite"),
    [
        ("{host: 'Internal:8080'}", Rewrite("internal:8080")),
        ("{host: '[::1]:80', path: /x}", Rewrite("[::1]:80", PathChange("full", "/x"))),
        ("{replace_prefix: /é/}", Rewrite(path=PathChange("prefix", "/é/"))),
    ],
)
def test_rewrites(text: str, rewrite: Rewrite) -> None:
    """A Host may have a port."""
    assert route(f"service: s\n    rewrite: {text}").rewrite == rewrite


def test_answers_and_changes() -> None:
    """Names keep their case, one name may stand for a list, numbers are texts."""
    assert route("respond: {headers: {X-A: 1}, body: 2}").respond == Respond(200, (("X-A", "1"),), "2")
    changes = route("service: s\n    request_headers: {set: {X-A: 1}, add: {b: ''}, remove: C}").request_headers
    assert changes == HeaderChanges((("X-A", "1"),), (("b", ""),), ("C",))


@pytest.mark.parametrize("name", sorted(name.decode() for name in HOP_BY_HOP))
@pytest.mark.parametrize("key", ["request_headers", "response_headers"])
def test_no_rule_changes_a_field_of_the_connection(name: str, key: str) -> None:
    """RFC 9110 section 7.6.1: they are settled on each side."""
    assert "no rule changes it" in fault(f"service: s\n    {key}: {{remove: {name.upper()}}}")


def changing(count: int) -> str:
    return f"service: s\n    request_headers: {{remove: [{', '.join(f'x{n}' for n in range(count))}]}}"


@pytest.mark.parametrize(
    ("most", "text", "wrong"),
    [
        (HEADER_CHANGES_MAX, changing, "at most 64 fields, and here are 65"),
        (VALUE_BYTES_MAX, lambda size: f"respond: {{headers: {{a: {'v' * size}}}}}", "at most 4,096 bytes"),
        (BODY_BYTES_MAX, lambda size: f"respond: {{body: {'b' * size}}}", "the body has 65,537 bytes"),
    ],
)
def test_limits(most: int, text: Any, wrong: str) -> None:
    """At the number, and one past it."""
    assert route(text(most)).name == "r"
    assert wrong in fault(text(most + 1))
