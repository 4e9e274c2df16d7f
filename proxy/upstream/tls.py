"""Connections to `https://` endpoints: what secures them, and how they end."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import field
from functools import lru_cache
from typing import Final

from proxy import pem
from proxy.data import dataclass
from proxy.rules.model import RuleFile
from proxy.rules.tls import Tls
from proxy.upstream.http1 import _CLOSE, Connection, Owner

CLOSE_NOTIFY_S: Final = 5.0
"""How long an endpoint may take to answer our close_notify; until then its connection counts as open."""
CONTEXTS_MAX: Final = 256
"""Different ways to secure connections that are kept ready; each has its own copy of the CAs, some 100 KiB."""


@dataclass(frozen=True, slots=True)
class Security:
    """What a rule file says of an endpoint's TLS, with what stands in the files it names."""

    verify: bool = True
    server_name: str = ""
    ca: bytes = field(default=b"", repr=False)
    cert: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)


def security(tls: Tls, rule_file: RuleFile) -> Security:
    """The files have been read."""
    named = {key: rule_file.files[file] for key, file in tls.files.items()}
    return Security(tls.verify, tls.server_name, **named)


@lru_cache(CONTEXTS_MAX)
def client_context(security: Security) -> ssl.SSLContext:
    """For connections to endpoints secured in this way. Raises ValueError with what is wrong, the key before it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not security.ca:
        context.load_default_certs()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        what = "ca"
        if security.ca:
            pem.load_cas(context, security.ca)
        what = "cert"
        if security.cert:
            pem.load_pair(context, security.cert, security.key)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    if not security.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class TlsConnection(Connection):
    """A connection to an endpoint, its handshake done. failed: told of trouble with TLS that comes later, as when the
    endpoint refuses our certificate (TLS 1.3)."""

    __slots__ = ("_ended", "_failed")

    def __init__(self, pool: Owner, failed: Callable[[ssl.SSLError], None]) -> None:
        super().__init__(pool)
        self._failed = failed
        self._ended = False

    def eof_received(self) -> bool | None:
        self._ended = True
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, ssl.SSLError):
            self._failed(exc)
        elif exc is None and not self._ended and self._reading == _CLOSE:
            # Without a close_notify anybody may have cut the connection: the body is not whole (RFC 9112 section 9.8).
            exc = ConnectionResetError("no close_notify")
        super().connection_lost(exc)
