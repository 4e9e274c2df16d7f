"""The services behind every proxy: v1, v2, ..., one process, a port each. Run: services.py PORT...

A service should cost less than any proxy before it, so that the proxy is what gets measured: bytes in, a ready-made
answer out. It understands only what the benchmark sends (no chunked uploads, no pipelining, no bad heads).

    /          200 with 12 bytes           /10k, /1m  200 with 10 KiB, 1 MiB
    /new       the same, with a head that no other answer has
    /chunked   200 with 64 KiB in chunks of 4 KiB
    /upload    200 with the number of body bytes that came, once all have come
    /echo      200 with the request head as it came
    /ws        101, then a WebSocket message of 64 bytes for each that comes
"""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import re
import sys

import uvloop

MESSAGE = b"m" * 63 + b"."
MESSAGE_ASKED = b"\x82\xc0\0\0\0\0" + MESSAGE  # of a client, masked with zeros
MESSAGE_ANSWERED = b"\x82\x40" + MESSAGE
_KEY = re.compile(rb"\r\nsec-websocket-key: *(\S+)", re.I)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)


def answers(version: str) -> dict[bytes, bytes]:
    """Path to the whole response, head and body. x-served-by tells the version: the checks read it."""
    chunk = b"1000\r\n" + b"c" * 4096 + b"\r\n"
    chunked = b"transfer-encoding: chunked\r\n\r\n" + chunk * 16 + b"0\r\n\r\n"
    return {
        b"/": _head(version) + _sized(b"hello world\n"),
        b"/10k": _head(version) + _sized(b"d" * 10 * 1024),
        b"/1m": _head(version) + _sized(b"m" * 1024 * 1024),
        b"/chunked": _head(version) + chunked,
    }


def _head(version: str) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nserver: origin\r\ndate: Sat, 01 Jan 2028 00:00:00 GMT\r\n"
        b"content-type: text/plain; charset=utf-8\r\ncache-control: no-cache\r\nx-served-by: %b\r\n"
    ) % version.encode()


def _sized(body: bytes) -> bytes:
    return b"content-length: %d\r\n\r\n%b" % (len(body), body)


class Service(asyncio.Protocol):
    """One connection. Between requests `head` is empty and `due` is 0."""

    def __init__(self, version: str, ready: dict[bytes, bytes]) -> None:
        self.start, self.ready = _head(version), ready
        self.head = b""
        self.length = self.due = 0  # of the upload: all its bytes, and those still to come
        self.number = 0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's, not a subclass of asyncio's

    def data_received(self, data: bytes) -> None:
        if self.due:
            self._upload(len(data))
            return
        self.head += data
        end = self.head.find(b"\r\n\r\n")
        if end < 0:
            return
        head, body = self.head[: end + 4], len(self.head) - end - 4
        self.head = b""
        target = head[head.index(b" ") + 1 : head.index(b" HTTP/")]
        answer = self.ready.get(target.partition(b"?")[0])
        if answer is not None:
            self._answer(answer, head)
        elif target.startswith(b"/new"):
            self.number += 1
            self._answer(self.start + b"x-number: %d\r\n" % self.number + _sized(b"hello world\n"), head)
        elif target.startswith(b"/upload"):
            length = _LENGTH.search(head)
            self.length = self.due = int(length[1]) if length else 0
            self._upload(body)
        elif target == b"/ws":
            self._upgrade(head)
        else:
            self._answer(self.start + _sized(head), head)

    def _upload(self, count: int) -> None:
        self.due -= count
        if self.due <= 0:
            self.due = 0
            self.transport.write(self.start + _sized(b"%d\n" % self.length))

    def _upgrade(self, head: bytes) -> None:
        key = _KEY.search(head)
        digest = hashlib.sha1((key[1] if key else b"") + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        self.transport.write(
            self.start.replace(b"200 OK", b"101 Switching Protocols")
            + b"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: %b\r\n\r\n"
            % base64.b64encode(digest)
        )
        self.transport.set_protocol(Echo(self.transport))

    def _answer(self, answer: bytes, head: bytes) -> None:
        self.transport.write(answer)
        # Only when measured without a proxy: no proxy here passes a client's "close" on.
        if b"onnection: close" in head:
            self.transport.close()


class Echo(asyncio.Protocol):
    """After the upgrade: as many messages out as came in whole."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport, self.came = transport, 0

    def data_received(self, data: bytes) -> None:
        count, self.came = divmod(self.came + len(data), len(MESSAGE_ASKED))
        self.transport.write(MESSAGE_ANSWERED * count)


async def serve(ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    for number, port in enumerate(ports, 1):
        make = functools.partial(Service, f"v{number}", answers(f"v{number}"))
        await loop.create_server(make, "127.0.0.1", port, backlog=4096)
    await loop.create_future()


if __name__ == "__main__":
    uvloop.run(serve([int(port) for port in sys.argv[1:]]))
