"""People with browsers, before compiled rules: for tests of who stays and who moves."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from proxy.http.message import RequestHead
from proxy.rules.compile import compile_table
from proxy.rules.decision import Decision
from proxy.rules.model import RuleFile
from proxy.rules.pin import Now, still
from proxy.rules.table import RouteTable
from tests.rules.build import request

_ids = count()


def issue() -> str:
    """An id in the form of those that the proxy issues."""
    return f"{next(_ids):024x}"


def table_of(rule_file: RuleFile, now: Now = still) -> RouteTable:
    """Compiled, with ids that nobody else has."""
    return compile_table(rule_file, lambda: 0.5, issue, now)


class Person:
    """Keeps the cookies that are set. keys: header fields of each request, like `x-user: 42`."""

    def __init__(self, *keys: str, **cookies: str) -> None:
        self.keys = keys
        self.cookies = cookies
        self.told = 0  # how often a cookie was set

    def head(self, path: str = "/") -> RequestHead:
        jar = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return request(path, *self.keys, *([f"Cookie: {jar}"] if jar else []))

    def visit(self, table: RouteTable, path: str = "/") -> Decision:
        """One request, and what is decided."""
        decision = table.match(self.head(path))
        assert decision is not None
        if decision.set_cookie:
            self.told += 1
            name, _, value = decision.set_cookie.decode().partition(";")[0].partition("=")
            self.cookies[name] = value
        return decision


def versions(people: Iterable[Person], table: RouteTable, path: str = "/") -> list[str]:
    """Where each of them is now."""
    return [person.visit(table, path).version for person in people]
