"""The words of a rule file's own tests: a request, and what the rules must say of it. Part of the model."""

from __future__ import annotations

from proxy.data import dataclass


@dataclass(frozen=True, slots=True)
class TrialRequest:
    """The request that a trial sends through the rules."""

    host: str = "localhost"
    """The Host field."""
    path: str = "/"
    """The path as sent, with its query if any."""
    method: str = "GET"
    """The method."""
    headers: tuple[tuple[str, str], ...] = ()
    """(name, value) in file order; a list of values in the file is a repeated field."""
    cookies: tuple[tuple[str, str], ...] = ()
    """(name, value), sent as one Cookie field."""
    client_ip: str = "127.0.0.1"
    """The client's address."""
    scheme: str = "http"
    """How the client comes: http or https."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the decision must be; what is None is not looked at."""

    service: str | None = None
    """The service."""
    version: str | None = None
    """The version; not certain, and so a fault, where it is drawn at random."""
    route: str | None = None
    """The route's name; empty text: no route takes it."""
    rule: str | None = None
    """The rule's name; empty text: no rule takes it."""
    reason: str | None = None
    """match, weight, sticky or default."""
    status: int | None = None
    """What the proxy itself answers: 404 if no route takes it, or what `otherwise`, `respond` or `redirect` say."""
    redirect: str | None = None
    """The URL that the client is sent to; empty text: it is sent nowhere."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One entry of `tests:`."""

    request: TrialRequest
    """What is asked."""
    expect: Expectation
    """What the rules must say."""
    line: int
    """Where it stands in the file, from 1."""
    column: int
    """Where it stands in the line, from 1."""
    path: str
    """Its place in the file, like `tests[0]`."""
