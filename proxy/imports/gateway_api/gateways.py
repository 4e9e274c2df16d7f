"""Gateways and their listeners: which hosts an HTTPRoute is asked for, and over which scheme.

Listeners are told apart by scheme and host name: a rule file does not know ports. A route whose Gateway is not in the
manifests is taken as attached to a listener for every host.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from proxy.data import dataclass
from proxy.imports.draft import Draft
from proxy.imports.manifests import Object, get, items_at, text_at
from proxy.rules.read.nodes import Map, Node, Scalar

GROUP: Final = "gateway.networking.k8s.io"
SCHEMES: Final = {"HTTP": "http", "HTTPS": "https"}
"""By a listener's protocol; what comes over the others is no HTTP."""
NAMESPACE_LABEL: Final = "kubernetes.io/metadata.name"

Schemes = frozenset[str]


@dataclass(frozen=True, slots=True)
class Listener:
    """Where requests come in. host: empty for every one. gateway: the one that it belongs to."""

    host: str
    scheme: str
    name: str
    port: str
    gateway: str
    owner: Object
    node: Node


class Gateways:
    """The Gateways of the manifests."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._namespaces = {each.name: each for each in draft.objects if each.kind == "Namespace"}
        self._listeners: dict[tuple[str, str, str], list[Listener]] = {}
        for each in draft.objects:
            if each.group == GROUP and each.kind in ("Gateway", "ListenerSet"):
                self._listeners[each.kind, each.namespace, each.name] = list(_listeners(each))
        every = [listener for listeners in self._listeners.values() for listener in listeners]
        self.schemes: Schemes = frozenset(listener.scheme for listener in every) or frozenset(SCHEMES.values())
        """Those that requests come over."""
        self._hosts: dict[tuple[str, str], set[str]] = defaultdict(set)  # of listeners, by gateway and scheme
        first: dict[tuple[str, str], Listener] = {}
        for listener in every:
            self._hosts[listener.gateway, listener.scheme].add(listener.host)
            other = first.setdefault((listener.scheme, listener.host), listener)
            if (other.gateway, other.port) != (listener.gateway, listener.port):
                same = f"port {other.port} of Gateway {other.gateway}"
                what = f"a rule file knows no ports: routes of port {listener.port} are one with those of {same}"
                draft.note(listener.owner, listener.node, what)
        self._asked: dict[str, dict[str, set[str]]] = {scheme: defaultdict(set) for scheme in self.schemes}

    def hosts(self, route: Object) -> dict[str, Schemes]:
        """The hosts that a route is asked for, each with the schemes; the empty host is every one."""
        found: dict[str, set[str]] = {}
        own = [each.text.lower() for each in items_at(route.body, "spec", "hostnames") if isinstance(each, Scalar)]
        for listener in self._attached(route):
            for scheme in self.schemes if listener is None else (listener.scheme,):
                for host in own or [""]:
                    common = host if listener is None else _intersection(listener.host, host)
                    if common is not None and self._own(listener, scheme, common):
                        found.setdefault(common, set()).add(scheme)
                        self._asked[scheme][common].add(listener.gateway if listener else "")
        if not found:
            wanted = ", ".join(own) or "every host"
            self._draft.note(route, route.body, f"left out: no listener of its Gateways takes it ({wanted})")
        return {host: frozenset(schemes) for host, schemes in found.items()}

    def ends(self) -> dict[str, Schemes]:
        """Hosts after whose routes a request ends with 404 although routes of wider hosts would take it: it is the
        business of one listener of a Gateway, the most specific. Asked when the hosts of every route are known.
        """
        found: dict[str, set[str]] = {}
        for scheme, asked in self._asked.items():
            hosts = {host for (_, each), hosts in self._hosts.items() if each == scheme for host in hosts}
            for host in sorted(hosts | asked.keys()):
                wider = max(
                    (each for each in asked if each != host and covers(each, host)), key=_specific, default=None
                )
                if wider is not None and all(self._parts(each, scheme, wider, host) for each in asked[wider]):
                    found.setdefault(host, set()).add(scheme)
        return {host: frozenset(schemes) for host, schemes in found.items()}

    def _parts(self, gateway: str, scheme: str, wide: str, narrow: str) -> bool:
        """Whether two hosts are the business of two listeners of a Gateway."""
        return self._taker(gateway, scheme, wide) != self._taker(gateway, scheme, narrow)

    def _taker(self, gateway: str, scheme: str, host: str) -> str | None:
        """The host of the listener whose business a host is; None: of none."""
        hosts = self._hosts.get((gateway, scheme), ())
        return max((each for each in hosts if covers(each, host)), key=_specific, default=None)

    def _own(self, listener: Listener | None, scheme: str, host: str) -> bool:
        """Whether a host is this listener's business, and not that of one more specific."""
        return listener is None or self._taker(listener.gateway, scheme, host) == listener.host

    # --- Attaching --------------------------------------------------------------------------------------------------

    def _attached(self, route: Object) -> Iterator[Listener | None]:
        """The listeners that take a route; None: one that is not in the manifests."""
        parents = items_at(route.body, "spec", "parentRefs")
        if not parents:
            yield None
        for parent in parents:
            kind = text_at(parent, "kind") or "Gateway"
            namespace = text_at(parent, "namespace") or route.namespace
            listeners = self._listeners.get((kind, namespace, text_at(parent, "name")))
            if listeners is None:
                if kind not in ("Gateway", "ListenerSet"):
                    self._draft.note(route, parent, f"its parent is a {kind}, as in a mesh: taken as a Gateway")
                yield None
                continue
            section, port = text_at(parent, "sectionName"), text_at(parent, "port")
            for listener in listeners:
                if section in ("", listener.name) and port in ("", listener.port) and self._admits(listener, route):
                    yield listener

    def _admits(self, listener: Listener, route: Object) -> bool:
        """What the listener says of kinds and namespaces of routes."""
        kinds = [text_at(each, "kind") for each in items_at(listener.node, "allowedRoutes", "kinds")]
        if kinds and route.kind not in kinds:
            return False
        namespaces = get(listener.node, "allowedRoutes", "namespaces")
        who = text_at(namespaces, "from") or "Same"
        if who != "Selector":
            return who == "All" or (who == "Same" and listener.owner.namespace == route.namespace)
        return self._selects(listener, get(namespaces, "selector"), route.namespace)

    def _selects(self, listener: Listener, selector: Node | None, namespace: str) -> bool:
        """Whether a namespace has these labels; one that is not in the manifests may have any."""
        if items_at(selector, "matchExpressions"):
            what = "`matchExpressions` of the namespaces of its routes are not looked at: every one is taken to match"
            self._draft.note(listener.owner, listener.node, what)
        known = self._namespaces.get(namespace)
        labels = _texts(get(known.body, "metadata", "labels")) if known else {}
        wanted = _texts(get(selector, "matchLabels"))
        name = wanted.pop(NAMESPACE_LABEL, namespace)
        return name == namespace and (known is None or wanted.items() <= labels.items())


def covers(wide: str, narrow: str) -> bool:
    """Whether every host that `narrow` stands for is one of `wide`."""
    return wide in ("", narrow) or (wide.startswith("*.") and narrow.endswith(wide[1:]))


def _intersection(listener: str, route: str) -> str | None:
    """The hosts that both stand for, if there are any: always the narrower of the two."""
    if covers(listener, route):
        return route
    return listener if covers(route, listener) else None


def _specific(host: str) -> tuple[bool, int]:
    return bool(host) and not host.startswith("*"), len(host)


def _listeners(owner: Object) -> Iterator[Listener]:
    parent = get(owner.body, "spec", "parentRef")
    namespace = text_at(parent, "namespace") or owner.namespace
    gateway = f"{namespace}/{text_at(parent, 'name') or owner.name}"
    for node in items_at(owner.body, "spec", "listeners"):
        scheme = SCHEMES.get(text_at(node, "protocol"))
        if scheme is not None:
            host, name = text_at(node, "hostname").lower(), text_at(node, "name")
            yield Listener(host, scheme, name, text_at(node, "port"), gateway, owner, node)


def _texts(node: Node | None) -> dict[str, str]:
    entries = node.entries.values() if isinstance(node, Map) else ()
    return {key.text: value.text for key, value in entries if isinstance(value, Scalar)}
