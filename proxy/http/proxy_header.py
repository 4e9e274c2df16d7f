"""The PROXY protocol: the header, before all else on a connection, by which a load balancer says whose it is.

Alone knows its two versions (proxy-protocol.txt by HAProxy's authors): a line of text, and a binary form.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from typing import Final

from proxy.data import dataclass

HEADER_BYTES_MAX: Final = 4096
"""Version 2 may bring further facts of any length; with a client's certificate among them it takes 2 KiB. As nginx."""
_LINE: Final = b"PROXY "
_LINE_BYTES_MAX: Final = 107
"""Of version 1, its CR LF included."""
_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED: Final = struct.Struct("!12sBBH")
"""Version 2: signature, version and command, family and protocol, length of the rest."""
_LOCAL, _PROXY = 0, 1
_STREAM: Final = 1
_FAMILIES: Final = {0: 0, 1: 12, 2: 36, 3: 216}
"""Bytes of both addresses and ports by family: unspecified, IPv4, IPv6, Unix."""
_PROTOCOL_MAX: Final = 2
_is_port = re.compile(rb"0|[1-9][0-9]{0,4}").fullmatch


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """size: in bytes. client: the address of whoever connected to the sender; empty if it names none, as when the
    sender connects on its own account, to see whether we are well."""

    size: int
    client: str


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """The header that `data` begins with; None if it has not come whole, and then all of `data` belongs to it.

    Raises ValueError with what is wrong.
    """
    if _SIGNATURE.startswith(data[: len(_SIGNATURE)]):
        return _read_binary(data)
    if _LINE.startswith(data[: len(_LINE)]):
        return _read_line(data)
    raise ValueError("it does not begin with a PROXY header")


def _read_line(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, _LINE_BYTES_MAX)
    if end < 0:
        if len(data) >= _LINE_BYTES_MAX or b"\n" in data:
            raise ValueError("the line of the PROXY header does not end")
        return None
    size = end + 2
    family, *words = data[len(_LINE) : end].split(b" ")
    if family == b"UNKNOWN":  # whatever follows it
        return ProxyHeader(size, "")
    if family not in (b"TCP4", b"TCP6") or len(words) != 4:
        raise ValueError("the PROXY header is not: PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT")
    source, _ = (_read_address(family, word) for word in words[:2])
    for port in words[2:]:
        if not _is_port(port) or int(port) > 65535:
            raise ValueError("a port in the PROXY header is not one")
    return ProxyHeader(size, source)


def _read_address(family: bytes, word: bytes) -> str:
    try:
        text = word.decode("ascii")
        if family == b"TCP4":
            return str(ipaddress.IPv4Address(text))
        if "%" not in text:
            return _plain(ipaddress.IPv6Address(text))
    except ValueError:
        pass
    raise ValueError("an address in the PROXY header is not one of its family")


def _read_binary(data: bytes) -> ProxyHeader | None:
    if len(data) < _FIXED.size:
        return None
    _, version_command, family_protocol, length = _FIXED.unpack_from(data)
    version, command = divmod(version_command, 16)
    family, protocol = divmod(family_protocol, 16)
    size = _FIXED.size + length
    if version != 2 or command not in (_LOCAL, _PROXY):
        raise ValueError("the PROXY header is of no known version")
    if size > HEADER_BYTES_MAX:
        raise ValueError(f"the PROXY header has more than {HEADER_BYTES_MAX} bytes")
    if command == _PROXY and (protocol > _PROTOCOL_MAX or length < _FAMILIES.get(family, size)):
        raise ValueError("the PROXY header has no room for its addresses, or they are of no known family")
    if len(data) < size:
        return None
    at = _FIXED.size
    if command == _PROXY and protocol == _STREAM and family == 1:
        return ProxyHeader(size, str(ipaddress.IPv4Address(data[at : at + 4])))
    if command == _PROXY and protocol == _STREAM and family == 2:
        return ProxyHeader(size, _plain(ipaddress.IPv6Address(data[at : at + 16])))
    return ProxyHeader(size, "")


def _plain(address: ipaddress.IPv6Address) -> str:
    """One client has one name, also where the sender's socket speaks IPv4 in IPv6's form."""
    return str(address.ipv4_mapped or address)
