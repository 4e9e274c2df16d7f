"""proxy/upstream/resolver.py: all addresses of a name, asked for again in time, the last good ones kept."""

from __future__ import annotations

import asyncio

import pytest

from proxy.clock import Clock
from proxy.upstream.resolver import (
    ADDRESSES_MAX,
    FAILED_S,
    REFRESH_S,
    REFRESH_SOON_S,
    Addresses,
    numeric,
    system_resolve,
)
from tests.talk import until


class Names:
    """A resolver. answer: addresses, or what it raises. asked: how often."""

    def __init__(self, *answer: str) -> None:
        self.answer: tuple[str, ...] | Exception = answer
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.clock = Clock(100.0)
        self.changes = 0
        self.addresses = Addresses("shop.example", self.clock, self.resolve, self.changed)

    def changed(self) -> None:
        self.changes += 1

    async def resolve(self, host: str) -> list[str]:
        assert host == "shop.example"
        self.asked += 1
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return list(self.answer)

    async def later(self, seconds: float) -> None:
        """As if so much time had passed; what is asked then has been answered."""
        asked = self.asked
        self.clock.now += seconds
        self.addresses.sweep(self.clock.now)
        if self.addresses._asking is not None:
            await self.addresses._asking
        assert self.asked - asked <= 1


async def test_addresses_take_turns() -> None:
    """Each is the first as often as the others; every one is in the list, once."""
    names = Names("10.0.0.3", "10.0.0.1", "10.0.0.1", "10.0.0.2")
    turns = [await names.addresses.in_turn() for _ in range(6)]
    assert sorted(turn[0] for turn in turns) == ["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.3", "10.0.0.3"]
    assert {tuple(sorted(turn)) for turn in turns} == {("10.0.0.1", "10.0.0.2", "10.0.0.3")}
    assert names.asked == 1


async def test_an_address_that_failed_comes_last_for_a_while() -> None:
    """And takes part again after that."""
    names = Names("10.0.0.1", "10.0.0.2")
    await names.addresses.in_turn()
    names.addresses.failed("10.0.0.1")
    assert [(await names.addresses.in_turn())[0] for _ in range(4)] == ["10.0.0.2"] * 4
    names.clock.now += FAILED_S
    assert {(await names.addresses.in_turn())[0] for _ in range(4)} == {"10.0.0.1", "10.0.0.2"}


async def test_it_is_asked_again_in_time() -> None:
    """After about ten seconds, not before 7.5, at the latest after 12.5; new addresses are used, and it is said."""
    names = Names("10.0.0.1")
    await names.addresses.in_turn()
    names.answer = ("10.0.0.2",)
    await names.later(0.74 * REFRESH_S)
    assert (names.asked, names.changes) == (1, 0)
    await names.later(0.52 * REFRESH_S)
    assert (names.asked, names.changes) == (2, 1)
    assert await names.addresses.in_turn() == ["10.0.0.2"]
    await names.later(1.26 * REFRESH_S)
    assert (names.asked, names.changes) == (3, 1)


async def test_it_is_asked_again_soon_when_every_address_has_failed() -> None:
    """The service may just have moved."""
    names = Names("10.0.0.1", "10.0.0.2")
    await names.addresses.in_turn()
    names.addresses.failed("10.0.0.1")
    await names.later(REFRESH_SOON_S)
    assert names.asked == 1
    names.addresses.failed("10.0.0.2")
    await names.later(REFRESH_SOON_S)
    assert names.asked == 2


@pytest.mark.parametrize("answer", [OSError("no DNS"), ValueError("no name"), ()])
async def test_last_good_addresses_stay_when_resolving_fails(
    answer: Exception | tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """Said once a minute, not with each look-up."""
    names = Names("10.0.0.1")
    await names.addresses.in_turn()
    names.answer = answer
    for _ in range(3):
        await names.later(1.26 * REFRESH_S)
    assert names.asked == 4 and names.changes == 0
    assert await names.addresses.in_turn() == ["10.0.0.1"]
    assert [record.message.partition(":")[0] for record in caplog.records] == ["cannot resolve shop.example"]


async def test_name_that_never_resolved_is_an_error_each_time() -> None:
    """Whoever wants a connection hears why there is none, and asks again; nobody else asks."""
    names = Names()
    names.answer = OSError("no such name")
    for _ in range(2):
        with pytest.raises(OSError, match="no such name"):
            await names.addresses.in_turn()
    await names.later(1000)
    assert names.asked == 2


async def test_those_who_ask_at_once_share_one_look_up() -> None:
    """One of them giving up does not disturb the others."""
    names = Names("10.0.0.1")
    names.gate.clear()
    loop = asyncio.get_running_loop()
    asked = [loop.create_task(names.addresses.in_turn()) for _ in range(3)]
    await until(lambda: names.asked, "it is asked")
    asked[0].cancel()
    await asyncio.gather(asked[0], return_exceptions=True)
    names.gate.set()
    assert [await task for task in asked[1:]] == [["10.0.0.1"]] * 2
    assert names.asked == 1


async def test_number_of_addresses_has_a_limit() -> None:
    """One more is left out."""
    names = Names(*(f"10.0.0.{number}" for number in range(ADDRESSES_MAX + 1)))
    assert len(await names.addresses.in_turn()) == ADDRESSES_MAX


async def test_the_system_knows_itself() -> None:
    """getaddrinfo, hosts file and all."""
    assert "127.0.0.1" in await system_resolve("localhost")


@pytest.mark.parametrize(
    ("host", "is_numeric"), [("10.0.0.1", True), ("2001:db8::1", True), ("a.example", False), ("10.0.0", False)]
)
def test_numeric_addresses_are_not_resolved(host: str, is_numeric: bool) -> None:
    """They are what they are."""
    assert numeric(host) is is_numeric
