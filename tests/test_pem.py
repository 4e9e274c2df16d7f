"""proxy/pem.py: certificates and keys from bytes, and what is said where they are bad."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from proxy import pem
from tests.authority import Authority, openssl


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def refused(certificate: bytes, key: bytes) -> str:
    with pytest.raises(ValueError) as caught:
        pem.load_pair(context(), certificate, key)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_pair_is_loaded_and_leaves_nothing_behind(authority: Authority) -> None:
    """No file is left open, and a comment in another language is no trouble."""
    issued = authority.issue("a.example")
    files = set(os.listdir("/proc/self/fd"))
    pem.load_pair(context(), "# für a\n".encode() + issued.certificate.read_bytes(), issued.key.read_bytes())
    pem.load_cas(context(), "# für a\n".encode() + authority.pem)
    assert set(os.listdir("/proc/self/fd")) == files


def test_each_fault_is_said_in_words(authority: Authority, tmp_path: Path) -> None:
    """What is wrong with a pair, in a line that an operator understands."""
    one, other = authority.issue("a.example"), authority.issue("a.example")
    certificate, key = one.certificate.read_bytes(), one.key.read_bytes()
    locked = tmp_path / "locked.key"
    openssl("pkey", "-in", str(one.key), "-aes256", "-passout", "pass:secret", "-out", str(locked))
    weak = authority.issue("a.example", key="rsa:1024")
    rsa = authority.issue("a.example", key="rsa:2048")
    assert refused(certificate, other.key.read_bytes()) == "the key does not belong to the certificate"
    assert refused(certificate, rsa.key.read_bytes()) == "the key does not belong to the certificate"
    assert refused(key, key) == "there is no certificate in PEM form in it"
    assert refused(certificate, b"") == "there is no private key in PEM form in it"
    assert refused(certificate, locked.read_bytes()) == "the key is encrypted; nobody is there to type its password"
    assert refused(certificate[:200] + certificate[250:], key).startswith("OpenSSL cannot read it")
    assert refused(weak.certificate.read_bytes(), weak.key.read_bytes()) == (
        "the certificate's key is too short to be safe"
    )


@pytest.mark.parametrize("bad", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_cas_that_cannot_be_read_are_refused(bad: bytes) -> None:
    """A file without certificates trusts nobody, and would be found out only by failing requests."""
    with pytest.raises(ValueError, match=r"no certificate|not enough data|OpenSSL cannot read it"):
        pem.load_cas(context(), bad)
