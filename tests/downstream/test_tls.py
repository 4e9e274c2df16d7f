"""proxy/downstream/tls.py: which certificate is shown, and which handshakes come about."""

from __future__ import annotations

import asyncio
import logging
import ssl
import sys
from dataclasses import replace

import pytest

from proxy.downstream.tls import Certificates, Material, Pair, examine, examine_ca
from tests.authority import Authority, Issued, openssl
from tests.talk import OK, Stage, forwarded, masked, stage, wire

ASK = wire("GET / HTTP/1.1", "Host: a")
CLOSE = wire("GET / HTTP/1.1", "Host: a", "Connection: close")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def pair(issued: Issued) -> Pair:
    made = Pair(issued.certificate.read_bytes(), issued.key.read_bytes())
    return replace(made, names=examine(made).names)


@pytest.fixture(scope="module")
def material(authority: Authority) -> Material:
    """The first is the default; each has its names as its subject."""
    names = [("localhost",), ("a.example", "b.example"), ("*.b.example",), ("b.example", "*.c.d.example")]
    return Material(tuple(pair(authority.issue(*these, subject=" ".join(these))) for these in names))


async def shown(the: Stage, context: ssl.SSLContext, name: str | None) -> str:
    """The subject of the certificate that a client is shown."""
    context.check_hostname = False
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(
        asyncio.Protocol, "127.0.0.1", the.port, ssl=context, server_hostname=name or ""
    )
    certificate = transport.get_extra_info("peercert")
    transport.close()
    return dict(part[0] for part in certificate["subject"])["commonName"]


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("a.example", "a.example b.example"),
        ("A.EXAMPLE", "a.example b.example"),
        ("b.example", "a.example b.example"),
        ("x.b.example", "*.b.example"),
        ("y.x.b.example", "localhost"),
        ("x.c.d.example", "b.example *.c.d.example"),
        ("c.d.example", "localhost"),
        ("other.example", "localhost"),
        (None, "localhost"),
    ],
)
async def test_sni_chooses(authority: Authority, material: Material, name: str | None, subject: str) -> None:
    """The exact name, in any case, then a wildcard for one label, then the first; of equals the first."""
    async with stage(certificates=material) as the:
        assert await shown(the, authority.client(), name) == subject


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_request_by_tls(authority: Authority, material: Material, version: ssl.TLSVersion) -> None:
    """The upstream hears that it came by https; the client gets http/1.1 by ALPN."""
    async with stage(certificates=material) as the:
        the.tls = authority.client()
        the.tls.minimum_version = the.tls.maximum_version = version
        the.tls.set_alpn_protocols(["h2", "http/1.1"])
        async with the.client() as client:
            await client.say(ASK)
            assert await client.hear(len(OK)) == OK
            tls = client.writer.get_extra_info("ssl_object")
            assert tls.selected_alpn_protocol() == "http/1.1"
        expected = forwarded("GET / HTTP/1.1", "Host: a").replace(b"Proto: http\r", b"Proto: https\r")
        assert [masked(heard) for heard in the.upstream.heard] == [expected]
        assert list(the.gateway.counts().gauge["connections_open"]) == [(f"127.0.0.1:{the.port}",)]


async def s_client(the: Stage, *arguments: str) -> str:
    asked = ("s_client", "-connect", f"127.0.0.1:{the.port}", *arguments)
    return await asyncio.to_thread(openssl, *asked, given="Q\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
        ("-tls1", "-cipher", "ALL:@SECLEVEL=0"),
        ("-tls1_2", "-cipher", "AES128-GCM-SHA256"),  # RSA key exchange: no forward secrecy
        ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"),  # CBC
        ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-CCM8"),
    ],
)
async def test_what_is_not_sound_is_refused(material: Material, arguments: tuple[str, ...]) -> None:
    """Nothing below TLS 1.2, and of TLS 1.2 only forward secrecy with authenticated encryption."""
    async with stage(certificates=material) as the:
        said = await s_client(the, *arguments)
        assert "Cipher is (NONE)" in said, said


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"])
async def test_what_is_sound_is_taken(material: Material, cipher: str) -> None:
    """The ciphers of TLS 1.2 that are left, without compression or renegotiation."""
    async with stage(certificates=material) as the:
        said = await s_client(the, "-tls1_2", "-cipher", cipher)
        assert f"Cipher is {cipher}" in said
        assert "Compression: NONE" in said
        said = await asyncio.to_thread(openssl, "s_client", "-connect", f"127.0.0.1:{the.port}", "-tls1_2", given="R\n")
        assert "no renegotiation" in said or "handshake failure" in said or "RENEGOTIATING" in said


@pytest.mark.parametrize(
    "say", [ASK, b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x01\xff\xff", b"\x00" * 4096, b"", b"\x80\x2e\x01\x00\x02"]
)
async def test_what_is_no_handshake_ends_quietly(
    material: Material, say: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Plain HTTP or noise: the connection ends, no operator is woken, and the next client is served."""
    async with stage(certificates=material) as the:
        reader, writer = await asyncio.open_connection("127.0.0.1", the.port)
        writer.write(say)
        writer.write_eof()
        assert b"HTTP" not in await reader.read()
        writer.close()
        assert not the.listener.connections
        assert not [record for record in caplog.records if record.levelno > logging.INFO]
    assert capfd.readouterr().err == ""


async def test_a_handshake_has_its_time(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that says nothing is not waited for."""
    monkeypatch.setattr("proxy.downstream.porch.HANDSHAKE_S", 0.05)
    async with stage(certificates=material) as the:
        reader, writer = await asyncio.open_connection("127.0.0.1", the.port)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


async def refused(the: Stage) -> bool:
    """Whether a client gets no answer. With TLS 1.3 the client's own handshake ends before it is judged."""
    try:
        return await the.ask(CLOSE) == b""
    except (ssl.SSLError, ConnectionError):
        return True


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_clients_must_show_a_certificate(
    authority: Authority, material: Material, tmp_path_factory: pytest.TempPathFactory, version: ssl.TLSVersion
) -> None:
    """With a CA for clients: none, or one of another CA, is refused before a request is read."""
    other = Authority(tmp_path_factory.mktemp("other"), "other")

    def client(shown: Issued | None) -> ssl.SSLContext:
        context = authority.client(shown)
        context.minimum_version = context.maximum_version = version
        return context

    async with stage(certificates=replace(material, client_ca=authority.pem)) as the:
        the.tls = client(None)
        assert await refused(the)
        the.tls = client(other.issue("me"))
        assert await refused(the)
        assert the.upstream.heard == []
        the.tls = client(authority.issue("me"))
        assert (await the.ask(CLOSE)).startswith(b"HTTP/1.1 200 OK\r\n")
        the.gateway.set_certificates(replace(material, client_ca=other.pem))
        assert await refused(the)


async def test_new_certificates_are_shown_to_new_connections_only(authority: Authority, material: Material) -> None:
    """An update touches no open connection."""
    new = Material((pair(authority.issue("localhost", "new.example", subject="new")),))
    async with stage(certificates=material) as the:
        the.tls = authority.client()
        async with the.client() as client:
            the.gateway.set_certificates(new)
            await client.say(ASK)
            assert await client.hear(len(OK)) == OK
        assert await shown(the, authority.client(), "new.example") == "new"
        assert await shown(the, authority.client(), "a.example") == "new"


def test_unchanged_pairs_keep_their_context(material: Material) -> None:
    """An update costs what is new."""
    certificates = Certificates(material)
    before = dict(certificates._contexts)
    certificates.update(replace(material, pairs=material.pairs[1:]))
    assert list(certificates._contexts.values()) == list(before.values())[1:]


def test_examine_tells_names_and_times(authority: Authority) -> None:
    """DNS names of subjectAltName, or the common name where there is no subjectAltName; addresses are no names."""
    found = examine(pair(authority.issue("A.example", "*.b.example", "IP:127.0.0.1", subject="c.example")))
    assert found.names == ("a.example", "*.b.example")
    assert found.not_after - found.not_before == 30 * 86_400
    assert examine(pair(authority.issue("IP:127.0.0.1", subject="c.example"))).names == ()
    assert examine(pair(authority.issue(subject="c.example"))).names == ("c.example",)


@pytest.mark.parametrize("key", ["rsa:2048", "ed25519"])
def test_examine_takes_any_sound_key(authority: Authority, key: str) -> None:
    """Not only the elliptic curves of the other tests."""
    assert examine(pair(authority.issue("a.example", key=key))).names == ("a.example",)


def test_examine_refuses_what_no_client_would_take(authority: Authority) -> None:
    """A certificate for clients alone."""
    with pytest.raises(ValueError, match="cannot be shown by a server: the certificate is not accepted: unsuitable"):
        pair(authority.issue("a.example", usage="clientAuth"))


def test_examine_ca(authority: Authority) -> None:
    """CAs are read, or refused."""
    examine_ca(authority.pem)
    with pytest.raises(ValueError, match="no certificate"):
        examine_ca(b"nothing")


async def test_a_name_that_is_not_ascii_is_refused(
    material: Material, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's ssl complains of it by a hook alone, which a worker's replaces; the client gets no answer."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        authority.client().wrap_bio(incoming, outgoing, server_hostname="xxxx.example").do_handshake()
    said: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: said.append(what.exc_type))
    async with stage(certificates=material) as the:
        reader, writer = await asyncio.open_connection("127.0.0.1", the.port)
        writer.write(outgoing.read().replace(b"xxxx.example", b"\xff\xfexx.example"))
        assert b"HTTP" not in await reader.read()
        writer.close()
    assert said == [UnicodeDecodeError]
