"""proxy/http/proxy_header.py: whose connection it is, as a load balancer says it, in either version."""

from __future__ import annotations

import ipaddress
import random
import socket
import struct

import pytest

from proxy.http.proxy_header import HEADER_BYTES_MAX, ProxyHeader, read_proxy_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
TCP4, UDP4, TCP6, UDP6, UNIX, UNSPEC = 0x11, 0x12, 0x21, 0x22, 0x31, 0x00
IPV4 = socket.inet_aton("192.0.2.1") + socket.inet_aton("10.0.0.1") + struct.pack("!HH", 56324, 443)
IPV6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1") + bytes(16) + struct.pack("!HH", 1, 2)
MAPPED = socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.1") + bytes(20)
LONGEST_V1 = "PROXY TCP6 " + " ".join(["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] * 2) + " 65535 65535\r\n"


def v1(text: str) -> bytes:
    return text.encode() + b"\r\n"


def v2(family: int, body: bytes = b"", *, command: int = 0x21, length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body) if length is None else length) + body


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


GOOD = {
    "v1 IPv4": (v1("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443"), "192.0.2.1"),
    "v1 IPv4, ports at their ends": (v1("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0"), "255.255.255.255"),
    "v1 IPv6": (v1("PROXY TCP6 2001:db8::1 ::1 1 65535"), "2001:db8::1"),
    "v1 IPv6, written at length": (v1("PROXY TCP6 2001:0DB8:0:0:0:0:0:1 ::1 1 2"), "2001:db8::1"),
    "v1 IPv4 in IPv6": (v1("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2"), "192.0.2.1"),
    "v1 the longest addresses": (LONGEST_V1.encode(), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    "v1 unknown": (v1("PROXY UNKNOWN"), ""),
    "v1 unknown with addresses": (v1("PROXY UNKNOWN ffff:f::f ffff::f 65535 65535"), ""),
    "v1 unknown with noise": (v1("PROXY UNKNOWN \r \x00 what"), ""),
    "v1 unknown, 107 bytes": (v1("PROXY UNKNOWN " + "x" * 91), ""),
    "v2 IPv4": (v2(TCP4, IPV4), "192.0.2.1"),
    "v2 IPv6": (v2(TCP6, IPV6), "2001:db8::1"),
    "v2 IPv4 in IPv6": (v2(TCP6, MAPPED), "192.0.2.1"),
    "v2 IPv4 with more to say": (v2(TCP4, IPV4 + tlv(0x20, b"\x01") + tlv(0x04, b"")), "192.0.2.1"),
    "v2 IPv6 with more to say": (v2(TCP6, IPV6 + tlv(0x02, b"shop.example.com")), "2001:db8::1"),
    "v2 with more that is malformed": (v2(TCP4, IPV4 + b"\xff\xff"), "192.0.2.1"),
    "v2 the longest": (v2(TCP4, IPV4 + bytes(HEADER_BYTES_MAX - 28)), "192.0.2.1"),
    "v2 local": (v2(UNSPEC, command=0x20), ""),
    "v2 local with addresses": (v2(TCP4, IPV4, command=0x20), ""),
    "v2 local with noise": (v2(0xFF, b"noise", command=0x20), ""),
    "v2 unspecified": (v2(UNSPEC), ""),
    "v2 unspecified with more to say": (v2(UNSPEC, tlv(0x04, b"..")), ""),
    "v2 unspecified family, stream": (v2(0x01), ""),
    "v2 UDP over IPv4": (v2(UDP4, IPV4), ""),
    "v2 UDP over IPv6": (v2(UDP6, IPV6), ""),
    "v2 Unix": (v2(UNIX, b"/a".ljust(108, b"\0") + bytes(108)), ""),
}
BAD = {
    "HTTP": b"GET / HTTP/1.1\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01",
    "empty line": b"\r\n\r\nGET ",
    "v1 small letters": v1("proxy TCP4 192.0.2.1 10.0.0.1 1 2"),
    "v1 nothing": v1("PROXY "),
    "v1 UDP": v1("PROXY UDP4 192.0.2.1 10.0.0.1 1 2"),
    "v1 no family": v1("PROXY 192.0.2.1 10.0.0.1 1 2"),
    "v1 one port": v1("PROXY TCP4 192.0.2.1 10.0.0.1 1"),
    "v1 three ports": v1("PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3"),
    "v1 two spaces": v1("PROXY TCP4  192.0.2.1 10.0.0.1 1 2"),
    "v1 space at the end": v1("PROXY TCP4 192.0.2.1 10.0.0.1 1 2 "),
    "v1 tab": v1("PROXY TCP4\t192.0.2.1 10.0.0.1 1 2"),
    "v1 port too high": v1("PROXY TCP4 192.0.2.1 10.0.0.1 65536 2"),
    "v1 port below 0": v1("PROXY TCP4 192.0.2.1 10.0.0.1 -1 2"),
    "v1 port with 0 before": v1("PROXY TCP4 192.0.2.1 10.0.0.1 01 2"),
    "v1 port of letters": v1("PROXY TCP4 192.0.2.1 10.0.0.1 http 2"),
    "v1 port of other digits": v1("PROXY TCP4 192.0.2.1 10.0.0.1 ² 2"),
    "v1 IPv6 as IPv4": v1("PROXY TCP4 ::1 ::1 1 2"),
    "v1 IPv4 as IPv6": v1("PROXY TCP6 192.0.2.1 10.0.0.1 1 2"),
    "v1 octet too high": v1("PROXY TCP4 192.0.2.256 10.0.0.1 1 2"),
    "v1 octet with 0 before": v1("PROXY TCP4 192.0.2.01 10.0.0.1 1 2"),
    "v1 bad destination": v1("PROXY TCP4 192.0.2.1 nowhere 1 2"),
    "v1 zone": v1("PROXY TCP6 fe80::1%eth0 ::1 1 2"),
    "v1 brackets": v1("PROXY TCP6 [::1] [::1] 1 2"),
    "v1 name": v1("PROXY TCP4 localhost 10.0.0.1 1 2"),
    "v1 without CR": b"PROXY TCP4 192.0.2.1 10.0.0.1 1 2\n",
    "v1 LF in it": b"PROXY TCP4 192.0.2.1 10.0.0.1 1 2\nGET / HTTP/1.1\r\n",
    "v1 108 bytes": v1("PROXY UNKNOWN " + "x" * 92),
    "v1 without end": b"PROXY UNKNOWN " + b"x" * 93,
    "v2 version 1": v2(TCP4, IPV4, command=0x11),
    "v2 version 3": v2(TCP4, IPV4, command=0x31),
    "v2 unknown command": v2(TCP4, IPV4, command=0x22),
    "v2 unknown family": v2(0x41, bytes(300)),
    "v2 unknown protocol": v2(0x13, IPV4),
    "v2 IPv4 too short": v2(TCP4, IPV4[:-1]),
    "v2 IPv6 too short": v2(TCP6, IPV6[:-1]),
    "v2 Unix too short": v2(UNIX, bytes(215)),
    "v2 too long": v2(TCP4, length=HEADER_BYTES_MAX - 15),
    "v2 far too long": v2(TCP4, length=65535),
    "v2 signature broken": SIGNATURE[:-1] + b"\r" + v2(TCP4, IPV4)[12:],
}


@pytest.mark.parametrize(("header", "client"), GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("tail", [b"", b"\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"])
def test_what_is_read(header: bytes, client: str, tail: bytes) -> None:
    """To its last byte, whatever follows; until that has come, there is nothing to say, and nothing is wrong."""
    assert read_proxy_header(header + tail) == ProxyHeader(len(header), client)
    assert [read_proxy_header(header[:end]) for end in range(len(header))] == [None] * len(header)


@pytest.mark.parametrize("header", BAD.values(), ids=BAD)
def test_what_is_refused(header: bytes) -> None:
    """With its last byte at the latest, and for good; no beginning of it passes for a header."""
    with pytest.raises(ValueError, match="PROXY header"):
        read_proxy_header(header)
    refused = False
    for end in range(len(header) + 1):
        try:
            assert read_proxy_header(header[:end]) is None and not refused
        except ValueError:
            refused = True


def test_whatever_comes_is_read_or_refused() -> None:
    """Headers with some bytes changed, taken out or doubled: an address, more to come, or ValueError."""
    dice = random.Random(1)
    headers = [header for header, _ in GOOD.values()]
    for _ in range(20_000):
        data = bytearray(dice.choice(headers)[:400])
        for _ in range(dice.randrange(1, 4)):
            at = dice.randrange(len(data))
            data[at : at + dice.randrange(2)] = dice.choice([b"", bytes([dice.randrange(256)]), data[at : at + 9]])
        try:
            found = read_proxy_header(bytes(data))
        except ValueError:
            continue
        assert found is None or (found.size <= len(data) and (not found.client or ipaddress.ip_address(found.client)))


def test_a_beginning_is_never_longer_than_a_header_may_be() -> None:
    """Who waits for more never holds more than HEADER_BYTES_MAX."""
    assert read_proxy_header(v2(TCP4, bytes(HEADER_BYTES_MAX - 17), length=HEADER_BYTES_MAX - 16)) is None
    with pytest.raises(ValueError, match=f"more than {HEADER_BYTES_MAX} bytes"):
        read_proxy_header(v2(TCP4, length=HEADER_BYTES_MAX - 15))
