"""How far a TRACE or OPTIONS wants to go (RFC 9110 section 7.6.2), and what it is told at the end of its way."""

from __future__ import annotations

import re
from typing import Final

from proxy.errors import BadRequest
from proxy.http.message import RequestHead

COUNTED: Final = (b"OPTIONS", b"TRACE")
"""Methods whose hops are counted; with others the field means nothing."""
DIGITS_MAX: Final = 9
"""Of the hops left; nothing is further away than a thousand million proxies."""
_VALUE = re.compile(rb"(?<=\r\n)((?i:max-forwards):[ \t]*)[0-9]+")
_shown: Final = re.compile(rb"\r\n(?i:host|max-forwards|via):[^\r]*").findall
"""What a TRACE is shown of itself: the way it went. Other fields may hold what clients are not to see: cookies, or what
a proxy on the way has added (RFC 9110 section 9.3.8)."""


class LastHop(BadRequest):
    """A request that goes no further: the proxy is its final recipient, and answers."""

    def __init__(self, head: RequestHead) -> None:
        super().__init__("the request goes no further", 200, "max_forwards")
        traced = head.method == b"TRACE"
        self.lines = b"Content-Type: message/http\r\n" if traced else b""
        line = head.raw[: head.raw.find(b"\r\n")]
        self.body = b"%b%b\r\n\r\n" % (line, b"".join(_shown(head.raw))) if traced else b""


def count_hop(head: RequestHead) -> None:
    """Take one off what its Max-Forwards leaves it, if that is counted. Raises LastHop if it leaves nothing, BadRequest
    if it is no number."""
    values = head.fields[b"max-forwards"]
    if head.method not in COUNTED:
        return
    if len(values) > 1 or not values[0].isdigit():
        raise BadRequest("Max-Forwards is not one number")
    left = values[0].lstrip(b"0")
    if not left:
        raise LastHop(head)
    less = int(left) - 1 if len(left) <= DIGITS_MAX else 10**DIGITS_MAX - 1
    head.raw = _VALUE.sub(rb"\g<1>%d" % less, head.raw, 1)
