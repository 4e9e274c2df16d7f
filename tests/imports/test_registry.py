"""From a text of manifests to a text of rules: what is taken, what is refused, and where faults are said to be."""

from __future__ import annotations

import json

import pytest
import yaml

from proxy.errors import RuleError
from proxy.imports.registry import import_text
from tests.imports.world import World, ingress


def test_rules_are_no_manifests() -> None:
    assert import_text("services: {}\nroutes: []\n", "rules.yaml") is None


def test_the_same_manifests_give_the_same_text() -> None:
    """To the byte, whether as YAML, as a list or as JSON from the cluster; only lines in notes are other ones."""
    both = [ingress("main", name="main"), ingress("canary", name="canary", canary="true", canary_weight="5")]
    listed = {"apiVersion": "v1", "kind": "List", "items": both}
    texts = [yaml.safe_dump_all(both), yaml.safe_dump(listed), json.dumps(listed), json.dumps(listed, indent=4)]
    made = [import_text(text, "x.yaml") for text in texts]
    assert len({each.text for each in made if each is not None}) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Ingress\nmetadata: [\n", "x.yaml:3:1: not YAML"),
        ("kind: Ingress\nkind: Ingress\n", "x.yaml:2:1: kind: duplicate key 'kind'"),
        ("kind: Deployment\nmetadata: {name: web}\n", "x.yaml:1:1: nothing here gives a route: there is no Ingress"),
        ("kind: Ingress\nspec: {rules: [{host: a.b}]}\n", "x.yaml:1:1: nothing here gives a route"),
        ("kind: Ingress\n---\n- a\n", "x.yaml:3:1: expected a Kubernetes object"),
        ("kind: Ingress\n---\nrollouts: {}\n", "`kind`; rules do not stand beside them: `grayhound import` makes"),
    ],
)
def test_what_gives_no_rules_is_a_fault(text: str, said: str) -> None:
    with pytest.raises(RuleError) as error:
        import_text(text, "x.yaml")
    assert said in str(error.value)


def test_notes_say_where() -> None:
    """Line, column and object; and so does the head of the file."""
    imported = import_text(yaml.safe_dump(ingress("web", auth_url="http://x")), "x.yaml")
    assert imported is not None
    (note,) = imported.notes
    assert str(note).startswith(f"x.yaml:{note.line}:{note.column}: Ingress default/gray: auth-url is not kept")
    assert f"#   - line {note.line}: Ingress default/gray: auth-url is not kept" in imported.text


def test_annotations_that_are_kept_stand_beside_their_route() -> None:
    """By name and value."""
    said = {"proxy_read_timeout": "120", "rewrite_target": "/$2", "force_ssl_redirect": "true"}
    text = World(ingress("web", path="/api(/|$)(.*)", kind="ImplementationSpecific", **said)).text
    assert "  # force-ssl-redirect: true; proxy-read-timeout: 120; rewrite-target: /$2\n" in text


def test_what_was_meant_stands_beside_each_part() -> None:
    """Which object and annotation it came from."""
    world = World(
        ingress("main", name="main"),
        ingress("canary", name="canary", canary="true", canary_weight="5", canary_by_cookie="c"),
    )
    for comment in (
        "# Ingress default/main, host www.example.com, path / (Prefix)",
        "# Ingress default/canary: canary-by-cookie: c",
        "# Ingress default/canary: canary-weight: 5 of 100",
        "# Services of the cluster: default/main:80, default/canary:80",
    ):
        assert comment in world.text
