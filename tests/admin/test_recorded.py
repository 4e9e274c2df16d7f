"""proxy/admin/recorded.py: requests as logs and people write them down."""

from __future__ import annotations

import pytest

from proxy.admin.recorded import read_recorded
from proxy.observe.access_lines import Entry, Lines

ENTRY: Entry = (
    1.5, 0.25, 0, 2, "", "192.0.2.7", b"GET", b"/cart?a=b%20c", 1, b"shop.example.com", 200,
    ("shop", "shop", "v1", "every one", "sticky"), "http://10.0.0.1:80", 1, 0.1, b"id", b"", b'A "b" C', 3,
)  # fmt: skip


@pytest.mark.parametrize("form", ["json", "text"])
def test_our_own_log_is_read_back(form: str) -> None:
    """Both forms, as the proxy writes them: target, host, client and agent, and the rule that took the request."""
    found = read_recorded(Lines(form).line(ENTRY).strip())
    assert found is not None and not found.whole
    head = found.head
    assert (head.method, head.host, head.path, head.client) == (b"GET", b"shop.example.com", b"/cart", "192.0.2.7")
    assert head.arguments == {b"a": (b"b c",)}
    assert found.taken == ("shop", "every one")
    assert found.names == {"header host", "header user-agent"}


@pytest.mark.parametrize("form", ["json", "text"])
def test_what_no_rule_took_is_read_back_too(form: str) -> None:
    """Its names are empty, not absent."""
    found = read_recorded(Lines(form).line((*ENTRY[:11], ("", "", "", "", ""), *ENTRY[12:])).strip())
    assert found is not None and found.taken == ("", "")


def test_a_combined_log_has_no_host() -> None:
    """As nginx and Apache write it; that the host is unknown is said by what is known."""
    found = read_recorded(
        '10.0.0.9 - bob [10/Oct/2025:13:55:36 +0000] "POST /x?y HTTP/1.1" 200 12 "-" "curl/8 \\"x\\""'
    )
    assert found is not None and found.names == {"header user-agent"} and found.taken is None
    assert (found.head.method, found.head.path, found.head.client) == (b"POST", b"/x", "10.0.0.9")
    short = read_recorded('::1 - - [now] "GET / HTTP/1.0" 200 -')
    assert short is not None and short.head.client == "::1"


@pytest.mark.parametrize(
    ("line", "method", "path"),
    [
        ("GET http://shop.example.com/a", b"GET", b"/a"),
        ("http://shop.example.com/a", b"GET", b"/a"),
        ("curl -X PUT 'http://shop.example.com/a'", b"PUT", b"/a"),
        ("curl http://shop.example.com/a -H 'foo: bar' -b 'a=1; b=2'", b"GET", b"/a"),
    ],
)
def test_lines_as_people_type_them(line: str, method: bytes, path: bytes) -> None:
    """Whole requests: what they do not name is not there."""
    found = read_recorded(line)
    assert found is not None and found.whole
    assert (found.head.method, found.head.host, found.head.path) == (method, b"shop.example.com", path)
    if "-H" in line:
        assert found.head.fields[b"foo"] == (b"bar",) and found.head.cookie(b"b") == b"2"


def test_what_holds_no_request() -> None:
    """A request that was refused before it could be read has no method; a comment is none."""
    assert read_recorded(Lines("json").line((*ENTRY[:6], b"", b"", *ENTRY[8:])).strip()) is None
    assert read_recorded("# from Monday") is None


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1]",
        '{"method": "GET"}',
        "GET / and more",
        "curl",
        "curl --unknown x",
        "'",
        '{"method":"GET","target":"/x..."}',
    ],
)
def test_what_cannot_be_read(line: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        read_recorded(line)
