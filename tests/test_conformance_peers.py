"""The comparison of wire cases with other proxies (benchmarks/conformance.py) sees what it claims to see."""

from __future__ import annotations

import pytest

from benchmarks.conformance import CASES, compare, summary
from benchmarks.peers import PEERS
from benchmarks.verdicts import Case, Message, Seen, Unsound, judge, read_request
from tests.downstream.conformance import REFUSE, Passed, Refused
from tests.talk import OK, wire

SAID_400 = wire("HTTP/1.1 400 Bad Request", "Content-Length: 0")
SAID_502 = wire("HTTP/1.1 502 Bad Gateway", "Content-Length: 0")
GET = wire("GET / HTTP/1.1", "Host: a")


def case(name: str, kind: type = Passed) -> Case:
    (found,) = (one for one in CASES if one.name == name and isinstance(one, kind))
    return found


def heard(*requests: bytes) -> tuple[Message, ...]:
    whole = [read_request(request) for request in requests]
    return tuple(one[0] for one in whole if one is not None)


JUDGED = [
    (case("two lengths", Refused), Seen(SAID_400, True, (), ""), "refused 400", True),
    (case("two lengths", Refused), Seen(b"", True, (), ""), "closed", True),
    (case("two lengths", Refused), Seen(b"", False, (), ""), "no answer", True),
    (case("two lengths", Refused), Seen(OK, False, heard(GET), ""), "mended", True),
    (case("two lengths", Refused), Seen(OK, False, heard(GET, GET), ""), "PASSED ON as 2 requests", False),
    (case("two lengths", Refused), Seen(SAID_502, False, (), "two lengths"), "PASSED ON", False),
    (case("no Host", Refused), Seen(OK, False, heard(GET), ""), "mended", False),
    (case("GET"), Seen(OK, False, heard(GET), ""), "forwarded", True),
    (case("GET"), Seen(OK[:-1], True, heard(GET), ""), "CHANGED cut off", False),
    (case("GET"), Seen(SAID_400, False, (), ""), "refused 400", False),
    (case("GET"), Seen(OK, False, heard(wire("GET /x HTTP/1.1", "Host: a")), ""), "CHANGED request line", False),
    (case("HTTP/1.1 close"), Seen(OK, False, heard(GET), ""), "CHANGED not closed", False),
    (case("HTTP/1.1 close"), Seen(OK, True, heard(GET), ""), "forwarded", True),
    (case("Connection in two fields"), Seen(OK, False, heard(GET.replace(b"\r\n\r\n", b"\r\nA: 1\r\n\r\n")), ""),
     "CHANGED a passed", False),
    (case("CTL in the reason phrase"), Seen(wire("HTTP/1.1 200 O\x01K", "Content-Length: 0"), False, heard(GET), ""),
     "PASSED ON", False),
    (case("CTL in the reason phrase"), Seen(SAID_502, False, heard(GET), ""), "refused 502", True),
    (case("101 unasked"), Seen(OK, False, heard(GET), ""), "mended", False),
]  # fmt: skip


@pytest.mark.parametrize(("of", "seen", "said", "good"), JUDGED)
def test_verdicts(of: Case, seen: Seen, said: str, good: bool) -> None:
    """What both ends saw decides what a proxy did, and whether the RFC allows it."""
    verdict = judge(of, seen)
    assert (str(verdict), verdict.good) == (said, good)


def test_the_judge_reads_nothing_malformed() -> None:
    """What is ambiguous after a proxy has not been mended by it."""
    with pytest.raises(Unsound):
        read_request(wire("POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Transfer-Encoding: chunked"))


@pytest.mark.parametrize("name", ["grayhound", "nginx", "haproxy"])
def test_the_same_cases_before_real_proxies(name: str) -> None:
    """What every proxy does alike comes out alike, from real processes."""
    peer = PEERS[name]
    if peer.find() is None:
        pytest.skip(f"{name} is not installed: {peer.install}")
    passed = ("GET", "HTTP/1.1 close", "a chunked body", "204")
    refused = ("a length with plus", "a chunk size that is no number", "space before the method")
    cases = (*map(case, passed), *(case(name, Refused) for name in refused))
    rows = compare([peer], cases)
    assert [str(row.verdicts[name]) for row in rows] == ["forwarded"] * 4 + ["refused 400"] * 3
    assert all(row.verdicts[name].good for row in rows)
    assert any(one.demand == REFUSE for one in cases)
    assert "7 of 7" in summary(rows)
