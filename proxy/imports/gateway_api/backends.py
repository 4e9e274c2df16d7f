"""What a backendRef of an HTTPRoute refers to: a Service of the cluster or of a cluster set, if it may."""

from __future__ import annotations

from typing import Final

from proxy.imports.draft import Backend, Draft, Scheme
from proxy.imports.gateway_api.gateways import GROUP
from proxy.imports.manifests import Object, items_at, text_at
from proxy.rules.read.nodes import Node

DOMAINS: Final = {
    ("", "Service"): "svc.cluster.local",
    ("multicluster.x-k8s.io", "ServiceImport"): "svc.clusterset.local",
}
"""Where the names of what a backendRef may refer to end, by group and kind."""
SECURED: Final = ("https", "kubernetes.io/wss")
"""Protocols of a Service's port that need TLS."""


class Refused(Exception):
    """A backendRef that the API holds invalid; its requests get a 500."""


class BackendRefs:
    """Reads them, with the Services and grants that the manifests hold."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._services = {(each.namespace, each.name): each for each in draft.objects if each.kind == "Service"}
        self._grants = [each for each in draft.objects if each.kind == "ReferenceGrant"]
        policies = [each for each in draft.objects if each.group == GROUP and each.kind == "BackendTLSPolicy"]
        for each in policies:
            what = "its targets become https:// endpoints; its host name and certificates are left out: see `tls:`"
            draft.note(each, each.body, what)
        self._secured = {
            (each.namespace, text_at(target, "name"))
            for each in policies
            for target in items_at(each.body, "spec", "targetRefs")
        }

    def read(self, route: Object, node: Node) -> Backend:
        """Raises Refused."""
        group, kind = text_at(node, "group"), text_at(node, "kind") or "Service"
        domain = DOMAINS.get((group, kind))
        if domain is None:
            raise Refused(f"{kind}{f' of {group}' if group else ''} is no kind of backend that is known here")
        namespace, name = text_at(node, "namespace") or route.namespace, text_at(node, "name")
        if not name:
            raise Refused("it names nothing")
        if namespace != route.namespace:
            self._check_grant(route, node, (group, kind, namespace, name))
        port = text_at(node, "port") or self._only_port(namespace, name)
        if not port:
            port = "80"
            self._draft.note(route, node, f"the backendRef to {name} names no port: {port} is taken")
        return Backend(namespace, name, port, self._scheme(namespace, name, port), domain)

    def _check_grant(self, route: Object, node: Node, target: tuple[str, str, str, str]) -> None:
        group, kind, namespace, name = target
        grants = [grant for grant in self._grants if grant.namespace == namespace]
        if not grants:
            what = (
                f"{name} of namespace {namespace} needs a ReferenceGrant there, which the file lacks: taken as granted"
            )
            self._draft.note(route, node, what)
        elif not any(_grants(grant, route, group, kind, name) for grant in grants):
            raise Refused(f"no ReferenceGrant of namespace {namespace} lets it refer to {kind} {name}")

    def _only_port(self, namespace: str, name: str) -> str:
        service = self._services.get((namespace, name))
        ports = items_at(service.body, "spec", "ports") if service is not None else []
        return text_at(ports[0], "port") if len(ports) == 1 else ""

    def _scheme(self, namespace: str, name: str, port: str) -> Scheme:
        if (namespace, name) in self._secured:
            return "https"
        service = self._services.get((namespace, name))
        for each in items_at(service.body if service is not None else None, "spec", "ports"):
            if text_at(each, "port") == port and text_at(each, "appProtocol") in SECURED:
                return "https"
        return "http"


def _grants(grant: Object, route: Object, group: str, kind: str, name: str) -> bool:
    wanted = (GROUP, route.kind, route.namespace)
    givers = [
        tuple(text_at(each, key) for key in ("group", "kind", "namespace"))
        for each in items_at(grant.body, "spec", "from")
    ]
    targets = [
        (text_at(each, "group"), text_at(each, "kind"), text_at(each, "name") or name)
        for each in items_at(grant.body, "spec", "to")
    ]
    return wanted in givers and (group, kind, name) in targets
