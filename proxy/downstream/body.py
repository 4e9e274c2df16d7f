"""The body of a request, as it comes: where it ends."""

from __future__ import annotations

from proxy.errors import BadRequest
from proxy.http.framing import CHUNKED, ChunkedBody
from proxy.http.headers import nominated
from proxy.http.message import Fields


class RequestBody:
    """length: what framing.request_length says of the head's `fields`. bytes_max: larger ones are refused."""

    __slots__ = ("_bytes_max", "_chunks", "_left")

    def __init__(self, length: int, fields: Fields, bytes_max: int) -> None:
        if length > bytes_max:
            raise BadRequest("the request's body is too large", 413)
        self._left = length
        self._bytes_max = bytes_max
        self._chunks = ChunkedBody(private=nominated(fields)) if length == CHUNKED else None

    def end(self, data: bytes) -> int:
        """Where the body ends in this further piece, or -1 if more is to come. Raises BadRequest."""
        if self._chunks is None:
            left = self._left
            self._left -= len(data)
            return left if left <= len(data) else -1
        try:
            end = self._chunks.end(data)
        except ValueError as error:
            raise BadRequest(f"malformed chunked body: {error}") from None
        if self._chunks.size > self._bytes_max:
            raise BadRequest("the request's body is too large", 413)
        return end
