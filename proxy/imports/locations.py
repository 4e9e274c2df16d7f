"""What Ingress objects say of hosts and paths: which Services stand there, and which are their canaries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field

from proxy.data import dataclass
from proxy.imports.draft import Backend, Draft, Scheme
from proxy.imports.manifests import Object, get, items_at, text_at
from proxy.rules.read import units
from proxy.rules.read.nodes import Node, Scalar

PREFIX = "nginx.ingress.kubernetes.io/"
_HTTPS = frozenset(("HTTPS", "GRPCS"))


@dataclass(frozen=True, slots=True)
class Scope:
    """A host (empty: every one) and a path. kind: `Exact`, `Prefix`, or `ImplementationSpecific`: nginx's own."""

    host: str
    path: str
    kind: str

    @property
    def label(self) -> str:
        return f"host {self.host or 'any'}, path {self.path} ({self.kind})"


@dataclass(frozen=True, slots=True)
class Named:
    """A Service, the Ingress that leads to it, and where that says so."""

    backend: Backend
    ingress: Object
    node: Node


@dataclass(slots=True)
class Location:
    """A host and path, the Services it leads to, and the canaries that other Ingress objects have for it."""

    scope: Scope
    ingress: Object
    backends: list[Named] = field(default_factory=list)
    canaries: list[Named] = field(default_factory=list)

    @property
    def label(self) -> str:
        return f"{self.ingress.label}, {self.scope.label}"


def annotation(ingress: Object, name: str) -> Scalar | None:
    """The value of an annotation of the controller."""
    return ingress.annotations().get(PREFIX + name)


def sent_value(where: str, text: str) -> str:
    """A text that a header or cookie can have for a value. Raises ValueError: a rule would ask for it in vain."""
    units.field_value(text)
    if text != text.strip(" \t") or (where == "cookie" and ";" in text):
        raise ValueError(f"no {where} is sent with the value {text!r}")
    return text


def is_canary(ingress: Object) -> bool:
    """Whether an Ingress is one for the canary of another."""
    said = annotation(ingress, "canary")
    return said is not None and said.text.strip().lower() in ("true", "t", "1")


def locations(ingresses: Iterable[Object], draft: Draft) -> list[Location]:
    """Every host and path in file order, with its canaries, wherever they stand. Of two claims the older counts."""
    ordered = _by_age(list(ingresses))
    found: dict[Scope, Location] = {}
    for ingress in ordered:
        if not is_canary(ingress):
            for scope, named in _named(ingress, draft):
                location = found.setdefault(scope, Location(scope, ingress))
                if location.ingress is ingress:
                    location.backends.append(named)
                else:
                    taken = f"{scope.label} is that of {location.ingress.label} already, which counts"
                    draft.note(ingress, named.node, taken)
    for ingress in ordered:
        if is_canary(ingress):
            for scope, named in _named(ingress, draft):
                _add_canary(found.get(scope), scope, named, draft)
    return list(found.values())


def _by_age(ingresses: list[Object]) -> list[Object]:
    """Oldest first, as the controller takes them; as they stand if they come from no cluster, so without an age."""
    ages = [text_at(ingress.body, "metadata", "creationTimestamp") for ingress in ingresses]
    return [ingresses[at] for at in sorted(range(len(ages)), key=ages.__getitem__)] if all(ages) else ingresses


def _add_canary(location: Location | None, scope: Scope, named: Named, draft: Draft) -> None:
    if location is None:
        wrong = f"no other Ingress has {scope.label}: a canary without a main one takes no request"
    elif any(main.backend == named.backend for main in location.backends):
        wrong = f"Service {named.backend.name} is the main one of {scope.label} itself: it is no canary of it"
    else:
        location.canaries.append(named)
        return
    draft.note(named.ingress, named.node, wrong)


def _named(ingress: Object, draft: Draft) -> Iterator[tuple[Scope, Named]]:
    for rule in items_at(ingress.body, "spec", "rules"):
        host = text_at(rule, "host").lower()
        for path in items_at(rule, "http", "paths"):
            kind = text_at(path, "pathType") or "ImplementationSpecific"
            scope = Scope(host, text_at(path, "path") or "/", kind)
            found = get(path, "backend")
            backend = _backend(ingress, found)
            if found is None or backend is None:
                draft.note(ingress, path, f"{scope.label} leads to no Service: requests for it get 404")
            elif wrong := _unfit(scope, backend):
                draft.note(ingress, path, f"left out: {wrong}")
            else:
                yield scope, Named(backend, ingress, found)
    for key in ("defaultBackend", "backend"):
        found, scope = get(ingress.body, "spec", key), Scope("", "/", "Prefix")
        backend = _backend(ingress, found)
        if found is not None and backend is not None:
            if wrong := _unfit(scope, backend):
                draft.note(ingress, found, f"left out: {wrong}")
            else:
                yield scope, Named(backend, ingress, found)


def _unfit(scope: Scope, backend: Backend) -> str:
    """Why no route can be made of these; empty if one can. Regexes in paths are judged by who knows that they are."""
    try:
        units.endpoint_url(
            f"http://{backend.name}.{backend.namespace}:{backend.port if backend.port.isdigit() else 80}"
        )
        units.name(backend.name)
        if scope.host:
            units.host_scope(scope.host)
        if scope.kind != "ImplementationSpecific":
            units.request_path(scope.path)
    except ValueError as error:
        return str(error)
    return ""


def _backend(ingress: Object, node: Node | None) -> Backend | None:
    """A backend in the words of networking.k8s.io/v1, or of the beta versions before it."""
    name = text_at(node, "service", "name") or text_at(node, "serviceName")
    port = text_at(node, "service", "port", "number") or text_at(node, "service", "port", "name")
    protocol = annotation(ingress, "backend-protocol")
    scheme: Scheme = "https" if protocol is not None and protocol.text.strip().upper() in _HTTPS else "http"
    return Backend(ingress.namespace, name, port or text_at(node, "servicePort") or "80", scheme) if name else None
