"""Kubernetes manifests served as they are: an Ingress goes in, its releases come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from proxy.cli import main
from tests.imports.world import ingress
from tests.serve import services, serving

HOST = {"Host": "www.example.com"}


def outside(name: str, url: str) -> tuple[dict[str, Any], tuple[str, int]]:
    """A Service that stands for something outside of the cluster, and how an Ingress refers to it."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}}
    port = urlsplit(url).port
    assert port is not None
    return service | {"spec": {"type": "ExternalName", "externalName": "localhost"}}, (name, port)


async def test_an_ingress_is_served_and_followed(tmp_path: Path) -> None:
    """As a rule file: its rules decide, a change to it is live at once, and what is not kept is in the log."""
    path = tmp_path / "ingress.yaml"
    async with services("old", "new") as (old, new):
        old_service, old_backend = outside("old-nginx", old.url)
        new_service, new_backend = outside("new-nginx", new.url)

        def save(**annotations: str) -> None:
            released = ingress(old_backend, new_backend, **annotations)
            path.write_text(yaml.safe_dump_all([old_service, new_service, released]))

        save(service_match='new-nginx: header("foo", /^(bar|rab)$/)', limit_rps="5")
        async with serving(path) as proxy:
            assert await proxy.get(headers=HOST) == (200, "old")
            assert await proxy.get(headers=HOST | {"foo": "rab"}) == (200, "new")
            assert (await proxy.get(headers={"Host": "other.example.com"}))[0] == 404
            assert "limit-rps is not kept" in await proxy.said("limit-rps")
            (warning,) = (await proxy.api("/api/config"))["warnings"]
            assert warning["path"] == "Ingress default/gray" and warning["line"] > 1
            save(service_weight="new-nginx: 100, old-nginx: 0")
            await proxy.until(lambda: proxy.get(headers=HOST), (200, "new"))
            path.write_text("kind: Ingress\nmetadata: [\n")
            await proxy.said("is refused; generation 2 keeps serving")
            assert await proxy.get(headers=HOST) == (200, "new")


async def test_an_imported_rule_file_is_served(tmp_path: Path, capsys: Any) -> None:
    """What `import` prints, with Services said to be elsewhere, is a rule file like any other."""
    manifests, rules = tmp_path / "ingress.yaml", tmp_path / "rules.yaml"
    canary = ingress("canary", name="canary", canary="true", canary_by_header="X-Canary", canary_by_cookie="canary")
    manifests.write_text(yaml.safe_dump_all([ingress("main", name="main"), canary]))
    async with services("old", "new") as (old, new):
        assert main(["import", str(manifests), "--service", f"main={old.url}", "--service", f"canary={new.url}"]) == 0
        rules.write_text(capsys.readouterr().out)
        async with serving(rules) as proxy:
            assert await proxy.get(headers=HOST) == (200, "old")
            assert await proxy.get(headers=HOST | {"X-Canary": "always"}) == (200, "new")
            assert await proxy.get(headers=HOST | {"Cookie": "canary=always"}) == (200, "new")
            assert await proxy.get(headers=HOST | {"Cookie": "canary=always", "X-Canary": "never"}) == (200, "old")


async def test_a_service_without_endpoints_is_stood_in_for(tmp_path: Path) -> None:
    """ACK's end-to-end tests "no active endpoints": the other version answers, whichever of the two is left."""
    path = tmp_path / "ingress.yaml"
    matching = HOST | {"Foo": "bar"}
    for alive, dead in (("old-nginx", "new-nginx"), ("new-nginx", "old-nginx")):
        async with services(alive) as (running,):
            async with services(dead) as (stopped,):
                named = [outside(alive, running.url), outside(dead, stopped.url)]
            backends = sorted(backend for _, backend in named)
            released = ingress(*backends, service_match='new-nginx: header("Foo", "bar")')
            path.write_text(yaml.safe_dump_all([*(service for service, _ in named), released]))
            async with serving(path) as proxy:
                assert await proxy.get(headers=matching) == (200, alive)
                assert await proxy.get(headers=HOST) == (200, alive)
