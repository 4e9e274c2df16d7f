"""Mirroring: when a request has been answered whole, copies of it go to other versions, and their answers are compared.

Nothing waits for a copy. It is made after the last byte of the real answer was handed to the client, and of what an
exchange keeps anyway (the head, and a body small enough to be sent again): the real way is the same with and without.
"""

from __future__ import annotations

from asyncio import Transport
from collections.abc import Callable, Sequence
from time import time
from typing import Any, Final

from proxy.downstream.stream import ClientStream
from proxy.gateway.shadow import Shadow, Target
from proxy.http.digest import Digest
from proxy.http.headers import Peer
from proxy.http.message import RequestHead, ResponseHead
from proxy.observe.mirrors import Example

SECRET: Final = frozenset((b"set-cookie", b"www-authenticate", b"authentication-info"))
"""Fields of answers whose values no example shows."""
SHOWN_BYTES_MAX: Final = 200
"""Bytes of one value, host or path in an example."""


class Mirror:
    """One mirror of a lane, ready made.

    methods: those that are mirrored. sampled: whether a request is among those that are. compared: finds the fields to
    compare (h1.field_finder); None: nothing is compared. route, rule, version: of the real answers.
    """

    __slots__ = ("_methods", "_sampled", "compared", "route", "rule", "target", "version")  # fmt: skip

    def __init__(
        self, target: Target, methods: frozenset[bytes], sampled: Callable[[RequestHead], bool], compared: Any,
        route: str, rule: str, version: str,
    ) -> None:  # fmt: skip
        self.target = target
        self.compared = compared
        self.route = route
        self.rule = rule
        self.version = version
        self._methods = methods
        self._sampled = sampled

    def takes(self, head: RequestHead) -> bool:
        return head.method in self._methods and self._sampled(head)


class Watched:
    """A client whose answer is watched on its way: at its end, the copies begin. Implements ClientStream.

    body: of the request. answer: the real one's head, as the upstream sent it.
    """

    __slots__ = ("_body", "_client", "_digest", "_head", "_id", "_mirrors", "_size", "peer")

    def __init__(
        self, client: ClientStream, mirrors: Sequence[Mirror], head: RequestHead, request_id: bytes, body: bytes,
        answer: ResponseHead, length: int,
    ) -> None:  # fmt: skip
        self.peer: Peer = client.peer
        self._client = client
        self._mirrors = mirrors
        self._head = head
        self._id = request_id
        self._body = body
        self._size = 0
        compared = any(mirror.compared is not None for mirror in mirrors)
        self._digest = Digest(answer, length, decoded=not head.minor) if compared else None

    def send_head(self, head: ResponseHead, added: bytes, length: int, data: bytes, done: bool) -> None:
        self._client.send_head(head, added, length, data, done)
        self._watch(data[head.size :], done)

    def send_body(self, data: bytes, done: bool) -> None:
        self._client.send_body(data, done)
        self._watch(data, done)

    def _watch(self, data: bytes, done: bool) -> None:
        self._size += len(data)
        if self._digest is not None:
            self._digest.feed(data)
        if done:
            for mirror in self._mirrors:
                self._copy(mirror)

    def _copy(self, mirror: Mirror) -> None:
        compared = mirror.compared is not None
        ended = _Verdict(mirror, self._head, self._id, self._digest if compared else None)
        Shadow(mirror.target, self._head, self.peer, self._id, self._body, self._size, compared, ended).begin()

    # --- passed on as they are ---------------------------------------------------------------------------------

    def send_interim(self, head: ResponseHead) -> None:
        self._client.send_interim(head)

    def answer(self, status: int, lines: bytes, body: bytes, *, head_only: bool = False) -> None:
        self._client.answer(status, lines, body, head_only=head_only)

    def abort(self) -> None:
        self._client.abort()

    def exchange_ended(self) -> None:
        self._client.exchange_ended()

    def pause(self) -> None:
        self._client.pause()

    def resume(self) -> None:
        self._client.resume()

    def has_read(self, size: int) -> bool:
        return self._client.has_read(size)

    def detach(self) -> tuple[Transport, bytes]:
        return self._client.detach()


class _Verdict:
    """Counts what became of a copy, and compares its answer with the real one, if there is one to compare with."""

    __slots__ = ("_head", "_id", "_mirror", "_real")

    def __init__(self, mirror: Mirror, head: RequestHead, request_id: bytes, real: Digest | None) -> None:
        self._mirror = mirror
        self._head = head
        self._id = request_id
        self._real = real

    def __call__(self, result: str, answer: Digest | None) -> None:
        counts, real = self._mirror.target.counts, self._real
        if real is None or answer is None:
            counts.ended(result)
            return
        kinds = real.differences(answer, self._mirror.compared)
        counts.ended("different" if kinds else "same")
        if kinds and counts.differed(kinds):
            counts.examples.append(self._example(real, answer, kinds))

    def _example(self, real: Digest, answer: Digest, kinds: list[str]) -> Example:
        """No body, no query, no cookie: what is secret of a person stays in the services."""
        mirror, head = self._mirror, self._head
        request_id = head.fields.get(b"x-request-id", (self._id,))[-1]  # of a trusted proxy, or ours
        return {
            "at": time(), "request_id": _shown(request_id), "route": mirror.route, "rule": mirror.rule,
            "method": _shown(head.method), "host": _shown(head.host), "path": _shown(head.path),
            "differences": kinds,
            "real": _answer(mirror.version, real, mirror.compared),
            "mirror": _answer(mirror.target.version.name, answer, mirror.compared),
        }  # fmt: skip


def _answer(version: str, digest: Digest, find: Any) -> dict[str, Any]:
    return {
        "version": version, "status": digest.status, "length": digest.length, "body_hash": digest.hash,
        "headers": [[_shown(name), "(not shown)" if name in SECRET else _shown(value)]
                    for name, value in digest.fields(find)],
    }  # fmt: skip


def _shown(data: bytes) -> str:
    return data[:SHOWN_BYTES_MAX].decode("utf-8", "backslashreplace")


def watched(
    client: ClientStream, mirrors: Sequence[Mirror], head: RequestHead, request_id: bytes, body: bytes | None,
    answer: ResponseHead, length: int,
) -> ClientStream:  # fmt: skip
    """Who takes the answer in place of `client`, if any of the mirrors wants the request. body: None if it is too large
    to be kept, or has not come whole."""
    wanting = []
    for mirror in mirrors:
        if mirror.takes(head):
            if mirror.target.takes_more:
                wanting.append(mirror)
            else:  # known now, before the answer is hashed in vain
                mirror.target.counts.ended("dropped")
    if not wanting:
        return client
    if body is None:
        for mirror in wanting:
            mirror.target.counts.ended("too_large")
        return client
    return Watched(client, wanting, head, request_id, body, answer, length)
