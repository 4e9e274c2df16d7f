"""Alone decides where a body ends (RFC 9112 section 6), and refuses what could be read in two ways."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from proxy.errors import BadRequest, BadResponse
from proxy.http.message import Fields

CHUNKED: Final = -1
"""The body's length when it comes in chunks."""
UNTIL_CLOSE: Final = -2
"""The body's length when it ends with the connection; responses only."""

LENGTH_DIGITS_MAX: Final = 18
"""Digits of a Content-Length: an exabyte; more would not fit the integers of the servers behind."""
CHUNK_LINE_BYTES_MAX: Final = 4096
"""One size line with its extensions, or one trailer field. llhttp allows 16 KiB of extensions; nobody sends any."""
TRAILER_BYTES_MAX: Final = 16 * 1024
"""All trailer fields of one message; as much as many servers give a whole head."""

BODILESS: Final = (204, 304)
"""Statuses of responses that never have a body (RFC 9110 section 6.4.1), beside 1xx."""
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n").fullmatch
# PERF: the end of one chunk and the size line of the next in one match: 0.4 of the two steps one by one.
_NEXT_CHUNK = re.compile(rb"\r\n([0-9A-Fa-f]{1,15})\r\n").match
_TRAILER_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[^\x00-\x08\x0a-\x1f\x7f]*\r\n").fullmatch
_FORBIDDEN_TRAILERS = frozenset(
    (b"content-length", b"transfer-encoding", b"host", b"trailer", b"connection", b"te", b"upgrade", b"authorization",
     b"cookie", b"set-cookie", b"content-encoding", b"content-type", b"content-range", b"expect", b"keep-alive",
     b"proxy-connection", b"proxy-authorization", b"proxy-authenticate", b"forwarded", b"x-real-ip", b"x-request-id")
)  # fmt: skip
_FORGED_TRAILERS = (b"x-forwarded-", b"x-gray-")


def request_length(fields: Fields, minor: int) -> int:
    """The length of a request's body in bytes, or CHUNKED.

    Raises BadRequest on what RFC 9112 section 6.3 calls unrecoverable, and on what it lets a server refuse:
    both Transfer-Encoding and Content-Length, a coding other than chunked, Transfer-Encoding in HTTP/1.0.
    """
    codings = fields.get(b"transfer-encoding")
    lengths = fields.get(b"content-length")
    if codings is None:
        if lengths is None:
            return 0
        length = _content_length(lengths)
        if length < 0:
            raise BadRequest("Content-Length is not one number")
        return length
    if lengths is not None:
        raise BadRequest("both Transfer-Encoding and Content-Length")
    if len(codings) != 1 or codings[0].lower() != b"chunked":
        raise BadRequest("Transfer-Encoding is not chunked")
    if minor == 0:
        raise BadRequest("Transfer-Encoding in an HTTP/1.0 request")
    return CHUNKED


def response_length(method: bytes, status: int, fields: Fields, minor: int) -> int:
    """The length of a response's body in bytes, CHUNKED, or UNTIL_CLOSE (RFC 9112 section 6.3).

    Raises BadResponse where the framing could be read in two ways.
    """
    length = UNTIL_CLOSE
    lengths = fields.get(b"content-length")
    if lengths is not None:
        length = _content_length(lengths)
        if length < 0 or b"transfer-encoding" in fields:
            raise BadResponse("ambiguous framing")
    elif b"transfer-encoding" in fields:
        codings = fields[b"transfer-encoding"]
        if minor == 0 or len(codings) != 1 or codings[0].lower() != b"chunked":
            raise BadResponse("ambiguous framing")
        length = CHUNKED
    return 0 if status in BODILESS or method == b"HEAD" or status < 200 else length


def _content_length(values: tuple[bytes, ...]) -> int:
    """-1 if it is not one number."""
    value = values[0]
    return int(value) if len(values) == 1 and value.isdigit() and len(value) <= LENGTH_DIGITS_MAX else -1


class ChunkedBody:
    """Follows a chunked body through the pieces it arrives in (RFC 9112 section 7.1): finds its end, checks every
    line of it, and, when asked to decode, hands out the data without the chunks.

    The bytes are not changed: who passes them on passes them as they came.
    size: of the data in all chunks that have begun. private: fields that no trailer may be, as Connection names them.
    """

    __slots__ = ("_after_data", "_in_trailers", "_left", "_line", "_trailer_bytes", "data", "decode", "private", "size")

    def __init__(self, decode: bool = False, private: Sequence[bytes] = ()) -> None:
        self._left = 0
        self._line = b""
        self._after_data = False
        self._in_trailers = False
        self._trailer_bytes = 0
        self.decode = decode
        self.data: list[bytes] = []
        self.size = 0
        self.private = private

    def end(self, piece: bytes, start: int = 0) -> int:
        """Where in `piece` the body ends (the index after its last byte), or -1 if it goes on; before `start` stands
        something else.

        With decoding, the data of this piece is in `self.data` afterwards. Raises ValueError on bad chunks.
        """
        if self.decode:
            self.data = []
        at, size = start, len(piece)
        while at < size:
            if self._left:
                at = self._pass_data(piece, at, size)
                continue
            stop = piece.find(b"\n", at)
            line = self._line + (piece[at : stop + 1] if stop >= 0 else piece[at:])
            if len(line) > CHUNK_LINE_BYTES_MAX:
                raise ValueError("a chunk's line is too long")
            if stop < 0:
                self._line = line
                return -1
            self._line = b""
            at = stop + 1
            if self._read_line(line):
                return at
        return -1

    def _pass_data(self, piece: bytes, at: int, size: int) -> int:
        """Go over the rest of a chunk's data, and over the chunks that follow as long as they are plain."""
        left, total = self._left, self.size
        between, same = b"", 0
        while at + left <= size:
            if self.decode:
                self.data.append(piece[at : at + left])
            at += left
            # PERF: chunks of one body are mostly of one size: 0.5 of the time of reading what stands between each two.
            if between and piece.startswith(between, at):
                left = same
                at += len(between)
            else:
                following = _NEXT_CHUNK(piece, at)
                left = same = int(following[1], 16) if following is not None else 0
                if following is None or not left:
                    self._left, self._after_data, self.size = 0, True, total
                    return at
                between = following[0]
                at = following.end()
            total += left
        if self.decode:
            self.data.append(piece[at:])
        self._left, self.size = left - (size - at), total
        return size

    def _read_line(self, line: bytes) -> bool:
        """True when this line ends the body."""
        if self._after_data:
            if line != b"\r\n":
                raise ValueError("a chunk is longer than its size")
            self._after_data = False
            return False
        if self._in_trailers:
            return self._read_trailer(line)
        match = _SIZE_LINE(line)
        if match is None:
            raise ValueError("bad chunk size")
        self._left = int(match[1], 16)
        self.size += self._left
        self._in_trailers = not self._left
        return False

    def _read_trailer(self, line: bytes) -> bool:
        if line == b"\r\n":
            return True
        self._trailer_bytes += len(line)
        match = _TRAILER_LINE(line)
        if match is None or self._trailer_bytes > TRAILER_BYTES_MAX:
            raise ValueError("bad trailer field")
        name = match[1].lower().replace(b"_", b"-")
        if (
            name in _FORBIDDEN_TRAILERS or name.startswith(_FORGED_TRAILERS) or match[1].lower() in self.private
        ):  # what a head says, no trailer may
            raise ValueError("forbidden trailer field")
        return False
