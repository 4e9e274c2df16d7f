"""Moves two weights in the rule file, which then goes live by the way of every other save.

The text is edited in place at the line and column of the weights, not written anew from a tree as ruamel.yaml would:
comments, quotes and layout stay to the byte, and what comes of it is read by the proxy's own reader before it is saved:
nothing but the weights may have changed, and the file's own tests must hold.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from proxy.errors import RuleError
from proxy.rollout.reweigh import reweigh
from proxy.rules.model import Route, Rule, RuleFile, Split
from proxy.rules.rollouts import Rollout

BOM: Final = b"\xef\xbb\xbf"

IN_PLACE: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV)
"""Why no file can take the place of another though that one may be written: its folder is somebody else's, or it is
mounted by itself. A disk that is full or broken is no reason to write into the only copy."""

Read = Callable[[bytes], RuleFile]
"""The rules that these bytes of the file are. Raises RuleError."""


class NotWritten(Exception):
    """The weights could not be moved, and nothing has changed; the text says why."""


class NotLive(NotWritten):
    """What stands in the file is not what is in use: it was just saved, or it is refused."""


class Saved(Exception):
    """Somebody else has saved the file."""


class Editor:
    """Of one rule file. read: how the proxy reads it."""

    def __init__(self, path: Path, read: Read) -> None:
        self._path = path
        self._read = read

    def set_weight(self, rollout: Rollout, percent: float, rule_file: RuleFile, digest: str) -> None:
        """Give the new version so much of what both have. rule_file, digest: the rules in use. Raises NotWritten."""
        try:
            data = self._path.read_bytes()
        except OSError as error:
            raise NotWritten(f"cannot read {self._path}: {error.strerror}") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise NotLive(f"{self._path} holds other rules than those in use")
        number, place = where(rule_file, rollout)
        route = rule_file.routes[number]
        split = route.rules[place].split
        assert split is not None  # checked with the rule file
        weights = moved(split, rollout, percent)
        bom = BOM if data.startswith(BOM) else b""
        try:
            text = reweigh(data.removeprefix(BOM).decode(), ("routes", number, "rules", place, "split"), weights)
        except ValueError as error:
            raise NotWritten(f"{self._path} cannot be edited: {error}") from None
        self._check(bom + text.encode(), replace_split(rule_file, number, place, weights))
        _save(self._path, bom + text.encode(), data)

    def _check(self, data: bytes, wanted: tuple[Route, ...]) -> None:
        try:
            found = self._read(data)
        except RuleError as error:
            raise NotWritten(f"the rules would be refused: {error.faults[0]}") from None
        if found.routes != wanted:
            raise NotWritten("more than these weights would change: does an alias (*name) stand for the split?")


def where(rule_file: RuleFile, rollout: Rollout) -> tuple[int, int]:
    """The place of the route, and that of the rule in it."""
    for number, route in enumerate(rule_file.routes):
        for place, rule in enumerate(route.rules):
            if route.name == rollout.route and rule.name == rollout.rule:
                return number, place
    raise LookupError(rollout.name)  # checked with the rule file


def live_weight(rule_file: RuleFile, rollout: Rollout) -> float:
    """Percent of what both versions have that the new one has; 0 if they have nothing."""
    number, place = where(rule_file, rollout)
    split = rule_file.routes[number].rules[place].split
    weights = dict(split.weights) if split is not None else {}
    new, old = weights.get(rollout.new, 0.0), weights.get(rollout.old, 0.0)
    return 100 * new / (new + old) if new + old else 0.0


def moved(split: Split, rollout: Rollout, percent: float) -> dict[str, float]:
    """The two weights by which the new version has so much. Raises NotWritten if both have nothing to divide.

    Beside further versions they add up to what they did, so that the others keep their shares; else to 100.
    """
    weights = dict(split.weights)
    total = weights[rollout.new] + weights[rollout.old] if len(weights) > 2 else 100.0
    if not total:
        raise NotWritten(f"{rollout.old} and {rollout.new} have weight 0: there is nothing to divide between them")
    new = round(total * percent / 100, 6)
    return {rollout.old: round(total - new, 6), rollout.new: new}


def replace_split(rule_file: RuleFile, number: int, place: int, weights: dict[str, float]) -> tuple[Route, ...]:
    """The routes with these weights in one split."""
    routes = list(rule_file.routes)
    rules: list[Rule] = list(routes[number].rules)
    split = rules[place].split
    assert split is not None
    both = tuple((version, weights.get(version, weight)) for version, weight in split.weights)
    rules[place] = replace(rules[place], split=Split(both))
    routes[number] = replace(routes[number], rules=tuple(rules))
    return tuple(routes)


def _save(path: Path, data: bytes, known: bytes) -> None:
    """Put a new file of the same mode and owner in the place of the old one. Where that cannot be (a file that is
    mounted by itself, a folder of others), write into it: the reader waits until a save is complete.

    known: what stood there a moment ago; who saved something else meanwhile is not overwritten.
    """
    target = Path(os.path.realpath(path))  # a symbolic link stays one
    try:
        if not target.stat().st_mode & 0o222 or not os.access(target, os.W_OK):
            raise NotWritten(f"cannot write {path}: it is {_read_only(path)}")  # whatever root may
        try:
            _replace(target, data, known)
        except OSError as error:
            if error.errno not in IN_PLACE:
                raise
            _overwrite(target, data, known)
    except Saved:
        raise NotLive(f"{path} was just saved by somebody else") from None
    except OSError as error:
        raise NotWritten(f"cannot write {path}: {error.strerror}") from None


def _read_only(path: Path) -> str:
    """Kubernetes mounts a volume of objects as links by way of `..data`."""
    if path.is_symlink() and os.readlink(path).startswith("..data/"):
        return "of a ConfigMap or Secret, which nobody in a Pod can change: a rollout needs its rules on a volume"
    return "read-only"


def _replace(target: Path, data: bytes, known: bytes) -> None:
    status = target.stat()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchown(handle, status.st_uid, status.st_gid)
            os.fchmod(handle, status.st_mode & 0o7777)
            file.flush()
            os.fsync(handle)
        if target.read_bytes() != known:  # as late as can be: a disk may take long
            raise Saved
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _overwrite(target: Path, data: bytes, known: bytes) -> None:
    """What stood there comes back if there is no room for the whole: it has its place on the disk already."""
    with target.open("r+b", buffering=0) as file:
        if file.read() != known:
            raise Saved
        try:
            _fill(file.fileno(), data)
        except OSError:
            with contextlib.suppress(OSError):
                _fill(file.fileno(), known)
            raise


def _fill(file: int, data: bytes) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(file, data[done:], done)
    os.ftruncate(file, len(data))
    os.fsync(file)
