"""Before anything is measured: does this proxy do the work that the measurement is about?"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import socket
import ssl
from collections import Counter
from collections.abc import Iterator

from benchmarks.drive import UPGRADE
from benchmarks.peers.base import Site
from benchmarks.services import MESSAGE_ANSWERED, MESSAGE_ASKED

DRAWS = 400
TOLERANCE = 0.08  # four standard deviations of 400 draws at 20 %
BODIES = {"/": 12, "/10k": 10 * 1024, "/1m": 1024 * 1024, "/chunked": 64 * 1024}
PEOPLE = map("uid=person-{}".format, itertools.count())  # each request is of another one unless it matters


def faults(site: Site) -> list[str]:
    """What the proxy does not do as all of them should; empty if all is well."""
    try:
        with contextlib.closing(Visitor(site)) as visitor:
            return list(visitor.finds())
    except (OSError, http.client.HTTPException) as error:
        return [f"{type(error).__name__}: {error}"]


class Visitor:
    """One connection."""

    def __init__(self, site: Site) -> None:
        self.site, self.host = site, site.setup.hosts[-1]
        self.connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=5)
        if site.setup.tls:
            context = ssl._create_unverified_context()
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            self.connection = http.client.HTTPSConnection("127.0.0.1", site.port, timeout=5, context=context)

    def close(self) -> None:
        self.connection.close()

    def finds(self) -> Iterator[str]:
        yield from self._matches()
        yield from self._split()
        yield from self._bodies()
        if self.site.setup.sticky:
            yield from self._people()
        if self.site.setup.routes:
            yield from self._hosts()
        if self.site.setup.websocket:
            yield from self._messages()
        yield from self._fields()

    def _ask(self, path: str = "/", body: bytes | None = None, **fields: str) -> tuple[str, bytes]:
        """The version that answered, and its body."""
        head = {"Host": self.host, "Accept": "*/*", "Cookie": next(PEOPLE)} | fields
        self.connection.request("POST" if body else "GET", path, body, head)
        response = self.connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise http.client.HTTPException(f"{path} was answered {response.status} {content[:200]!r}")
        return response.getheader("x-served-by", "?"), content

    def _matches(self) -> Iterator[str]:
        matching = {"header": {"foo": "bar"}, "cookie": {"Cookie": "a=1; foo=bar; b=2"}}
        for kind, fields in (matching | {"query": {"path": "/?a=1&foo=bar"}}).items():
            if {self._ask(**fields)[0] for _ in range(20)} != {"v2"}:
                yield f"the {kind} foo=bar does not always lead to v2"
        missing = {"header": {"foo": "bars"}, "query": {"path": "/?xfoo=bar"}}
        for kind, fields in (missing | {"cookie": {"Cookie": "xfoo=bar; foo=bars; "}}).items():
            near = [fields | {"Cookie": fields.get("Cookie", "") + next(PEOPLE)} for _ in range(20)]
            if {self._ask(**one)[0] for one in near} == {"v2"}:
                yield f"a {kind} that only resembles foo=bar always leads to v2"

    def _split(self) -> Iterator[str]:
        share, wanted = Counter(self._ask()[0] for _ in range(DRAWS))["v2"] / DRAWS, self.site.share / 100
        if abs(share - wanted) > TOLERANCE:
            yield f"{share:.0%} of the rest went to v2, not {wanted:.0%}"

    def _people(self) -> Iterator[str]:
        people = [f"a=b; {next(PEOPLE)}" for _ in range(40)]
        if any(len({self._ask(Cookie=person)[0] for _ in range(5)}) > 1 for person in people):
            yield "people are not kept on a version"

    def _hosts(self) -> Iterator[str]:
        for host in self.site.setup.hosts[:: self.site.setup.routes // 10]:
            if self._ask(Host=host, foo="bar")[0] != "v2":
                yield f"{host} has no rules"

    def _bodies(self) -> Iterator[str]:
        for path, length in BODIES.items():
            if (came := len(self._ask(path)[1])) != length:
                yield f"{path} came with {came} bytes, not {length}"
        upload = bytes(1024 * 1024)
        if (came_up := self._ask("/upload", upload)[1]) != b"%d\n" % len(upload):
            yield f"of an upload of {len(upload)} bytes {came_up!r} arrived"

    def _messages(self) -> Iterator[str]:
        with socket.create_connection(("127.0.0.1", self.site.port), 5) as one:
            one.sendall(UPGRADE.text().encode())
            head, answered = one.recv(4096), b""
            one.sendall(MESSAGE_ASKED * 2)
            while len(answered) < 2 * len(MESSAGE_ANSWERED) and (piece := one.recv(4096)):
                answered += piece
        if not head.startswith(b"HTTP/1.1 101 ") or answered != MESSAGE_ANSWERED * 2:
            yield f"an upgrade was answered {head!r}, then {answered!r}"

    def _fields(self) -> Iterator[str]:
        """What the service sees. The last request closes the connection."""
        heads = [_seen(self._ask("/echo", **fields)[1]) for fields in ({}, {"Connection": "close"})]
        wanted = {"host": self.host, "x-forwarded-proto": self.site.scheme, "x-forwarded-host": self.host}
        for name, value in wanted.items():
            if heads[0].get(name) != value:
                yield f"the service sees {name}: {heads[0].get(name)}, not {value}"
        if not heads[0].get("x-forwarded-for"):  # not always 127.0.0.1: Envoy names the machine instead of loopback
            yield "the service sees no X-Forwarded-For"
        if len({head.get("x-request-id", "") for head in heads} - {""}) != 2:
            yield "there is no fresh X-Request-Id for each request"
        if "close" in heads[1].get("connection", ""):
            yield "a client's Connection: close is passed on: no keep-alive to the services"


def _seen(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
