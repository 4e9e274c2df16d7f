"""The rule file: every way of saving it is noticed within half a second.

The whole file is read at each poll, and its bytes decide what is new; its time stamp tells only that it was saved again
as it was. That is right
for a save in place, a rename over the old file, a ConfigMap's `..data` symlink, a bind-mounted single file and network
file systems alike. A read of the page cache costs about 50 microseconds, 1 ms for a file of several MB. inotify was
refused: it needs a library, has to follow each of those ways separately, sees nothing on NFS or a desktop's shared
folders, and would save four short reads a second.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Final, NamedTuple

from proxy.sources.base import Content, SourceError

POLL_S: Final = 0.25
"""Two looks (this and SETTLE_S), the check of the file and the way to the workers fit into a second."""
SETTLE_S: Final = 0.1
"""A change is believed once it stood unchanged for so long: a save in place is seen empty or half done otherwise."""
STILL_S: Final = 0.3
"""A faulty content is reported if it stands for so long more, so that a slow save raises no false alarm."""
SETTLE_LOOKS_MAX: Final = 50
"""A file written to for 5 seconds without a pause is taken as it is."""
MISSING_POLLS: Final = 20
"""A file may be away for a moment (deleted and made anew, a volume remounted); 5 s are worth a line in the log."""
FILE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Some hundred thousand rules. More is a mistake, like the name of a log file or a device."""

log = logging.getLogger("grayhound.rules")


class Seen(NamedTuple):
    """The file at one look."""

    data: bytes
    saved_ns: int


class FileSource:
    """Rules from one file. A save that changes nothing counts as a change: who saved is told that nothing is new."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._last: Seen | None = None
        self._reread = asyncio.Event()
        self._missing_polls = 0

    def read(self) -> Content:
        self._last = self._read()
        return Content(str(self.path), self._last.data)

    async def changed(self) -> Content:
        asked = False
        while True:
            asked = await self._pause() or asked
            seen = await self._look(asked)
            if seen is not None and (asked or seen != self._last):
                seen = await self._settled(seen)
            if seen is not None and (asked or seen != self._last):
                self._last = seen
                return Content(str(self.path), seen.data)

    async def still(self, content: Content) -> bool:
        await asyncio.sleep(STILL_S)
        seen = await self._look()
        return seen is not None and seen.data == content.data

    def reread(self) -> None:
        self._reread.set()

    async def _pause(self) -> bool:
        """Wait until the next poll is due; True: someone asked for it now."""
        try:
            async with asyncio.timeout(POLL_S):
                await self._reread.wait()
        except TimeoutError:
            return False
        self._reread.clear()
        return True

    async def _settled(self, seen: Seen) -> Seen | None:
        """The file once it stood unchanged for SETTLE_S; None if the file went away meanwhile."""
        for _ in range(SETTLE_LOOKS_MAX):
            await asyncio.sleep(SETTLE_S)
            again = await self._look()
            if again is None or again == seen:
                return again
            seen = again
        return seen

    async def _look(self, asked: bool = False) -> Seen | None:
        """The file now, or None, said once in the log when it lasts. In a thread: a dead network disk blocks."""
        try:
            seen = await asyncio.to_thread(self._read)
        except SourceError as error:
            self._missing_polls += 1
            if self._missing_polls == MISSING_POLLS or asked:
                log.warning("%s; the last good rules keep serving", error)
            return None
        if self._missing_polls >= MISSING_POLLS:
            log.info("%s can be read again", self.path)
        self._missing_polls = 0
        return seen

    def _read(self) -> Seen:
        try:
            if not self.path.is_file() and self.path.exists():
                raise SourceError(f"{self.path} is not a file")  # reading a FIFO would wait for ever
            with self.path.open("rb") as file:
                seen = Seen(file.read(FILE_BYTES_MAX + 1), os.fstat(file.fileno()).st_mtime_ns)
        except OSError as error:
            raise SourceError(f"cannot read {self.path}: {error.strerror}") from None
        if len(seen.data) > FILE_BYTES_MAX:
            raise SourceError(f"{self.path} is larger than {FILE_BYTES_MAX // 1024 // 1024} MiB")
        return seen
