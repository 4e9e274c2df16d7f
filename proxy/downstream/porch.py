"""Where connections stand before they are a client's: till the PROXY header has said whose they are, and the TLS
handshake is done.

The header is taken from the socket to the byte: what follows it, be it a handshake or a request, is still in the kernel
when the connection's own protocol begins to read.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from proxy import pem
from proxy.data import dataclass
from proxy.downstream.door import Door
from proxy.downstream.entrance import Complaints, Entrance
from proxy.downstream.limits import FLUSH_S, LINGER_S
from proxy.downstream.tls import HANDSHAKE_S
from proxy.errors import ProxyError
from proxy.http.headers import Peer
from proxy.http.proxy_header import HEADER_BYTES_MAX, read_proxy_header
from proxy.tasks import spawn

HEADER_S: Final = 5.0
"""For the PROXY header to come whole: senders write it at once, and a lost packet is sent again within seconds."""
HEADER_RESULTS: Final = ("ok", "malformed", "untrusted", "timeout", "closed")
HANDSHAKE_RESULTS: Final = ("ok", "failed", "timeout", "closed")


@dataclass(eq=False, slots=True)
class _Caller:
    """One connection in the porch. sock: until it is handed to the event loop."""

    sock: socket.socket | None


class Porch:
    """Of one listener. peer: makes one of the socket's name for it. protocol: of a connection that this peer has begun.
    headers: each connection begins with a PROXY header. trusted_only: it is believed of trusted proxies alone.
    """

    def __init__(
        self, name: str, door: Door, peer: Callable[[Any], Peer], protocol: Callable[[Peer], asyncio.Protocol],
        tls: ssl.SSLContext | None, headers: bool, trusted_only: bool,
    ) -> None:  # fmt: skip
        self._name = name
        self._door = door
        self._peer = peer
        self._protocol = protocol
        self._tls = tls
        self._headers = headers
        self._trusted_only = trusted_only
        self._complaints = Complaints(name)
        self._entrance = Entrance(door, self._complaints, self._come)
        self._callers: dict[_Caller, asyncio.Task[None]] = {}
        self._shaking: dict[Peer, ProxyError | None] = {}
        self._header_results = Counter(dict.fromkeys(HEADER_RESULTS, 0) if headers else {})
        self._handshake_results = Counter(dict.fromkeys(HANDSHAKE_RESULTS, 0) if tls else {})

    @property
    def empty(self) -> bool:
        return not self._callers

    def open(self, bound: socket.socket) -> None:
        self._entrance.open(bound)

    def close(self, grace_s: float) -> None:
        """Take no more connections; those that are here have so long to become clients."""
        if self._entrance.close():
            asyncio.get_running_loop().call_later(grace_s, self.cut)

    def cut(self) -> None:
        """End those that are here."""
        for task in tuple(self._callers.values()):
            task.cancel()

    def left(self, peer: Peer) -> ProxyError | None:
        """This one is a client now. It has entered by the door before, and is to leave by it; the reason why it may not
        stay, if there is one."""
        return self._shaking.pop(peer)

    def take(self) -> dict[str, dict[tuple[str, ...], float]]:
        """How headers and handshakes have ended since the last call, as counters by (listener, result)."""
        taken: dict[str, dict[tuple[str, ...], float]] = {}
        for metric, results in (
            ("proxy_headers_total", self._header_results), ("tls_handshakes_total", self._handshake_results),
        ):  # fmt: skip
            taken[metric] = {(self._name, result): count for result, count in results.items()}
            results.clear()
        return taken

    # --- coming ------------------------------------------------------------------------------------------------

    def _come(self, bare: socket.SocketType, address: Any) -> None:
        sock = socket.socket(fileno=bare.detach())
        sock.setblocking(False)
        caller = _Caller(sock)
        task = self._callers[caller] = spawn(self._receive(caller, self._peer(address)), name="receive a client")
        task.add_done_callback(lambda _: self._gone(caller))

    def _gone(self, caller: _Caller) -> None:
        del self._callers[caller]
        if caller.sock is not None:
            caller.sock.close()

    async def _receive(self, caller: _Caller, peer: Peer) -> None:
        if self._headers:
            named = await self._named(caller, peer)
            if named is None:
                return
            peer = named
        refusal = self._shaking[peer] = self._door.enter(peer)
        try:
            # Who is to be told that there are too many has little time to hear it.
            await self._hand_over(caller, peer, HANDSHAKE_S if refusal is None else LINGER_S)
        finally:
            if peer in self._shaking:
                del self._shaking[peer]
                self._door.leave(peer)

    # --- the PROXY header --------------------------------------------------------------------------------------

    async def _named(self, caller: _Caller, sender: Peer) -> Peer | None:
        """Whom the sender names; None if it may not, or did not."""
        if self._trusted_only and not sender.trusted:
            self._not_named("untrusted", f"{sender.address} is none of the trusted proxies")
            return None
        stranger = self._peer(None)  # for whom nobody's limit counts
        self._door.enter(stranger)
        assert caller.sock is not None
        try:
            async with asyncio.timeout(HEADER_S):
                client = await _read_header(caller.sock)
        except TimeoutError:
            self._not_named("timeout", f"{sender.address} sends none")
        except ValueError as error:
            self._not_named("malformed", f"from {sender.address}: {error}")
        except OSError:
            self._header_results["closed"] += 1
        else:
            self._header_results["ok"] += 1
            return self._peer((client, 0)) if client else sender
        finally:
            self._door.leave(stranger)
        return None

    def _not_named(self, result: str, why: str) -> None:
        self._header_results[result] += 1
        self._complaints.make(result, logging.WARNING, f"a connection without a good PROXY header was closed: {why}")

    # --- the TLS handshake -------------------------------------------------------------------------------------

    async def _hand_over(self, caller: _Caller, peer: Peer, handshake_s: float) -> None:
        loop = asyncio.get_running_loop()
        sock, caller.sock = caller.sock, None
        assert sock is not None
        if self._tls is None:
            await loop.connect_accepted_socket(lambda: self._protocol(peer), sock)
            return
        result = "closed"
        try:
            # The loop's time for closing covers what is left to send; `overdue` sees to clients that do not answer.
            await loop.connect_accepted_socket(
                lambda: self._protocol(peer), sock, ssl=self._tls,
                ssl_handshake_timeout=handshake_s, ssl_shutdown_timeout=FLUSH_S,
            )  # fmt: skip
            if peer not in self._shaking:
                result = "ok"
        except ssl.SSLError as error:
            result = "failed"
            why = f"the last with {peer.address}: {pem.reason(error)}"
            self._complaints.make(result, logging.INFO, f"TLS handshakes fail, {why}")
        except ConnectionAbortedError:
            result = "timeout"
        except OSError:
            pass
        finally:
            self._handshake_results[result] += 1


async def _read_header(sock: socket.socket) -> str:
    """Take the header from the socket, and no byte more: the client's address, or nothing if none is named.

    Raises ValueError if it is malformed, OSError if the connection ends.
    """
    data = b""
    while True:
        try:
            piece = sock.recv(HEADER_BYTES_MAX, socket.MSG_PEEK)
        except BlockingIOError:
            await _readable(sock)
            continue
        if not piece:
            raise ConnectionResetError
        header = read_proxy_header(data + piece)
        data += sock.recv(len(piece) if header is None else header.size - len(data))
        if header is not None:
            return header.client


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    come = asyncio.Event()
    loop.add_reader(sock, come.set)
    try:
        await come.wait()
    finally:
        loop.remove_reader(sock)
