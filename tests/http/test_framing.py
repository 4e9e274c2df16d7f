"""proxy/http/framing.py: one length, or none at all."""

from __future__ import annotations

import pytest

from proxy.errors import BadRequest, BadResponse
from proxy.http.framing import (
    CHUNK_LINE_BYTES_MAX,
    CHUNKED,
    TRAILER_BYTES_MAX,
    UNTIL_CLOSE,
    ChunkedBody,
    request_length,
    response_length,
)
from proxy.http.message import Fields

LENGTH = b"content-length"
CODING = b"transfer-encoding"


@pytest.mark.parametrize(
    ("fields", "minor", "length"),
    [
        ({}, 1, 0),
        ({LENGTH: (b"0",)}, 1, 0),
        ({LENGTH: (b"0042",)}, 0, 42),
        ({LENGTH: (b"9" * 18,)}, 1, 10**18 - 1),
        ({CODING: (b"chunked",)}, 1, CHUNKED),
        ({CODING: (b"Chunked",)}, 1, CHUNKED),
    ],
)
def test_length_of_a_request(fields: Fields, minor: int, length: int) -> None:
    """RFC 9112 6.3."""
    assert request_length(fields, minor) == length


@pytest.mark.parametrize(
    "fields",
    [{LENGTH: (value,)} for value in (b"", b"a", b"+1", b"-1", b"1,1", b"1 ", b"0x1", b"1_0", b"9" * 19, b"\xb2")]
    + [{LENGTH: (b"1", b"1")}, {LENGTH: (b"1",), CODING: (b"chunked",)}, {CODING: (b"chunked", b"chunked")}]
    + [{CODING: (value,)} for value in (b"", b"gzip", b"chunked,chunked", b"gzip, chunked", b"xchunked", b"chunked;a")],
)
def test_what_could_be_read_in_two_ways(fields: Fields) -> None:
    """Refused for a request, 502 for a response, whatever its status."""
    with pytest.raises(BadRequest):
        request_length(fields, 1)
    for status in (200, 204, 304):
        with pytest.raises(BadResponse):
            response_length(b"GET", status, fields, 1)


def test_old_version_knows_no_chunks() -> None:
    """RFC 9112 6.1."""
    with pytest.raises(BadRequest):
        request_length({CODING: (b"chunked",)}, 0)
    with pytest.raises(BadResponse):
        response_length(b"GET", 200, {CODING: (b"chunked",)}, 0)


@pytest.mark.parametrize(
    ("method", "status", "fields", "length"),
    [
        (b"GET", 200, {}, UNTIL_CLOSE),
        (b"GET", 200, {LENGTH: (b"3",)}, 3),
        (b"POST", 500, {CODING: (b"chunked",)}, CHUNKED),
        (b"HEAD", 200, {LENGTH: (b"3",)}, 0),
        (b"HEAD", 200, {}, 0),
        (b"GET", 204, {}, 0),
        (b"GET", 304, {LENGTH: (b"3",)}, 0),
        (b"GET", 103, {}, 0),
    ],
)
def test_length_of_a_response(method: bytes, status: int, fields: Fields, length: int) -> None:
    """RFC 9112 6.3: HEAD, 1xx, 204 and 304 have no body, whatever their fields say."""
    assert response_length(method, status, fields, 1) == length


def test_decoding_gives_the_data_piece_by_piece() -> None:
    """Without sizes, extensions and trailers."""
    chunks, data = ChunkedBody(decode=True), []
    body = b"3;x\r\nabc\r\n1\r\nd\r\n0\r\nA: b\r\n\r\nrest"
    for at in range(len(body)):
        end = chunks.end(body[at : at + 1])
        data.append(b"".join(chunks.data))
        if end >= 0:
            assert body[at + 1 :] == b"rest"
            break
    assert b"".join(data) == b"abcd"


@pytest.mark.parametrize("extra", [0, 1])
def test_limit_of_a_line(extra: int) -> None:
    """At it and one past it, whole and in pieces."""
    line = b"1;" + b"x" * (CHUNK_LINE_BYTES_MAX - 4 + extra) + b"\r\n"
    for pieces in ([line], [line[:-1], line[-1:]]):
        chunks = ChunkedBody()
        if extra:
            with pytest.raises(ValueError, match="too long"):
                [chunks.end(piece) for piece in pieces]
        else:
            assert [chunks.end(piece) for piece in pieces][-1] == -1


@pytest.mark.parametrize("extra", [0, 1])
def test_limit_of_trailers(extra: int) -> None:
    """All of them together."""
    line = b"A: " + b"x" * 1019 + b"\r\n"
    assert TRAILER_BYTES_MAX % len(line) == 0
    trailers = line * (TRAILER_BYTES_MAX // len(line))
    body = b"0\r\n" + (trailers if not extra else trailers[:-2] + b"x\r\n") + b"\r\n"
    if extra:
        with pytest.raises(ValueError):
            ChunkedBody().end(body)
    else:
        assert ChunkedBody().end(body) == len(body)


@pytest.mark.parametrize("name", [b"Content-Length", b"host", b"X-Forwarded-For", b"x_gray_version", b"Keep-Alive"])
def test_trailers_say_nothing_that_a_head_must(name: bytes) -> None:
    """RFC 9110 6.5.1."""
    with pytest.raises(ValueError, match="forbidden"):
        ChunkedBody().end(b"0\r\n%b: 1\r\n\r\n" % name)


@pytest.mark.parametrize(("name", "passes"), [(b"X-Sum", False), (b"x_sum", True), (b"x-sum", False), (b"X-Su", True)])
def test_trailers_that_belong_to_one_connection(name: bytes, passes: bool) -> None:
    """What Connection names goes no further (RFC 9110 section 7.6.1), in a trailer as in a head."""
    body = b"0\r\n%b: 1\r\n\r\n" % name
    chunks = ChunkedBody(private=(b"x-sum",))
    if passes:
        assert chunks.end(body) == len(body)
    else:
        with pytest.raises(ValueError, match="forbidden"):
            chunks.end(body)
