"""proxy/observe/access_lines.py: what a line looks like, and that no client can forge one."""

from __future__ import annotations

import ast
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.observe import access_lines
from proxy.observe.access_lines import FLAGS, Entry, Lines, escaped

ROOT = Path(__file__).parent.parent.parent
TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
FIELDS: dict[str, Any] = {
    "ended": 1_700_000_000.25, "took_s": 0.125, "request_bytes": 3, "response_bytes": 12, "flag": "",
    "client": "192.0.2.7", "method": b"GET", "target": b"/cart?id=1", "minor": 1, "host": b"shop.example.com",
    "status": 200, "labels": ("shop", "shop", "v2", "everyone", "weight"), "endpoint": "http://10.0.0.1:80", "tries": 1,
    "upstream_s": 0.1, "request_id": b"0123456789abcdef00000001", "traceparent": TRACEPARENT, "user_agent": b"curl/8",
    "generation": 7,
}  # fmt: skip


def entry(**changed: Any) -> Entry:
    made = FIELDS | changed
    assert made.keys() == FIELDS.keys()
    return tuple(made.values())  # type: ignore[return-value]


def as_json(**changed: Any) -> dict[str, Any]:
    line = Lines("json").line(entry(**changed))
    assert line.count("\n") == 1 and line.endswith("}\n") and line.isascii()
    found: dict[str, Any] = json.loads(line)
    return found


def as_text(**changed: Any) -> str:
    return Lines("text").line(entry(**changed))


def test_json_has_every_field() -> None:
    """Names, units and order are the manual's; `time` is when the request came."""
    assert list(as_json().items()) == [
        ("time", "2023-11-14T22:13:20.125Z"),
        ("client", "192.0.2.7"),
        ("method", "GET"),
        ("host", "shop.example.com"),
        ("target", "/cart?id=1"),
        ("status", 200),
        ("flag", ""),
        ("route", "shop"),
        ("service", "shop"),
        ("version", "v2"),
        ("rule", "everyone"),
        ("reason", "weight"),
        ("endpoint", "http://10.0.0.1:80"),
        ("tries", 1),
        ("duration_ms", 125.0),
        ("upstream_ms", 100.0),
        ("request_bytes", 3),
        ("response_bytes", 12),
        ("request_id", "0123456789abcdef00000001"),
        ("trace_id", "0af7651916cd43dd8448eb211c80319c"),
        ("user_agent", "curl/8"),
        ("generation", 7),
    ]


def test_text_reads_like_a_combined_log_and_goes_on_with_names() -> None:
    assert as_text() == (
        '192.0.2.7 - - [2023-11-14T22:13:20.125Z] "GET /cart?id=1 HTTP/1.1" 200 12 "-" "curl/8" '
        'host="shop.example.com" flag=- route=shop service=shop version=v2 rule=everyone reason=weight '
        "endpoint=http://10.0.0.1:80 tries=1 duration_ms=125.000 upstream_ms=100.000 request_bytes=3 "
        'request_id="0123456789abcdef00000001" trace_id=0af7651916cd43dd8448eb211c80319c generation=7\n'
    )


def test_what_is_unknown_shows_as_such() -> None:
    """A request that was refused: null and empty in JSON, a dash in text."""
    unknown = {
        "method": b"", "target": b"", "minor": -1, "host": b"", "labels": ("",) * 5, "endpoint": "", "tries": 0,
        "upstream_s": -1.0, "request_id": b"", "traceparent": b"", "user_agent": b"", "flag": "client_bad_request",
    }  # fmt: skip
    found = as_json(**unknown)
    assert (found["upstream_ms"], found["route"], found["endpoint"], found["trace_id"]) == (None, "", "", "")
    text = as_text(**unknown)
    assert '"- - -" 200 12 "-" "-" host="" flag=client_bad_request route=- ' in text
    assert " upstream_ms=- " in text


FORGED = [
    b'x\n{"status":200}', b'a","status":"0', b"\\", b'\\"', b"\r\n", b"\x00\x1b[2J", b"\x7f", b"\x85\xc2\x85",
    "\u2028\u2029".encode(), b"\xff\xfe\xc3", "\U0001f600".encode(), b"%s%n", b'" 200 0 "-" "x',
]  # fmt: skip


@pytest.mark.parametrize("evil", FORGED)
@pytest.mark.parametrize("name", ["method", "target", "host", "request_id", "user_agent", "client", "traceparent"])
def test_no_value_can_forge_a_line(name: str, evil: bytes) -> None:
    """One line stays one line, of the same fields; in text, no quote ends before its time."""
    value: Any = evil.decode("latin-1") if name == "client" else evil
    changed = {name: value}
    found = as_json(**changed)
    plain = as_json()
    different = {key for key in plain if plain[key] != found[key]}
    assert list(found) == list(plain)
    assert different == {"trace_id" if name == "traceparent" else name}
    if name != "traceparent":
        expected = value if name == "client" else evil.decode("utf-8", "backslashreplace")
        assert found[name] == expected
    text = as_text(**changed)
    assert text.count("\n") == 1 and text.isascii() and text.isprintable() is False and text[:-1].isprintable()
    quoted = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
    assert quoted.count('"') == 10, text


def test_random_values_round_trip() -> None:
    """Whatever the bytes, JSON gives them back as far as they are text."""
    dice = random.Random(1)
    for _ in range(500):
        value = dice.randbytes(dice.randrange(40))
        assert as_json(user_agent=value)["user_agent"] == value.decode("utf-8", "backslashreplace")


@pytest.mark.parametrize("filling", [b"a", b'"', b"\x01", b"\xff", "é".encode(), b"\\"])
def test_values_are_bounded(filling: bytes) -> None:
    """At the limit a value is whole, one past it is cut and says so; escaping cannot make it longer than that."""
    for size in (0, 1, 99, 100, 101, 1000):
        assert len(escaped((filling * size)[:size], 100)) <= 103
    assert escaped(b"a" * 100, 100) == "a" * 100
    assert escaped(b"a" * 101, 100) == "a" * 100 + "..."


@pytest.mark.parametrize("filling", [b"a", b'"', b"\x01", b"\xff"])
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_line_fits_one_write_to_a_pipe(form: str, filling: bytes) -> None:
    """Even if every value is as long as it may be, or longer."""
    long = filling * 65536
    name = '"é\U0001f600' * 43  # 129 characters that grow; names in a rule file have 128 at most
    line = Lines(form).line(
        entry(
            method=long, target=long, host=long, request_id=long, user_agent=long, client=long.decode("latin-1"),
            labels=("r" * 128, "s" * 128, "v" * 128, name[:128], "fallback"), endpoint="http://" + "e" * 259,
            flag=max(FLAGS, key=len), ended=1e10, took_s=1e7, upstream_s=1e7, request_bytes=1 << 60,
            response_bytes=1 << 60, generation=1 << 30,
        )
    )  # fmt: skip
    assert len(line) <= access_lines.LINE_BYTES_MAX, len(line)


def test_what_is_remembered_is_bounded() -> None:
    """A client cannot fill the memory with values that never come again, nor with long ones."""
    lines = Lines("json")
    for number in range(access_lines.REMEMBERED_MAX + 10):
        lines.line(entry(user_agent=b"%d" % number, host=b"h%d" % number))
    lines.line(entry(user_agent=b"x" * 60_000))
    assert len(lines._agents) <= access_lines.REMEMBERED_MAX
    assert len(lines._hosts) <= access_lines.REMEMBERED_MAX
    assert max(map(len, lines._agents)) <= access_lines.USER_AGENT_BYTES_MAX


STATUS_AT = {"ProxyError": 2, "BadRequest": 1, "upstream_error": 2}
"""Where the status stands among the arguments."""


def errors() -> Iterator[tuple[str, int]]:
    """Flag and status of each ProxyError made anywhere in the house."""
    for file in (ROOT / "proxy").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in STATUS_AT:
                continue
            made = node.func.id
            given = node.args[STATUS_AT[made]] if len(node.args) > STATUS_AT[made] else None
            status = given.value if isinstance(given, ast.Constant) else {"BadRequest": 400}.get(made, 502)
            words = [word.value for word in node.args if isinstance(word, ast.Constant) and isinstance(word.value, str)]
            if made == "ProxyError" and len(words) >= 2:
                yield f"{words[0]}_{words[1]}", status if given is None or isinstance(given, ast.Constant) else 0
            elif made == "upstream_error" and words:
                yield f"upstream_{words[0]}", status
            elif made == "BadRequest":
                yield f"client_{words[-1] if len(node.args) == 3 else 'bad_request'}", status


def test_every_error_of_a_request_has_its_flag() -> None:
    """Each of them stands in the table, under its side."""
    made = {flag for flag, _ in errors()} | {"upstream_protocol"}  # the default of BadResponse
    assert len(made) >= 10
    assert made <= FLAGS.keys()


def test_the_manual_explains_every_flag_and_no_other() -> None:
    """docs/operation.md, `Troubleshooting by flag`; with every status that the client may get."""
    table = (ROOT / "docs/operation.md").read_text().partition("## Troubleshooting by flag")[2].partition("\n#")[0]
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.*?) \|", table, re.MULTILINE))
    assert rows.keys() - {"flag"} == FLAGS.keys()
    for flag, status in errors():
        assert not status or str(status) in rows[flag], (flag, status)
