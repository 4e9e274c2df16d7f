"""A rule file in the making: importers add services, routes and notes; `written` gives its text.

Services of the cluster become versions: those that one route divides its traffic between are the versions of one
service here, named after the stable one. What several routes say of the same stable one is gathered in one service, and
so are its metrics and limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from itertools import chain, count
from typing import Any, Literal

from proxy.data import dataclass
from proxy.imports.manifests import Object, get, items_at, text_at
from proxy.rules.read.nodes import Node

Scheme = Literal["http", "https"]
Urls = Mapping[str, str]
"""Where services are, in place of their names in the cluster: by `NAME`, `NAMESPACE/NAME`, either with `:PORT`."""

_GUESSED_PORTS = {"https": "443"}


@dataclass(frozen=True, slots=True)
class Backend:
    """A Service of the cluster and one of its ports, as an object refers to it."""

    namespace: str
    name: str
    port: str
    """A number, or the name of a port of the Service."""
    scheme: Scheme = "http"
    domain: str = "svc.cluster.local"
    """Where names of this kind of Service end."""
    changes: str = ""
    """Tells a version whose headers are changed from others of the same Service."""

    @property
    def label(self) -> str:
        return f"{self.namespace}/{self.name}:{self.port}"


@dataclass(slots=True)
class Part:
    """A map of the rule file, written key by key under its comments; dicts and lists in it are written short."""

    keys: dict[str, Any] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Note:
    """Something that could not be kept, or not as it was: where it stands, and what became of it."""

    line: int
    column: int
    where: str
    text: str


class ServiceDraft:
    """A service whose versions are Services of the cluster."""

    def __init__(self, name: str, part: Part) -> None:
        self.name = name
        self.part = part
        self.versions: dict[Backend, str] = {}


class Draft:
    """What was drafted so far. `objects`: all of the manifests; `urls`: see there."""

    def __init__(self, objects: Iterable[Object], urls: Urls | None = None) -> None:
        self.objects = list(objects)
        self.urls = urls or {}
        self.in_cluster = False
        """Whether an endpoint is a name that only the cluster knows."""
        self.services: dict[str, ServiceDraft] = {}
        self._by_stable: dict[tuple[Backend, str], ServiceDraft] = {}
        self.routes: list[Part] = []
        self._notes: dict[Note, None] = {}
        self._cluster = {(found.namespace, found.name): found for found in self.objects if found.kind == "Service"}
        self._titles: set[str] = set()

    def note(self, owner: Object, node: Node, text: str) -> None:
        """Say once that something of an object could not be kept."""
        self._notes[Note(node.line, node.column, owner.label, text)] = None

    @property
    def notes(self) -> list[Note]:
        """What was noted, in the order of the manifests."""
        return sorted(self._notes, key=lambda note: (note.line, note.column))

    def title(self, wanted: str) -> str:
        """A name for a route that no other one has."""
        name = wanted[:120]
        number = 1
        while name in self._titles:
            number += 1
            name = f"{wanted[:120]} {number}"
        self._titles.add(name)
        return name

    # --- Services ---------------------------------------------------------------------------------------------------

    def service(self, stable: Backend, comment: str, own: str = "") -> ServiceDraft:
        """The service whose stable version a backend is, with that version in it.

        own: asks for a service apart from others with the same stable version, whose settings differ; it is a suffix.
        """
        service = self._by_stable.get((stable, own))
        if service is None:
            name = self._service_name(stable, own)
            service = ServiceDraft(name, Part({"stable": "", "versions": Part()}))
            self.services[name] = self._by_stable[stable, own] = service
        if comment not in service.part.comments:
            service.part.comments.append(comment)
        return service

    def version(self, service: ServiceDraft, backend: Backend, owner: Object, node: Node) -> str:
        """The version of a service that a backend is; the first one is the stable one. `node`: where it is named."""
        known = service.versions.get(backend)
        if known is not None:
            return known
        taken = set(service.versions.values())
        full = backend.label.replace("/", ".")
        candidates = chain((backend.name, f"{backend.name}:{backend.port}", full), (f"{full}.{n}" for n in count(2)))
        name = next(name for name in candidates if name not in taken)
        service.versions[backend] = name
        service.part.keys["stable"] = service.part.keys["stable"] or name
        service.part.keys["versions"].keys[name] = {"endpoints": [self._url(backend, owner, node)]}
        return name

    def _service_name(self, stable: Backend, own: str) -> str:
        full = stable.label.replace("/", ".")
        names = chain((stable.name + own, full + own), (f"{full}.{n}{own}" for n in count(2)))
        return next(name for name in names if name not in self.services)

    def _url(self, backend: Backend, owner: Object, node: Node) -> str:
        full = f"{backend.namespace}/{backend.name}"
        for key in (f"{full}:{backend.port}", full, f"{backend.name}:{backend.port}", backend.name):
            if key in self.urls:
                return self.urls[key]
        found = self._cluster.get((backend.namespace, backend.name))
        host = text_at(found.body, "spec", "externalName") if found is not None else ""
        if not host:
            host, self.in_cluster = f"{backend.name}.{backend.namespace}.{backend.domain}", True
        return f"{backend.scheme}://{host}:{self._port(backend, found, owner, node)}"

    def _port(self, backend: Backend, found: Object | None, owner: Object, node: Node) -> str:
        spec = get(found.body, "spec") if found is not None else None
        for port in items_at(spec, "ports"):
            number = text_at(port, "port")
            if backend.port in (number, text_at(port, "name")) and number:
                # The name of a headless Service leads to Pods, and nothing translates their ports.
                target = text_at(port, "targetPort") if text_at(spec, "clusterIP") == "None" else ""
                return target if target.isdigit() else number
        if backend.port.isdigit():
            return backend.port
        service = f"Service {backend.namespace}/{backend.name}"
        guess = _GUESSED_PORTS.get(backend.port, "443" if backend.scheme == "https" else "80")
        missing = f"has no port '{backend.port}'" if found is not None else "is not in the file"
        self.note(
            owner,
            node,
            f"port '{backend.port}' of {service} has no number, as the Service {missing}: {guess} is taken; "
            f"add the Service, or say --service {backend.name}=URL",
        )
        return guess
