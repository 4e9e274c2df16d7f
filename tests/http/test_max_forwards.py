"""proxy/http/max_forwards.py: how far TRACE and OPTIONS go."""

from __future__ import annotations

import pytest

from proxy.errors import BadRequest
from proxy.http.h1 import read_request_head
from proxy.http.max_forwards import LastHop, count_hop
from proxy.http.message import RequestHead
from tests.talk import wire


def head(value: str, method: str = "OPTIONS", *fields: str) -> RequestHead:
    return read_request_head(wire(f"{method} / HTTP/1.1", "Host: a", f"Max-Forwards:{value}", *fields))


@pytest.mark.parametrize(
    ("value", "less"),
    [(" 1", " 0"), ("10", "9"), ("\t 007 ", "\t 6 "), (" 999999999", " 999999998"), (" 1000000000", " 999999999")],
)
def test_a_hop_is_taken_off(value: str, less: str) -> None:
    """One less, and never more than the proxy counts; nothing else of the head changes."""
    for method in ("OPTIONS", "TRACE"):
        one = head(value, method, "A: b")
        count_hop(one)
        assert one.raw == head(less, method, "A: b").raw


def test_other_methods_go_as_far_as_they_like() -> None:
    """The field means nothing with them."""
    one = head(" 0", "GET")
    count_hop(one)
    assert one.raw == head(" 0", "GET").raw


@pytest.mark.parametrize("value", ["", " -1", " +1", " 1 2", " 1, 2", " a", " \xb2"])
def test_what_is_no_number(value: str) -> None:
    """Nobody knows how far it was to go."""
    with pytest.raises(BadRequest, match="not one number"):
        count_hop(head(value))


@pytest.mark.parametrize("value", [" 0", "000"])
def test_the_last_hop(value: str) -> None:
    """The proxy answers: OPTIONS with nothing, TRACE with the way it came, and with nothing that may be secret."""
    with pytest.raises(LastHop) as ended:
        count_hop(head(value))
    assert (ended.value.status, ended.value.lines, ended.value.body) == (200, b"", b"")
    with pytest.raises(LastHop) as ended:
        count_hop(head(value, "TRACE", "Cookie: secret", "via: 1.1 x", "X-Auth: secret", "VIA: 1.0 y", "X-Via: secret"))
    assert ended.value.lines == b"Content-Type: message/http\r\n"
    assert ended.value.body == head(value, "TRACE", "via: 1.1 x", "VIA: 1.0 y").raw
