"""How new rules go live: source -> load -> every worker; and what became of the last reading."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from proxy.admin.view import ConfigState
from proxy.errors import Fault, RuleError
from proxy.observe.metrics import ReloadResult
from proxy.rules.model import RuleFile
from proxy.run.channel import Rules
from proxy.run.files import Content as FileContent
from proxy.run.load import Loaded, load, read_files
from proxy.sources.base import Content, RuleSource

APPLY_TIMEOUT_S: Final = 60.0
"""From new rules being sent to every worker having them: some milliseconds; seconds for the largest file under load, as
traffic has precedence."""

FILES_POLL_S: Final = 1.0
"""A change to a file that the rules name is believed once it stood for so long, and soon enough after two."""

log = logging.getLogger("grayhound.rules")


class Workers(Protocol):
    """Who carries the rules out."""

    def set_rules(self, rules: Rules, messages: bytes) -> None: ...

    async def applied(self, generation: int, timeout_s: float) -> list[str]: ...


class Reloader:
    """Takes each new content of the source: whole, or not at all.

    make_ready: asked with the rules and their generation, in a thread; what it returns is called before any worker has
    them. read: told each result.
    key_file: what signs pins, followed like the files that the rules name.
    """

    def __init__(
        self,
        source: RuleSource,
        workers: Workers,
        make_ready: Callable[[RuleFile, int], Callable[[], None]],
        read: Callable[[ReloadResult, float], None],
        key_file: str = "",
    ) -> None:
        self._source = source
        self._workers = workers
        self._make_ready = make_ready
        self._read = read
        self._key_file = key_file
        self.state = ConfigState()
        self.rule_file: RuleFile | None = None
        self._files: dict[str, FileContent] = {}  # those that the rules name, as last taken or refused

    async def follow(self) -> None:
        """Take in every change, for ever."""
        while True:
            content = await self._source.changed()
            files = await asyncio.to_thread(self._look, content)
            if content.digest == self.state.hash and files == self._files:
                self._record("unchanged", content)
            else:
                self._files = files
                await self._reload(content)

    async def follow_files(self) -> None:
        """Have the rules read again when the files they name have changed, as if they had been saved anew; for ever."""
        seen = self._files
        while True:
            await asyncio.sleep(FILES_POLL_S)
            last, seen = seen, await asyncio.to_thread(self._read_files)
            if seen == last and seen != self._files:
                self._source.reread()

    def _look(self, content: Content) -> dict[str, FileContent]:
        """The same, with the digest of the content being made, which takes some milliseconds, too."""
        _ = content.digest
        return self._read_files()

    def _read_files(self) -> dict[str, FileContent]:
        return read_files(self.rule_file, self._key_file) if self.rule_file is not None else {}

    async def _reload(self, content: Content) -> None:
        try:
            loaded = await asyncio.to_thread(self._load, content)  # the admin port goes on answering
        except RuleError as error:
            if await self._source.still(content):
                self._record("refused", content, error.faults)
            return
        except Exception as error:
            log.exception("the rules could not be loaded")
            self._record("refused", content, [_inner_fault(content.name, f"{type(error).__name__}: {error}")])
            return
        await self.go_live(content, loaded)

    def _load(self, content: Content) -> Loaded:
        loaded = load(content, self._key_file)
        gc.collect()  # PERF: the first look at what has been made takes 0.1 s for 10,000 routes: not on the event loop
        return loaded

    async def go_live(self, content: Content, loaded: Loaded) -> None:
        """Give rules without a fault to every worker; returns when all have them."""
        generation, rule_file = self.state.generation + 1, loaded.rule_file
        rules, messages, going_live = await asyncio.to_thread(self._ready, generation, rule_file)
        going_live()
        self._workers.set_rules(rules, messages)
        troubles = await self._workers.applied(generation, APPLY_TIMEOUT_S)
        earlier, self.rule_file = [self.rule_file], rule_file
        self._files = dict(loaded.rule_file.files)
        self.state = replace(self.state, generation=generation, hash=content.digest, warnings=loaded.warnings)
        if troubles:
            self._record("refused", content, [_inner_fault(content.name, trouble) for trouble in troubles])
        else:
            self._record("ok", content)
        await asyncio.to_thread(earlier.clear)  # PERF: takes 30 ms for 10,000 routes

    def _ready(self, generation: int, rule_file: RuleFile) -> tuple[Rules, bytes, Callable[[], None]]:
        """All that takes long, in a thread: those on the event loop and workers on the same core hardly feel it."""
        going_live = self._make_ready(rule_file, generation)
        rules = Rules.pack(generation, rule_file)
        return rules, rules.messages(), going_live

    def _record(self, result: ReloadResult, content: Content, faults: Sequence[Fault] = ()) -> None:
        found = faults if result == "refused" else self.state.warnings
        lines = content.lines({fault.line for fault in found if fault.file == content.name})
        state = self.state = replace(self.state, result=result, faults=tuple(faults), lines=lines, at=time.time())
        self._read(result, state.at)
        if result == "refused":
            for fault in faults:
                log.error("%s", fault)
            log.error("%s is refused; generation %d keeps serving", content.name, state.generation)
        elif result == "unchanged":
            log.info("%s is unchanged: generation %d", content.name, state.generation)
        else:
            for warning in state.warnings:
                log.warning("%s", warning)
            log.info("%s is live: generation %d", content.name, state.generation)


def _inner_fault(file: str, text: str) -> Fault:
    return Fault(file, 1, 1, "", f"a fault of the proxy, not of the file: {text}")
