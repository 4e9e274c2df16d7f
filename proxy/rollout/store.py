"""Remembers rollouts across restarts: where each is, and what has happened, in a small file beside the rules."""

from __future__ import annotations

import json
import os
import tempfile
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, field
from pathlib import Path
from typing import Any, Final

from proxy.data import dataclass
from proxy.rollout.gates import Counts
from proxy.rollout.plan import PHASES, State
from proxy.rules.rollouts import Rollout

JOURNAL_MAX: Final = 200
"""Events of one rollout that are remembered: some releases, or one with a hundred steps."""
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened, at `at` in Unix time. by: who did it, empty for the rollout itself."""

    at: float
    event: str
    text: str
    by: str = ""


@dataclass(slots=True)
class Record:
    """What is known of one rollout. of: the split and versions it is about, with others it is another rollout.
    before: the old version's counts in an earlier step."""

    of: tuple[str, ...]
    state: State = field(default_factory=State)
    before: Counts | None = None
    journal: deque[Entry] = field(default_factory=lambda: deque(maxlen=JOURNAL_MAX))


def subject(rollout: Rollout) -> tuple[str, ...]:
    """What it is about: steps and gates may change on the way."""
    return rollout.route, rollout.rule, rollout.old, rollout.new


def load(path: Path) -> dict[str, Record]:
    """What the file remembers; nothing if there is none. Raises ValueError if it cannot be made out."""
    try:
        data = json.loads(path.read_bytes())
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}")
        return {str(name): _record(known) for name, known in data["rollouts"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be made out ({error}); rollouts begin by what the rules say") from None


def save(path: Path, records: Mapping[str, Record]) -> None:
    """Whole or not at all. Raises OSError."""
    data = {"format": FORMAT, "rollouts": {name: _plain(record) for name, record in records.items()}}
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(data, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(handle)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _plain(record: Record) -> dict[str, Any]:
    return {
        "of": record.of,
        "state": asdict(record.state),
        "before": asdict(record.before) if record.before is not None else None,
        "journal": [asdict(entry) for entry in record.journal],
    }


def _record(known: dict[str, Any]) -> Record:
    state = State(**known["state"] | {"ours": tuple(map(float, known["state"]["ours"]))})
    if state.phase not in PHASES or state.step < 0 or not 0 <= state.weight <= 100 or state.held_s < 0:
        raise ValueError(f"state {known['state']}")
    before = known["before"]
    if before is not None:
        whole = {int(status): int(count) for status, count in before["whole"].items()}
        before = Counts(before["requests"], before["failed"], tuple(before["buckets"]), before["left"], whole)
    entries = (Entry(**entry) for entry in known["journal"])
    return Record(tuple(map(str, known["of"])), state, before, deque(entries, JOURNAL_MAX))
