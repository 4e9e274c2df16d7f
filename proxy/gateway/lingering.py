"""What requests that began under earlier rules may yet turn to: a version that stands in for theirs, or gets a copy.

Such a request is in flight on the version it is at, and nowhere counted with the other. But by its lane it holds that
version as its rules made it, as a copy under way does, and that is what is looked for here: no request pays for the
answer.
"""

from __future__ import annotations

from weakref import ref

from proxy.gateway.snapshot import Snapshot
from proxy.upstream.version import Version


class Lingering:
    """The versions of earlier snapshots that a request or a copy still holds."""

    def __init__(self) -> None:
        self._versions: list[ref[Version]] = []

    def add(self, snapshot: Snapshot) -> None:
        """No request begins by this one any more."""
        self._versions += [ref(version) for version in snapshot.versions]

    def versions(self) -> set[tuple[str, str]]:
        """(service, version) of each that a request which began earlier is at, or may yet turn to."""
        held = [version for one in self._versions if (version := one()) is not None]
        self._versions = [ref(version) for version in held]
        return {(version.service, version.name) for version in held}
