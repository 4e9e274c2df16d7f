"""What a command is, and what several of them share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.errors import StartError

if TYPE_CHECKING:
    from proxy.sources.base import Content

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2

Parser = argparse.ArgumentParser


@dataclass(frozen=True, slots=True)
class Command:
    """One command. run: gives the exit code; what it raises becomes lines on stderr and a code in `main`."""

    help: str
    add_arguments: Callable[[Parser], None]
    run: Callable[[argparse.Namespace], int]


class UsageError(Exception):
    """The command was called in a way that makes no sense; the text is one line."""


def content_of(path: str) -> Content:
    """The rule file as it stands there. Raises StartError."""
    from proxy.sources.base import SourceError
    from proxy.sources.file import FileSource

    try:
        return FileSource(path).read()
    except SourceError as error:
        raise StartError(str(error)) from None


def pair(text: str, separator: str, option: str) -> tuple[str, str]:
    """The two halves of an option's value, without spaces around them. Raises ValueError."""
    name, found, value = text.partition(separator)
    if not found or not name.strip():
        raise ValueError(f"{option} '{text}' is not NAME{separator}VALUE")
    return name.strip(), value.strip()


def counted(number: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
