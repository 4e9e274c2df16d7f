"""Expected trouble, said once: who is at fault, what the client is told, what may be done about it."""

from __future__ import annotations

from typing import Literal

from proxy.data import dataclass

Side = Literal["client", "upstream", "proxy"]


class ProxyError(Exception):
    """Expected trouble with one request.

    side: who is at fault. flag: a short stable word for logs and metrics. status: what the client is told.
    text: one short sentence for the client, without internals. lines, body: of the answer, from it.
    """

    def __init__(self, side: Side, flag: str, status: int, text: str) -> None:
        super().__init__(text)
        self.side = side
        self.flag = flag
        self.status = status
        self.text = text
        self.lines = b"Content-Type: text/plain; charset=utf-8\r\n"
        self.body = text.encode() + b"\n"


class BadRequest(ProxyError):
    """What the client sent may not be forwarded (RFC 9112): nothing of it reaches an upstream."""

    def __init__(self, text: str, status: int = 400, flag: str = "bad_request") -> None:
        super().__init__("client", flag, status, text)


class BadResponse(ProxyError):
    """What the upstream sent is not HTTP, or its framing is ambiguous."""

    def __init__(self, text: str) -> None:
        super().__init__("upstream", "protocol", 502, text)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault or warning in a rule file: where it is, what is wrong and what to do.

    line and column count from 1; path is the place in the file, like `routes[0].rules[1].split`.
    """

    file: str
    line: int
    column: int
    path: str
    text: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        return f"{where}{self.path}: {self.text}" if self.path else where + self.text


class RuleError(Exception):
    """A rule file that cannot be used: every fault in it, in file order."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class StartError(Exception):
    """The process cannot start; the text is the one line the operator reads."""
