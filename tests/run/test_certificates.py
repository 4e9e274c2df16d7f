"""proxy/run/certificates.py: what is read, when a change is believed, and what is said of it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.downstream.tls import Certificate
from proxy.errors import StartError
from proxy.run.certificates import CertificateFiles, certificate_files, oddity
from proxy.settings import Listen, Settings
from tests.authority import Authority, Issued


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def files(*issued: Issued, client_ca: str = "") -> CertificateFiles:
    return CertificateFiles(tuple((str(one.certificate), str(one.key)) for one in issued), client_ca)


def test_nothing_is_read_where_nobody_listens_for_tls() -> None:
    """Without --tls-listen there are no certificates."""
    assert certificate_files(Settings("rules.yaml")) is None
    listening = Settings("rules.yaml", tls_listen=(Listen("127.0.0.1", 0),), tls_cert=(("c", "k"),))
    assert certificate_files(listening) is not None


def test_the_material_is_what_stands_in_the_files(authority: Authority) -> None:
    """In the order of the options, with the names of each, and when it expires."""
    one, other = authority.issue("a.example", "b.example"), authority.issue("IP:127.0.0.1")
    read = files(one, other, client_ca=str(authority.file))
    material = read.read()
    assert [pair.names for pair in material.pairs] == [("a.example", "b.example"), ()]
    assert [pair.certificate for pair in material.pairs] == [
        one.certificate.read_bytes(),
        other.certificate.read_bytes(),
    ]
    assert material.client_ca == authority.pem
    assert list(read.not_after) == ["", "a.example"]
    assert one.key.read_text().splitlines()[1] not in repr(material)


def test_a_fault_at_the_start_names_the_option(authority: Authority) -> None:
    """One line: the option as given, and what is wrong."""
    one, other = authority.issue("a.example"), authority.issue("a.example")
    mixed = replace(one, key=other.key)
    with pytest.raises(StartError, match=f"^--tls-cert {mixed.option}: the key does not belong to the certificate$"):
        files(mixed).read()
    one.key.unlink()
    with pytest.raises(
        StartError, match=f"^--tls-cert {one.option}: cannot read {one.key}: No such file or directory$"
    ):
        files(one).read()
    with pytest.raises(StartError, match=f"^--tls-client-ca {other.key}: there is no certificate in PEM form in it$"):
        files(other, client_ca=str(other.key)).read()


def test_a_change_is_believed_when_it_has_stood_for_a_poll(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """A pair that is half replaced at one poll and whole at the next raises no alarm."""
    caplog.set_level(logging.INFO, "grayhound")
    one, other = authority.issue("a.example"), authority.issue("b.example")
    read = files(one)
    read.read()
    assert not read._poll()
    one.certificate.write_bytes(other.certificate.read_bytes())
    assert not read._poll()
    one.key.write_bytes(other.key.read_bytes())
    assert not read._poll()
    assert read._poll()
    assert not read._poll()
    assert [pair.names for pair in read.material.pairs] == [("b.example",)]
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_a_fault_keeps_the_last_good_one_and_is_said_once(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """Other pairs are followed meanwhile; and the good one is taken when it is there."""
    caplog.set_level(logging.INFO, "grayhound")
    one, second = authority.issue("a.example"), authority.issue("b.example")
    good, third = one.certificate.read_bytes(), authority.issue("c.example")
    read = files(one, second)
    before = read.read()
    one.certificate.unlink()
    second.replace(third)
    assert [read._poll() for _ in range(4)] == [False, True, False, False]
    assert read.material.pairs[0] == before.pairs[0]
    assert read.material.pairs[1].names == ("c.example",)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert caplog.records[0].message.endswith("No such file or directory; the last good one is used on")
    one.certificate.write_bytes(good)
    assert [read._poll() for _ in range(3)] == [False, True, False]
    assert read.material.pairs[0] == before.pairs[0]


def test_what_clients_will_refuse_is_warned_about() -> None:
    """Expired, or not valid yet; to the second."""
    certificate = Certificate(("a",), 86_400.0, 2 * 86_400.0)
    assert oddity(certificate, 86_399.0) == "the certificate is not valid before 1970-01-02"
    assert oddity(certificate, 86_400.0) == oddity(certificate, 2 * 86_400.0) == ""
    assert oddity(certificate, 2 * 86_400.0 + 1) == "the certificate expired on 1970-01-03"
