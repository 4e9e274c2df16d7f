"""Addresses to listen on: control sees that they are free and holds them, each worker binds its own socket there.

SO_REUSEPORT lets the kernel spread connections over the workers. It would also let a second proxy of the same user
share the port unseen, so the first bind is one without it.
"""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from proxy.errors import StartError
from proxy.settings import Address

Bound = tuple[int, str, int]
"""Family, numeric host and port (not 0) to bind a socket to."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """addresses: for the workers. sockets: bound but not listening; while they live, the ports stay ours."""

    addresses: tuple[Bound, ...]
    sockets: tuple[socket.socket, ...]


def reserve(listen: tuple[Address, ...]) -> Reserved:
    """Find every address free and hold it. Raises StartError with one line."""
    addresses: list[Bound] = []
    with ExitStack() as held:
        sockets: list[socket.socket] = []
        for address in listen:
            chosen = address[1]  # port 0: the first numeric address of a name chooses for all of them
            for family, host, port in _resolve(address):
                if (family, host, chosen) in addresses:
                    raise StartError(f"--listen {show((host, chosen))} stands there twice")
                with _bind((family, host, port or chosen), reuse_port=False) as first:
                    chosen = first.getsockname()[1]
                addresses.append((family, host, chosen))
                sockets.append(held.enter_context(_bind(addresses[-1], reuse_port=True)))
        held.pop_all()
    return Reserved(tuple(addresses), tuple(sockets))


def bind_one(address: Address) -> socket.socket:
    """One socket of this process alone, bound and not yet listening. Raises StartError with one line."""
    family, host, port = _resolve(address)[0]
    return _bind((family, host, port), reuse_port=False)


def bind_shared(address: Bound) -> socket.socket:
    """A worker's socket at an address that control holds."""
    return _bind(address, reuse_port=True)


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
    return list(dict.fromkeys((int(family), str(where[0]), int(where[1])) for family, _, _, _, where in found))


def _bind(address: Bound, *, reuse_port: bool) -> socket.socket:
    family, host, port = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Without SO_REUSEADDR the connections of the last run, in TIME_WAIT, would hold the port for a minute.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # [::]:80 and 0.0.0.0:80 can stand together
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise StartError(f"cannot listen on {show((host, port))}: {os.strerror(error.errno or 0)}") from None
    return sock
