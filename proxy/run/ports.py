"""Addresses to listen on: control sees that they are free and binds a socket there for each worker, which inherits it.

SO_REUSEPORT lets the kernel spread connections over the workers. It would also let a second proxy of the same user
share the port unseen, so the first bind is one without it.

Control keeps each socket open beside its worker. So the queue of connections that wait to be accepted outlives the
worker, whether it dies or is replaced: the next one inherits it, and no client is reset.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import time
from contextlib import ExitStack, suppress
from typing import Final, NamedTuple

from proxy.data import dataclass
from proxy.errors import StartError
from proxy.settings import Address, Listen


class Bound(NamedTuple):
    """What a socket is bound to: a numeric host, a port that is not 0. proxy_headers: as in `Listen`."""

    family: int
    host: str
    port: int
    proxy_headers: bool = False


Sockets = tuple[socket.socket, ...]
"""One worker's, in the order of the addresses."""

PREDECESSOR_S: Final = 2.0
"""How long a taken port is asked for again: workers whose control was killed let go of theirs when they notice, and who
starts it again may be quicker."""
AGAIN_S: Final = 0.05

SO_ATTACH_FILTER: Final = 26
"""Linux; the socket module has no name for it."""
NO_SYN: Final = b"".join(
    struct.pack("HBBI", *step)
    for step in (
        (0x30, 0, 0, 13),  # load byte 13 of the TCP header: its flags
        (0x45, 0, 1, 0x02),  # SYN?
        (0x06, 0, 0, 0),  # drop
        (0x06, 0, 0, 0xFFFF),  # or keep
    )
)
"""A classic BPF program: packets that begin a connection are dropped, those that complete one are not."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """sockets: by worker, bound and listening once it does; while they live, the ports stay ours."""

    addresses: tuple[Bound, ...]
    sockets: tuple[Sockets, ...]

    def close(self) -> None:
        for sockets in self.sockets:
            for sock in sockets:
                sock.close()


def reserve(listen: tuple[Listen, ...], workers: int) -> Reserved:
    """Find every address free and hold it, for so many workers. Raises StartError with one line."""
    addresses: list[Bound] = []
    with ExitStack() as held:
        sockets: list[list[socket.socket]] = [[] for _ in range(workers)]
        for address in listen:
            chosen = address.port  # port 0: the first numeric address of a name chooses for all of them
            for family, host, port, _ in _resolve(address[:2]):
                if (family, host, chosen) in (known[:3] for known in addresses):
                    raise StartError(f"--listen {show((host, chosen))} stands there twice")
                with _bind_alone(Bound(family, host, port or chosen)) as first:
                    chosen = first.getsockname()[1]
                addresses.append(Bound(family, host, chosen, address.proxy_headers))
                for of_worker in sockets:
                    of_worker.append(held.enter_context(_bind_shared(addresses[-1])))
        held.pop_all()
    return Reserved(tuple(addresses), tuple(map(tuple, sockets)))


def bind_one(address: Address) -> socket.socket:
    """One socket of this process alone, bound and not yet listening. Raises StartError with one line."""
    return _bind_alone(_resolve(address)[0])


def begin_nothing(sockets: Sockets) -> None:
    """Let no further connection begin. What is queued can still be accepted, and what is half made is completed."""
    program = ctypes.create_string_buffer(NO_SYN)
    option = struct.pack("HL", len(NO_SYN) // 8, ctypes.addressof(program))
    for sock in sockets:
        with suppress(OSError):  # not every sandbox knows filters: then the few that come at that moment are reset
            sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, option)


def leave(sockets: Sockets) -> None:
    """Let the kernel spread connections over the other workers, until `listen` is called again. The queue is reset."""
    for sock in sockets:
        with suppress(OSError):  # it does not listen
            sock.shutdown(socket.SHUT_RDWR)


def show(address: tuple[str, int]) -> str:
    """`127.0.0.1:80`, `[::1]:80`."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _resolve(address: Address) -> list[Bound]:
    host, port = address
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise StartError(f"cannot listen on {show(address)}: {error.strerror}") from None
    return list(dict.fromkeys(Bound(int(family), str(where[0]), int(where[1])) for family, _, _, _, where in found))


def _bind_alone(address: Bound) -> socket.socket:
    until = time.monotonic() + PREDECESSOR_S
    while True:
        try:
            return _bind(address, reuse_port=False)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > until:
                raise _cannot_listen(address, error) from None
        time.sleep(AGAIN_S)


def _bind_shared(address: Bound) -> socket.socket:
    try:
        return _bind(address, reuse_port=True)
    except OSError as error:
        raise _cannot_listen(address, error) from None


def _bind(address: Bound, *, reuse_port: bool) -> socket.socket:
    family, host, port, _ = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Without SO_REUSEADDR the connections of the last run, in TIME_WAIT, would hold the port for a minute.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # [::]:80 and 0.0.0.0:80 can stand together
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _cannot_listen(address: Bound, error: OSError) -> StartError:
    return StartError(f"cannot listen on {show((address.host, address.port))}: {os.strerror(error.errno or 0)}")
