from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.rollout.editor import BOM, Editor, NotLive, NotWritten, live_weight, moved
from proxy.rules.model import RuleFile, Split
from proxy.rules.rollouts import Rollout
from proxy.run.load import load
from proxy.sources.base import Content

RULES = """\
# The shop.
services: {shop: {versions: {v1: {endpoints: [http://a:1]}, v2: {endpoints: [http://b:1]}}}}
routes:
  - name: shop
    service: shop
    rules:
      - name: everyone
        split: {v1: 100,   v2: 0}   # moved by the rollout
rollouts:
  shop-v2: {route: shop, from: v1, to: v2, steps: [{weight: 100}]}
"""


def failing(number: int) -> Callable[..., Any]:
    """A call that fails with this error."""

    def call(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number))

    return call


def read(data: bytes) -> RuleFile:
    return load(Content("rules.yaml", data)).rule_file


def edit(path: Path, percent: float, data: bytes | None = None) -> Rollout:
    """One edit, by rules in use that the file held a moment ago."""
    data = data if data is not None else path.read_bytes()
    rule_file = read(data)
    rollout = rule_file.rollouts["shop-v2"]
    Editor(path, read).set_weight(rollout, percent, rule_file, hashlib.sha256(data).hexdigest())
    return rollout


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES)
    return tmp_path / "rules.yaml"


def test_the_file_says_what_is_wanted(path: Path) -> None:
    """Comments and spaces stay, as do mode and owner; nothing is left beside it."""
    path.chmod(0o640)
    rollout = edit(path, 5.0)
    assert path.read_text() == RULES.replace("{v1: 100,   v2: 0}", "{v1: 95,   v2: 5}")
    assert live_weight(read(path.read_bytes()), rollout) == 5.0
    assert path.stat().st_mode & 0o7777 == 0o640 and os.listdir(path.parent) == ["rules.yaml"]


def test_a_byte_order_mark_and_a_link_stay(path: Path) -> None:
    """The file that the link leads to is the one that changes."""
    path.write_bytes(BOM + RULES.encode())
    link = path.parent / "link.yaml"
    link.symlink_to(path)
    edit(link, 20.0)
    assert link.is_symlink() and path.read_bytes().startswith(BOM + b"# The shop")
    assert b"{v1: 80,   v2: 20}" in path.read_bytes()


def test_a_save_by_somebody_else_is_not_overwritten(path: Path) -> None:
    """What is in the file is not what is in use: whoever saved it comes first."""
    path.write_text(RULES + "# saved by hand\n")
    with pytest.raises(NotLive, match="holds other rules than those in use"):
        edit(path, 5.0, RULES.encode())
    assert path.read_text() == RULES + "# saved by hand\n"


def test_a_read_only_file_is_left_alone(path: Path) -> None:
    """Even where its folder, or being root, would allow it."""
    path.chmod(0o444)
    with pytest.raises(NotWritten, match=r"cannot write .*rules.yaml: it is read-only"):
        edit(path, 5.0)
    assert path.read_text() == RULES
    with pytest.raises(NotWritten, match=r"cannot read .*gone.yaml: No such file"):
        edit(path.parent / "gone.yaml", 5.0, RULES.encode())


def test_a_config_map_is_told_by_its_name(path: Path) -> None:
    """As a kubelet lays one out: links by way of `..data`, which stay."""
    folder = path.parent / "..2026_11_23"
    folder.mkdir()
    (path.parent / "..data").symlink_to(folder.name)
    path.rename(folder / path.name)
    path.symlink_to(f"..data/{path.name}")
    path.chmod(0o444)
    with pytest.raises(NotWritten, match=r"it is of a ConfigMap or Secret, .* a rollout needs its rules on a volume"):
        edit(path, 5.0)
    assert path.is_symlink() and path.read_text() == RULES


def test_a_full_disk_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only copy is not written into while there is no room for another."""
    monkeypatch.setattr("tempfile.mkstemp", failing(errno.ENOSPC))
    with pytest.raises(NotWritten, match="No space left on device"):
        edit(path, 5.0)
    assert path.read_text() == RULES and os.listdir(path.parent) == [path.name]


def test_a_folder_of_others_is_no_obstacle(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is then written in place, and gets its text back where there is no room for the new one."""
    monkeypatch.setattr("tempfile.mkstemp", failing(errno.EACCES))
    number = path.stat().st_ino
    edit(path, 5.0)
    assert "{v1: 95,   v2: 5}" in path.read_text() and path.stat().st_ino == number
    before, pwrite, full = path.read_text(), os.pwrite, iter([False, True])

    def half(file: int, data: bytes, offset: int) -> int:
        if next(full, False):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(file, data[: len(data) // 2 + 1], offset)

    monkeypatch.setattr("os.pwrite", half)
    with pytest.raises(NotWritten, match="No space left on device"):
        edit(path, 20.0)
    assert path.read_text() == before


@pytest.mark.parametrize("in_place", [False, True])
def test_a_save_at_the_very_moment_is_not_overwritten(
    path: Path, monkeypatch: pytest.MonkeyPatch, in_place: bool
) -> None:
    """Between the check of the new text and the moment it takes the place of the old one."""

    def save(*_: object, **__: object) -> None:
        path.write_text(RULES + "# by hand\n")
        if in_place:
            failing(errno.EACCES)()

    monkeypatch.setattr(*("tempfile.mkstemp", save) if in_place else ("os.fsync", save))
    with pytest.raises(NotLive, match="just saved by somebody else"):
        edit(path, 5.0)
    assert path.read_text() == RULES + "# by hand\n" and os.listdir(path.parent) == [path.name]


def test_what_the_file_itself_forbids_is_not_saved(path: Path) -> None:
    """Its own tests hold before and after; a split that stands in two places is not moved in both."""
    test = "tests: [{request: {cookies: {u: x}}, expect: {version: v1}}]\n"
    sticky = RULES.replace("   # moved", "\n        sticky: {by: {cookie: u}}  # moved") + test
    path.write_text(sticky)
    with pytest.raises(NotWritten, match=r"the rules would be refused: .*:12:9: tests.*expected version"):
        edit(path, 100.0)
    shared = RULES.replace("split: {", "split: &s {").replace("rollouts:", "      - {name: b, split: *s}\nrollouts:")
    shared = shared.replace("rules:", "rules:\n      - {name: a, match: {method: GET}, split: {v1: 1, v2: 1}}")
    shared = shared.replace("steps:", "rule: everyone, steps:")
    path.write_text(shared)
    with pytest.raises(NotWritten, match="more than these weights would change"):
        edit(path, 5.0)
    assert path.read_text() == shared


def test_other_versions_keep_their_shares() -> None:
    """Beside them, two weights add up to what they did; alone, to 100."""
    rollout = read(RULES.encode()).rollouts["shop-v2"]
    assert moved(Split((("v1", 1.0), ("v2", 0.0))), rollout, 5.0) == {"v1": 95.0, "v2": 5.0}
    assert moved(Split((("v1", 50.0), ("v2", 0.0), ("v3", 50.0))), rollout, 5.0) == {"v1": 47.5, "v2": 2.5}
    with pytest.raises(NotWritten, match="nothing to divide"):
        moved(Split((("v1", 0.0), ("v2", 0.0), ("v3", 50.0))), rollout, 5.0)
