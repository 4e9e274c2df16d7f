"""The pin: the version that a person stays on, remembered in a signed cookie. Nothing else reads or writes one.

    ID.WHEN.VERSION.SIGNATURE

ID is the person's random id, which is hashed where no pin holds; WHEN the Unix time of the signature, in seconds;
SIGNATURE the first 16 bytes of HMAC-SHA256 over all that stands before its dot, in base64url without padding. Its key
is HMAC-SHA256(KEY, "grayhound pin" 00 SERVICE 00 SALT), so that a pin of one service and salt is none of any other, and
a cookie that this proxy signs for another purpose will never be a pin.

Without a KEY of the operator's the key is the same for everybody, and anybody can sign. What that gains them: with a
split whose versions all have a weight, nothing, as whoever deletes the cookie until the version suits has the same;
with `on_zero: keep`, a version of weight 0, which nobody is sent to otherwise.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

SIGNATURE_BYTES: Final = 16
"""128 bits: a guess is worth a request, and there is nothing to search offline but the key."""
SIGNATURES_MAX: Final = 10_000
"""Signatures of a worker that are remembered, each some 300 bytes. Forged ones push others out, and cost no more than a
cookie does that was never seen."""
KEY_CHARACTERS_MIN: Final = 16
"""Of a signing key; 128 bits if they are random bytes, and less if they are a word: so as not to be guessed offline."""
PUBLIC_KEY: Final = b"grayhound"
"""Signs where the operator gives no key. All replicas agree and no restart forgets; it keeps nobody out."""

_ID = re.compile(rb"([0-9a-f]{24})(?:\..*)?", re.DOTALL).fullmatch
_PIN = re.compile(rb"[0-9a-f]{24}\.([0-9]{1,15})\.([A-Za-z0-9_.:-]{1,128})\.([0-9A-Za-z_-]{22})").fullmatch

Now = Callable[[], float]
"""Unix time."""


class Pinning(NamedTuple):
    """What it takes to keep pins. keys: the first signs, all are believed."""

    keys: tuple[bytes, ...]
    now: Now


def still() -> float:
    """A clock that stands, for tables that serve nobody."""
    return 0.0


NO_PINNING: Final = Pinning((), still)


class Pin(NamedTuple):
    """A pin that holds. fresh: there is no need to write it again."""

    version: str
    fresh: bool


class Pins:
    """The pins of one service and salt. ttl: seconds that one holds, 0 for ever.

    A pin is fresh for half of its ttl, so that whoever comes back within that time never loses it; and only if the
    first key signed it, so that a key can be replaced.
    """

    def __init__(self, pinning: Pinning, service: str, salt: str, ttl: float) -> None:
        scope = b"grayhound pin\0%b\0%b" % (service.encode(), salt.encode())
        self._keys = tuple(hmac.digest(key, scope, "sha256") for key in pinning.keys or (PUBLIC_KEY,))
        self._now = pinning.now
        self._ttl = ttl

    def write(self, known: str, version: str) -> str:
        """The cookie's value that keeps a person, known by this id, on a version."""
        signed = f"{known}.{int(self._now())}.{version}"
        return f"{signed}.{_signature(self._keys[0], signed.encode()).decode()}"

    def read(self, value: bytes) -> Pin | None:
        """The pin in a cookie's value; None if it is none of ours, or too old."""
        match = _PIN(value)
        if match is None:
            return None
        signed, signature = value[: match.start(3) - 1], match[3]
        for place, key in enumerate(self._keys):
            if hmac.compare_digest(_signature(key, signed), signature):
                age = self._now() - int(match[1]) if self._ttl else -1
                if age >= self._ttl:
                    return None
                return Pin(match[2].decode(), place == 0 and age < self._ttl / 2)
        return None


def known_id(value: bytes) -> bytes:
    """The id in a cookie of ours, whether it holds a pin or not, and whoever signed it; empty if it has none.

    Needs no signature: it is a key like any other that a client brings. So whoever loses a pin, as with a new signing
    key or a ttl that is over, is hashed by the same id and mostly stays; and the cookies of mode `hash` go on.
    """
    match = _ID(value)
    return match[1] if match else b""


# PERF: 0.4 of the time of reading a pin: browsers send the same one with every request.
@lru_cache(maxsize=SIGNATURES_MAX)
def _signature(key: bytes, signed: bytes) -> bytes:
    return urlsafe_b64encode(hmac.digest(key, signed, "sha256")[:SIGNATURE_BYTES]).rstrip(b"=")
