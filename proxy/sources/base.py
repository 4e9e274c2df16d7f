"""Where rules come from: a text, and word of every change to it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

from proxy.errors import Fault, RuleError

LINE_MAX: Final = 400
"""Characters of a line that are shown where it has a fault: more do not fit before an eye."""


class SourceError(Exception):
    """The rules cannot be read just now; the text says why."""


@dataclass(frozen=True)
class Content:
    """What a source held at one moment. name: how faults name the source."""

    name: str
    data: bytes

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex: two contents are one if these are equal."""
        return hashlib.sha256(self.data).hexdigest()

    def lines(self, numbers: Collection[int]) -> dict[int, str]:
        """The text of these lines, which count from 1, as far as there are such; each cut at LINE_MAX characters."""
        found = {}
        for number, line in enumerate(self.data.split(b"\n"), 1) if numbers else ():
            if number in numbers:
                found[number] = line.decode(errors="replace").strip("\ufeff\r")[:LINE_MAX]
        return found

    def text(self) -> str:
        """The bytes as UTF-8, without a byte order mark. Raises RuleError where they are not UTF-8."""
        try:
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = self.data[: error.start]
            line_start = before.rfind(b"\n") + 1
            column = len(before[line_start:].decode("utf-8-sig")) + 1
            text = f"this is not UTF-8 text (byte 0x{self.data[error.start]:02x})"
            raise RuleError([Fault(self.name, before.count(b"\n") + 1, column, "", text)]) from None


class RuleSource(Protocol):
    """A source of rules."""

    def read(self) -> Content:
        """What it holds now. Raises SourceError."""

    async def changed(self) -> Content:
        """Wait for a content unlike the last one returned, or for `reread`. What is half written is waited out."""

    async def still(self, content: Content) -> bool:
        """Whether `content` still stands after a moment; False: it was passing, the next `changed` tells more."""

    def reread(self) -> None:
        """Let `changed` return what the source holds now, changed or not."""
