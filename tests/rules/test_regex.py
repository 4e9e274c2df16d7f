"""proxy.rules.regex: RE2, and the regexes that need none."""

from __future__ import annotations

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.regex import EXPANDED_MAX, SET_PROGRAM_MAX, plain, searcher


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("^bar$", {"in": ("bar",)}),
        (r"\Abar\z", {"in": ("bar",)}),
        ("^bar", {"prefix": ("bar",)}),
        ("bar$", {"suffix": ("bar",)}),
        ("bar", {"contains": ("bar",)}),
        ("^(a|b)$", {"in": ("a", "b")}),
        ("^(?:a|b)c$", {"in": ("ac", "bc")}),
        ("^aaa$|^bbb$", {"in": ("aaa", "bbb")}),
        (r"^1\.0$", {"in": ("1.0",)}),
        ("^bar.*", {"prefix": ("bar",)}),
        ("^a$|b", {"in": ("a",), "contains": ("b",)}),
        ("", {"contains": ("",)}),
        (".*bar$", {"suffix": ("bar",)}),
    ],
)
def test_regexes_that_say_a_text(pattern: str, texts: dict[str, tuple[str, ...]]) -> None:
    """Anchors and alternatives of literals are texts."""
    assert plain(pattern) == texts


@pytest.mark.parametrize(
    "pattern",
    [
        "^a.*b$",
        "^.*bar",
        "bar.*$",
        "a+",
        "[ab]",
        "(?i)bar",
        "(?P<n>a)",
        r"\d",
        r"\Qa\E",
        "a{2}",
        "(a|(b))",
        "^^a",
        "((a))",
    ],
)
def test_regexes_that_need_a_regex(pattern: str) -> None:
    """Whatever might say more than a text is left to RE2; `.` takes neither a newline nor broken UTF-8."""
    assert plain(pattern) is None


def test_alternatives_are_written_out_up_to_a_limit() -> None:
    """1,000 alternatives are texts, 1,001 a regex."""
    at_limit = "|".join(f"a{n}" for n in range(EXPANDED_MAX))
    assert plain(f"^({at_limit})$") is not None
    assert plain(f"^({at_limit}|b)$") is None


piece = st.sampled_from(["^", "$", "a", "b", "é", "|", "(", ")", "(?:", r"\.", ".", ".*", r"\A", r"\z", "*", "\n", "-"])
value = st.lists(st.sampled_from([b"a", b"b", "é".encode(), b".", b"\n", b"\xff", b"-", b""]), max_size=6).map(b"".join)


@given(st.lists(piece, max_size=8).map("".join), st.lists(value, min_size=1, max_size=8))
def test_texts_and_regex_agree(pattern: str, values: list[bytes]) -> None:
    """Where a regex is read as texts, RE2 finds it in exactly the same values, whatever bytes they hold."""
    texts = plain(pattern)
    if texts is None:
        return
    options = re2.Options()
    options.log_errors = False
    regex = re2.compile(pattern.encode(), options)
    compare = {
        "in": bytes.__eq__,
        "prefix": bytes.startswith,
        "suffix": bytes.endswith,
        "contains": bytes.__contains__,
    }
    for one in values:
        said = any(compare[kind](one, text.encode()) for kind, group in texts.items() for text in group)
        assert said == (regex.search(one) is not None), (pattern, one)


def test_a_search_is_anywhere_and_over_utf8() -> None:
    """`.` is a character, not a byte; case is ignored only if told; each distinct regex is compiled once."""
    assert searcher("^.$")("é".encode())
    assert searcher("a.c")(b"xxabcxx")
    assert not searcher("a.c")(b"ABC")
    assert searcher("a.c", True)(b"ABC")
    assert searcher("a.c") == searcher("a.c")


@pytest.mark.parametrize("pattern", ["(?=a)", r"(a)\1", "(", "a**"])
def test_what_re2_does_not_take_is_an_error(pattern: str) -> None:
    """Look-arounds and back-references have no linear time."""
    with pytest.raises(ValueError, match="RE2"):
        searcher(pattern)


def test_a_large_program_is_searched_as_well() -> None:
    """Past the limit of a Set a plain search finds the same."""
    large = "(" + "|".join(f"a{n}[xy]b" for n in range(SET_PROGRAM_MAX)) + ")$"
    assert searcher(large)(b"..a77xb")
    assert not searcher(large)(b"..a77zb")


def test_hostile_values_take_linear_time() -> None:
    """A pattern that backtracks for ever elsewhere reads 100,000 bytes at once."""
    assert not searcher("(a+)+$")(b"a" * 100_000 + b"b")
