"""proxy/gateway/actions.py: what the rules ask for besides a version, as clients and services hear it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.rules.model import RuleFile
from proxy.rules.parse import parse
from tests.talk import (
    NOBODY,
    NOW,
    OK,
    TAIL,
    TAIL_HEARD,
    Answer,
    Upstream,
    dateless,
    forwarded,
    masked,
    own,
    stage,
    wire,
)

BAD = wire("HTTP/1.1 503 Service Unavailable", "Content-Length: 2", body=b"no")
FOUND = own("HTTP/1.1 302 Found", "Location: https://a/x?y", "Content-Length: 0")
GET = wire("GET /x?y HTTP/1.1", "Host: a")


def file(route: str, version: str = "", service: str = "", more: str = "") -> Callable[[list[str]], RuleFile]:
    """Service `s` with one version per upstream; `route` and `version` (v2's) are further keys, in flow style."""

    def made(urls: list[str]) -> RuleFile:
        versions = [f"v{number}: {{endpoints: {url}" for number, url in enumerate(urls, 1)]
        versions = [text + (f", {version}}}" if version and text[:2] == "v2" else "}") for text in versions]
        text = (
            f"services: {{s: {{versions: {{{', '.join(versions)}}}{service and ', '}{service}}}}}\n"
            f"routes:\n  - {{name: r, {route}}}\n{more}"
            "  - {name: tail, hosts: tail, service: s}\n"
        )
        return parse(text, "rules.yaml").rule_file

    return made


# --- redirects -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (GET, FOUND),
        (wire("HEAD /x?y HTTP/1.1", "Host: a"), FOUND),
        (wire("POST /x?y HTTP/1.1", "Host: a", "Content-Length: 3", body=b"abc"), FOUND),
        (wire("POST /x?y HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", body=b"1\r\na\r\n0\r\n\r\n"), FOUND),
        (
            wire("GET /x?y HTTP/1.0", "Host: a", "Connection: keep-alive"),
            own("HTTP/1.1 302 Found", "Location: https://a/x?y", "Connection: keep-alive", "Content-Length: 0"),
        ),
    ],
    ids=["GET", "HEAD", "a body with a length", "a body in chunks", "HTTP/1.0"],
)
async def test_a_redirected_request_leaves_the_connection_in_order(request_: bytes, answer: bytes) -> None:
    """No service hears of it, its body is read off, and the next request on the connection is answered."""
    async with stage(rule_file=file("redirect: {scheme: https}")) as the:
        assert await the.ask(request_ + request_ + TAIL) == answer + answer + TAIL_HEARD
        assert the.upstream.heard[0].startswith(b"GET /tail ") and len(the.upstream.heard) == 1


async def test_a_body_that_is_still_on_its_way_ends_the_connection() -> None:
    """Whether and when the rest of it comes is unknown: the answer says that it is the last."""
    async with stage(rule_file=file("redirect: {scheme: https}")) as the, the.client() as client:
        await client.say(wire("POST /x?y HTTP/1.1", "Host: a", "Content-Length: 1000", body=b"abc"))
        assert await client.hear_all() == FOUND[:-2] + b"Connection: close\r\n\r\n"


async def test_one_route_serves_both_schemes() -> None:
    """A redirect to where the request is already does not apply: who came by https gets the service."""
    async with stage(rule_file=file("service: s, redirect: {scheme: https}"), trusted=["127.0.0.0/8"]) as the:
        https = wire("GET /x?y HTTP/1.1", "Host: a", "X-Forwarded-Proto: https")
        assert await the.ask(GET + https + TAIL) == FOUND + OK + TAIL_HEARD
        assert the.upstream.heard[0].startswith(b"GET /x?y ")


async def test_a_rule_redirects_and_the_rest_goes_on() -> None:
    """The first rule that matches, as for versions; a redirect to itself passes on to the next rule."""
    rules = "[{match: {path: /x}, redirect: {path: /y, status: 308}}, {match: {path: /y}, redirect: {path: /y}}]"
    async with stage(rule_file=file(f"service: s, rules: {rules}")) as the:
        moved = own("HTTP/1.1 308 Permanent Redirect", "Location: http://a/y?y", "Content-Length: 0")
        assert await the.ask(GET + wire("GET /y HTTP/1.1", "Host: a") + TAIL) == moved + OK + TAIL_HEARD


async def test_a_route_without_service_passes_on_who_is_there_already() -> None:
    """To the next best route that fits; there is none here."""
    async with stage(rule_file=file("redirect: {host: b}")) as the:
        assert (await the.ask(wire("GET / HTTP/1.1", "Host: b", "Connection: close"))).startswith(b"HTTP/1.1 404 ")


# --- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("respond", "answer"),
    [
        (
            "body: hi",
            own("HTTP/1.1 200 OK", "Content-Type: text/plain; charset=utf-8", "Content-Length: 2", body=b"hi"),
        ),
        (
            "status: 451, headers: {content-type: text/html, X-A: b}, body: <p>é",
            own("HTTP/1.1 451 Unavailable For Legal Reasons", "content-type: text/html", "X-A: b",
                 "Content-Length: 5", body="<p>é".encode()),
        ),
        ("status: 404", own("HTTP/1.1 404 Not Found", "Content-Length: 0")),
        ("status: 204, headers: {x-a: b}", own("HTTP/1.1 204 No Content", "x-a: b")),
        ("status: 304, headers: {etag: '\"1\"'}", own("HTTP/1.1 304 Not Modified", 'etag: "1"')),
        ("status: 299", own("HTTP/1.1 299 ", "Content-Length: 0")),
    ],
)  # fmt: skip
async def test_answers(respond: str, answer: bytes) -> None:
    """Status, fields and body as the file says; to HEAD the same without body; 204 and 304 without a length."""
    head = answer[: answer.index(b"\r\n\r\n") + 4]
    async with stage(rule_file=file(f"respond: {{{respond}}}")) as the:
        heard = await the.ask(GET + GET.replace(b"GET", b"HEAD") + TAIL)
        assert heard == answer + head + TAIL_HEARD


async def test_own_answers_are_counted_by_route_and_rule() -> None:
    """Like any other decision; no version is named, and no service where the route has none."""
    rules = "[{name: gone, match: {path: /gone}, respond: {status: 410}}]"
    async with stage(rule_file=file(f"service: s, rules: {rules}, redirect: {{host: b}}")) as the:
        await the.ask(GET + wire("GET /gone HTTP/1.1", "Host: b") + TAIL)
        added = the.gateway.counts().add
    assert added["decisions_total"] == {
        ("r", "s", "", "", "default"): 1, ("r", "s", "", "gone", "match"): 1, ("tail", "s", "v1", "", "default"): 1,
    }  # fmt: skip
    assert ("r", "s", "", "410", "GET") in added["requests_total"]


# --- changes -------------------------------------------------------------------------------------------------------

TO_V2 = (
    "service: s, rewrite: {host: internal, replace_prefix: /api}, "
    "request_headers: {set: {A: route}, add: {b: route}, remove: c}, "
    "rules: [{version: v2, rewrite: {path: /new}, request_headers: {set: {A: rule}, add: {b: rule}}}]"
)


async def test_changes_of_a_request_in_order() -> None:
    """Route, rule, version; each sets, adds and removes; the rule's rewrite overrides the route's key by key."""
    made = file(TO_V2, version="request_headers: {set: {a: version}, add: {b: version}}")
    async with stage(Upstream(), Upstream(), rule_file=made) as the:
        await the.ask(wire("GET /x?y HTTP/1.1", "Host: a", "a: client", "b: client", "C: client", "d: e") + TAIL)
        plain = forwarded("GET /new?y HTTP/1.1", "Host: internal", "b: client", "d: e", version="v2")
        added = b"b: route\r\nb: rule\r\na: version\r\nb: version\r\nX-Gray-Version"
        assert masked(the.upstreams[1].heard[0]) == plain.replace(b"X-Gray-Version", added)


async def test_a_client_cannot_have_set_fields_taken_off() -> None:
    """Naming them in Connection takes off what the client sent, not what the rules add (RFC 9110 section 7.6.1)."""
    made = file("service: s, request_headers: {set: {x-role: none}}")
    async with stage(rule_file=made) as the:
        await the.ask(wire("GET / HTTP/1.1", "Host: a", "X-Role: admin", "Connection: x-role, close"))
        assert the.upstream.heard[0].lower().count(b"x-role") == 1
        assert b"\r\nx-role: none\r\n" in the.upstream.heard[0]


@pytest.mark.parametrize("connection", ["keep-alive", "x-mine"])
async def test_repeated_heads_are_changed_alike(connection: str) -> None:
    """The second request of a connection is read a shorter way; the service hears the same."""
    request = wire("GET /x?y HTTP/1.1", "Host: a", f"Connection: {connection}", "A: client")
    made = file("service: s, path: /x, rewrite: {replace_prefix: /z}, request_headers: {set: {A: b}}")
    async with stage(rule_file=made) as the:
        await the.ask(request + request + request + TAIL)
        one, two, three = map(masked, the.upstream.heard[:3])
    assert one == two == three and one.startswith(b"GET /z?y HTTP/1.1\r\n") and b"\r\nA: client" not in one


async def test_a_retry_begins_with_the_head_that_the_client_sent() -> None:
    """Changes are made once for each try, and not one on top of the other."""
    route = "service: s, rewrite: {replace_prefix: /api}, request_headers: {add: {a: b}}, retry: {on: [503]}"
    async with stage(Upstream(BAD), rule_file=file(route)) as the:
        assert await the.ask(GET + TAIL) == OK + TAIL_HEARD
        first, second = map(masked, the.upstream.heard[:2])
    assert first == second and first.startswith(b"GET /api/x?y ") and first.count(b"\r\na: b\r\n") == 1


@pytest.mark.parametrize("how", ["fallback", "rescue"])
async def test_who_stands_in_gets_the_changes_made_for_it(how: str) -> None:
    """The version really used counts, for the request and for its answer."""
    made = file(
        "service: s, request_headers: {set: {a: route}}, rules: [{version: v2}]",
        version="request_headers: {set: {a: v2}}, response_headers: {set: {z: v2}}",
        service="rescue: true",
    )
    second = Upstream(BAD)
    if how == "fallback":
        second.url = NOBODY
    async with stage(Upstream(), second, rule_file=made) as the:
        if how == "fallback":
            for endpoint in the.endpoints:
                endpoint.up = endpoint.url != second.url
                endpoint.judge()
        assert await the.ask(GET + TAIL) == OK + TAIL_HEARD
        assert b"\r\na: route\r\n" in the.upstream.heard[0] and b"a: v2" not in the.upstream.heard[0]


# --- changes of answers --------------------------------------------------------------------------------------------

CHANGED = "service: s, response_headers: {set: {Server: me}, add: {a: b}, remove: [x-powered-by, date]}"


@pytest.mark.parametrize(
    ("sent", "heard"),
    [
        (("Content-Length: 2", "Server: it", "X-Powered-By: php"), ("Content-Length: 2",)),
        (("Transfer-Encoding: chunked", "SERVER:it", "Date: now"), ("Transfer-Encoding: chunked",)),
        (("server: it", "Server: it", "A: c", "Content-Length: 2"), ("A: c", "Content-Length: 2")),
    ],
)
async def test_changes_of_an_answer(sent: tuple[str, ...], heard: tuple[str, ...]) -> None:
    """Every field of a name goes, whatever its case; framing stays as it came. Who takes off a service's Date gets the
    proxy's own, as no answer goes without one (RFC 9110 section 6.6.1)."""
    chunked = "Transfer-Encoding: chunked" in sent
    body = b"2\r\nok\r\n0\r\n\r\n" if chunked else b"ok"
    answer = wire("HTTP/1.1 200 OK", *sent, body=body)
    async with stage(Upstream(answer, answer), rule_file=file(CHANGED)) as the:
        said = await the.ask(GET + TAIL)
    assert said == dateless("HTTP/1.1 200 OK", *heard, "Server: me", "a: b", NOW, body=body) + TAIL_HEARD


async def test_changes_reach_the_proxys_own_answers() -> None:
    """Those of the route's redirects, and of its troubles too: a browser reads them by the same fields (CORS, HSTS)."""
    route = CHANGED + ", rules: [{match: {path: /x}, redirect: {path: /y}, response_headers: {remove: a}}]"
    async with stage(rule_file=file(route)) as the:
        moved = own("HTTP/1.1 302 Found", "Location: http://a/y?y", "Server: me", "Content-Length: 0")
        assert await the.ask(GET + TAIL) == moved + TAIL_HEARD
        the.endpoints[0].up = False
        the.endpoints[0].judge()
        heard = await the.ask(wire("GET /else HTTP/1.1", "Host: a", "Connection: close"))
        assert heard.startswith(b"HTTP/1.1 503 ") and b"\r\nServer: me\r\na: b\r\n" in heard


@pytest.mark.parametrize(
    "action", ["service: s", "respond: {status: 404}", "redirect: {path: /b}", "respond: {headers: {date: never}}"]
)
async def test_the_rules_may_say_when_it_is(action: str) -> None:
    """A Date that rules set is the only one."""
    route = f"{action}, response_headers: {{set: {{DATE: x}}}}"
    async with stage(rule_file=file(route)) as the:
        heard = await the.ask(wire("GET / HTTP/1.1", "Host: a", "Connection: close"))
    assert [line for line in heard.split(b"\r\n") if line.lower().startswith(b"date:")] == [b"DATE: x"]


async def test_an_answer_with_a_date_of_its_own() -> None:
    """`respond` says it, and nothing is added."""
    async with stage(rule_file=file("respond: {status: 204, headers: {date: never}}")) as the:
        heard = await the.ask(wire("GET / HTTP/1.1", "Host: a", "Connection: close"))
    assert heard == dateless("HTTP/1.1 204 No Content", "date: never", "Connection: close")


async def test_the_cookie_of_a_sticky_rule_stays() -> None:
    """Taking off the service's Set-Cookie does not take off the proxy's own."""
    route = "service: s, response_headers: {remove: set-cookie}, rules: [{split: {v1: 1}, sticky: {cookie: gray}}]"
    async with stage(Answer(wire("HTTP/1.1 204 No Content", "Set-Cookie: x=y")), rule_file=file(route)) as the:
        heard = await the.ask(GET + TAIL)
    assert b"x=y" not in heard and heard.count(b"Set-Cookie: gray=") == 1


async def test_changes_reach_the_head_that_opens_a_tunnel() -> None:
    """A 101 is an answer of the route as well; what it says of the connection stays."""
    accept = wire("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket", "Server: it")
    ask = wire("GET /chat HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket")
    async with stage(Answer(accept, close=True), rule_file=file(CHANGED)) as the:
        assert await the.ask(ask) == dateless(
            "HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket", "Server: me", "a: b", NOW
        )
