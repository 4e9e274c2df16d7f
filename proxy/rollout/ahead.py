"""What a rollout will come to: steps at which the file's own tests would keep its weights from being saved."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from proxy.http.h1 import read_request_head
from proxy.rollout.editor import NotWritten, moved, replace_split, where
from proxy.rules.analysis.trial import run_trials
from proxy.rules.compile import compile_table
from proxy.rules.model import RuleFile
from proxy.rules.read.nodes import Path
from proxy.rules.rollouts import Rollout


def obstacles(rule_file: RuleFile, name: str) -> Iterator[tuple[Path, str]]:
    """Of each rollout the first step it could not begin, and why. name: of the file."""
    for rollout in rule_file.rollouts.values() if rule_file.tests else ():
        for number, step in enumerate(rollout.steps):
            if why := _obstacle(rule_file, rollout, step.weight, name):
                yield ("rollouts", rollout.name, "steps", number), f"the rollout will wait here: {why}"
                break


def _obstacle(rule_file: RuleFile, rollout: Rollout, percent: float, name: str) -> str:
    number, place = where(rule_file, rollout)
    split = rule_file.routes[number].rules[place].split
    assert split is not None  # checked with the rule file
    try:
        weights = moved(split, rollout, percent)
    except NotWritten as error:
        return str(error)
    then = replace(rule_file, routes=replace_split(rule_file, number, place, weights))
    faults = run_trials(then, compile_table(then, random.random, lambda: "issued"), read_request_head, name)
    return f"at {percent:g} % {faults[0].path} would fail: {faults[0].text}" if faults else ""
