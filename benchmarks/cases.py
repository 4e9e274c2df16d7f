"""The cases: what is asked of each proxy. A new case is a new entry of CASES."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.load import BROWSER_FIELDS, Message


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    about: str
    messages: list[Message]
    connections: int = 64
    # What the proxies must have switched on beyond the common rules, e.g. "access_log". Proxies are started once for
    # each set of features; one that lacks a feature sits the case out.
    features: frozenset[str] = field(default=frozenset())


def _mix(path: str, plain: int = 7, **fields: str) -> list[Message]:
    """Mostly requests that only the split decides, and one for each of the three matches: header, cookie, query."""
    cookie = BROWSER_FIELDS["Cookie"] + "; foo=bar"
    return [
        *[Message(path, fields=fields)] * plain,
        Message(path, fields=fields | {"foo": "bar"}),
        Message(path, fields=fields | {"Cookie": cookie}),
        Message(f"{path}?foo=bar", fields=fields),
    ]


def _all_new(path: str) -> list[Message]:
    """The same mix from so many people that a connection hardly ever carries the same fields twice in a row."""
    people = [f"session={number:032x}; uid={number}; theme=dark" for number in range(40)]
    messages = _mix(path) * 4
    return [
        Message(message.path, fields=message.fields | {"Cookie": cookie + "; foo=bar" * ("Cookie" in message.fields)})
        for message, cookie in zip(messages, people, strict=True)
    ]


CASES = [
    Case("small", "12 bytes, 10 browser header fields, 3 in 10 match a rule", _mix("/")),
    # What a proxy saves by knowing the last head again it cannot save here; connections of real clients lie between.
    Case("new", "small, no head like the one before it on a connection, either way", _all_new("/new")),
    Case("10k", "10 KiB down, the same requests", _mix("/10k")),
    # A MiB is more than socket buffers hold: few connections, or it is the kernel's memory that is measured.
    Case("1m", "1 MiB down", _mix("/1m"), connections=8),
    Case("upload", "1 MiB up", [Message("/upload", "POST", body_bytes=1024 * 1024)], connections=8),
    Case("chunked", "64 KiB down in 16 chunks", _mix("/chunked"), connections=16),
    Case("close", "small, a new connection for each request", _mix("/", Connection="close"), connections=16),
    Case("log", "small, an access log line for each request in a file", _mix("/"), features=frozenset({"access_log"})),
]
