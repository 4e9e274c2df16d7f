from __future__ import annotations

from pathlib import Path

import pytest

from proxy.http.h1 import read_request_head
from proxy.rules.analysis.trial import head_bytes, run_trials
from proxy.rules.compile import compile_table
from proxy.rules.expect import TrialRequest
from proxy.rules.parse import parse

FILE = """services:
  shop:
    versions: {v1: {endpoints: [http://a]}, v2: {endpoints: [http://b]}}
routes:
  - name: main
    hosts: [a.example.com, localhost]
    service: shop
    rules:
      - {name: named, match: {header: {x: "1"}}, version: v2}
      - {name: office, match: {client_ip: 10.0.0.0/8}, version: v2}
      - {name: sure, match: {path: /sure}, split: {v1: 0, v2: 1}}
      - {name: people, match: {query: {q: é}}, split: {v1: 1, v2: 1}, sticky: {by: {cookie: uid}}}
      - name: pinned
        match: {path: /pinned}
        split: {v1: 1, v2: 1}
        sticky: {by: {cookie: uid}, cookie: gray, mode: pin}
      - {name: drawn, match: {path: /drawn}, split: {v1: 1, v2: 1}}
      - {name: away, match: {path: /away}, redirect: {scheme: https}}
    otherwise: {status: 410}
tests:
  - request: %s
    expect: %s
"""


def run(request: str, expect: str) -> list[str]:
    rule_file = parse(FILE % (request, expect), "rules.yaml").rule_file
    table = compile_table(rule_file, lambda: 0.5, lambda: "id")
    return [str(fault) for fault in run_trials(rule_file, table, read_request_head, "rules.yaml")]


@pytest.mark.parametrize(
    ("request_", "expect"),
    [
        (
            "{host: A.example.com:80, headers: {X: 1}}",
            "{service: shop, version: v2, route: main, rule: named, reason: match}",
        ),
        ("{headers: {X: [0, 1]}}", "{rule: named}"),
        ("{client_ip: 10.1.2.3}", "{rule: office}"),
        ("{path: /sure}", "{version: v2}"),
        ("{path: '/?q=%C3%A9', cookies: {uid: 7}}", "{rule: people, reason: sticky}"),
        ("{path: '/?q=é'}", "{rule: people, reason: weight}"),
        ("{path: /drawn, method: PUT}", "{rule: drawn, reason: weight}"),
        ("{path: /pinned}", "{rule: pinned, reason: sticky}"),
        ("{path: /pinned, cookies: {uid: 2}}", "{version: v1}"),
        ("{path: /pinned, cookies: {uid: 9}}", "{version: v2}"),
        ("{path: /else}", '{status: 410, rule: ""}'),
        ("{host: b.example.com}", '{status: 404, route: "", redirect: ""}'),
        ("{path: '/away?a'}", "{redirect: 'https://localhost/away?a', status: 302, rule: away}"),
        ("{path: /away, scheme: https}", '{status: 410, rule: "", redirect: ""}'),
    ],
)
def test_a_test_that_holds_says_nothing(request_: str, expect: str) -> None:
    """Requests are read as the data plane reads them; what is not expected is not looked at."""
    assert run(request_, expect) == []


@pytest.mark.parametrize(
    ("request_", "expect", "fault"),
    [
        (
            "{headers: {x: 1}}",
            "{version: v1, reason: weight}",
            "expected version 'v1', found 'v2': "
            "route 'main' and rule 'named' take it, and that leads to version 'v2' (match)",
        ),
        ("{host: b.example.com}", "{version: v2}", "expected version 'v2', found none: no route takes the request"),
        (
            "{path: /else}",
            "{rule: named}",
            "expected rule 'named', found none: route 'main' and no rule take it, and that answers 410 (default)",
        ),
        (
            "{headers: {x: 1}}",
            "{status: 404}",
            "expected status 404, found none: "
            "route 'main' and rule 'named' take it, and that leads to version 'v2' (match)",
        ),
        (
            "{path: /drawn}",
            "{version: v1}",
            "the version is drawn at random by rule 'drawn' of route 'main': "
            "expect a `rule` or `reason`, or send what the rule is sticky by",
        ),
        (
            "{path: /pinned}",
            "{version: v1}",
            "the version is drawn at random by rule 'pinned' of route 'main': "
            "expect a `rule` or `reason`, or send what the rule is sticky by",
        ),
        (
            "{path: /away}",
            "{redirect: 'https://localhost/'}",
            "expected redirect 'https://localhost/', found 'https://localhost/away': "
            "route 'main' and rule 'away' take it, and that answers 302 (match)",
        ),
        ("{host: 'a b'}", "{status: 404}", "the request is refused before any rule: Host is not a host"),
    ],
)
def test_a_test_that_fails_says_what_was_found(request_: str, expect: str, fault: str) -> None:
    """With the line of the test, in one sentence."""
    assert run(request_, expect) == [f"rules.yaml:21:5: tests[0]: {fault}"]


def test_the_request_as_it_is_sent() -> None:
    """Repeated headers are repeated lines, cookies are one."""
    request = TrialRequest("h", "/ü?a=b", "PUT", headers=(("X", "1"), ("X", "2")), cookies=(("a", "1"), ("b", "2")))
    assert head_bytes(request) == (b"PUT /%C3%BC?a=b HTTP/1.1\r\nHost: h\r\nX: 1\r\nX: 2\r\nCookie: a=1; b=2\r\n\r\n")


def test_the_reference_files_tests_hold() -> None:
    """config/rules.yaml passes its own tests."""
    text = (Path(__file__).parents[3] / "config" / "rules.yaml").read_text()
    rule_file = parse(text, "rules.yaml").rule_file
    table = compile_table(rule_file, lambda: 0.5, lambda: "id")
    assert rule_file.tests and run_trials(rule_file, table, read_request_head, "rules.yaml") == []
