"""proxy.rules.pin."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.pin import NO_PINNING, PUBLIC_KEY, Pin, Pinning, Pins, known_id, still

PERSON = "0123456789abcdef01234567"
NOW = 1_763_863_200.0
DAY = 86_400.0
OLD, NEW = b"the key of last year", b"the key of this year"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def pins(
    *keys: bytes, service: str = "shop", salt: str = "shop/shop", ttl: float = 0.0, clock: Clock | None = None
) -> Pins:
    return Pins(Pinning(keys, clock or Clock()), service, salt, ttl)


def test_a_pin_is_what_the_manual_says() -> None:
    """Any program that has the key can check one, or write one."""
    scope = hmac.digest(NEW, b"grayhound pin\0shop\0shop/shop", "sha256")
    signed = f"{PERSON}.1763863200.v2"
    signature = urlsafe_b64encode(hmac.digest(scope, signed.encode(), "sha256")[:16]).decode().rstrip("=")
    assert pins(NEW).write(PERSON, "v2") == f"{signed}.{signature}"
    assert pins(NEW, OLD).read(f"{signed}.{signature}".encode()) == Pin("v2", True)


def test_a_golden_pin() -> None:
    """A change of this one moves people. Made with `openssl dgst -sha256 -mac HMAC`."""
    assert pins(NEW).write(PERSON, "v2") == f"{PERSON}.1763863200.v2._nr9j6P0UCsv_PdEJa05rw"


@pytest.mark.parametrize("version", ["v2", "2.0.1", "a:b-c_d.", "_", "x" * 128])
def test_every_name_of_a_version_can_be_pinned(version: str) -> None:
    """Dots in it included."""
    assert pins(NEW).read(pins(NEW).write(PERSON, version).encode()) == Pin(version, True)


@pytest.mark.parametrize(
    "other",
    [
        pins(OLD),
        pins(),
        pins(NEW, service="cart"),
        pins(NEW, salt="shop/other"),
        pins(NEW, service="shop\0shop", salt="shop"),
    ],
)
def test_a_pin_of_another_key_service_or_salt_is_none(other: Pins) -> None:
    """Neither here nor there."""
    here = pins(NEW)
    assert here.read(other.write(PERSON, "v2").encode()) is None
    assert other.read(here.write(PERSON, "v2").encode()) is None


def test_every_change_of_one_byte_undoes_a_pin() -> None:
    """Cut anywhere, lengthened, or with any one bit changed, it is none."""
    here = pins(NEW)
    pin = here.write(PERSON, "v2").encode()
    assert here.read(pin) == Pin("v2", True)
    for at in range(len(pin)):
        assert here.read(pin[:at]) is None
        assert here.read(pin[:at] + pin[at + 1 :]) is None
        for bit in range(8):
            assert here.read(pin[:at] + bytes([pin[at] ^ 1 << bit]) + pin[at + 1 :]) is None
    for longer in (b"." + pin, pin + b"=", pin + b"A", pin + b"\n", b" " + pin, pin * 2, pin.upper()):
        assert here.read(longer) is None


@given(st.binary(max_size=300) | st.text(alphabet="0123456789abcdef.v-", max_size=120).map(str.encode))
def test_no_value_is_a_pin_by_chance(value: bytes) -> None:
    """Whatever a client sends: no pin, and no error."""
    assert pins(NEW).read(value) is None
    assert known_id(value) in (b"", value[:24])


def test_a_pin_ages() -> None:
    """Fresh for half of its ttl, held for all of it; a clock that is set back, or behind another's, does no harm."""
    clock = Clock()
    here = pins(NEW, ttl=30 * DAY, clock=clock)
    pin = here.write(PERSON, "v2").encode()
    ages = {-DAY: True, 0: True, 15 * DAY - 1: True, 15 * DAY: False, 30 * DAY - 1: False}
    for age, fresh in ages.items():
        clock.now = NOW + age
        assert here.read(pin) == Pin("v2", fresh)
    clock.now = NOW + 30 * DAY
    assert here.read(pin) is None


def test_a_pin_without_ttl_holds_for_ever() -> None:
    """As long as the browser has it. And the ttl is that of the rules of today, not of the day it was written."""
    clock = Clock()
    for_ever = pins(NEW, clock=clock)
    pin = for_ever.write(PERSON, "v2").encode()
    clock.now += 3650 * DAY
    assert for_ever.read(pin) == Pin("v2", True)
    assert pins(NEW, ttl=DAY, clock=clock).read(pin) is None


def test_keys_are_replaced_one_after_the_other() -> None:
    """All are believed, the first signs: one of an older key holds, and is written anew."""
    old = pins(OLD).write(PERSON, "v2").encode()
    assert pins(NEW, OLD).read(old) == Pin("v2", False)
    assert pins(OLD, NEW).read(old) == Pin("v2", True)
    assert pins(NEW).read(old) is None
    assert pins(NEW, OLD).write(PERSON, "v2") == pins(NEW).write(PERSON, "v2")


def test_without_a_key_it_is_one_that_everybody_knows() -> None:
    """So that replicas agree, and a restart forgets nobody."""
    assert Pins(NO_PINNING, "shop", "s", 0).write(PERSON, "v2") == Pins(
        Pinning((PUBLIC_KEY,), still), "shop", "s", 0
    ).write(PERSON, "v2")


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (PERSON, PERSON),
        (f"{PERSON}.1.v2.forged", PERSON),
        (f"{PERSON}.\r\n\0", PERSON),
        (f"{PERSON}x", ""),
        (PERSON[1:], ""),
        (PERSON.upper(), ""),
        ("v2", ""),
        ("", ""),
    ],
)
def test_an_id_needs_no_signature(value: str, known: str) -> None:
    """But the form of an id: nothing else gets into a cookie of ours."""
    assert known_id(value.encode()) == known.encode()
