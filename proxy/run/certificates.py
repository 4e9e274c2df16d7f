"""The files of the TLS listeners: read and judged by control, at the start and whenever their content changes.

A pair is two files, and they change one after the other: a change is believed once it has stood for a poll, as with the
rule file. What is then at fault changes nothing: the last good one is shown on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from proxy.downstream.tls import Certificate, Material, Pair, examine, examine_ca
from proxy.errors import StartError
from proxy.run.files import Content, read_file
from proxy.settings import PairFiles, Settings

POLL_S: Final = 1.0
"""A new certificate is shown within two looks; they are replaced weeks before they expire."""

Contents = tuple[Content, ...]

log = logging.getLogger("grayhound.tls")


class Part:
    """A pair or the clients' CA: what changes as one. option: how it was given."""

    def __init__(self, option: str, *files: str) -> None:
        self.name = f"{option} {':'.join(files)}"
        self.contents: Contents = ()  # in use, or refused
        self._files = files
        self._seen: Contents = ()

    def look(self) -> Contents:
        return tuple(read_file(file) for file in self._files)

    def settled(self, now: Contents) -> bool:
        """Whether this is a change that has stood for a poll."""
        stood = now == self._seen
        self._seen = now
        return stood and now != self.contents


class CertificateFiles:
    """What the TLS listeners show and ask for. The key material stays in memory, here and in the workers."""

    def __init__(self, pairs: tuple[PairFiles, ...], client_ca: str) -> None:
        self._parts = [Part("--tls-cert", *files) for files in pairs]
        self._ca = Part("--tls-client-ca", client_ca) if client_ca else None
        self._known: dict[Part, tuple[Pair, Certificate]] = {}
        self._ca_known = b""

    def read(self) -> Material:
        """All of it, for the start. Raises StartError with one line."""
        for part in self._all:
            part.contents = part.look()
            try:
                self._take(part)
            except ValueError as error:
                raise StartError(f"{part.name}: {error}") from None
        return self.material

    @property
    def material(self) -> Material:
        return Material(tuple(self._known[part][0] for part in self._parts), self._ca_known)

    @property
    def not_after(self) -> dict[str, float]:
        """When each certificate expires, in Unix time, by its first name."""
        known = [self._known[part][1] for part in reversed(self._parts)]
        return {one.names[0] if one.names else "": one.not_after for one in known}

    async def follow(self, changed: Callable[[], None]) -> None:
        """Take in every change, for ever; `changed` is told after each."""
        while True:
            await asyncio.sleep(POLL_S)
            if await asyncio.to_thread(self._poll):
                changed()

    def _poll(self) -> bool:
        """Read all files once; whether anything is new."""
        new = False
        for part in self._all:
            contents = part.look()
            if not part.settled(contents):
                continue
            part.contents = contents
            try:
                self._take(part)
            except ValueError as error:
                log.error("%s: %s; the last good one is used on", part.name, error)
            else:
                log.info("%s is in use", part.name)
                new = True
        return new

    @property
    def _all(self) -> list[Part]:
        return [*self._parts, *([self._ca] if self._ca else [])]

    def _take(self, part: Part) -> None:
        """Judge what was read, and keep it. Raises ValueError."""
        contents = [_bytes(content) for content in part.contents]
        if part is self._ca:
            examine_ca(contents[0])
            self._ca_known = contents[0]
            return
        pair = Pair(contents[0], contents[1])
        certificate = examine(pair)
        self._known[part] = replace(pair, names=certificate.names), certificate
        if odd := oddity(certificate, time.time()):
            log.warning("%s: %s", part.name, odd)


def certificate_files(settings: Settings) -> CertificateFiles | None:
    """Those of the settings; None if nobody listens for TLS."""
    return CertificateFiles(settings.tls_cert, settings.tls_client_ca) if settings.tls_listen else None


def oddity(certificate: Certificate, now: float) -> str:
    """Why clients will refuse a certificate that is sound in itself; empty if there is no reason."""
    if certificate.not_after < now:
        return f"the certificate expired on {_day(certificate.not_after)}"
    if certificate.not_before > now:
        return f"the certificate is not valid before {_day(certificate.not_before)}"
    return ""


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


def _bytes(content: Content) -> bytes:
    if isinstance(content, str):
        raise ValueError(content)
    return content
