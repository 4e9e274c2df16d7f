"""proxy/admin/asked.py: a question becomes the head that a client would have sent."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.admin.asked import asked


@pytest.mark.parametrize(
    ("url", "host", "path", "query", "scheme"),
    [
        ("http://shop.example.com/cart?x=1", b"shop.example.com", b"/cart", b"x=1", b"http"),
        ("https://Shop.Example.com:8443", b"shop.example.com", b"/", b"", b"https"),
        ("shop.example.com/cart", b"shop.example.com", b"/cart", b"", b"http"),
        ("localhost:8080/cart", b"localhost", b"/cart", b"", b"http"),
        ("/cart?a=b&c=%20d", b"localhost", b"/cart", b"a=b&c=%20d", b"http"),
        ("http://user:secret@host/", b"host", b"/", b"", b"http"),
        ("/café/a b", b"localhost", b"/caf%C3%A9/a%20b", b"", b"http"),
        ("/x/%7Ey/../z", b"localhost", b"/x/z", b"", b"http"),
        ("http://[::1]:80/", b"[::1]", b"/", b"", b"http"),
        ("/x#fragment", b"localhost", b"/x", b"", b"http"),
        ("HTTPS://a/x", b"a", b"/x", b"", b"https"),
    ],
)
def test_a_url_is_read_as_curl_would(url: str, host: bytes, path: bytes, query: bytes, scheme: bytes) -> None:
    head = asked(url)
    assert (head.method, head.host, head.path, head.query, head.scheme) == (b"GET", host, path, query, scheme)


def test_fields_cookies_and_client_are_seen_by_the_rules() -> None:
    """Header names ignore case, a repeated one keeps every value; cookies come as one field."""
    head = asked("/", "POST", [("Foo", "bar"), ("foo", " baz ")], [("uid", "42"), ("foo", "é")], "2001:DB8::1")
    assert head.fields[b"foo"] == (b"bar", b"baz")
    assert (head.cookie(b"uid"), head.cookie(b"foo")) == (b"42", "é".encode())
    assert (head.method, head.client) == (b"POST", "2001:db8::1")


def test_a_host_field_overrides_the_url() -> None:
    assert asked("http://127.0.0.1:8080/", headers=[("Host", "shop.example.com")]).host == b"shop.example.com"


@pytest.mark.parametrize(
    ("url", "more", "why"),
    [
        ("/", {"headers": [("foo", "a\r\nevil: b")]}, "line break"),
        ("/", {"method": "GET\n"}, "line break"),
        ("/", {"method": "G ET"}, "no such request"),
        ("/", {"headers": [("b ad", "x")]}, "no such request"),
        ("/../..", {}, "above the root"),
        ("/%zz", {}, "percent"),
        ("http://[::1/", {}, "IPv6"),
        ("ftp://a/x", {}, "not ftp://"),
        ("http:///x", {}, "no host"),
        ("/", {"client_ip": "nobody"}, "nobody"),
        ("/", {"headers": [("content-length", "x")]}, "no such request"),
    ],
)
def test_what_no_client_could_send_is_said_in_one_sentence(url: str, more: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        asked(url, **more)
