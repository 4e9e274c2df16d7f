"""Manifests imported, parsed, compiled, and asked: the way from an Ingress to a decision, as the proxy goes it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml

from proxy.http.h1 import read_request_head
from proxy.http.message import RequestHead
from proxy.imports.registry import import_text
from proxy.rules.compile import compile_table
from proxy.rules.decision import Decision
from proxy.rules.parse import parse

DRAWS = 1000


class World:
    """What becomes of requests under some manifests: a text, or objects as Python has them."""

    def __init__(self, *manifests: Any, urls: dict[str, str] | None = None) -> None:
        text = "---\n".join(each if isinstance(each, str) else yaml.safe_dump(each) for each in manifests)
        imported = import_text(text, "ingress.yaml", urls)
        assert imported is not None
        self.text = imported.text
        self.notes = [note.text for note in imported.notes]
        parsed = parse(imported.text, "rules.yaml")
        self.rule_file, self.warnings = parsed.rule_file, parsed.warnings
        self._draw = 0.0
        self._table = compile_table(self.rule_file, lambda: self._draw, lambda: "0" * 24)

    def decision(self, *host: str, **request: Any) -> Decision | None:
        """What the rules say of a request; None: 404."""
        return self._table.match(self._head(*host, **request))

    def redirect(self, **request: Any) -> str:
        """The address that its client is sent to; empty: to none."""
        return self._table.explain(self._head(**request)).redirect

    def _head(
        self,
        host: str = "www.example.com",
        path: str = "/",
        headers: dict[str, str] | None = None,
        cookies: dict[str, str] | None = None,
        client: str = "192.0.2.1",
        method: str = "GET",
        scheme: str = "http",
    ) -> RequestHead:
        """A request as it comes over the wire."""
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {host}",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        if cookies:
            lines.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in cookies.items()))
        head = read_request_head("\r\n".join([*lines, "", ""]).encode(), self._table.needs)
        head.client, head.scheme = client, scheme.encode()
        return head

    def shares(self, **request: Any) -> dict[str, float]:
        """By version, the share of equal requests that it gets, in percent."""
        counted: Counter[str] = Counter()
        for number in range(DRAWS):
            self._draw = (number + 0.5) / DRAWS
            decision = self.decision(**request)
            counted[decision.version if decision is not None else "404"] += 1
        return {version: 100 * count / DRAWS for version, count in counted.items()}


def ingress(
    *backends: tuple[str, int] | str,
    name: str = "gray",
    host: str = "www.example.com",
    path: str = "/",
    kind: str = "Prefix",
    **annotations: str,
) -> dict[str, Any]:
    """An Ingress with these Services on one path; annotations by their short names, `_` for `-`."""
    named = [(each, 80) if isinstance(each, str) else each for each in backends]
    paths = [
        {"path": path, "pathType": kind, "backend": {"service": {"name": service, "port": {"number": port}}}}
        for service, port in named
    ]
    said = {f"nginx.ingress.kubernetes.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "annotations": said},
        "spec": {"rules": [{"host": host, "http": {"paths": paths}}]},
    }
