"""Heads that repeat the one before on their connection mean, and pass on, what they would have meant on their own."""

from __future__ import annotations

import pytest

from tests.gateway.test_actions import file
from tests.talk import TAIL, TAIL_HEARD, Answer, Upstream, masked, stage, wire

BLOCKS = {
    "bare": ("Host: a",),
    "what browsers send": ("Host: a", "Connection: keep-alive", "User-Agent: b", "Cookie: c=d; e=f"),
    "a field of the connection's own": ("Host: a", "Connection: x-mine", "X-Mine: 1", "X-Other: 2"),
    "forged": ("Host: a", "X-Forwarded-For: 9.9.9.9", "X-Gray-Version: v9", "Forwarded: for=9.9.9.9"),
    "forged id": ("Host: a", "X-Request-Id: mine"),
    "in capitals, with spaces": ("HOST:   A:80  ", "ACCEPT:x "),
    "a version's name": ("Host: a", "X-Want: v2"),
    "no body, and said so": ("Host: a", "Content-Length: 0"),
    "te": ("Host: a", "TE: trailers", "Connection: TE"),
}
TARGETS = ("/", "/a?b=c", "/a?b=c", "/x/../y", "/w/%2e%2e/z", "/" + "l" * 900, "/last?%20")


@pytest.mark.parametrize("edited", [False, True], ids=["as they came", "edited"])
@pytest.mark.parametrize("trusted", [(), ("127.0.0.0/8",)], ids=["nobody trusted", "trusted"])
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS.keys())
async def test_requests_pass_on_as_if_each_came_alone(
    block: tuple[str, ...], trusted: tuple[str, ...], edited: bool
) -> None:
    """A service hears the same of a request whether the client sent its like before or not."""
    requests = [wire(f"GET {target} HTTP/1.1", *block) for target in TARGETS]
    requests = [*requests, *requests, wire("GET / HTTP/1.1", "Host: b", "Accept: z"), requests[0]]
    edits = "service: s, rewrite: {host: in, replace_prefix: /p}, request_headers: {remove: [cookie, x-other]}"
    async with stage(trusted=trusted, rule_file=file(edits) if edited else None) as the:
        alone, together = [], []
        for request in requests:
            await the.ask(request + TAIL)
            alone.append(masked(the.upstream.heard.pop(0)))
            the.upstream.heard.clear()
        async with the.client() as client:
            for request in requests:
                await client.say(request)
                assert (await client.hear_head()).startswith(b"HTTP/1.1 200")
                await client.hear(2)
            await client.say(TAIL)
            await client.hear_all()
        together = [masked(heard) for heard in the.upstream.heard[:-1]]
    assert together == alone


async def test_a_repeated_head_is_refused_for_its_path_as_the_first_would_be() -> None:
    """400 and counted, though all but the request line was read before."""
    async with stage() as the, the.client() as client:
        await client.say(wire("GET / HTTP/1.1", "Host: a"))
        assert b" 200 " in await client.hear_head()
        await client.hear(2)
        await client.say(wire("GET /../x HTTP/1.1", "Host: a"))
        assert (await client.hear_all()).startswith(b"HTTP/1.1 400 ")
        assert the.gateway.counts().add["requests_total"]["", "", "", "400", "other"] == 1


async def test_kinds_of_requests_in_turn_pass_on_as_if_each_came_alone() -> None:
    """More kinds than are remembered, one kind's lines the end of another's."""
    kinds = [("Host: a",), *((f"X-{n}: {n}", "Cookie: c=d", "Connection: keep-alive", "Host: a") for n in range(6))]
    kinds += [("Cookie: c=d", "Connection: keep-alive", "Host: a")]
    order = [*range(8), *range(8), 0, 1, 0, 7, 0, 1, 7, 7, 2, 0]
    requests = [wire(f"GET /{place} HTTP/1.1", *kinds[kind]) for place, kind in enumerate(order)]
    async with stage() as the:
        for request in requests:
            await the.ask(request + TAIL)
        alone = [masked(heard) for heard in the.upstream.heard if not heard.startswith(b"GET /tail ")]
        the.upstream.heard.clear()
        async with the.client() as client:
            for request in requests:
                await client.say(request)
                await client.hear_head()
                await client.hear(2)
            await client.say(TAIL)
            assert await client.hear_all() == TAIL_HEARD
        assert [masked(heard) for heard in the.upstream.heard[:-1]] == alone


async def test_a_request_after_one_that_never_passed_on() -> None:
    """What the proxy answered by itself left no lines ready; the next one like it passes on all the same."""
    async with stage() as the:
        endpoint = the.endpoints[0]
        request = wire("GET / HTTP/1.1", "Host: a", "Connection: keep-alive, x-mine", "X-Mine: 1")
        async with the.client() as client:
            endpoint.up = False
            endpoint.judge()
            await client.say(request)
            assert b" 503 " in await client.hear_head()
            await client.reader.readline()
            endpoint.up = True
            endpoint.judge()
            await client.say(request)
            assert b" 200 " in await client.hear_head()
            await client.hear(2)
            await client.say(TAIL)
            assert await client.hear_all() == TAIL_HEARD
    assert b"X-Mine" not in the.upstream.heard[0] and b"Connection" not in the.upstream.heard[0]


async def test_responses_are_read_as_if_each_came_alone() -> None:
    """A head that is the last one to the byte begins a body of its own, and after a HEAD none."""
    head = wire("HTTP/1.1 200 OK", "Content-Length: 5", "X-A: b")
    longer = wire("HTTP/1.1 200 OK", "Content-Length: 5", "X-A: b", "X-C: d")
    bodies = [head + b"first", head + b"again", longer + b"other", head + b"third"]
    in_pieces = Answer([head[:9], head[9:] + b"fo", b"rth"])
    async with stage(Upstream(*bodies, in_pieces, head, head + b"fifth")) as the, the.client() as client:
        for answer in [*bodies, head + b"forth"]:
            await client.say(wire("GET / HTTP/1.1", "Host: a"))
            assert await client.hear(len(answer)) == answer
        await client.say(wire("HEAD / HTTP/1.1", "Host: a"))
        assert await client.hear(len(head)) == head
        await client.say(wire("GET / HTTP/1.1", "Host: a"))
        assert await client.hear(len(head) + 5) == head + b"fifth"
        await client.say(TAIL)
        assert await client.hear_all() == TAIL_HEARD
