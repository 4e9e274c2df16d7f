"""The rule file as a source: every way of saving is noticed, no content is believed half-way."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.sources import file as file_module
from proxy.sources.base import SourceError
from proxy.sources.file import FileSource
from proxy.tasks import spawn

NOTICED_S = 0.9  # within a second of the save, with some left for the way to the workers


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def same_size_and_time(path: Path, text: str) -> None:
    """As `rsync --times --inplace` or a network disk with stale attributes would show it."""
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def renamed_over(path: Path, text: str) -> None:
    fresh = path.with_suffix(".tmp")
    fresh.write_text(text)
    fresh.rename(path)


def deleted_and_made_anew(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def backed_up_and_made_anew(path: Path, text: str) -> None:
    """As vim does with `backupcopy=no`."""
    path.rename(path.with_name(path.name + "~"))
    path.write_text(text)


def truncated_and_appended(path: Path, text: str) -> None:
    with path.open("w") as file:
        for letter in text:
            file.write(letter)
            file.flush()


WAYS = [in_place, same_size_and_time, renamed_over, deleted_and_made_anew, backed_up_and_made_anew]


@pytest.mark.parametrize("save", [*WAYS, truncated_and_appended])
async def test_every_way_of_saving_is_noticed(tmp_path: Path, save: Callable[[Path, str], None]) -> None:
    """The new content arrives within a second, whole, however it was saved."""
    path = tmp_path / "rules.yaml"
    path.write_text("one")
    source = FileSource(str(path))
    assert source.read().text() == "one"
    for text in ("two", "six"):
        save(path, text)
        began = time.monotonic()
        content = await source.changed()
        assert (content.text(), content.name) == (text, str(path))
        assert time.monotonic() - began < NOTICED_S


async def test_a_config_map_is_followed(tmp_path: Path) -> None:
    """Kubernetes swaps the `..data` symlink that the file's own symlink leads through."""
    for name, text in (("..1", "one"), ("..2", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rules.yaml").write_text(text)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "rules.yaml").symlink_to("..data/rules.yaml")
    source = FileSource(str(tmp_path / "rules.yaml"))
    source.read()
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    assert (await source.changed()).text() == "two"


async def test_a_save_that_changes_nothing_is_told_once(tmp_path: Path) -> None:
    """A touch, or the same bytes written anew: whoever saved is to hear that nothing is new. Without it, silence."""
    path = tmp_path / "rules.yaml"
    path.write_text("one")
    source = FileSource(str(path))
    source.read()
    for save in (lambda: os.utime(path, (1, 1)), lambda: renamed_over(path, "one")):
        save()
        assert (await source.changed()).text() == "one"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2 * file_module.POLL_S + file_module.SETTLE_S):
            await source.changed()


async def test_a_reread_returns_what_stands(tmp_path: Path) -> None:
    """Asked to, the source reads at once and returns the content, changed or not."""
    path = tmp_path / "rules.yaml"
    path.write_text("one")
    source = FileSource(str(path))
    source.read()
    source.reread()
    assert (await source.changed()).text() == "one"


async def test_a_file_away_for_a_moment_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Missing is no error; missing for long is said once, and so is the return."""
    monkeypatch.setattr(file_module, "POLL_S", 0.001)
    monkeypatch.setattr(file_module, "SETTLE_S", 0.001)
    path = tmp_path / "rules.yaml"
    path.write_text("one")
    source = FileSource(str(path))
    source.read()
    path.unlink()
    changed = spawn(source.changed(), name="changed")
    with caplog.at_level("INFO", "grayhound.rules"):
        while not caplog.records:
            await asyncio.sleep(0)
        path.write_text("two")
        assert (await changed).text() == "two"
    assert [record.getMessage() for record in caplog.records] == [
        f"cannot read {path}: No such file or directory; the last good rules keep serving",
        f"{path} can be read again",
    ]


async def test_still_tells_a_passing_content(tmp_path: Path) -> None:
    """A content replaced a moment later was passing, one that stays was not."""
    path = tmp_path / "rules.yaml"
    path.write_text("half")
    source = FileSource(str(path))
    content = source.read()
    assert await source.still(content)
    path.write_text("half and half")
    assert not await source.still(content)


def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file, a directory, a pipe and an endless file all raise, none blocks."""
    os.mkfifo(tmp_path / "pipe")
    for name, text in (
        ("none", f"cannot read {tmp_path}/none: No such file or directory"),
        (".", f"{tmp_path} is not a file"),
        ("pipe", f"{tmp_path}/pipe is not a file"),
    ):
        with pytest.raises(SourceError, match=f"^{text}$"):
            FileSource(str(tmp_path / name)).read()
    monkeypatch.setattr(file_module, "FILE_BYTES_MAX", 1024 * 1024)
    big = tmp_path / "big"
    big.write_bytes(b"#" * 1024 * 1024)
    assert len(FileSource(str(big)).read().data) == 1024 * 1024
    big.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(SourceError, match="is larger than 1 MiB"):
        FileSource(str(big)).read()
