"""proxy.rules.sticky."""

from __future__ import annotations

import pytest

from proxy.rules.model import Rule, Split
from proxy.rules.person import Sticky, StickyCookie, StickyKey
from proxy.rules.sticky import cookie_writer, kept, key_readers, keys, needs
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
        (StickyCookie("g", http_only=False), b"http", b"g=id; Path=/; SameSite=Lax"),
        (StickyCookie("g", same_site="strict"), b"http", b"g=id; Path=/; HttpOnly; SameSite=Strict"),
    ],
)
def test_the_cookie_as_it_is_set(cookie: StickyCookie, scheme: bytes, value: bytes) -> None:
    """Only over TLS if it came over TLS or the file says so; a ttl below a second is not a deletion."""
    assert cookie_writer(cookie)("id", request(scheme=scheme)) == value


def test_of_a_pin_the_id_is_the_key() -> None:
    """It stays when the pin is written anew; whatever else stands in the cookie is none."""
    sticky = Sticky(BY[:1], StickyCookie("gray"), mode="pin")
    own = key_readers(sticky)[-1]
    known = b"0123456789abcdef01234567"
    for value, found in ((known, (known,)), (known + b".1.v2.x", (known,)), (b"v2", (b"",)), (b"", (b"",))):
        assert own(request("/", f"Cookie: gray={value.decode()}")) == found
    assert own(request("/")) == ()


@pytest.mark.parametrize(
    ("how", "versions"),
    [
        (Sticky(cookie=StickyCookie("g"), mode="pin", on_zero="keep"), ("v2", "v3")),
        (Sticky(cookie=StickyCookie("g"), mode="pin"), ()),
        (Sticky(cookie=StickyCookie("g")), ()),
        (None, ()),
    ],
)
def test_versions_that_keep_their_people(how: Sticky | None, versions: tuple[str, ...]) -> None:
    """Those of weight 0 in the split, if the file says so."""
    assert kept(Rule("r", split=Split((("v1", 1.0), ("v2", 0.0), ("v3", 0.0))), sticky=how)) == versions
    assert kept(Rule("r", version="v1")) == ()
