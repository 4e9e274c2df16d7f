"""Readers: what may stand at a place of the rule file, said once, for reading it and for its JSON Schema.

A reader never raises. It notes what is wrong at its cursor and gives None in place of the value, so that one reading
finds every fault in the file. Readers are put together from smaller ones; grammar.py holds the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from proxy.data import dataclass
from proxy.rules.read.nodes import Items, Map, Node, Path, Scalar, Step

Schema = dict[str, Any]
Note = tuple[int, int, Path, str]
"""Line, column, path, what is wrong."""

NUMBER_MAX: Final = 2**63 - 1
"""The greatest number anywhere: what other systems call a 64-bit integer."""

NAMES_LISTED_MAX: Final = 10
"""Names that a message lists before it says how many more there are."""

_KINDS: Final = {Scalar: "a text", Items: "a list", Map: "a map"}


class Cursor:
    """A node, the path that led to it, and the notes of this reading."""

    __slots__ = ("node", "notes", "path")

    def __init__(self, node: Node, path: Path, notes: list[Note]) -> None:
        self.node = node
        self.path = path
        self.notes = notes

    def down(self, step: Step, node: Node) -> Cursor:
        return Cursor(node, (*self.path, step), self.notes)

    def fault(self, text: str) -> None:
        self.notes.append((self.node.line, self.node.column, self.path, text))

    def unexpected(self, expected: str) -> None:
        """Another kind of node stands here."""
        node = self.node
        empty = isinstance(node, Scalar) and node.plain and node.text in ("", "~", "null")
        self.fault(f"expected {expected}, " + ("but nothing stands here" if empty else f"not {_KINDS[type(node)]}"))


class Book(Protocol):
    """What a JSON Schema is written into: shared parts, and the manual."""

    def shared(self, name: str, reader: Reader) -> Schema:
        """A reference to the schema of a reader that stands in many places."""
        ...

    def manual(self, model: type | None, field: str) -> str:
        """The text under a field of the model."""
        ...


class Reader(Protocol):
    """Reads the node at a cursor, and tells its schema."""

    def read(self, at: Cursor) -> Any: ...

    def schema(self, book: Book) -> Schema: ...


@dataclass(frozen=True, slots=True)
class Unit:
    """One scalar, read by a function that raises ValueError. plain: a number or truth value, so not in quotes."""

    what: str
    parse: Callable[[str], Any]
    form: Schema
    plain: bool = False

    def read(self, at: Cursor) -> Any:
        node = at.node
        if not isinstance(node, Scalar) or (node.plain and not node.text):
            at.unexpected(self.what)
        elif self.plain and not node.plain:
            at.fault(f"expected {self.what} without quotes")
        else:
            try:
                return self.parse(node.text)
            except ValueError as error:
                at.fault(str(error))
        return None

    def schema(self, book: Book) -> Schema:
        return self.form


def integer(low: int, high: int) -> Unit:
    """A whole number from low to high, both included."""
    what = f"a whole number from {low} to {high}" if high < NUMBER_MAX else "a whole number"
    if high == NUMBER_MAX and low > -NUMBER_MAX:
        what += f" >= {low}"

    def parse(text: str) -> int:
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 20 and low <= int(text) <= high):
            raise ValueError(f"expected {what}, not '{text}'")
        return int(text)

    return Unit(what, parse, {"type": "integer", "minimum": low, "maximum": high}, plain=True)


def choice(*words: str, capitals: bool = False) -> Unit:
    """One of a few words; capitals: with a capital letter as well."""

    def parse(text: str) -> str:
        word = text.lower() if capitals and text in (text.lower(), text.capitalize()) else text
        if word not in words:
            raise ValueError(f"expected {_either(words)}, not '{text}'{near(text, words)}")
        return word

    written = [*words, *(word.capitalize() for word in words)] if capitals else list(words)
    return Unit(_either(words), parse, {"enum": written})


@dataclass(frozen=True, slots=True)
class Then:
    """What another reader gives, taken further by a function that raises ValueError."""

    reader: Reader
    further: Callable[[Any], Any]

    def read(self, at: Cursor) -> Any:
        noted = len(at.notes)
        value = self.reader.read(at)
        if len(at.notes) > noted:
            return None
        try:
            return self.further(value)
        except ValueError as error:
            at.fault(str(error))
            return None

    def schema(self, book: Book) -> Schema:
        return self.reader.schema(book)


@dataclass(frozen=True, slots=True)
class Placed:
    """What another reader gives, together with where it stands: (value, line, column, path)."""

    reader: Reader

    def read(self, at: Cursor) -> Any:
        return self.reader.read(at), at.node.line, at.node.column, at.path

    def schema(self, book: Book) -> Schema:
        return self.reader.schema(book)


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list, as a tuple. single: one item may stand for a list of it."""

    item: Reader
    low: int = 0
    high: int | None = None
    single: bool = False

    def read(self, at: Cursor) -> tuple[Any, ...] | None:
        node = at.node
        if isinstance(node, Items):
            if len(node.nodes) < self.low or (self.high is not None and len(node.nodes) > self.high):
                wanted = str(self.low) if self.low == self.high else f"at least {self.low}"
                at.fault(f"expected a list of {wanted}, not of {len(node.nodes)}")
            values = [self.item.read(at.down(number, item)) for number, item in enumerate(node.nodes)]
        elif self.single:
            values = [self.item.read(at)]
        else:
            at.unexpected("a list")
            return None
        return tuple([value for value in values if value is not None])

    def schema(self, book: Book) -> Schema:
        item = self.item.schema(book)
        many: Schema = {"type": "array", "items": item}
        many |= {"minItems": self.low} if self.low else {}
        many |= {"maxItems": self.high} if self.high is not None else {}
        return {"anyOf": [item, many]} if self.single else many


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map from names of one's own choice, as a dict; never empty. what: what the map holds, for messages."""

    what: str
    key: Callable[[str], str]
    value: Reader

    def read(self, at: Cursor) -> dict[str, Any] | None:
        node, values = at.node, dict[str, Any]()
        if not isinstance(node, Map):
            at.unexpected(f"a map of {self.what}")
            return None
        if not node.entries:
            at.fault(f"expected a map of {self.what}, and it is empty")
        for text, (key, value) in node.entries.items():
            try:
                name = self.key(text)
            except ValueError as error:
                at.down(text, key).fault(str(error))
                name = text
            if name in values:
                at.down(text, key).fault(f"'{text}' is the same name as one before it")
            values[name] = self.value.read(at.down(text, value))
        return values

    def schema(self, book: Book) -> Schema:
        return {"type": "object", "additionalProperties": self.value.schema(book), "minProperties": 1}


@dataclass(frozen=True, slots=True)
class ByKind:
    """A shorthand beside the full form: which reader depends on what stands here."""

    what: str
    scalar: Reader | None = None
    items: Reader | None = None
    map: Reader | None = None

    def read(self, at: Cursor) -> Any:
        reader = {Scalar: self.scalar, Items: self.items, Map: self.map}[type(at.node)]
        if reader is None:
            at.unexpected(self.what)
            return None
        return reader.read(at)

    def schema(self, book: Book) -> Schema:
        return {"anyOf": [reader.schema(book) for reader in (self.scalar, self.items, self.map) if reader is not None]}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a Record. field: the model's field that documents it, if it has another name.

    unless: other keys, of which one may stand in place of a required one.
    """

    name: str
    reader: Reader
    required: bool = False
    unless: tuple[str, ...] = ()
    field: str = ""
    manual: str = ""


class Record:
    """A map with known keys. The keys that stand there go to `build`, which may raise ValueError."""

    def __init__(
        self,
        model: type | None,
        *keys: Key,
        build: Callable[..., Any] | None = None,
        one_of: bool = False,
        aside: Iterable[str] = (),
    ) -> None:
        self.model = model
        self.keys: Final[Mapping[str, Key]] = {key.name: key for key in keys}
        self.required: Final = tuple(key for key in keys if key.required)
        self.build = build or model or dict
        self.variants: Final = frozenset(self.keys) - frozenset(aside) if one_of else frozenset[str]()

    def read(self, at: Cursor) -> Any:
        node = at.node
        if not isinstance(node, Map):
            at.unexpected(f"a map with {_either(self.keys)}" if self.variants else "a map")
            return None
        known = len(at.notes)
        self._check_names(at, node)
        values = {}
        for name, (_, value) in node.entries.items():
            key = self.keys.get(name)
            if key is not None:
                read = key.reader.read(at.down(name, value))
                if read is not None:
                    values[name] = read
        if len(at.notes) > known and self.build is not dict:
            return None
        try:
            return self.build(**values)
        except ValueError as error:
            at.fault(str(error))
            return None

    def _check_names(self, at: Cursor, node: Map) -> None:
        complete = True
        for name, (key, _) in node.entries.items():
            if name not in self.keys:
                complete = False
                hint = near(name, self.keys) or f"; known here: {', '.join(self.keys)}"
                at.down(name, key).fault(f"unknown key '{name}'{hint}")
        if complete:
            for needed in self.required:
                if not node.entries.keys() & {needed.name, *needed.unless}:
                    at.fault(f"missing key '{needed.name}'")
            found = [name for name in node.entries if name in self.variants]
            if self.variants and len(found) != 1:
                at.fault(f"expected exactly one of {', '.join(key for key in self.keys if key in self.variants)}"
                         + (f", not {' and '.join(found)}" if found else ""))  # fmt: skip

    def schema(self, book: Book) -> Schema:
        properties = {}
        for key in self.keys.values():
            manual = key.manual or book.manual(self.model, key.field or key.name)
            properties[key.name] = {**key.reader.schema(book), **({"description": manual} if manual else {})}
        schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        if always := [key.name for key in self.required if not key.unless]:
            schema["required"] = always
        for key in self.required:
            if key.unless:
                schema["anyOf"] = [{"required": [name]} for name in (key.name, *key.unless)]
        if self.variants:
            schema["oneOf"] = [{"required": [name]} for name in self.keys if name in self.variants]
        return schema


class Shared:
    """A reader with a name, that stands in many places, or within itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reader: Reader | None = None

    def read(self, at: Cursor) -> Any:
        assert self.reader is not None
        return self.reader.read(at)

    def schema(self, book: Book) -> Schema:
        assert self.reader is not None
        return book.shared(self.name, self.reader)


def near(word: str, words: Iterable[str]) -> str:
    """`; did you mean 'version'?`, or nothing if no word is near."""
    import difflib  # only a fault needs it

    close = difflib.get_close_matches(word.lower(), list(words), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def known(word: str, words: Iterable[str], verb: str) -> str:
    """The name that was meant, or which there are: `; there are a, b`."""
    return near(word, words) or f"; {verb} {listed(words)}"


def listed(words: Iterable[str]) -> str:
    """Names in a message, which stays one line."""
    names = list(words)
    more = len(names) - NAMES_LISTED_MAX
    return ", ".join(names[:NAMES_LISTED_MAX]) + (f" and {more} more" if more > 0 else "")


def _either(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
