"""The ways to load a proxy: as fast as wrk can, at a steady rate, by messages on upgraded connections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks import client, load
from benchmarks.client import Order
from benchmarks.load import Load, Message
from benchmarks.services import MESSAGE_ANSWERED, MESSAGE_ASKED

ANSWER_ENDS = "hello world\n"
UPGRADE = Message(
    "/ws",
    fields={
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    },
)


@dataclass(frozen=True, slots=True)
class Aim:
    """One run of one case against one port."""

    port: int
    messages: list[Message]
    connections: int
    seconds: float
    core: int  # of the client
    wrk: str
    lua: Path  # the messages, as `wrk` is told them
    scheme: str = "http"
    rate: float = 0.0  # for `steady`: requests a second


def wrk(aim: Aim) -> Load:
    return load.run(aim.wrk, aim.lua, aim.port, aim.connections, aim.seconds, aim.core, aim.scheme)


def steady(aim: Aim) -> Load:
    """Small answers at a rate, each asked for at its moment."""
    return client.run(pace(aim.port, aim.messages, aim.connections, aim.seconds, aim.rate), aim.core)


def pace(port: int, messages: list[Message], connections: int, seconds: float, rate: float) -> Order:
    texts = [message.text() for message in messages]
    return Order(port, texts, "HTTP/1.1 200 ", ANSWER_ENDS, connections, seconds, rate, texts[0], ANSWER_ENDS)


def messages(aim: Aim) -> Load:
    asked, answered = MESSAGE_ASKED.decode("latin-1"), MESSAGE_ANSWERED.decode("latin-1")
    order = Order(aim.port, [asked], answered, answered, aim.connections, aim.seconds, first=UPGRADE.text())
    return client.run(order, aim.core)
