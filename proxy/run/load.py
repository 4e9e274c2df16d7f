"""From a source's content to rules that may go live: imported if they are Kubernetes manifests, parsed, the files they
name read, and tried against the file's own tests."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from proxy.data import dataclass
from proxy.errors import Fault, RuleError
from proxy.http.h1 import read_request_head
from proxy.imports.manifests import are_manifests
from proxy.rules.analysis.trial import run_trials
from proxy.rules.compile import compile_table
from proxy.rules.model import RuleFile
from proxy.rules.parse import parse
from proxy.rules.read.nodes import Path, locate, path_text, tree
from proxy.rules.tls import Tls
from proxy.run.cookie_keys import read_keys
from proxy.run.files import Content as FileContent
from proxy.run.files import read_file
from proxy.sources.base import Content
from proxy.upstream.tls import client_context, security


@dataclass(frozen=True, slots=True)
class Loaded:
    """Rules without a fault, and what was warned about."""

    rule_file: RuleFile
    warnings: tuple[Fault, ...]


def load(content: Content, key_file: str | None = None) -> Loaded:
    """Raises RuleError with every fault, those in files that it names and of its own tests included.

    key_file: what signs the pins, empty for a key that everybody knows; None: nobody will be served by these rules.
    """
    collecting = gc.isenabled()
    gc.disable()  # PERF: 0.85 of the time for a large file: the collector would walk what grows, again and again
    try:
        return _load(content, key_file)
    finally:
        if collecting:
            gc.enable()


def _load(content: Content, key_file: str | None) -> Loaded:
    if not are_manifests(content.text()):
        return _load_rules(content, key_file)
    from proxy.imports.registry import import_text  # PERF: 0.1 of control's start, which seldom needs it

    imported = import_text(content.text(), content.name)
    assert imported is not None
    loaded = _load_rules(Content(f"{content.name}, as imported", imported.text.encode()), key_file)
    return replace(loaded, warnings=(*imported.notes, *loaded.warnings))


def _load_rules(content: Content, key_file: str | None) -> Loaded:
    parsed = parse(content.text(), content.name)
    files = read_files(parsed.rule_file, key_file)
    rule_file = replace(parsed.rule_file, files={name: data for name, data in files.items() if isinstance(data, bytes)})
    faults = _file_faults(rule_file, files, content)
    warnings = tuple(parsed.warnings)
    if key_file:
        try:
            rule_file = replace(rule_file, cookie_keys=read_keys(files[key_file]))
        except ValueError as error:
            faults.append(Fault(key_file, 1, 1, "", str(error)))
    elif key_file is not None:
        warnings += _forgeable(rule_file, content)
    # Compiled even without tests: should that fail, it fails here, and not in every worker.
    table = compile_table(rule_file, random.random, lambda: "issued")
    if faults := [*faults, *run_trials(rule_file, table, read_request_head, content.name)]:
        raise RuleError(faults)
    return Loaded(rule_file, warnings)


def ahead(rule_file: RuleFile, content: Content) -> list[Fault]:
    """Warnings of what will keep rollouts from going on. It takes as long as loading once for each step."""
    from proxy.rollout.ahead import obstacles  # what serves does not look ahead

    return _placed(list(obstacles(rule_file, content.name)), content) if rule_file.rollouts else []


def read_files(rule_file: RuleFile, key_file: str | None = None) -> dict[str, FileContent]:
    """What stands now in each file that the rules name, and in that of the keys."""
    names = [name for _, tls in _secured(rule_file) for name in tls.files.values()]
    return {name: read_file(name) for name in (*names, *([key_file] if key_file else []))}


def _secured(rule_file: RuleFile) -> Iterator[tuple[Path, Tls]]:
    for service in rule_file.services.values():
        yield ("services", service.name, "tls"), service.tls
        for version in service.versions.values():
            if version.tls is not None:
                yield ("services", service.name, "versions", version.name, "tls"), version.tls


def _file_faults(rule_file: RuleFile, files: dict[str, FileContent], content: Content) -> list[Fault]:
    """What is wrong with these files; said once of each file, or pair of files, wherever it is named again."""
    found: dict[tuple[str, str], Path] = {}
    for at, tls in _secured(rule_file):
        unread = {key: text for key, name in tls.files.items() if isinstance(text := files[name], str)}
        for key, text in unread.items():
            found.setdefault((tls.files[key], text), (*at, key))
        if tls.files and not unread:  # PERF: to read the CAs of the system for nothing was 0.1 of the start
            try:
                client_context(security(tls, rule_file))
            except ValueError as error:
                key, _, text = str(error).partition(": ")
                found.setdefault((tls.files[key], f"{tls.files[key]}: {text}"), (*at, key))
    return _placed([(path, text) for (_, text), path in found.items()], content)


def _forgeable(rule_file: RuleFile, content: Content) -> tuple[Fault, ...]:
    """Said once, at the first rule it is true of."""
    for number, route in enumerate(rule_file.routes):
        for place, rule in enumerate(route.rules):
            if rule.sticky is not None and rule.sticky.mode == "pin":
                path = ("routes", number, "rules", place, "sticky", "mode")
                return tuple(_placed([(path, "without --cookie-key-file FILE anybody can forge a pin")], content))
    return ()


def _placed(found: Sequence[tuple[Path, str]], content: Content) -> list[Fault]:
    if not found:
        return []
    root = tree(content.text())
    faults = []
    for path, text in found:
        node, known = locate(root, path)
        faults.append(Fault(content.name, node.line, node.column, path_text(known), text))
    return faults
