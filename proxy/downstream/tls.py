"""Certificates: what a TLS listener shows to which client, and how a pair of certificate and key is put to the test.

Everything is given as PEM bytes: control reads the files once and judges them, workers are sent the same bytes, so all
of them show the same and a file that changes in between cannot part them.

Protocols and ciphers are those of Mozilla's "intermediate" advice: TLS 1.2 and 1.3, forward secrecy and authenticated
encryption only. That leaves out no client of the last ten years, and every known attack on TLS 1.2 is one on what is
left out: CBC, RC4, RSA key exchange, compression, renegotiation.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

from proxy import pem
from proxy.data import dataclass

HANDSHAKE_S: Final = 10.0
"""From the connection to the end of its handshake; a client far away takes a second, an idle one holds memory."""
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of TLS 1.3 are all sound."""
FLIGHTS_MAX: Final = 8
"""Turns in which a handshake with itself ends; TLS 1.2 takes three."""
NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME, which ssl has no name for: an expired certificate is still read, and warned about."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with the chain to its issuer, and its key, in PEM. names: for which it is shown (`examine`)."""

    certificate: bytes
    key: bytes = field(repr=False)
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Material:
    """All that TLS listeners need. client_ca: whose certificates clients must show, in PEM; empty: none is wanted."""

    pairs: tuple[Pair, ...]
    client_ca: bytes = b""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says. names: DNS names, in lower case, wildcards as `*.`; times are Unix times."""

    names: tuple[str, ...]
    not_before: float
    not_after: float


class Certificates:
    """Chooses a certificate for each handshake: the one for the name the client asks for, or else the first.

    context: what listeners hand to the event loop. It stays the same over `update`, which later handshakes heed.
    """

    def __init__(self, material: Material) -> None:
        self.context = _server_context(material.client_ca)
        self.context.sni_callback = self._choose
        self._default = self.context
        self._by_name: dict[str, ssl.SSLContext] = {}
        self._contexts: dict[tuple[bytes, Pair], ssl.SSLContext] = {}
        self.update(material)

    def update(self, material: Material) -> None:
        """Show these from now on. They have been examined."""
        by_name: dict[str, ssl.SSLContext] = {}
        contexts = {}
        for pair in material.pairs:
            key = material.client_ca, pair
            context = contexts[key] = self._contexts.get(key) or _server_context(material.client_ca, pair)
            for name in pair.names:
                by_name.setdefault(name, context)
        self._default, self._by_name, self._contexts = next(iter(contexts.values())), by_name, contexts

    def _choose(self, handshake: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """A wildcard stands for one whole label, the leftmost (RFC 6125 section 6.4.3)."""
        found = None
        if name:
            name = name.lower().removesuffix(".")
            by_name = self._by_name
            found = by_name.get(name) or by_name.get("*." + name.partition(".")[2])
        handshake.context = found or self._default


def examine(pair: Pair) -> Certificate:
    """Read a certificate, and see that it can be shown. Raises ValueError with what is wrong.

    By a handshake with itself, in memory: it proves that key and certificate do their work with these protocols and
    ciphers, and it is the one public way in Python's ssl to a parsed certificate.
    """
    server = _server_context(b"", pair)
    try:
        return _read(_shown(server, _trusting(pair.certificate)))
    except ssl.SSLError as error:
        raise ValueError(f"cannot be shown by a server: {pem.reason(error)}") from None


def examine_ca(cas: bytes) -> None:
    """See that CAs can be read. Raises ValueError with what is wrong."""
    pem.load_cas(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), cas)


def _server_context(client_ca: bytes, pair: Pair | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        pem.load_cas(context, client_ca)
        # Each handshake shows the certificate anew: a resumed one would still be believed after the CA was replaced.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    if pair is not None:
        pem.load_pair(context, pair.certificate, pair.key)
    return context


def _trusting(certificates: bytes) -> ssl.SSLContext:
    """A client that trusts these very certificates, whoever issued them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME
    pem.load_cas(context, certificates)
    return context


def _shown(server: ssl.SSLContext, client: ssl.SSLContext) -> Mapping[str, Any]:
    """The certificate that the server shows to the client."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)
    for _ in range(FLIGHTS_MAX):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return sides[0].getpeercert() or {}


def _read(shown: Mapping[str, Any]) -> Certificate:
    """Names are those of subjectAltName; the common name counts where there are none, as in old private CAs."""
    names = [name for kind, name in shown.get("subjectAltName", ()) if kind == "DNS"]
    if not shown.get("subjectAltName"):
        names = [value for part in shown.get("subject", ()) for key, value in part if key == "commonName"]
    return Certificate(
        tuple(dict.fromkeys(name.lower().removesuffix(".") for name in names)),
        float(ssl.cert_time_to_seconds(shown["notBefore"])),
        float(ssl.cert_time_to_seconds(shown["notAfter"])),
    )
