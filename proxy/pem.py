"""Certificates and keys in PEM form, as bytes, into an SSL context: what is wrong with them is said in plain words.

Python's ssl reads pairs from files alone; the bytes are handed to it as files in memory, which no disk ever sees.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_BLOCKS = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL).findall
_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----").search
_ENCRYPTED = re.compile(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED").search
_REASONS: Final = {
    "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
    "KEY_TYPE_MISMATCH": "the key does not belong to the certificate",
    "NO_CERTIFICATE_ASSIGNED": "the key does not belong to the certificate",  # it is of another kind
    "EE_KEY_TOO_SMALL": "the certificate's key is too short to be safe",
    "CA_KEY_TOO_SMALL": "a key in the certificate's chain is too short to be safe",
    "CA_MD_TOO_WEAK": "the certificate is signed with a digest that is not safe",
}


def load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Let a context show a certificate, with the chain that follows it. Raises ValueError with what is wrong."""
    if not _BLOCKS(certificate):
        raise ValueError("there is no certificate in PEM form in it")
    if not _KEY(key):
        raise ValueError("there is no private key in PEM form in it")
    if _ENCRYPTED(key):
        raise ValueError("the key is encrypted; nobody is there to type its password")
    with _file_of(certificate) as certificate_file, _file_of(key) as key_file:
        try:
            context.load_cert_chain(certificate_file, key_file, password=lambda: b"")
        except ssl.SSLError as error:
            raise ValueError(reason(error)) from None


def load_cas(context: ssl.SSLContext, cas: bytes) -> None:
    """Let a context trust these certificates. Raises ValueError with what is wrong."""
    blocks = _BLOCKS(cas)
    if not blocks:
        raise ValueError("there is no certificate in PEM form in it")
    try:
        # The blocks alone: a file may have comments in any language between them.
        context.load_verify_locations(cadata=b"\n".join(blocks).decode("ascii", "replace"))
    except ssl.SSLError as error:
        raise ValueError(reason(error)) from None


def reason(error: ssl.SSLError) -> str:
    """What OpenSSL complains of, for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    word = error.reason or ""
    return _REASONS.get(word) or (word.replace("_", " ").lower() if word else "OpenSSL cannot read it")


@contextmanager
def _file_of(data: bytes) -> Iterator[str]:
    """A file with these bytes that exists in this process's memory only."""
    with os.fdopen(os.memfd_create("pem", os.MFD_CLOEXEC), "wb") as file:
        file.write(data)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"
