"""From a source's content to rules that may go live: parsed, and tried against the file's own tests."""

from __future__ import annotations

import random
from dataclasses import dataclass

from proxy.errors import Fault, RuleError
from proxy.http.h1 import read_request_head
from proxy.rules.compile import compile_table
from proxy.rules.model import RuleFile
from proxy.rules.parse import parse
from proxy.rules.trial import run_trials
from proxy.sources.base import Content


@dataclass(frozen=True, slots=True)
class Loaded:
    """Rules without a fault, and what was warned about."""

    rule_file: RuleFile
    warnings: tuple[Fault, ...]


def load(content: Content) -> Loaded:
    """Raises RuleError with every fault, those of the file's own tests included."""
    parsed = parse(content.text(), content.name)
    # Compiled even without tests: should that fail, it fails here, and not in every worker.
    table = compile_table(parsed.rule_file, random.random, lambda: "issued")
    if faults := run_trials(parsed.rule_file, table, read_request_head, content.name):
        raise RuleError(faults)
    return Loaded(parsed.rule_file, tuple(parsed.warnings))
