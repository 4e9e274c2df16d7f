"""What one match costs, in nanoseconds: `python benchmarks/match.py`.

Each case runs over many different requests, read by the reader of the data plane. The time of the bare loop is taken
off. Reading cookies and the query counts: heads are used once per round. CPU time of the thread, so that what else runs
counts only by the caches it empties; median and best of several rounds, cases in turn.

Does choosing among more cost more? The requests of every size go to ten of the routes or values, spread over all, so
that the ratio tells what the look-up costs. `each` asks for all of them in turn: what it costs above that is
memory that is not in the processor's cache, the worst that a wide spread of requests can do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from statistics import median
from time import thread_time_ns

sys.path.insert(0, str(Path(__file__).parent.parent))  # so that it runs from a checkout without installing

from proxy.http.h1 import RequestReader
from proxy.http.message import RequestHead
from proxy.rules.compile import compile_table
from proxy.rules.model import (
    AnyOf,
    EndpointSpec,
    FieldTest,
    Otherwise,
    PathMatch,
    Route,
    Rule,
    RuleFile,
    Service,
    Split,
    TextTest,
    Version,
)
from proxy.rules.person import Sticky, StickyCookie, StickyKey

REQUESTS = 2_000
ROUNDS = 31
DICE = Random(1)
ENDPOINTS = (EndpointSpec("http://127.0.0.1:8081"),)
SHOP = Service("shop", "v1", {name: Version(name, ENDPOINTS) for name in ("v1", "v2")})
STABLE = Otherwise("version", "v1")
EVERYONE = Rule("everyone", split=Split((("v1", 80), ("v2", 20))))
BROWSER = "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*;q=0.8\r\nAccept-Language: en\r\n"
COOKIES = "Cookie: session=8d7f6a5b4c3d2e1f; theme=dark; lang=en; _ga=GA1.2.12345.67890; cart=42"


@dataclass
class Case:
    """routes, and a function that gives the n-th request as (path, host, header lines)."""

    name: str
    routes: tuple[Route, ...]
    request: Callable[[int], tuple[str, str, str]]
    base: str = ""  # the case whose time this one is compared with


def equal(where: str, name: str, *values: str) -> FieldTest:
    return FieldTest(where, name, TextTest("in", values))  # type: ignore[arg-type]


def route(rules: tuple[Rule, ...], **scope: object) -> Route:
    return Route("shop", "shop", STABLE, rules=rules, **scope)  # type: ignore[arg-type]


def gray_release() -> tuple[Route, ...]:
    testers = Rule("testers", AnyOf((equal("header", "foo", "bar"), equal("cookie", "foo", "bar"))), version="v2")
    return (route((testers, EVERYONE)),)


def cases() -> list[Case]:
    """All cases; sizes of one kind stand together, the smallest first."""
    plain = lambda n: (f"/cart/{n}", "shop.example.com", "")  # noqa: E731
    listed = [
        Case("gray release, 80/20", gray_release(), plain),
        Case("gray release, header holds", gray_release(), lambda n: (f"/{n}", "shop.example.com", "foo: bar")),
        Case("gray release, 5 other cookies", gray_release(), lambda n: (f"/{n}", "shop.example.com", COOKIES)),
        Case(
            "gray release, cookie holds",
            gray_release(),
            lambda n: (f"/{n}", "shop.example.com", COOKIES + "; foo=bar"),
        ),
        Case(
            "sticky by header",
            (route((Rule("r", split=EVERYONE.split, sticky=Sticky((StickyKey("header", "x-user"),))),)),),
            lambda n: ("/", "shop.example.com", f"x-user: user-{n}"),
        ),
        Case(
            "sticky by cookie of 6",
            (route((Rule("r", split=EVERYONE.split, sticky=Sticky(cookie=StickyCookie("gray"))),)),),
            lambda n: ("/", "shop.example.com", f"{COOKIES}; gray=id-{n}"),
        ),
        Case(
            "sticky, cookie issued",
            (route((Rule("r", split=EVERYONE.split, sticky=Sticky(cookie=StickyCookie("gray"))),)),),
            plain,
        ),
        Case(
            "one regex in RE2",
            (route((Rule("r", FieldTest("header", "ua", TextTest("regex", (r"v\d+",))), version="v2"), EVERYONE)),),
            lambda n: ("/", "shop.example.com", f"ua: agent v{n}"),
        ),
    ]
    for size, asked in ((10, 10), (100, 10), (1_000, 10), (10_000, 10), (10_000, 10_000)):
        listed += scaled(size, asked)
    return sorted(listed, key=lambda case: case.base)


def scaled(size: int, asked: int) -> list[Case]:
    """The same choice among `size` routes or values, of which the requests ask for so many."""
    step = size // asked
    label = f"{size:,}" if asked == 10 else f"{size:,}, each"

    def nth(n: int) -> int:
        return n * 7919 % asked * step

    def rule(n: int) -> Rule:
        return Rule(f"r{n}", equal("header", "x", f"v{n}"), "v2")

    in_list = Rule("r", equal("header", "x", *(f"v{n}" for n in range(size))), "v2")
    return [
        Case(
            f"hosts: {label}",
            tuple(route((EVERYONE,), hosts=(f"h{n}.example.com",)) for n in range(size)),
            lambda n: ("/", f"h{nth(n)}.example.com", ""),
            base="hosts: 10",
        ),
        Case(
            f"prefixes: {label}",
            tuple(route((EVERYONE,), path=PathMatch("prefix", f"/p{n}")) for n in range(size)),
            lambda n: (f"/p{nth(n)}/cart", "shop.example.com", ""),
            base="prefixes: 10",
        ),
        Case(
            f"values, a rule each: {label}",
            (route((*map(rule, range(size)), EVERYONE)),),
            lambda n: ("/", "shop.example.com", f"x: v{nth(n)}"),
            base="values, a rule each: 10",
        ),
        Case(
            f"values, one list: {label}",
            (route((in_list, EVERYONE)),),
            lambda n: ("/", "shop.example.com", f"x: v{nth(n)}"),
            base="values, one list: 10",
        ),
    ]


def fresh(heads: list[RequestHead]) -> list[RequestHead]:
    """Copies whose cookies and query have not been read yet."""
    return [
        RequestHead(h.method, h.target, h.minor, h.host, h.path, h.query, dict(h.fields), h.raw, h.client, h.scheme)
        for h in heads
    ]


class Bench:
    """One case, compiled, with its requests."""

    def __init__(self, case: Case) -> None:
        ids = count()
        table = compile_table(RuleFile({"shop": SHOP}, case.routes), DICE.random, lambda: f"id{next(ids)}")
        reader = RequestReader(table.needs)
        self.case = case
        self.match = table.match
        self.heads = [reader.read(raw(*case.request(n))) for n in range(REQUESTS)]
        self.taken: list[float] = []

    def round(self) -> None:
        """Match each request once."""
        match, heads = self.match, fresh(self.heads)
        start = thread_time_ns()
        for head in heads:
            match(head)
        middle = thread_time_ns()
        for _ in heads:
            pass
        end = thread_time_ns()
        self.taken.append((middle - start - (end - middle)) / REQUESTS)


def raw(path: str, host: str, lines: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{BROWSER}{lines}{chr(13) + chr(10) if lines else ''}\r\n".encode()


def main() -> None:
    benches = [Bench(case) for case in cases()]
    for _ in range(ROUNDS):
        for bench in benches:  # in turn, so that a noisy moment meets all of them
            bench.round()
    results = {bench.case.name: median(bench.taken) for bench in benches}
    for bench in benches:
        name, base = bench.case.name, bench.case.base
        ratio = f"{results[name] / results[base]:8.2f} x" if base else ""
        print(f"{name:32}{results[name]:8.0f} ns   best{min(bench.taken):8.0f} ns{ratio}")


if __name__ == "__main__":
    main()
