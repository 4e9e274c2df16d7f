"""Requests as logs and people write them down, read back as heads: one a line.

Grayhound's own access log (JSON or text) and the combined format of nginx and Apache tell method, target, client and
user agent, the first also the host and the rule; `[curl] [METHOD] URL [-H 'name: value'] [-b name=value]` tells all.
"""

from __future__ import annotations

import json
import re
import shlex
from argparse import ArgumentParser
from typing import Any, Final, NoReturn

from proxy.admin.asked import Pair, asked
from proxy.rules.analysis.replay import Recorded

_COMBINED: Final = re.compile(
    r'(?P<client>\S+) \S+ \S+ \[[^\]]*\] "(?P<method>[^" ]+) (?P<target>[^" ]+) [^"]*" \d+ \S+'
    r'(?: "[^"]*" "(?P<agent>(?:[^"\\]|\\.)*)")?(?:.*? host="(?P<host>[^"]*)")?(?P<rest>.*)'
)
_WORD: Final = r'(?:"(?:[^"\\]|\\.)*"|\S+)'
_TAKEN: Final = re.compile(rf" route=({_WORD}) service={_WORD} version={_WORD} rule=({_WORD})")
_LOGGED: Final = frozenset(("header host", "header user-agent"))


def read_recorded(line: str) -> Recorded | None:
    """One line; None if it holds no request, as one that was refused before it could be read. Raises ValueError."""
    if line.startswith("{"):
        return _own(json.loads(line))
    match = _COMBINED.match(line)
    if match is None:
        return _typed(shlex.split(line))
    taken = _TAKEN.search(match["rest"])
    names = tuple(map(_bare, taken.groups())) if taken else ()
    return _logged(match["method"], match["host"], match["target"], match["client"], match["agent"], names)


def _bare(name: str) -> str:
    return "" if name == "-" else str(json.loads(name)) if name.startswith('"') else name


def _own(said: Any) -> Recorded | None:
    if not isinstance(said, dict):
        raise ValueError("not an object")
    if not said.get("method"):
        return None
    taken = (said["route"], said["rule"]) if "route" in said and "rule" in said else ()
    return _logged(
        said["method"], said.get("host"), said["target"], said.get("client"), said.get("user_agent"), taken
    )  # fmt: skip


def _logged(
    method: str, host: str | None, target: str, client: str | None, agent: str | None, taken: tuple[str, ...]
) -> Recorded:
    if target.endswith("..."):
        raise ValueError("the target was cut")
    headers = [("user-agent", agent)] if agent and agent != "-" else []
    known = _LOGGED if host is not None else _LOGGED - {"header host"}
    # An address is all there is to a client; a zone (fe80::1%eth0) no rule asks for.
    head = asked(target, method, [("host", host or ""), *headers], (), (client or "").partition("%")[0] or "0.0.0.0")
    text = f"{method} {host or ''}{target}"
    return Recorded(head, text, False, known, (taken[0], taken[1]) if taken else None)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


_CURL: Final = _Parser(add_help=False, allow_abbrev=False)
_CURL.add_argument("request", nargs="+")
_CURL.add_argument("-X", "--request", dest="method", default="GET")
_CURL.add_argument("-H", "--header", action="append", default=[])
_CURL.add_argument("-b", "--cookie", action="append", default=[])
_CURL.add_argument("-A", "--user-agent")
_CURL.add_argument("--client-ip", default="127.0.0.1")


def _typed(words: list[str]) -> Recorded | None:
    if not words or words[0].startswith("#"):
        return None
    given = _CURL.parse_args(words[1:] if words[0] == "curl" else words)
    *method, url = given.request
    if len(method) > 1:
        raise ValueError("more than a method and a URL")
    headers = [_pair(text, ":") for text in given.header]
    headers += [("user-agent", given.user_agent)] if given.user_agent else []
    cookies = [_pair(part, "=") for text in given.cookie for part in text.split(";") if part.strip()]
    name = method[0] if method else given.method
    return Recorded(asked(url, name, headers, cookies, given.client_ip), f"{name} {url}", True)


def _pair(text: str, separator: str) -> Pair:
    name, found, value = text.partition(separator)
    if not found:
        raise ValueError(f"'{text}' is not NAME{separator}VALUE")
    return name.strip(), value.strip()
