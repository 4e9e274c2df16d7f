"""Alone knows which fields belong to one connection, and what a proxy adds, takes off or believes of them.

A head goes on as it came: what must not pass is cut out of its bytes, what is new is appended in one piece.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from proxy.errors import BadRequest
from proxy.http.message import HOP_BY_HOP, Fields, RequestHead, ResponseHead

# What Connection may not name: without these a message would be framed or addressed otherwise than it was read.
_NOT_NOMINATED: Final = frozenset((b"host", b"content-length", b"transfer-encoding", b"close", b"cookie"))
NOMINATED_MAX: Final = 32
"""Fields one Connection field may name; more than any honest message has."""
_CUT_BY_REGEX: Final = HOP_BY_HOP | {
    b"host", b"content-length", b"transfer-encoding", b"expect", b"forwarded", b"x-request-id", b"x-real-ip",
    b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port",
}  # fmt: skip
_PASSES: Final = frozenset((b"host", b"content-length", b"transfer-encoding", b"expect", b"x-request-id"))
_ONCE: Final = frozenset(
    (b"content-length", b"transfer-encoding", b"expect", b"max-forwards", b"upgrade", b"x-request-id")
)
"""What makes a head one of its kind: a body, a change of protocol, a count of hops, a trusted proxy's name for it."""
CLOSE: Final = (b"close",)
USUAL_CONNECTIONS: Final[dict[tuple[bytes, ...], bytes]] = {
    (b"keep-alive",): b"\r\nConnection: keep-alive\r\n",
    CLOSE: b"\r\nConnection: close\r\n",
}
"""What nearly every Connection field says, nominating nothing, and the line as nearly everybody writes it."""
_TUNNELS_REFUSED: Final = frozenset((b"h2c", b"tls/1.0", b"http/2.0"))
"""Upgrades that would carry requests past the rules: each request in them must be seen here."""

find_date: Final = re.compile(rb"\r\n[Dd][Aa][Tt][Ee]:").search
"""The Date field among lines that each begin after a line end. PERF: 0.7 of the time of a pattern with a flag."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _without(raw: bytes, names: set[bytes]) -> bytes:
    """A head's bytes without the lines of these fields, which are named in lower case."""
    if names <= _CUT_BY_REGEX:
        return _cutter(frozenset(names)).sub(b"", raw)
    # Names that a client has thought up: compiling a regex for each would be work it could make us do.
    first, *lines = raw.split(b"\r\n")
    return b"\r\n".join((first, *(line for line in lines if line.partition(b":")[0].lower() not in names)))


@lru_cache(maxsize=256)
def _cutter(names: frozenset[bytes]) -> re.Pattern[bytes]:
    """A regex that finds the lines of these fields, each with the line end before it."""
    return re.compile(rb"(?i:\r\n(?:%b):[^\r]*)" % b"|".join(map(re.escape, sorted(names))))


def _tokens(values: tuple[bytes, ...]) -> list[bytes]:
    return [token.strip(b" \t").lower() for token in b",".join(values).split(b",")]


def nominated(fields: Fields) -> list[bytes]:
    """The fields that Connection names as its own (RFC 9110 section 7.6.1), in lower case."""
    names = _tokens(fields.get(b"connection", ()))[:NOMINATED_MAX]
    return [name for name in names if name and name not in _NOT_NOMINATED]


def wants_close(fields: Fields, minor: int) -> bool:
    """Whether the sender of this head ends the connection after this exchange (RFC 9112 section 9.3)."""
    connection = fields.get(b"connection")
    if connection is None:
        return minor == 0
    if connection in USUAL_CONNECTIONS:
        return connection == CLOSE
    tokens = _tokens(connection)
    return b"close" in tokens or (minor == 0 and b"keep-alive" not in tokens)


def wanted_upgrade(head: RequestHead) -> bytes:
    """The protocol a request asks to change to, or b"" (RFC 9110 section 7.8)."""
    upgrade = head.fields.get(b"upgrade")
    if upgrade is None or head.minor == 0 or b"upgrade" not in _tokens(head.fields.get(b"connection", (b"",))):
        return b""
    protocols = _tokens(upgrade)
    return b"" if _TUNNELS_REFUSED.intersection(protocols) else b", ".join(protocols)


def takes_up(head: RequestHead, answer: ResponseHead) -> bool:
    """Whether this 101 changes to a protocol that the request offered, and says so (RFC 9110 section 7.8)."""
    offered = frozenset(wanted_upgrade(head).split(b", ")) - {b""}
    return offered.issuperset(_tokens(answer.fields.get(b"upgrade", ())))


class Peer:
    """Who stands at the other end of a client's connection, and what of its word is believed.

    address: of the socket. trusted: it is one of the trusted proxies. scheme: b"http" or b"https". written: the lines
    that are the same for every request of a client that is not trusted.
    """

    __slots__ = ("_proxies", "address", "own", "scheme", "trusted", "written")

    def __init__(self, address: str, scheme: bytes, proxies: tuple[Network, ...]) -> None:
        self.address = address
        self.scheme = scheme
        self.trusted = bool(proxies) and _in(address, proxies)
        self._proxies = proxies
        self.written = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\n" % (address.encode(), scheme)
        self.own = b"" if self.trusted else self.written

    def admit(self, head: RequestHead) -> None:
        """Say in `head` who the client is, how it came and what must not pass on; forget what is not believed of it.

        The client is the right-most address that is no trusted proxy's. Raises BadRequest if Connection names more
        fields than are looked at.
        """
        head.client = self.address
        head.scheme = self.scheme
        fields = head.fields
        if len(fields) > 1 or b"host" not in fields:
            head.cut = [name for name in fields if name not in _PASSES and _is_private(name, self.trusted)]
            connection = fields.get(b"connection", CLOSE)
            if connection not in USUAL_CONNECTIONS and len(_tokens(connection)) > NOMINATED_MAX:
                raise BadRequest("Connection names too many fields")
            if not self.trusted:
                self._forget_forged(head)
            if head.minor == 0:
                head.cut = [*head.cut, b"expect"]  # RFC 9110 section 10.1.1: it means nothing there
        if self.trusted:
            head.client = self._believed_client(fields)
            proto = fields.get(b"x-forwarded-proto", (b"",))[-1].lower()
            if proto in (b"http", b"https"):
                head.scheme = proto

    def _forget_forged(self, head: RequestHead) -> None:
        """So that no rule is decided by what a client says of itself in a proxy's name."""
        if b"x-request-id" in head.fields:
            head.cut = [*head.cut, b"x-request-id"]
        for name in head.cut:
            if name not in HOP_BY_HOP:
                del head.fields[name]

    def _believed_client(self, fields: Fields) -> str:
        client = self.address
        for part in reversed(b",".join(fields.get(b"x-forwarded-for", ())).split(b",")):
            hop = part.strip(b" \t").decode("ascii", "replace")
            try:
                ipaddress.ip_address(hop)
            except ValueError:
                break
            client = hop
            if not _in(hop, self._proxies):
                break
        return client

    def forwarded(self, fields: Fields, host: bytes) -> bytes:
        """The X-Forwarded-* lines for a request with these fields."""
        if not self.trusted:
            return b"%bX-Forwarded-Host: %b\r\n" % (self.written, host) if host else self.written
        chain = (*fields.get(b"x-forwarded-for", ()), self.address.encode())
        lines = [b"X-Forwarded-For: %b\r\n" % b", ".join(chain)]
        if b"x-forwarded-proto" not in fields:
            lines.append(b"X-Forwarded-Proto: %b\r\n" % self.scheme)
        if b"x-forwarded-host" not in fields and host:
            lines.append(b"X-Forwarded-Host: %b\r\n" % host)
        return b"".join(lines)


@lru_cache(maxsize=4096)
def _in(address: str, networks: Iterable[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False  # a Unix socket has no address
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)


def forward_request(
    head: RequestHead, peer: Peer, request_id: bytes, tail: bytes, upgrade: bytes, authority: bytes
) -> bytes:
    """The bytes of `head` as the upstream gets them.

    request_id: a fresh one, used unless a trusted proxy sent one. tail: the lines that are the same for every request
    to this version. upgrade: the protocol asked for, or b"". authority: of the endpoint, for a request without Host.
    """
    fields = head.fields
    raw = head.raw
    if head.onward is None and repeatable(head):
        head.onward = _onward(head, peer)
    if head.onward is not None:
        lines, named = head.onward
        return b"".join((raw[: raw.find(b"\r\n")], lines, peer.own, named, request_id, b"\r\n", tail))
    own_target = head.target[:1] == b"/" or head.target == b"*"
    if head.cut or not own_target or not head.host:
        raw = _without_private_fields(head, own_target)
    if not own_target or head.minor == 0:
        raw = _own_request_line(head, raw)
    host = fields[b"host"][0] if b"host" in fields else b""
    if head.minor == 0:
        tail = tail.replace(b"Via: 1.1 ", b"Via: 1.0 ", 1)  # RFC 9110 section 7.6.3: the version it was received in
    parts = [raw[:-2], peer.forwarded(fields, host)]
    if not (host and own_target):
        parts.append(b"Host: %b\r\n" % (host or authority))
    if b"x-request-id" not in fields:
        parts.append(b"X-Request-Id: %b\r\n" % request_id)
    if upgrade:
        parts.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % upgrade)
    parts.append(tail)
    return b"".join(parts)


def repeatable(head: RequestHead) -> bool:
    """Whether a further head with the same lines after its first means the same, and passes on in the same way."""
    return head.plain or (
        head.minor == 1 and head.host != b"" and head.target[:1] == b"/" and _ONCE.isdisjoint(head.fields)
    )


def _onward(head: RequestHead, peer: Peer) -> tuple[bytes, bytes]:
    raw = _without_private_fields(head, True) if head.cut else head.raw
    forwarded = peer.forwarded(head.fields, head.fields[b"host"][0])
    return raw[raw.find(b"\r\n") : -2], forwarded.removeprefix(peer.own) + b"X-Request-Id: "


def _without_private_fields(head: RequestHead, own_target: bool) -> bytes:
    """The head's bytes without the fields of this connection, and without what only a trusted proxy may say."""
    raw, fields, cut = head.raw, head.fields, set(head.cut)
    if b"connection" in cut:
        # PERF: what nearly every client sends, cut by one replace: 0.2 of the regex.
        if line := USUAL_CONNECTIONS.get(fields[b"connection"]):
            raw = raw.replace(line, b"\r\n", 1)
            if len(raw) != len(head.raw):
                cut.discard(b"connection")
        else:
            cut.update(nominated(fields))
    if not own_target or fields.get(b"host") == (b"",):
        cut.add(b"host")
    return _without(raw, cut) if cut else raw


def _is_private(name: bytes, trusted: bool) -> bool:
    if name in HOP_BY_HOP:
        return True
    plain = name.replace(b"_", b"-")
    if plain.startswith(b"x-gray-"):
        return True
    if plain == b"x-real-ip" or plain.startswith(b"x-forwarded-"):
        return not trusted or name == b"x-forwarded-for" or plain != name
    return name == b"forwarded" and not trusted


def _own_request_line(head: RequestHead, raw: bytes) -> bytes:
    """A proxy speaks its own version, and origin-form to an origin (RFC 9112 sections 2.3 and 3.2.1)."""
    target = head.target
    if target[:1] != b"/" and target != b"*":
        rest = target.split(b"://", 1)[1]
        slash = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
        if head.path == b"*":
            target = b"*"  # RFC 9112 section 3.2.4
        else:
            target = rest[slash:] if rest[slash : slash + 1] == b"/" else b"/" + rest[slash:]
    return b"%b %b HTTP/1.1%b" % (head.method, target, raw[raw.index(b"\r\n") :])


def forward_response(head: ResponseHead, added: bytes, *, chunked: bool = True, upgrade: bool = False) -> bytes:
    """The bytes of `head` as the client gets them, with the lines `added`, which end with a line end.

    chunked: the client gets the body in the chunks it came in; otherwise Transfer-Encoding is taken off.
    upgrade: this head opens a tunnel, so Connection and Upgrade pass.
    """
    raw = head.raw
    fields = head.fields
    if head.plain and (chunked or head.length >= 0):
        return raw[:-2] + added + b"\r\n" if added else raw
    if fields:
        cut = {name for name in fields if name in HOP_BY_HOP}
        if head.status == 204 or head.status < 200:
            cut.update((b"content-length", b"transfer-encoding"))  # RFC 9110 section 8.6, RFC 9112 section 6.1
        if b"connection" in fields:
            cut.update(nominated(fields))
        if upgrade:
            cut -= {b"connection", b"upgrade"}
        if not chunked:
            cut.add(b"transfer-encoding")
        if head.status == 426 and b"upgrade" in fields:  # RFC 9110 section 15.5.22
            added += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % b", ".join(fields[b"upgrade"])
        if cut:
            raw = _without(raw, cut)
    if head.minor == 0:
        raw = b"HTTP/1.1" + raw[8:]
    return raw[:-2] + added + b"\r\n" if added else raw
