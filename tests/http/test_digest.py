"""proxy/http/digest.py: two answers are alike if a client could not tell them apart by what is compared."""

from __future__ import annotations

import pytest

from proxy.http.digest import KINDS, Digest
from proxy.http.framing import CHUNKED
from proxy.http.h1 import field_finder, read_response_head
from tests.talk import wire

FIND = field_finder(frozenset((b"x-a", b"x-b")))
CHUNKS = b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nx-trailer: 1\r\n\r\n"


def digest(*lines: str, body: bytes = b"", length: int = 0, pieces: int = 1, decoded: bool = False) -> Digest:
    made = Digest(read_response_head(wire("HTTP/1.1 200 OK", *lines)), length, decoded=decoded)
    step = max(1, len(body) // pieces)
    for at in range(0, len(body), step):
        made.feed(body[at : at + step])
    return made


@pytest.mark.parametrize("pieces", [1, 2, len(CHUNKS)])
def test_a_body_is_what_its_chunks_hold(pieces: int) -> None:
    """However it was cut, and whatever stands between."""
    made = digest(body=CHUNKS, length=CHUNKED, pieces=pieces)
    assert made.length == 5 and made.hash == "3610a686"  # by gzip
    assert made.differences(digest(body=b"hello", length=5), FIND) == []
    assert made.differences(digest(body=b"hello", length=CHUNKED, decoded=True), FIND) == []


@pytest.mark.parametrize(
    ("mine", "theirs", "alike"),
    [
        (("X-A: 1",), ("x-a:   1  ",), True),
        (("X-A: 1", "X-B: 2"), ("X-B: 2", "X-A: 1"), True),
        (("X-A: 1", "X-A: 2"), ("X-A: 2", "X-A: 1"), False),
        (("X-A: 1",), ("X-A: 1", "X-A: 1"), False),
        (("X-A: 1",), (), False),
        (("X-A: a",), ("X-A: A",), False),
        (("X-C: 1",), ("X-C: 2",), True),
    ],
)
def test_fields_are_compared_by_name_in_their_own_order(
    mine: tuple[str, ...], theirs: tuple[str, ...], alike: bool
) -> None:
    """Only those asked for; RFC 9110 section 5.3: the order of one field's lines has a meaning, that of others none."""
    assert digest(*mine).differences(digest(*theirs), FIND) == ([] if alike else ["headers"])


def test_each_kind_is_told() -> None:
    other = Digest(read_response_head(wire("HTTP/1.1 404 no", "X-A: 1")), 0)
    assert digest(body=b"x", length=1).differences(other, FIND) == list(KINDS)
