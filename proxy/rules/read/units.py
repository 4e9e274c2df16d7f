"""What a single text of the rule file may be: durations, percentages, addresses, names, paths.

Each function takes the text and gives the value in its normal form, or raises ValueError with what is wrong and what
to write instead.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from proxy.rules import regex as re2_regex
from proxy.settings import UNITS_S

DURATION_MAX_S: Final = 3650 * 86_400.0
"""Ten years: any longer is a slip of the finger."""
WEIGHT_MAX: Final = 1_000_000_000.0
"""Weights above this add up to what a float no longer tells apart."""
NAME_CHARACTERS_MAX: Final = 128
"""A name is a metric label, a part of a URL and the value of a header field."""
HOST_CHARACTERS_MAX: Final = 253
"""RFC 1035 section 3.1, written out."""

DURATION: Final = r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)"
PERCENT: Final = r"([0-9]+(?:\.[0-9]+)?) ?%"
NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_.:-]*"
NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
STATUSES: Final = r"([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_LABEL: Final = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*").fullmatch
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(.*)", re.DOTALL).fullmatch
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]*))?").fullmatch
_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search
_DOTS = re.compile(r"/\.\.?(?:/|$)").search
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def duration(text: str) -> float:
    """Seconds, from `250ms 5s 10m 8h 30d`, or `0`."""
    match = re.fullmatch(DURATION, text)
    if match is None and text != "0":
        if text.startswith("-") and re.fullmatch(DURATION, text[1:]):
            raise ValueError(f"a duration is not negative, as '{text}' is")
        raise ValueError(f"expected a duration like 250ms, 5s, 10m, 8h or 30d, not '{text}'")
    seconds = float(match[1]) * UNITS_S[match[2]] if match else 0.0
    if seconds > DURATION_MAX_S:
        raise ValueError(f"'{text}' is longer than ten years")
    return seconds


def some_duration(text: str) -> float:
    """A duration that is not 0."""
    seconds = duration(text)
    if seconds == 0:
        raise ValueError("this duration cannot be 0")
    return seconds


def percent(text: str) -> float:
    """A share from 0 to 1, from `20%`."""
    match = re.fullmatch(PERCENT, text)
    if match is None:
        raise ValueError(f"expected a percentage like 20%, not '{text}'")
    share = float(match[1]) / 100
    if share > 1:
        raise ValueError(f"{text} is more than 100%")
    return share


def percent_or_number(text: str) -> float:
    """A share from 0 to 1, from `20` or `20%`."""
    return percent(text if "%" in text else f"{text}%")


def weight(text: str) -> float:
    """A relative weight: an integer or decimal >= 0."""
    if re.fullmatch(NUMBER, text):
        number = float(text)
        if number > WEIGHT_MAX:
            raise ValueError(f"a weight is at most {WEIGHT_MAX:,.0f}; weights are relative")
        return number
    if re.fullmatch("-" + NUMBER, text):
        raise ValueError(f"a weight is not negative, as {text} is")
    if re.fullmatch(PERCENT, text):
        raise ValueError(f"a weight is a number, relative to the others: write {text.rstrip(' %')}, not '{text}'")
    raise ValueError(f"expected a number >= 0, not '{text}'")


def statuses(text: str) -> tuple[int, int]:
    """(first, last), from `200-399` or `200`."""
    match = re.fullmatch(STATUSES, text)
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise ValueError(f"expected a status like 200, or statuses like 200-399, not '{text}'")
    return int(match[1]), int(match[2] or match[1])


def name(text: str) -> str:
    """The name of a service or version."""
    if not re.fullmatch(NAME, text) or len(text) > NAME_CHARACTERS_MAX:
        raise ValueError(
            f"a name is letters, digits, '_', '-', '.' and ':', at most {NAME_CHARACTERS_MAX} of them, not '{text}'"
        )
    return text


def title(text: str) -> str:
    """The name of a route or rule: any printable text."""
    if not text.isprintable() or text != text.strip() or not 0 < len(text) <= NAME_CHARACTERS_MAX:
        raise ValueError(f"a name is 1 to {NAME_CHARACTERS_MAX} printable characters, without spaces at its ends")
    return text


def text(text: str) -> str:
    """Any text at all."""
    return text


def token(text: str) -> str:
    """A name of a cookie (RFC 6265 section 4.1.1)."""
    if not _TOKEN(text):
        raise ValueError(f"'{text}' is not a name: a token of RFC 9110 has no space, separator or non-ASCII letter")
    return text


def header_name(text: str) -> str:
    """A name of a header, in lower case."""
    return token(text).lower()


def argument_name(text: str) -> str:
    """A name of a query argument, decoded."""
    if not text:
        raise ValueError("the name of a query argument is not empty")
    return text


def method(text: str) -> str:
    """A method; they are case-sensitive (RFC 9110 section 9.1)."""
    if not _TOKEN(text):
        raise ValueError(f"'{text}' is not a method, like GET")
    if text != text.upper():
        raise ValueError(f"methods are upper case: write {text.upper()}, not '{text}'")
    return text


def network(text: str) -> str:
    """A CIDR; one address stands for itself alone."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        wider = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"expected a network like 10.0.0.0/8 or 2001:db8::/32, not '{text}'") from None
    raise ValueError(f"'{text}' is an address within a network; write the network as {wider}")


def address(text: str) -> str:
    """One IP address."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"expected an IP address like 192.0.2.1, not '{text}'") from None


def host(text: str) -> str:
    """A host without port, in lower case; IPv6 in brackets."""
    if text.startswith("[") and text.endswith("]"):
        try:
            return f"[{ipaddress.IPv6Address(text[1:-1])}]"
        except ValueError:
            raise ValueError(f"'{text}' is not an IPv6 address in brackets") from None
    if not text.isascii():
        raise ValueError(f"write '{text}' in ASCII" + _punycode(text))
    plain = text.lower().removesuffix(".")
    if not _HOST_NAME(plain) or len(plain) > HOST_CHARACTERS_MAX:
        raise ValueError(f"'{text}' is not a host name or address")
    if re.fullmatch("[0-9.]+", plain):
        try:
            ipaddress.IPv4Address(plain)
        except ValueError:
            raise ValueError(f"'{text}' is not an IPv4 address") from None
    return plain


def authority(text: str) -> str:
    """A Host field: a host, and a port if need be."""
    match = _AUTHORITY(text)
    if match is None or match[2] is None:
        return host(text)
    return f"{host(match[1])}:{_port(match[2])}"


def _port(digits: str) -> int:
    port = int(digits[:6] or 0)
    if not 1 <= port <= 65535:
        raise ValueError(f"port '{digits}' is not from 1 to 65535")
    return port


def host_scope(text: str) -> str:
    """A host of a route: exact, or `*.` and a domain."""
    if text == "*":
        raise ValueError("'*' alone: leave `hosts` out to take every host")
    if re.fullmatch(r"[^\[\]:]+:[0-9]+|\[.*\]:[0-9]+", text):
        raise ValueError(f"a host has no port here (the port in Host is ignored): write {text.rpartition(':')[0]}")
    if "/" in text:
        raise ValueError(f"a host is no URL: write the name alone, not '{text}'")
    if "*" in text.removeprefix("*."):
        raise ValueError(f"a wildcard stands for whole labels at the front, like *.example.com, not '{text}'")
    return "*." + host(text[2:]) if text.startswith("*.") else host(text)


def endpoint_url(text: str) -> str:
    """`http://host:port`, the port written out."""
    match = _URL(text)
    scheme = match[1].lower() if match else ""
    if match is None or scheme not in _DEFAULT_PORTS:
        raise ValueError(f"expected a URL like http://10.0.0.11:8080, not '{text}'")
    if "@" in match[2]:
        raise ValueError("an endpoint's URL holds no user or password")
    if match[3] not in ("", "/") or match[4]:
        raise ValueError(f"an endpoint's URL ends after the port; the path is the request's own: {scheme}://{match[2]}")
    parts = _AUTHORITY(match[2])
    if parts is None:
        raise ValueError(f"'{match[2]}' is not a host and port; an IPv6 address stands in brackets")
    port = _DEFAULT_PORTS[scheme] if parts[2] is None else _port(parts[2])
    return f"{scheme}://{host(parts[1])}:{port}"


def file_path(text: str) -> str:
    """A file by its absolute path: a rule file may come from anywhere, so nothing is relative to it."""
    if not text.startswith("/") or text.endswith("/") or _CONTROL(text):
        raise ValueError(f"expected the absolute path of a file, like /etc/grayhound/ca.pem, not '{text}'")
    return text


def path(text: str) -> str:
    """A path that requests are compared with."""
    checked_path = request_path(text)
    if "?" in text:
        raise ValueError("a path ends before the '?'; test arguments with `query`")
    if _DOTS(text):
        raise ValueError(f"'{text}' has a dot segment: requests are compared after these are resolved")
    return checked_path


def request_path(text: str) -> str:
    """A path with its query, as it is sent."""
    if not text.startswith("/"):
        raise ValueError(f"a path begins with '/': write '/{text}'")
    if "#" in text or " " in text or _CONTROL(text):
        raise ValueError("a path has no '#', space or control character")
    if _BROKEN_ESCAPE(text):
        raise ValueError("'%' stands before two hexadecimal digits; write %25 for itself")
    return text


def regex(text: str) -> str:
    """A regex that RE2 takes."""
    try:
        re2_regex.searcher(text)
    except ValueError as error:
        hint = "; RE2 has no look-around and no back-reference, so that every search takes linear time"
        raise ValueError(f"'{text}' is {error}{hint}") from None
    return text


def field_value(text: str) -> str:
    """A value of a header field or an attribute of a cookie: nothing that would begin another one."""
    if _CONTROL(text):
        raise ValueError("a line break or control character cannot stand here")
    return text


def attribute(text: str) -> str:
    """The value of a cookie's attribute (RFC 6265 section 4.1.1)."""
    if ";" in text or _CONTROL(text):
        raise ValueError(f"'{text}' cannot stand in a cookie: no ';' or control character")
    return text


def _punycode(text: str) -> str:
    try:
        return f": {text.encode('idna').decode()}"
    except UnicodeError:
        return " (punycode, xn--...)"


def some_text(text: str) -> str:
    """A text that is not empty."""
    if not text:
        raise ValueError("an empty text stands in every value; use {present: true}")
    return text


def boolean(text: str) -> bool:
    """`true` or `false`; YAML 1.1's `yes` and `on` are texts."""
    if text.lower() not in ("true", "false"):
        raise ValueError(f"expected true or false, not '{text}'")
    return text.lower() == "true"


def only_true(text: str) -> bool:
    """`true`, where the key alone says it all."""
    if text != "true":
        raise ValueError(f"expected true, not '{text}'")
    return True


def cookie_path(text: str) -> str:
    """The Path attribute of a cookie."""
    return attribute(request_path(text))


def cookie_domain(text: str) -> str:
    """The Domain attribute of a cookie; a dot at its front means nothing (RFC 6265 section 5.2.3)."""
    domain = host(text.removeprefix("."))
    if domain.startswith("[") or re.fullmatch("[0-9.]+", domain):
        raise ValueError(f"'{text}' is an address, which has no subdomains: leave `domain` out")
    return domain


def retry_condition(text: str) -> str | int:
    """What is retried: a cause by its name, or a status from 500 to 599."""
    if text in ("connect_failure", "reset"):
        return text
    if re.fullmatch("5[0-9][0-9]", text):
        return int(text)
    raise ValueError(f"expected connect_failure, reset or a status from 500 to 599, not '{text}'")


def redirect_status(text: str) -> int:
    """A status that sends clients elsewhere (RFC 9110 section 15.4)."""
    if text not in ("301", "302", "303", "307", "308"):
        raise ValueError(f"expected 301, 302, 303, 307 or 308, not '{text}'")
    return int(text)
