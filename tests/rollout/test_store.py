from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxy.rollout.gates import Counts
from proxy.rollout.plan import State
from proxy.rollout.store import JOURNAL_MAX, Entry, Record, load, save

OF = ("shop", "everyone", "v1", "v2")


def test_what_is_saved_is_known_again(tmp_path: Path) -> None:
    """State, counts to compare with, and the journal, of which the last entries are kept; nothing else is left."""
    record = Record(OF, State("waiting", 1, 20.0, False, (5.0,), 12.5, True, "é"), Counts(10, 1, (9, 1), 2, {200: 9}))
    record.journal.extend(Entry(float(number), "step", "2 of 3", "by 127.0.0.1") for number in range(JOURNAL_MAX + 5))
    save(tmp_path / "state.json", {"shop-v2": record, "new": Record(OF)})
    found = load(tmp_path / "state.json")
    assert found == {"shop-v2": record, "new": Record(OF)}
    assert len(found["shop-v2"].journal) == JOURNAL_MAX and found["shop-v2"].journal[0].at == 5.0
    assert os.listdir(tmp_path) == ["state.json"]


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    assert load(tmp_path / "state.json") == {}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 2, "rollouts": {}}', '{"format": 1, "rollouts": {"a": 1}}',
     '{"format": 1, "rollouts": {"a": {"of": [], "state": {"phase": "lost", "ours": []}, "before": null,'
     ' "journal": []}}}',
     '{"format": 1, "rollouts": {"a": {"of": [], "state": {"ours": []}, "before": null, "journal": [{"x": 1}]}}}'],
)  # fmt: skip
def test_a_file_that_is_none_of_ours_is_told(tmp_path: Path, text: str) -> None:
    """Not even half of it is believed."""
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(ValueError, match="cannot be made out"):
        load(tmp_path / "state.json")


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        save(tmp_path / "gone" / "state.json", {})
