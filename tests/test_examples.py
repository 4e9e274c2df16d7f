"""config/: every file that people copy is right, says so itself, and can be served."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.cli import main
from proxy.run.load import Loaded, load
from proxy.sources.base import Content

CONFIG = Path(__file__).parent.parent / "config"
FILES = [CONFIG / "rules.yaml", *sorted((CONFIG / "examples").glob("*.yaml"))]
WANTED = {
    "gray-release", "blue-green", "ab-test", "canary-by-weight", "beta-testers",
    "by-client-network", "websocket", "ack-ingress", "canary-rollout", "shadow",
}  # fmt: skip
WIDTH_MAX = 120

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def loaded(file: Path) -> Loaded:
    return load(Content(str(file), file.read_bytes()))


def test_there_is_one_for_each_kind_of_release() -> None:
    """And the folder's page leads to each of them."""
    assert {file.stem for file in FILES} == WANTED | {"rules"}
    page = (CONFIG / "examples/README.md").read_text()
    assert set(re.findall(r"\(([a-z-]+)\.yaml\)", page)) == WANTED


@each_file
def test_check_has_nothing_to_say(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No fault, no warning, and its own tests pass."""
    assert main(["check", str(file)]) == 0
    out = capsys.readouterr().out
    assert "0 warnings" in out and out.count("\n") == 1


@each_file
def test_every_rule_is_tried_by_the_files_own_tests(file: Path) -> None:
    """A reader sees for each rule a request that it takes; the reference, which shows every test at once, may not."""
    rule_file = loaded(file).rule_file
    tried = {trial.expect.rule for trial in rule_file.tests}
    rules = {rule.name for route in rule_file.routes for rule in route.rules}
    assert rule_file.tests
    assert rules <= tried or file.stem == "rules"


@each_file
def test_it_begins_by_saying_what_it_is_for(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert lines[0].startswith("# ") and ":" in lines[0]
    assert max(map(len, lines)) <= WIDTH_MAX
