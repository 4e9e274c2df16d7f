"""YAML text -> a tree that knows the line and column of each key and value. The only file that knows YAML.

Built from the parser's events and not its nodes, so that depth, aliases and duplicate keys are ours to judge, and in a
sixth of the time. A scalar keeps its text as written and gets no type here: what `1.10` or `on` means is decided by
whoever reads it, so none of YAML 1.1's traps (`on` and `no` as booleans, octal, sexagesimal, dates) exists.
"""

from __future__ import annotations

import re
from dataclasses import field
from typing import Any, Final

import yaml

from proxy.data import dataclass

TEXT_BYTES_MAX: Final = 16 * 1024 * 1024
"""A rule file of 30,000 routes is some 8 MiB; a bigger file is a mistake, and would stall each reload."""
DEPTH_MAX: Final = 50
"""Levels of nesting; the deepest sensible rule file has some 15. Readers call themselves once a level."""
NODES_MAX: Final = 3_000_000
"""Keys and values once every alias is written out: twice the routes above, and "a billion laughs" ends here."""

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING_TAGS: Final = frozenset((None, "!", "tag:yaml.org,2002:str"))
_OTHER_TAGS: Final = frozenset(f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "int", "float", "bool", "null"))

# Not of YAML 1.1 section 4.1.1. The parser looks as well, but counts in bytes. It stops at lone surrogates.
_unprintable = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]").search

Step = str | int
Path = tuple[Step, ...]
"""A place in the file: the keys and list positions that lead to it."""


@dataclass(slots=True)
class Scalar:
    """A text as written. plain: without quotes, so it may stand for a number or a truth value."""

    text: str
    plain: bool
    line: int
    column: int
    size: int = 1


@dataclass(slots=True)
class Items:
    """A list."""

    nodes: list[Node]
    line: int
    column: int
    size: int = 1


@dataclass(slots=True)
class Map:
    """A map: text of the key -> (key, value), in file order."""

    entries: dict[str, tuple[Scalar, Node]]
    line: int
    column: int
    size: int = 1


Node = Scalar | Items | Map


class TreeError(Exception):
    """The text gives no tree: (line, column, path, what is wrong), one or more."""

    def __init__(self, faults: list[tuple[int, int, Path, str]]) -> None:
        super().__init__(faults[0][3])
        self.faults = faults


@dataclass(slots=True)
class _Frame:
    """A list or map that is still being read, and the key whose value is next."""

    node: Items | Map
    anchor: str | None
    key: Scalar | None = None
    merged: list[Node] = field(default_factory=list)


def tree(text: str) -> Node:
    """The one document in a text. Raises TreeError."""
    root, faults = tree_with_faults(text)
    if faults:
        raise TreeError(faults)
    return root


def tree_with_faults(text: str) -> tuple[Node, list[tuple[int, int, Path, str]]]:
    """The same, and what is wrong with it though it is a tree, like a key that stands twice. Raises TreeError."""
    builder = _read(text, documents_max=1)
    if not builder.roots:
        raise TreeError([(1, 1, (), "the file is empty; it needs `services:` and `routes:`")])
    return builder.roots[0], builder.faults


def trees(text: str) -> list[Node]:
    """Every document in a text. Raises TreeError."""
    builder = _read(text, NODES_MAX)
    if builder.faults:
        raise TreeError(builder.faults)
    return builder.roots


def _read(text: str, documents_max: int) -> _Builder:
    _check_text(text)
    builder = _Builder(documents_max)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise TreeError([*builder.faults, _syntax_fault(text, error)]) from None
    except yaml.reader.ReaderError as error:
        raise TreeError([(1, 1, (), f"not YAML: {error.reason}")]) from None
    return builder


def locate(node: Node, path: Path) -> tuple[Node, Path]:
    """The node at a path, or the deepest one on the way to it, with the part of the path that leads there."""
    for depth, step in enumerate(path):
        if isinstance(node, Map) and isinstance(step, str) and step in node.entries:
            node = node.entries[step][1]
        elif isinstance(node, Items) and isinstance(step, int) and step < len(node.nodes):
            node = node.nodes[step]
        else:
            return node, path[:depth]
    return node, path


def path_text(path: Path) -> str:
    """`routes[0].rules[1].split`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


class _Builder:
    """Takes the parser's events one by one."""

    def __init__(self, documents_max: int) -> None:
        self.roots: list[Node] = []
        self.faults: list[tuple[int, int, Path, str]] = []
        self._frames: list[_Frame] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0
        self._documents_max = documents_max

    def take(self, event: Any) -> None:
        take = self._TAKERS.get(type(event))
        if take is not None:
            take(self, event, event.start_mark.line + 1, event.start_mark.column + 1)

    def _document(self, event: Any, line: int, column: int) -> None:
        self._documents += 1
        self._anchors.clear()  # an anchor is known in its own document alone
        if self._documents > self._documents_max:
            raise TreeError([(line, column, (), "a second document begins here; a rule file is one document")])

    def _scalar(self, event: Any, line: int, column: int) -> None:
        self._check_tag(event, line, column)
        plain = not event.style and event.tag not in ("!", "tag:yaml.org,2002:str")
        node = Scalar(event.value, plain, line, column)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._attach(node)

    def _items(self, event: Any, line: int, column: int) -> None:
        self._open(event, Items([], line, column))

    def _map(self, event: Any, line: int, column: int) -> None:
        self._open(event, Map({}, line, column))

    def _open(self, event: Any, node: Items | Map) -> None:
        self._check_tag(event, node.line, node.column)
        if len(self._frames) >= DEPTH_MAX:
            raise TreeError([(node.line, node.column, self._path(), f"nested deeper than {DEPTH_MAX} levels")])
        if event.anchor is not None:
            self._anchors.pop(event.anchor, None)  # until it ends, an alias of it would hold itself
        self._frames.append(_Frame(node, event.anchor))

    def _close(self, event: Any, line: int, column: int) -> None:
        frame = self._frames.pop()
        if frame.anchor is not None:
            self._anchors[frame.anchor] = frame.node
        if isinstance(frame.node, Map):
            for source in frame.merged:
                self._merge(frame.node, source)
        self._attach(frame.node)

    def _alias(self, event: Any, line: int, column: int) -> None:
        node = self._anchors.get(event.anchor)
        if node is None:
            text = f"alias '*{event.anchor}' of nothing: '&{event.anchor}' must stand and end before it"
            raise TreeError([*self.faults, (line, column, self._path(), text)])
        self._attach(node)

    def _attach(self, node: Node) -> None:
        if not self._frames:
            self.roots.append(node)
            return
        frame = self._frames[-1]
        frame.node.size += node.size
        if frame.node.size > NODES_MAX:
            text = f"more than {NODES_MAX:,} values, aliases written out"
            raise TreeError([*self.faults, (node.line, node.column, self._path(), text)])
        if isinstance(frame.node, Items):
            frame.node.nodes.append(node)
        elif frame.key is None:
            self._key(frame, node)
        else:
            self._value(frame.node, frame, frame.key, node)
            frame.key = None

    def _key(self, frame: _Frame, node: Node) -> None:
        if not isinstance(node, Scalar):
            text = "a key is a text, not a list or map"
            raise TreeError([*self.faults, (node.line, node.column, self._path(), text)])
        frame.key = node

    def _value(self, parent: Map, frame: _Frame, key: Scalar, node: Node) -> None:
        if key.text == "<<" and key.plain:
            frame.merged += node.nodes if isinstance(node, Items) else [node]
        elif key.text in parent.entries:
            first = parent.entries[key.text][0]
            text = f"duplicate key '{key.text}'; it stands already in line {first.line}"
            self.faults.append((key.line, key.column, self._path(), text))
        else:
            parent.entries[key.text] = (key, node)

    def _merge(self, parent: Map, source: Node) -> None:
        """`<<: *base`: the entries of another map that are not given here (the merge key of YAML 1.1)."""
        if not isinstance(source, Map):
            self.faults.append((source.line, source.column, self._path(), "'<<' takes a map, or a list of maps"))
            return
        for name, entry in source.entries.items():
            parent.entries.setdefault(name, entry)

    def _check_tag(self, event: Any, line: int, column: int) -> None:
        if event.tag not in _STRING_TAGS and event.tag not in _OTHER_TAGS:
            self.faults.append((line, column, self._path(), f"tag '{event.tag}' has no meaning here; leave it out"))

    def _path(self) -> Path:
        steps: list[Step] = []
        for frame in self._frames:
            if isinstance(frame.node, Items):
                steps.append(len(frame.node.nodes))
            elif frame.key is not None:
                steps.append(frame.key.text)
        return tuple(steps)

    _TAKERS: Final[dict[type, Any]] = {
        yaml.DocumentStartEvent: _document,
        yaml.ScalarEvent: _scalar,
        yaml.SequenceStartEvent: _items,
        yaml.MappingStartEvent: _map,
        yaml.SequenceEndEvent: _close,
        yaml.MappingEndEvent: _close,
        yaml.AliasEvent: _alias,
    }


def _check_text(text: str) -> None:
    unprintable = _unprintable(text)
    if unprintable is not None:
        start = unprintable.start()
        line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
        raise TreeError([(line, column, (), f"character U+{ord(unprintable[0]):04X} is not allowed")])
    size = len(text.encode())
    if size > TEXT_BYTES_MAX:
        raise TreeError([(1, 1, (), f"the file has {size:,} bytes; at most {TEXT_BYTES_MAX:,} are read")])


def _syntax_fault(text: str, error: yaml.MarkedYAMLError) -> tuple[int, int, Path, str]:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.splitlines()
    rest = lines[line - 1][column - 1 :] if line <= len(lines) else ""
    if rest.startswith("\t"):
        return line, column, (), "not YAML: a tab cannot indent; use spaces"
    where = error.context_mark
    begun = f", {error.context} begun in line {where.line + 1}" if error.context and where else ""
    return line, column, (), f"not YAML: {error.problem}{begun}"
