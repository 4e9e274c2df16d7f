"""Heads that came lately, so that one whose lines are the same but for the first is not read again.

Clients repeat the fields of earlier requests to the byte: on one connection, on the next, or through a load balancer on
any. (HPACK rests on the same habit.) PERF: 0.3 of the time of reading and checking all of it.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.http.headers import Peer, repeatable
from proxy.http.message import RequestHead

HEADS_MAX: Final = 1024
"""Remembered, and as many again of those before: the people who are there at one time. 3 KiB each, as browsers ask."""
HEAD_BYTES_MAX: Final = 4096
"""The largest head that is remembered: all of them take 24 MiB at most."""

# A request line as nearly all are: nothing in it is left to decide, and llhttp would find no fault with it.
_USUAL_LINE = re.compile(
    rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) ((/[!\"$&->@-~]*)(?:\?([!\"$->@-~?]*))?) HTTP/1\.1"
).fullmatch

_Key = bytes | tuple[bytes, bytes]
_Heads = dict[_Key, RequestHead]


class KnownHeads:
    """Of one reader, by what follows their first line. When there are too many, those that were not asked for since the
    last time that there were too many are forgotten."""

    __slots__ = ("_before", "_lately")

    def __init__(self) -> None:
        self._lately: _Heads = {}
        self._before: _Heads = {}

    def add(self, raw: bytes, head: RequestHead, peer: Peer) -> None:
        """Remember this head of the peer, if others may repeat it (headers.repeatable). raw: as it came."""
        if len(raw) <= HEAD_BYTES_MAX and repeatable(head):
            self._keep(_key(raw[raw.find(b"\r\n") :], peer), head)

    def read(self, data: bytes, peer: Peer) -> RequestHead | None:
        """The head in `data`, if it is a request line and then the lines of a known one; else None: it must be read."""
        if len(data) > 2 * HEAD_BYTES_MAX:
            return None
        end = data.find(b"\r\n")
        key = _key(data[end:], peer) if peer.trusted else data[end:]
        known = self._lately.get(key) or self._again(key)
        if known is None:
            return None
        line = _USUAL_LINE(data, 0, end)
        if line is None:
            return None
        method, target, path, query = line.groups(b"")
        if path.find(b"/.") >= 0:
            return None  # dot segments, which may be refused
        client, scheme = (known.client, known.scheme) if peer.trusted else (peer.address, peer.scheme)
        head = RequestHead(method, target, 1, known.host, path, query, known.fields, data, client, scheme, True)
        head.cut, head.onward = known.cut, known.onward
        return head

    def _again(self, key: _Key) -> RequestHead | None:
        """One that had not been asked for since."""
        known = self._before.get(key)
        if known is not None:
            self._keep(key, known)
        return known

    def _keep(self, key: _Key, head: RequestHead) -> None:
        if len(self._lately) >= HEADS_MAX:
            self._before, self._lately = self._lately, {}
        self._lately[key] = head


def _key(lines: bytes, peer: Peer) -> _Key:
    """What a trusted proxy says means something else when another one says it."""
    return (lines, peer.written) if peer.trusted else lines
