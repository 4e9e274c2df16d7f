"""proxy.rules.values: what is read for a name, and tests on the values."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.rules.model import ModTest, NotTest, PresentTest, RangeTest, TextTest, ValueTest
from proxy.rules.values import INTEGER_DIGITS_MAX, build_value, integer, reader
from tests.rules.build import request


@pytest.mark.parametrize(
    ("where", "name", "values"),
    [
        ("header", "foo", (b"a", b"b", b"a, b")),
        ("header", "x-user", (b"7",)),
        ("header", "cookie", (b"uid=1; uid=2; e=", b'x="q"', b'uid=1; uid=2; e=, x="q"')),
        ("header", "absent", ()),
        ("cookie", "uid", (b"1",)),
        ("cookie", "x", (b"q",)),
        ("cookie", "e", (b"",)),
        ("cookie", "id", ()),
        ("cookie", "UID", ()),
        ("query", "q", (b"a b", b"", "é&".encode())),
        ("query", "Q", ()),
        ("client_ip", "", (b"192.0.2.1",)),
    ],
)
def test_values_of_a_name(where: Any, name: str, values: tuple[bytes, ...]) -> None:
    """A repeated header one by one and joined; the first cookie of a name; each argument, decoded; one client."""
    head = request(
        "/?q=a+b&q=&q=%C3%A9%26", "Foo: a", "foo: b", "x-user: 7", "Cookie: uid=1; uid=2; e=", 'Cookie: x="q"'
    )
    assert reader(where, name)(head) == values


def test_a_client_of_a_dual_stack_listener_is_the_same_client() -> None:
    """An IPv4 address in IPv6 clothes is read without; no address is an absent one."""
    assert reader("client_ip")(request(client="::ffff:10.0.0.1")) == (b"10.0.0.1",)
    assert reader("client_ip")(request(client="")) == ()


TEXTS: list[tuple[ValueTest, list[bytes], list[bytes]]] = [
    (TextTest("in", ("bar",)), [b"bar"], [b"Bar", b"bar ", b"", b"barbar"]),
    (TextTest("in", ("a", "é")), [b"a", "é".encode()], [b"b", b"\xe9"]),
    (TextTest("in", ("Bar",), ignore_case=True), [b"bar", b"BAR"], [b"baz"]),
    (TextTest("prefix", ("ba",)), [b"ba", b"bar"], [b"b", b"xba"]),
    (TextTest("prefix", ("bA",), ignore_case=True), [b"Bar"], [b"xba"]),
    (TextTest("suffix", ("ar",)), [b"ar", b"bar"], [b"a", b"arx"]),
    (TextTest("contains", ("a",)), [b"a", b"bar"], [b"b", b"A", b""]),
    (TextTest("contains", ("A",), ignore_case=True), [b"bar"], [b"b"]),
    (TextTest("regex", (r"b\d",)), [b"xb1x"], [b"b"]),
    (TextTest("regex", (r"b\d",), ignore_case=True), [b"B1"], [b"b"]),
    (TextTest("regex", ("^bar$",)), [b"bar"], [b"bar\n", b"xbar"]),
    (TextTest("regex", ("^bar$",), ignore_case=True), [b"BAR"], [b"xbar"]),
    (TextTest("regex", ("^a$|b|c",)), [b"a", b"xb", b"cx"], [b"ax"]),
    (RangeTest(1, 100), [b"1", b"99", b"+5", b"007"], [b"0", b"100", b"-1", b"1.0", b" 1", b"", b"1_0", b"x"]),
    (ModTest(10, 3), [b"0", b"12", b"-8", b"-10"], [b"3", b"-1", b"a", b""]),
]


@pytest.mark.parametrize(("test", "hold", "hold_not"), TEXTS)
def test_a_test_and_its_contrary(test: ValueTest, hold: list[bytes], hold_not: list[bytes]) -> None:
    """One of several values is enough; `not` is the contrary, and an absent name satisfies it and nothing else here."""
    holds, holds_not = build_value(test), build_value(NotTest(test))
    for value in hold:
        assert holds((value,)) and holds((b"\xff", value))
        assert not holds_not((value,)) and not holds_not((b"\xff", value))
    for value in hold_not:
        assert not holds((value,)) and holds_not((value,))
    assert not holds(()) and holds_not(())


def test_presence() -> None:
    """A name with an empty value is there."""
    assert build_value(PresentTest(True))((b"",)) and not build_value(PresentTest(True))(())
    assert build_value(PresentTest(False))(()) and not build_value(PresentTest(False))((b"",))
    assert build_value(NotTest(PresentTest(True)))(()) and not build_value(NotTest(PresentTest(False)))(())


def test_integers_have_a_limit() -> None:
    """100 digits are a number, 101 are not; neither are signs alone, spaces, or digits of other scripts."""
    assert integer(b"-" + b"9" * INTEGER_DIGITS_MAX) == -int("9" * INTEGER_DIGITS_MAX)
    assert integer(b"9" * (INTEGER_DIGITS_MAX + 1)) is None
    for value in (b"", b"-", b"+-1", b"1 ", b"0x1", "٣".encode()):
        assert integer(value) is None
