"""What rules change of a request or an answer: headers, the path that is asked for instead, where a redirect leads.

Paths are changed in the form that rules see (`RequestHead.path`: dot segments resolved, unreserved characters decoded),
so that nothing but what a route took can reach the place it leads to. A path that does not change stays as sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from proxy.http.message import RequestHead
from proxy.rules.actions import HeaderChanges, PathChange, Redirect
from proxy.rules.model import PathMatch
from proxy.rules.paths import prefixes

Target = Callable[[RequestHead], bytes]

_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))
_PORTS: Final = {b"http": b"80", b"https": b"443"}


class FieldChanges(NamedTuple):
    """cut: fields to take out, in lower case; lines: (name, value) of those to append then."""

    cut: frozenset[str]
    lines: tuple[tuple[str, str], ...]


def added_up(changes: Iterable[HeaderChanges | None]) -> FieldChanges:
    """Several changes made one after the other, each set, add, remove in this order, as one."""
    cut: set[str] = set()
    lines: list[tuple[str, str]] = []
    for change in changes:
        if change is not None:
            gone = {name.lower() for name in (*dict(change.set), *change.remove)}
            cut |= gone
            lines = [line for line in lines if line[0].lower() not in gone]
            lines += (*change.set, *change.add)
    return FieldChanges(frozenset(cut), tuple(lines))


def own_target(head: RequestHead) -> bytes:
    """Path and query as sent, of whatever form the target is (RFC 9112 section 3.2)."""
    if head.target[:1] == b"/":
        return head.target
    return b"%b?%b" % (head.path, head.query) if head.query else head.path


def new_target(change: PathChange, scope: PathMatch) -> Target:
    """Path and query in place of those asked for. scope: the route's path, whose elements are the prefix."""
    value = quote(change.value, safe=_PRINTABLE).encode()
    if change.kind == "full":
        new = _full(value)
    else:
        new = _prefix(value, prefixes(scope.value)[0].count(b"/"))

    def target(head: RequestHead) -> bytes:
        return head.path if head.path == b"*" else new(head)  # RFC 9112 section 3.2.4: no path at all

    return target


def _full(value: bytes) -> Target:
    if b"?" in value:
        return lambda head: value
    return lambda head: b"%b?%b" % (value, head.query) if head.query else value


def _prefix(value: bytes, depth: int) -> Target:
    """As the Gateway API's table of ReplacePrefixMatch says it. depth: elements of the prefix."""
    stem = value.rstrip(b"/")

    def target(head: RequestHead) -> bytes:
        # Counted, not compared: a prefix beyond ASCII has two spellings.
        elements = head.path.split(b"/", depth + 1)
        path = (b"%b/%b" % (stem, elements[-1]) if len(elements) > depth + 1 else value) or b"/"
        return b"%b?%b" % (path, head.query) if head.query else path

    return target


def location(redirect: Redirect, scope: PathMatch) -> Target:
    """The URL that a request is sent to. A scheme's own port is not written."""
    scheme = (redirect.scheme or "").encode()
    host, port = redirect.host.encode(), b"%d" % redirect.port if redirect.port else b""
    target = own_target if redirect.path is None else new_target(redirect.path, scope)

    def where(head: RequestHead) -> bytes:
        new_scheme = scheme or head.scheme
        new_port = port or (b"" if scheme else _named_port(head))
        path = target(head)
        return b"%b://%b%b%b" % (
            new_scheme,
            host or head.host,
            b":" + new_port if new_port and new_port != _PORTS.get(new_scheme) else b"",
            b"" if path == b"*" else path,
        )

    return where


def leads_away(redirect: Redirect, scope: PathMatch) -> Callable[[RequestHead], Any]:
    """Whether a redirect leads elsewhere than to what was asked for, as any true or false value. So none is a loop.

    It leads nowhere for a request without a Host, unless it names one.
    """
    tests: list[Callable[[RequestHead], Any]] = []
    if redirect.scheme:
        scheme = redirect.scheme.encode()
        tests.append(lambda head: head.scheme != scheme)
    if redirect.host:
        host = redirect.host.encode()
        tests.append(lambda head: head.host != host)
    if redirect.port:
        port = b"%d" % redirect.port
        tests.append(lambda head: (_named_port(head) or _PORTS.get(head.scheme)) != port)
    if redirect.path is not None:
        target = new_target(redirect.path, scope)
        tests.append(lambda head: target(head) != own_target(head))
    away = tests[0] if len(tests) == 1 else lambda head: any(test(head) for test in tests)
    return away if redirect.host else lambda head: head.host and away(head)


def _named_port(head: RequestHead) -> bytes:
    """The port in Host, which is the one that the client knows; b"" if it names none."""
    _, _, port = head.fields.get(b"host", (b"",))[0].rpartition(b":")
    return port if port.isdigit() else b""
