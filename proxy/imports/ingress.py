"""Ingress objects -> routes: a host and path is a route, its Services are versions of one service.

What annotations say of releases is read by the files of the controllers that had them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from proxy.imports.draft import Backend, Draft, Part
from proxy.imports.manifests import Object, get, items_at, text_at
from proxy.rules.nodes import Node

Scope = tuple[str, str, str]
"""Host (empty: every one), path, and how the path is compared: `Exact`, `Prefix`, `ImplementationSpecific`."""


@dataclass(slots=True)
class Location:
    """A host and path, and the Services it leads to, each with the node that names it."""

    scope: Scope
    ingress: Object
    backends: list[tuple[Backend, Node]] = field(default_factory=list)

    @property
    def label(self) -> str:
        host, path, kind = self.scope
        return f"{self.ingress.label}: host {host or 'any'}, path {path} ({kind})"


def draft_ingresses(ingresses: list[Object], draft: Draft) -> None:
    """Add a route for each host and path of these Ingress objects."""
    locations: dict[Scope, Location] = {}
    for ingress in ingresses:
        for scope, backend, node in _paths(ingress):
            location = locations.setdefault(scope, Location(scope, ingress))
            location.backends.append((backend, node))
    for location in locations.values():
        _draft_route(location, draft)


def _draft_route(location: Location, draft: Draft) -> None:
    host, path, kind = location.scope
    service = draft.service(location.backends[0][0], location.label)
    for backend, node in location.backends:
        draft.version(service, backend, location.ingress, node)
    name = draft.title(f"{location.ingress.name} {host}{path}")
    keys = {
        "name": name,
        "hosts": [host],
        "path": {"exact": path} if kind == "Exact" else path,
        "service": service.name,
    }
    if not host:
        del keys["hosts"]
    draft.routes.append(Part(keys, [location.label]))


def _paths(ingress: Object) -> Iterator[tuple[Scope, Backend, Node]]:
    for rule in items_at(ingress.body, "spec", "rules"):
        for path in items_at(rule, "http", "paths"):
            found = get(path, "backend")
            backend = _backend(ingress, found)
            if found is not None and backend is not None:
                kind = text_at(path, "pathType") or "ImplementationSpecific"
                yield (text_at(rule, "host").lower(), text_at(path, "path") or "/", kind), backend, found
    for key in ("defaultBackend", "backend"):
        found = get(ingress.body, "spec", key)
        backend = _backend(ingress, found)
        if found is not None and backend is not None:
            yield ("", "/", "Prefix"), backend, found


def _backend(ingress: Object, node: Node | None) -> Backend | None:
    """A backend in the words of networking.k8s.io/v1, or of the beta versions before it."""
    name = text_at(node, "service", "name") or text_at(node, "serviceName")
    port = text_at(node, "service", "port", "number") or text_at(node, "service", "port", "name")
    return Backend(ingress.namespace, name, port or text_at(node, "servicePort") or "80") if name else None
