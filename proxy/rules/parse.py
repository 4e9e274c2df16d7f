"""A rule file's text -> its model, or every fault in it at once, each with its line and column.

Three readings: text to tree (nodes.py), tree to values by the grammar (grammar.py), values to model (assemble.py); then
the parts are held against each other (check.py). Only control does this; workers are sent the model.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.data import dataclass
from proxy.errors import Fault, RuleError
from proxy.rules.analysis.lint import lint
from proxy.rules.model import RuleFile
from proxy.rules.read import assemble
from proxy.rules.read.check import check
from proxy.rules.read.grammar import FILE
from proxy.rules.read.nodes import Node, Path, TreeError, locate, path_text, tree_with_faults
from proxy.rules.read.shapes import Cursor, Note


@dataclass(frozen=True, slots=True)
class Parsed:
    """A rule file without fault, and what is odd in it."""

    rule_file: RuleFile
    warnings: list[Fault]


def parse(text: str, file: str) -> Parsed:
    """Read and check a rule file; `file` is its name in messages. Its own tests are not run (trial.py runs them).

    Raises RuleError with every fault, in file order.
    """
    try:
        root, notes = tree_with_faults(text)
    except TreeError as error:
        raise _rule_error(file, error.faults) from None
    raw = FILE.read(Cursor(root, (), notes))
    rule_file = assemble.rule_file(raw or {})
    touched = {path[:depth] for _, _, path, _ in notes for depth in range(len(path) + 1)}
    unread = {path for _, _, path, _ in notes}
    for path, wrong in check(rule_file):
        # What is wrong around or within a place that could not be read may only follow from that.
        if path not in touched and not any(path[:depth] in unread for depth in range(len(path))):
            notes.append(_note(root, path, wrong))
    if notes:
        raise _rule_error(file, notes)
    return Parsed(rule_file, _faults(file, [_note(root, path, odd) for path, odd in lint(rule_file)]))


load = parse


def _note(root: Node, path: Path, text: str) -> Note:
    node, known = locate(root, path)
    return node.line, node.column, known, text


def _rule_error(file: str, notes: list[Note]) -> RuleError:
    return RuleError(_faults(file, notes))


def _faults(file: str, notes: Iterable[Note]) -> list[Fault]:
    ordered = sorted(dict.fromkeys(notes), key=lambda note: note[:2])
    return [Fault(file, line, column, path_text(path), text) for line, column, path, text in ordered]
