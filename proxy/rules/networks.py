"""Sets of networks, written as CIDR."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


def plain_address(address: str) -> str:
    """An IPv4 client of an IPv6 socket (`::ffff:10.0.0.1`) is the same client as without."""
    return address[7:] if address.startswith("::ffff:") and "." in address else address


class Networks:
    """A set of IPv4 and IPv6 networks: one look-up per length of prefix, however many networks there are."""

    __slots__ = ("_by_length",)

    def __init__(self, networks: Iterable[str]) -> None:
        by_length: dict[tuple[int, int], set[int]] = {}  # (IP version, bits to drop) -> what is left of the networks
        for text in networks:
            network = plain_network(text)
            drop = network.max_prefixlen - network.prefixlen
            by_length.setdefault((network.version, drop), set()).add(int(network.network_address) >> drop)
        self._by_length = by_length

    def __contains__(self, text: str) -> bool:
        """Whether an address lies in one of the networks; what is no address lies in none."""
        try:
            address: IPv4Address | IPv6Address = ip_address(text)
        except ValueError:
            return False
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        version, number = address.version, int(address)
        return any(number >> drop in numbers for (kind, drop), numbers in self._by_length.items() if kind == version)


def plain_network(text: str) -> IPv4Network | IPv6Network:
    """The network of a CIDR. Mapped IPv4 is IPv4, as in addresses."""
    network = ip_network(text, strict=False)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return network if mapped is None or network.prefixlen < 96 else IPv4Network((mapped, network.prefixlen - 96))
