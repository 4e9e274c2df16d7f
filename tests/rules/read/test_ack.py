from __future__ import annotations

import pytest

from proxy.rules.model import FieldTest, TextTest
from proxy.rules.read.ack import read_ack


@pytest.mark.parametrize(
    ("text", "where", "name", "kind", "value"),
    [
        ('header("foo", /^bar$/)', "header", "foo", "regex", "^bar$"),
        ('header("Foo", "bar")', "header", "foo", "in", "bar"),
        ('cookie("foo", /^sticky-.+$/)', "cookie", "foo", "regex", "^sticky-.+$"),
        ('query("foo", "bar")', "query", "foo", "in", "bar"),
        ('query("boge_id", /^aaa$|^bbb$/)', "query", "boge_id", "regex", "^aaa$|^bbb$"),
        ('  header( "foo" ,"bar" ) ', "header", "foo", "in", "bar"),
        ('header("foo", /^(a|b)$/)', "header", "foo", "regex", "^(a|b)$"),
        ('header("foo", /a,b/)', "header", "foo", "regex", "a,b"),
        ('header("foo", /a/b/)', "header", "foo", "regex", "a/b"),
        ('header("foo", /"a"/)', "header", "foo", "regex", '"a"'),
        ('header("foo", ")")', "header", "foo", "in", ")"),
        ('header("foo", "/bar/")', "header", "foo", "in", "/bar/"),
    ],
)
def test_every_documented_form_is_read(text: str, where: str, name: str, kind: str, value: str) -> None:
    """The value reaches to the last parenthesis; slashes make a regex, quotes a text."""
    assert read_ack(text) == FieldTest(where, name, TextTest(kind, (value,)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "header",
        'header("foo")',
        'header("", "a")',
        'header("foo", "")',
        'header("foo", //)',
        "header('foo', 'bar')",
        'header("foo", bar)',
        'method("foo", "bar")',
        'header("a b", "c")',
        'header("foo", /(?!a)/)',
        'svc: header("a", "b")',
        'header("a", "b"), cookie("c", "d")',
        'header("a", /b/) && cookie("c", /d/)',
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    """A text that says less or more than one test is a fault."""
    with pytest.raises(ValueError):
        read_ack(text)
