"""How connections to `https://` endpoints are secured, as the file says it."""

from __future__ import annotations

from proxy.data import dataclass


@dataclass(frozen=True, slots=True)
class Tls:
    """How to know an endpoint, and what to show it. Files are PEM, named by absolute paths."""

    ca: str = ""
    """The CAs whose certificates are believed, in place of the system's."""
    verify: bool = True
    """false: believe whatever the endpoint shows. Anybody on the way can then read and change the traffic."""
    server_name: str = ""
    """The name to ask for (SNI), which the endpoint's certificate must bear. Default: the URL's host."""
    cert: str = ""
    """The certificate to show to the endpoint, with its chain; goes with `key`."""
    key: str = ""
    """The private key of `cert`."""

    @property
    def files(self) -> dict[str, str]:
        """The files it names, by the key that names them."""
        named = {"ca": self.ca, "cert": self.cert, "key": self.key}
        return {key: file for key, file in named.items() if file}


DEFAULT_TLS = Tls()
