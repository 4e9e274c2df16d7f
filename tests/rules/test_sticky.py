"""proxy.rules.sticky."""

from __future__ import annotations

import pytest

from proxy.rules.person import Sticky, StickyCookie, StickyKey
from proxy.rules.sticky import cookie_writer, key_readers, keys, needs
from tests.rules.build import request

BY = (StickyKey("header", "x-user"), StickyKey("cookie", "uid"), StickyKey("query", "u"), StickyKey("client_ip"))


def test_keys_stand_in_file_order_and_the_cookie_last() -> None:
    """The proxy's own cookie is a key like any other, and the fields of all are needed."""
    sticky = Sticky(BY, StickyCookie("gray"))
    assert keys(sticky) == (*BY, StickyKey("cookie", "gray"))
    assert needs(sticky) == {b"x-user", b"cookie"}
    assert needs(Sticky((StickyKey("client_ip"),))) == set()
    head = request("/?u=3", "x-user: 1", "Cookie: gray=4; uid=2", client="::ffff:10.0.0.1")
    read = [read(head)[0] for read in key_readers(sticky)]
    assert read == [b"1", b"2", b"3", b"10.0.0.1", b"4"]


@pytest.mark.parametrize(
    ("cookie", "scheme", "value"),
    [
        (StickyCookie("gray"), b"http", b"gray=id; Path=/; HttpOnly; SameSite=Lax"),
        (StickyCookie("gray"), b"https", b"gray=id; Path=/; HttpOnly; SameSite=Lax; Secure"),
        (StickyCookie("g", ttl=86400.0), b"http", b"g=id; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax"),
        (StickyCookie("g", ttl=0.25), b"http", b"g=id; Path=/; Max-Age=1; HttpOnly; SameSite=Lax"),
        (
            StickyCookie("g", 60.0, "/shop", "example.com", True, "none"),
            b"http",
            b"g=id; Path=/shop; Domain=example.com; Max-Age=60; HttpOnly; SameSite=None; Secure",
        ),
        (StickyCookie("g", same_site="strict"), b"http", b"g=id; Path=/; HttpOnly; SameSite=Strict"),
    ],
)
def test_the_cookie_as_it_is_set(cookie: StickyCookie, scheme: bytes, value: bytes) -> None:
    """Only over TLS if it came over TLS or the file says so; a ttl below a second is not a deletion."""
    assert cookie_writer(cookie)("id", request(scheme=scheme)) == value
