"""What a command is, and what several of them share."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from proxy.data import dataclass
from proxy.errors import StartError
from proxy.settings import variable

if TYPE_CHECKING:
    from proxy.sources.base import Content

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
ADMIN: Final = "127.0.0.1:9900"


@dataclass(frozen=True, slots=True)
class Command:
    """One command. run: gives the exit code; what it raises becomes lines on stderr and a code in `main`."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def command_in(module: str, help: str) -> Command:
    """The command of a module of this package, which is imported when it is called for: no other waits for it."""

    def found() -> Any:
        return import_module(f"proxy.commands.{module}")

    return Command(help, lambda parser: found().add_arguments(parser), lambda arguments: found().run(arguments))


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


def admin_argument(parser: argparse.ArgumentParser) -> None:
    """Where a running proxy is asked: by default where `serve` in the same environment has its admin port."""
    default = os.environ.get(variable("admin")) or ADMIN
    parser.add_argument(
        "--admin",
        metavar="HOST:PORT",
        default=default,
        help=f"the proxy's admin port, or its URL (default {ADMIN}) [{variable('admin')}]",
    )


def admin_url(given: argparse.Namespace) -> str:
    """The URL of the admin port, without a slash at its end."""
    admin = "localhost" * given.admin.startswith(":") + given.admin
    return (admin if re.match("https?://", admin) else f"http://{admin}").rstrip("/")


def pair(text: str, separator: str, option: str) -> tuple[str, str]:
    """The two halves of an option's value, without spaces around them. Raises ValueError."""
    name, found, value = text.partition(separator)
    if not found or not name.strip():
        raise ValueError(f"{option} '{text}' is not NAME{separator}VALUE")
    return name.strip(), value.strip()


def counted(number: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
