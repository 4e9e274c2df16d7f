"""The cases: what is asked of each proxy. A new case is a new entry of CASES, or of PROBES (probes.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from benchmarks import drive
from benchmarks.drive import Aim
from benchmarks.load import BROWSER_FIELDS, Load, Message
from benchmarks.peers.base import Setup

HEADS = 10_000  # different ones, before they come again: more than any proxy remembers


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    about: str
    messages: list[Message]
    connections: int = 64
    # Proxies are started once for each setup; one that cannot be set up so sits the case out.
    setup: Setup = field(default_factory=Setup)
    drive: Callable[[Aim], Load] = drive.wrk
    capacity: float = 0.0  # for a steady rate: the share of what wrk has just shown to be the proxy's most
    turn: str = ""  # cases of one turn are measured in turn, round by round: their ratio is of interest
    unit: str = "req"


def mix(path: str, plain: int = 7, **fields: str) -> list[Message]:
    """Mostly requests that only the split decides, and one for each of the three matches: header, cookie, query."""
    cookie = BROWSER_FIELDS["Cookie"] + "; foo=bar"
    return [
        *[Message(path, fields=fields)] * plain,
        Message(path, fields=fields | {"foo": "bar"}),
        Message(path, fields=fields | {"Cookie": cookie}),
        Message(f"{path}?foo=bar", fields=fields),
    ]


def _of(person: int, message: Message) -> Message:
    """With this person's cookies, and the one that matches if it had that."""
    cookie = f"session={person:032x}; uid={person}; theme=dark" + "; foo=bar" * ("Cookie" in message.fields)
    return replace(message, fields=message.fields | {"Cookie": cookie})


def _people(path: str, count: int) -> list[Message]:
    """The same mix from so many people in turn, on every connection."""
    kinds = mix(path)
    return [_of(person, kinds[person % len(kinds)]) for person in range(count)]


def _hosts(setup: Setup, asked: int) -> list[Message]:
    """The same mix, each request to another one of so many hosts, spread over all there are, and of another person: or
    ten hosts would profit from heads that come again, and ten thousand would not."""
    hosts, kinds = setup.hosts[:: setup.routes // asked], mix("/")
    messages = []
    for number in range(max(asked, HEADS)):
        kind = kinds[(number + number // asked) % len(kinds)]
        messages.append(_of(number, replace(kind, fields=kind.fields | {"Host": hosts[number % asked]})))
    return messages


ONE, TWO = Setup(workers=1), Setup(workers=2)
DELIVERED = Setup(own_buffers=True)
FEW, MANY = Setup(routes=10), Setup(routes=10_000)

CASES = [
    Case("small", "12 bytes, 10 browser header fields, 3 in 10 match a rule", mix("/")),
    # What a proxy saves by knowing heads again it cannot save here; real clients lie between.
    Case("new", "small, no head like one of the last thousands, either way", _people("/new", HEADS)),
    Case("10k", "10 KiB down, the same requests", mix("/10k")),
    # A MiB is more than socket buffers hold: few connections, or it is the kernel's memory that is measured.
    Case("1m", "1 MiB down", mix("/1m"), connections=8),
    Case("1m-4k", "1 MiB down, nginx with the 4 KiB buffers of its defaults", mix("/1m"), 8, DELIVERED),
    Case("upload", "1 MiB up", [Message("/upload", "POST", body_bytes=1024 * 1024)], connections=8),
    Case("chunked", "64 KiB down in 16 chunks", mix("/chunked"), connections=16),
    Case("close", "small, a new connection for each request", mix("/", Connection="close"), connections=16),
    Case(
        "half",
        "small, at a steady rate, half of what each just did at most",
        mix("/"),
        drive=drive.steady,
        capacity=0.5,
    ),
    Case("log", "small, a JSON line for each request in a file", mix("/"), setup=Setup(access_log=True)),
    Case(
        "sticky",
        "small, of 40 people, the rest split by a cookie of theirs",
        _people("/", 40),
        setup=Setup(sticky=True),
    ),
    Case("tls", "small, by TLS 1.3 on kept connections", mix("/"), setup=Setup(tls=True)),
    Case(
        "websocket",
        "messages of 64 bytes there and back, one at a time on each connection",
        [],
        setup=Setup(websocket=True),
        drive=drive.messages,
        unit="msg",
    ),
    Case(
        "one-worker",
        "small, a worker on any core; client and services on one",
        mix("/"),
        setup=ONE,
        turn="workers",
    ),
    Case(
        "two-workers",
        "small, two workers on any core; client and services on one",
        mix("/"),
        setup=TWO,
        turn="workers",
    ),
    Case("routes-few", "small, 10 routes, asked for in turn", _hosts(FEW, 10), setup=FEW, turn="routes"),
    Case("routes-many", "small, 10,000 routes, 10 of them asked for", _hosts(MANY, 10), setup=MANY, turn="routes"),
    Case("routes-all", "small, 10,000 routes, all asked for in turn", _hosts(MANY, 10_000), setup=MANY, turn="routes"),
]
