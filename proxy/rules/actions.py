"""The words for what may be done with a request besides sending it to a version. Part of the model."""

from __future__ import annotations

from typing import Literal

from proxy.data import dataclass

Scheme = Literal["http", "https"]
PathChangeKind = Literal["full", "prefix"]
MirrorBy = Literal["requests", "users"]


@dataclass(frozen=True, slots=True)
class PathChange:
    """Another path in place of the one asked for. The query stays, unless the new path brings its own."""

    kind: PathChangeKind
    """full: the whole path; prefix: the elements that are the route's path, the rest stays."""
    value: str
    """What stands there instead; empty, of kind prefix only: nothing."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """The client is told to ask elsewhere. What is not given stays as it was asked for."""

    scheme: Scheme | None = None
    """http or https. Without a `port` the new address has that scheme's own."""
    host: str = ""
    """The name to ask, in lower case; empty: the same."""
    port: int = 0
    """The port; 0: the one that the client named, or the scheme's own where `scheme` is given."""
    path: PathChange | None = None
    """Another path; none: the same."""
    status: int = 302
    """301 and 302: mostly asked again with GET; 303: always; 307 and 308: with the same method and body.
    301 and 308 are remembered by browsers."""


@dataclass(frozen=True, slots=True)
class Respond:
    """The proxy itself answers."""

    status: int = 200
    """The status, 200 to 599."""
    headers: tuple[tuple[str, str], ...] = ()
    """(name, value) in file order. Content-Length is the proxy's own; Content-Type is plain text unless given."""
    body: str = ""
    """Sent as UTF-8; statuses 204, 205 and 304 have none."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What the service is asked for instead; the client does not see it."""

    host: str = ""
    """The Host field, with a port if need be; empty: as the client sent it."""
    path: PathChange | None = None
    """Another path; none: the same."""


@dataclass(frozen=True, slots=True)
class HeaderChanges:
    """Changes to a header. No name stands here twice, whatever its case."""

    set: tuple[tuple[str, str], ...] = ()
    """(name, value): these fields get these values, in place of those they have."""
    add: tuple[tuple[str, str], ...] = ()
    """(name, value): these values come after those that the fields have."""
    remove: tuple[str, ...] = ()
    """Fields that are taken out."""


@dataclass(frozen=True, slots=True)
class Compare:
    """What of two answers must be equal, besides status and body."""

    headers: tuple[str, ...] = ("content-type", "location")
    """In lower case. Default: those by which a client knows what it got, and where it is sent."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """A version that is sent a copy of requests. It delays nobody, and its answers are thrown away."""

    version: str
    """The version of the route's service."""
    percent: float = 1.0
    """The share that is copied, from 0 to 1."""
    by: MirrorBy = "requests"
    """What it is a share of. users: known as for `sticky`, so that all of a person's requests are copied, or none."""
    methods: tuple[str, ...] = ("GET", "HEAD")
    """The methods that are copied. Default: those that change nothing, as each copy is carried out once more."""
    compare: Compare | None = None
    """Count how its answers differ from those that clients get, and keep examples. true: with the headers below."""
