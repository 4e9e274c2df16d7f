"""A draft -> the text of a rule file: the same draft gives the same text, to the byte."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from proxy.imports.draft import Draft, Note, Part

WIDTH: Final = 120
"""Columns of a line; what is longer is written in several, where that is possible."""

_plain = re.compile(r"[A-Za-z0-9/_.^$\\(][A-Za-z0-9/_.*^$\\()+:;=~@-]*(?: [A-Za-z0-9/_.*()+=~@-]+)*").fullmatch
_number_like = re.compile(r"[-+.]?[0-9][0-9_.:eExXa-fA-F+-]*|[-+]?\.(?:inf|nan)", re.IGNORECASE).fullmatch
_words = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n", "~", "-", "--", "---", "..."))


def written(draft: Draft, name: str) -> str:
    """The whole rule file. name: what it was imported from."""
    lines = [f"# A rule file, imported from {name}.", *_about_endpoints(draft), *_not_kept(draft.notes), ""]
    if draft.services:
        lines.append("services:")
    for service in draft.services.values():
        lines += [*_comments(service.part, "  "), f"  {scalar(service.name)}:", *_block(service.part.keys, "    "), ""]
    lines.append("routes:")
    for route in draft.routes:
        lines += [*_item(route, "  "), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _about_endpoints(draft: Draft) -> Iterator[str]:
    if draft.in_cluster:
        yield "# Endpoints are names in the cluster, http://NAME.NAMESPACE.svc.cluster.local:PORT; for elsewhere, say"
        yield "# where a Service is with `grayhound import --service NAME=URL`."


def _not_kept(notes: list[Note]) -> Iterator[str]:
    if notes:
        yield "#"
        yield "# What could not be kept, or not as it was:"
        for note in notes:
            yield from _wrapped(f"line {note.line}: {note.where}: {note.text}", "#   - ", "#     ")


def _comments(part: Part, indent: str) -> Iterator[str]:
    for comment in part.comments:
        for line in comment.splitlines():
            yield from _wrapped(line, f"{indent}# ", f"{indent}#   ")


def _wrapped(text: str, first: str, further: str) -> Iterator[str]:
    """A comment in lines that fit. Spaces within are kept: it may be a quotation."""
    lead, rest = first, "".join(character if character.isprintable() else " " for character in text)
    while len(lead) + len(rest) > WIDTH and " " in (head := rest[: WIDTH - len(lead)]).strip():
        at = head.rindex(" ")
        yield lead + rest[:at]
        lead, rest = further, rest[at + 1 :]
    yield lead + rest


def _item(part: Part, indent: str) -> Iterator[str]:
    """A part of a list: its first key stands behind the dash."""
    yield from _comments(part, indent)
    lines = list(_block(part.keys, indent + "  "))
    yield f"{indent}- {lines[0].lstrip()}"
    yield from lines[1:]


def _block(keys: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in keys.items():
        lead = f"{indent}{scalar(key)}:"
        if isinstance(value, Part):
            yield lead
            yield from _block(value.keys, indent + "  ")
        elif isinstance(value, list) and any(isinstance(item, Part) for item in value):
            yield lead
            for item in value:
                yield from _item(item, indent + "  ")
        else:
            yield from _short(value, lead, indent)


def _short(value: Any, lead: str, indent: str) -> Iterator[str]:
    """A value on the line of its key; a list or map that is too long for it, on lines of its own."""
    line = f"{lead} {flow(value)}"
    if len(line) <= WIDTH or not isinstance(value, dict | list) or not value:
        yield line
    elif isinstance(value, dict):
        yield lead
        yield from _block(value, indent + "  ")
    else:
        yield lead
        for item in value:
            inner = list(_short(item, f"{indent}  -", indent + "  "))
            if len(inner) > 1 and isinstance(item, dict):
                yield from _item(Part(item), indent + "  ")
            else:
                yield from inner


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)
    return scalar(value)


def scalar(text: str) -> str:
    """A text: without quotes where no reader of YAML could take it for anything else."""
    if _plain(text) and not _number_like(text) and text.lower() not in _words and ": " not in text + " ":
        return text
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in escaped) + '"'
