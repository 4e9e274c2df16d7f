"""The table of RFC 9110 and 9112, run on the wire: each case whole, cut everywhere, and with a tail."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from tests.downstream.conformance import BAD, IN_CHUNKS, REFUSED, REQUESTS, RESPONSES, Passed, Refused
from tests.talk import NOW, TAIL, TAIL_HEARD, Answer, Stage, Upstream, cuts, masked, stage


def named(cases: Iterable[Any]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=lambda case: f"{case.section}: {case.name}")


@named(REFUSED)
async def test_refused(case: Refused) -> None:
    """The status is told, the connection ends, and nothing of the request nor of what follows reaches an upstream."""
    async with stage() as the:
        for says in (*cuts(case.says), [case.says + TAIL]):
            the.upstream.heads.clear()
            heard = await the.ask(*says)
            assert heard.startswith(b"HTTP/1.1 %d " % case.status), (says, heard)
            assert b"\r\nConnection: close\r\n" in heard and heard.count(f"\r\n{NOW}\r\n".encode()) == 1
            assert len(re.findall(rb"HTTP/1.1 \d", heard)) == 1
            assert heard.endswith(b"\r\n\r\n") or not case.says.startswith(b"HEAD ")
            assert the.upstream.heard == []
            if not case.body or says[0].startswith(case.says):
                assert the.upstream.heads == [], says


def test_the_table_is_no_smaller_than_it_was() -> None:
    """At least a hundred cases, each with its own name and a section."""
    cases = (*REFUSED, *REQUESTS, *RESPONSES)
    assert len(cases) >= 200
    assert all(re.fullmatch(r"\d{4} \d+(\.\d+)*", case.section) for case in cases)
    for table in (REFUSED, REQUESTS, RESPONSES):
        assert len({case.name for case in table}) == len(table)


async def says_and_hears(the: Stage, case: Passed, says: list[bytes], answer: Answer | bytes) -> None:
    """One client, one request, and then another on the same connection if it lives on."""
    the.upstream.script(answer)
    the.upstream.heard.clear()
    heard = await the.ask(*says)
    if case.heard.endswith(BAD):
        body = b"" if case.says.startswith(b"HEAD") else rb".*\n"
        heard = re.sub(rb"Content-Length: \d+\r\n\r\n" + body, b"Content-Length: *\r\n\r\n*", heard, count=1)
    if case.heard.endswith(IN_CHUNKS):  # the proxy's own chunks are as large as what it read
        heard = re.sub(rb"[1-3]\r\n(a?b?c?)\r\n(?:[12]\r\n(b?c?)\r\n)?(?:1\r\n(c)\r\n)?", rb"3\r\n\1\2\3\r\n", heard)
    assert heard == case.heard + (b"" if case.ends else TAIL_HEARD), (says, answer)
    assert masked(the.upstream.heard[0]) == case.hears, (says, answer)
    assert len(the.upstream.heard) == (1 if case.ends else 2)


@named(REQUESTS)
async def test_request(case: Passed) -> None:
    """The upstream hears what it should, whatever way the request arrives and whatever follows it."""
    async with stage(trusted=["127.0.0.1"] if case.trusted else []) as the:
        for says in (*cuts(case.says), [case.says + TAIL]):
            if not case.ends and not says[-1].endswith(TAIL):
                says = [*says, TAIL]
            await says_and_hears(the, case, says, case.answer)


@named(RESPONSES)
async def test_response(case: Passed) -> None:
    """The client hears what it should, whatever way the response arrives."""
    answer = case.answer if isinstance(case.answer, Answer) else Answer(case.answer)
    assert isinstance(answer.data, bytes)
    async with stage() as the:
        for pieces in cuts(answer.data):
            says = [case.says] if case.ends else [case.says, TAIL]
            await says_and_hears(the, case, says, replace(answer, data=pieces))


async def test_stage_sees_what_it_should() -> None:
    """A test that cannot fail proves nothing: the stage's own eyes work."""
    upstream = Upstream()
    async with stage(upstream) as the:
        assert b"ok" in await the.ask(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert len(upstream.heard) == upstream.accepted == 1
