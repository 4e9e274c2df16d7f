"""Rollouts of the rules that are in use: what the controller of rollouts is handed."""

from __future__ import annotations

from pathlib import Path

from proxy.observe.metrics import Registry
from proxy.rollout.controller import Live, Rollouts
from proxy.rollout.editor import Editor
from proxy.rollout.notify import Notifier
from proxy.rules.model import RuleFile
from proxy.run.load import load
from proxy.run.reload import Reloader
from proxy.settings import Settings
from proxy.sources.base import Content


def make_rollouts(settings: Settings, registry: Registry, reloader: Reloader) -> Rollouts:
    """They edit the rule file, and are remembered beside it unless told otherwise."""
    rules = Path(settings.rules)

    def in_use() -> Live | None:
        return Live(reloader.rule_file, reloader.state.hash) if reloader.rule_file is not None else None

    def read(data: bytes) -> RuleFile:
        return load(Content(settings.rules, data), settings.cookie_key_file).rule_file

    state_file = Path(settings.state_dir or rules.parent) / f"{rules.name}.rollouts.json"
    return Rollouts(registry, in_use, Editor(rules, read), state_file, Notifier(settings.rollout_command))
