"""What secures connections to `https://` endpoints."""

from __future__ import annotations

import ssl
from dataclasses import field
from functools import lru_cache
from typing import Final

from proxy import pem
from proxy.data import dataclass
from proxy.rules.model import RuleFile
from proxy.rules.tls import Tls

CONTEXTS_MAX: Final = 256
"""Different ways to secure connections that are kept ready; each has its own copy of the CAs, some 100 KiB."""


@dataclass(frozen=True, slots=True)
class Security:
    """What a rule file says of an endpoint's TLS, with what stands in the files it names."""

    verify: bool = True
    server_name: str = ""
    ca: bytes = field(default=b"", repr=False)
    cert: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)


def security(tls: Tls, rule_file: RuleFile) -> Security:
    """The files have been read."""
    named = {key: rule_file.files[file] for key, file in tls.files.items()}
    return Security(tls.verify, tls.server_name, **named)


@lru_cache(CONTEXTS_MAX)
def client_context(security: Security) -> ssl.SSLContext:
    """For connections to endpoints secured in this way. Raises ValueError with what is wrong, the key before it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not security.ca:
        context.load_default_certs()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        what = "ca"
        if security.ca:
            pem.load_cas(context, security.ca)
        what = "cert"
        if security.cert:
            pem.load_pair(context, security.cert, security.key)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    if not security.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
