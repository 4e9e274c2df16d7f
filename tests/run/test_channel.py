"""The channel between control and a worker."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from proxy.rules.parse import parse
from proxy.run import channel as channel_module
from proxy.run.channel import LENGTH, Channel, Rules, encode
from proxy.steps import finish
from proxy.tasks import spawn


class End:
    """One end, with what it heard."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.channel: Channel

    async def open(self, end: socket.socket) -> End:
        self.channel = await Channel.open(
            end, lambda kind, payload: self.heard.put_nowait((kind, payload)), self.closed.set
        )
        return self


@pytest.fixture
async def ends() -> AsyncIterator[tuple[End, End]]:
    left, right = socket.socketpair()
    one, other = await End().open(left), await End().open(right)
    yield one, other
    await one.channel.close()
    await other.channel.close()


async def test_messages_arrive_in_order_both_ways(ends: tuple[End, End]) -> None:
    """What one end sends, the other hears, in order, whatever the size."""
    one, other = ends
    big = b"x" * 5_000_000
    for kind, payload in (("health", {"u": True}), ("rules", big), ("drain", 3.0)):
        one.channel.send(encode(kind, payload))  # type: ignore[arg-type]
    other.channel.send(encode("ready", None))
    assert [await other.heard.get() for _ in range(3)] == [("health", {"u": True}), ("rules", big), ("drain", 3.0)]
    assert await one.heard.get() == ("ready", None)


def test_a_message_may_be_cut_anywhere() -> None:
    """Messages are put together whatever the pieces they come in."""
    data = encode("applied", 1) + encode("applied", 2) + encode("gone", None)
    for size in (1, 2, 3, 5, 7, len(data)):
        heard: list[tuple[str, Any]] = []
        channel = Channel(lambda kind, payload, heard=heard: heard.append((kind, payload)), lambda: None)  # type: ignore[misc]
        for at in range(0, len(data), size):
            channel.data_received(data[at : at + size])
        assert heard == [("applied", 1), ("applied", 2), ("gone", None)]


def test_rules_travel_in_small_messages() -> None:
    """However many they are, a worker never decodes more than some at once; it gets every one of them, in order."""
    routes = "".join(
        f"- {{name: r{number}, service: s{number % 40}, hosts: [h{number}], rules: [{rules}]}}\n"
        for number, rules in enumerate(["", "{name: all, version: v1}"] * 400)
    )
    services = "".join(f"  s{number}: {{versions: {{v1: {{endpoints: [http://e:1]}}}}}}\n" for number in range(40))
    rule_file = parse(f"services:\n{services}routes:\n{routes}", "rules.yaml").rule_file
    rules, heard = Rules.pack(5, rule_file), []
    channel = Channel(lambda *message: heard.append(message), lambda: None)
    told, sizes = rules.messages(), []
    while told:
        sizes.append(LENGTH.size + LENGTH.unpack_from(told)[0])
        channel.data_received(told[: sizes[-1]])
        told = told[sizes[-1] :]
    *before, (kind, last) = heard
    assert kind == "rules" and {kind for kind, _ in before} == {"pieces"}
    assert max(sizes) < 50_000 < sum(sizes)
    arrived = replace(last, pieces=tuple(piece for _, pieces in before for piece in pieces))
    assert arrived == rules and finish(arrived.unpacking()) == rule_file


async def test_closing_delivers_what_was_sent_and_tells_the_peer(ends: tuple[End, End]) -> None:
    """The last counts of a worker are not lost, and both ends learn of the end."""
    one, other = ends
    one.channel.send(encode("counts", "x" * 3_000_000))
    closing = spawn(one.channel.close(), name="close")
    assert (await other.heard.get())[0] == "counts"
    await other.closed.wait()
    await closing
    one.channel.send(encode("gone", None))  # harmless
    assert not one.channel.idle


async def test_a_stuck_peer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of unsent bytes a message is still taken; one past it the channel is cut, not the memory filled."""
    monkeypatch.setattr(channel_module, "UNSENT_BYTES_MAX", 1_000_000)
    left, right = socket.socketpair()
    one = await End().open(left)
    message = encode("rules", b"x" * 2_000_000)
    one.channel.send(message)  # fills the socket's buffer, the rest waits
    assert not one.channel.idle
    assert not one.closed.is_set()
    one.channel.send(message)
    await one.closed.wait()
    right.close()
