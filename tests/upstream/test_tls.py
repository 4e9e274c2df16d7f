"""proxy/upstream/tls.py and what it means to requests: endpoints prove who they are, and are shown who we are."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.rules.model import Retry, RuleFile
from proxy.rules.tls import Tls
from proxy.upstream.tls import Security, client_context
from tests.authority import Authority
from tests.talk import OK, Answer, Stage, Upstream, rules, stage, until, wire

ASK = wire("GET / HTTP/1.1", "Host: a")
CLOSE = wire("GET / HTTP/1.1", "Host: a", "Connection: close")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"), "other")


def by(tls: Tls, **service: Any) -> Callable[[list[str]], RuleFile]:
    """Rules with endpoints secured in this way, its files read."""

    def made(urls: list[str]) -> RuleFile:
        files = {name: Path(name).read_bytes() for name in tls.files.values()}
        return replace(rules({"v1": urls}, tls=tls, retry=Retry(0), **service), files=files)

    return made


@asynccontextmanager
async def secured(
    tls: Tls, authority: Authority, *names: str, asks: bool = False, answer: Answer | bytes = OK
) -> AsyncIterator[Stage]:
    """A gateway before an upstream whose certificate has these names."""
    upstream = Upstream(answer)
    await upstream.start(authority.server(*names, asks=asks))
    async with stage(upstream, rule_file=by(tls)) as the:
        yield the


async def test_an_endpoint_that_proves_itself(authority: Authority) -> None:
    """The CA is the one named, the name or address the URL's; the connection is kept and used again."""
    async with secured(Tls(ca=str(authority.file)), authority, "IP:127.0.0.1") as the, the.client() as client:
        for _ in range(3):
            await client.say(ASK)
            assert await client.hear(len(OK)) == OK
        assert the.upstream.accepted == 1


@pytest.mark.parametrize(
    ("tls", "names", "reason"),
    [
        ({}, ("IP:127.0.0.1",), "unable to get local issuer certificate"),
        ({"ca": "other"}, ("IP:127.0.0.1",), "unable to get local issuer certificate"),
        ({"ca": "authority"}, ("a.example",), "IP address mismatch"),
        ({"ca": "authority", "server_name": "b.example"}, ("a.example",), "Hostname mismatch"),
    ],
)
async def test_an_endpoint_that_does_not(
    authority: Authority, other: Authority, tls: dict[str, str], names: tuple[str, ...], reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """502, nothing is sent; the reason stands in the log, once for all requests of a minute."""
    if "ca" in tls:
        tls = tls | {"ca": str({"authority": authority, "other": other}[tls["ca"]].file)}
    async with secured(Tls(**tls), authority, *names) as the:
        for _ in range(3):
            assert (await the.ask(CLOSE)).startswith(b"HTTP/1.1 502 ")
        assert the.upstream.heard == []
        assert the.version().errors == {"connect": 3}
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message.startswith("no TLS with 127.0.0.1:") and reason in record.message


async def test_the_name_can_be_another_than_the_host(authority: Authority) -> None:
    """server_name is asked for and verified."""
    tls = Tls(ca=str(authority.file), server_name="a.example")
    async with secured(tls, authority, "a.example") as the:
        assert (await the.ask(CLOSE)).startswith(b"HTTP/1.1 200 ")


async def test_verification_can_be_switched_off(authority: Authority) -> None:
    """Whatever the endpoint shows is believed then."""
    async with secured(Tls(verify=False), authority, "a.example") as the:
        assert (await the.ask(CLOSE)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("shows", ["authority", "other", ""])
async def test_an_endpoint_that_asks_who_we_are(
    authority: Authority, other: Authority, shows: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is shown the certificate; without it, or with one it does not believe, it refuses, and the log says so."""
    tls = Tls(ca=str(authority.file))
    if shows:
        issued = {"authority": authority, "other": other}[shows].issue("grayhound")
        tls = replace(tls, cert=str(issued.certificate), key=str(issued.key))
    async with secured(tls, authority, "IP:127.0.0.1", asks=True) as the:
        heard = await the.ask(CLOSE)
        if shows == "authority":
            assert heard.startswith(b"HTTP/1.1 200 ")
            assert not caplog.records
        else:
            assert heard.startswith(b"HTTP/1.1 502 ")
            assert the.upstream.heard == []


async def test_an_endpoint_that_speaks_no_tls(caplog: pytest.LogCaptureFixture) -> None:
    """502, and a word in the log: the url says https where the service speaks plainly."""
    upstream = Upstream()
    await upstream.start()
    upstream.url = upstream.url.replace("http:", "https:")
    async with stage(upstream, rule_file=by(Tls())) as the:
        await asyncio.gather(the.ask(CLOSE), upstream.hang_up())
    assert [record.message.startswith("no TLS with 127.0.0.1:") for record in caplog.records] in ([True], [])


UNTIL_CLOSE = wire("HTTP/1.1 200 OK", body=b"all")


@pytest.mark.parametrize("whole", [True, False])
async def test_a_body_that_ends_with_the_connection_is_whole_only_if_that_end_is_sure(
    authority: Authority, whole: bool
) -> None:
    """RFC 9112 section 9.8: without a close_notify anybody may have cut it, so the client hears of no end."""
    gate = asyncio.Event()
    pieces = [UNTIL_CLOSE] if whole else [UNTIL_CLOSE, b"x"]
    answer = Answer(pieces, close=whole, gate=gate)
    async with secured(Tls(ca=str(authority.file)), authority, "IP:127.0.0.1", answer=answer) as the:
        async with the.client() as client:
            await client.say(ASK)
            await until(lambda: the.upstream.heard, "the request has arrived")
            gate.set()
            assert await client.hear_head()
            if not whole:
                (writer,) = the.upstream.open
                await client.reader.readuntil(b"x\r\n")
                with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as below:
                    below.shutdown(socket.SHUT_RDWR)
            heard = await client.hear(13) if whole else await client.hear_all()
        assert heard == b"3\r\nall\r\n0\r\n\r\n" if whole else b"0\r\n" not in heard


async def test_other_settings_make_another_connection(authority: Authority, other: Authority) -> None:
    """After a reload no request takes a connection that was secured by the old rules; equal rules keep it."""
    believed = Tls(ca=str(authority.file))
    async with secured(believed, authority, "IP:127.0.0.1") as the:
        urls = [the.upstream.url]
        assert (await the.ask(CLOSE)).startswith(b"HTTP/1.1 200 ")
        the.gateway.apply(2, by(believed)(urls))
        assert (await the.ask(CLOSE)).startswith(b"HTTP/1.1 200 ")
        assert the.upstream.accepted == 1
        the.gateway.apply(3, by(Tls(ca=str(other.file)))(urls))
        assert (await the.ask(CLOSE)).startswith(b"HTTP/1.1 502 ")
        await until(lambda: not the.upstream.open, "the old connection ends")


def test_equal_settings_share_a_context(authority: Authority) -> None:
    """A thousand endpoints with one CA hold it once."""
    assert client_context(Security(ca=authority.pem)) is client_context(Security(ca=bytes(authority.pem)))
    assert client_context(Security()) is not client_context(Security(verify=False))


def test_bad_files_name_their_key(authority: Authority) -> None:
    """The caller knows which key of the rule file it is about."""
    with pytest.raises(ValueError, match=r"^ca: there is no certificate"):
        client_context(Security(ca=b"nothing"))
    with pytest.raises(ValueError, match=r"^cert: there is no private key"):
        client_context(Security(cert=authority.pem, key=b"nothing"))


async def test_a_refusal_of_our_certificate_is_said(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    """With TLS 1.3 an endpoint refuses only after our handshake has ended, by an alert: by its name it is known."""
    issued = authority.issue("IP:127.0.0.1")
    server = await asyncio.create_subprocess_exec(
        *("openssl", "s_server", "-accept", "127.0.0.1:0", "-Verify", "1", "-CAfile", str(authority.file)),
        *("-cert", str(issued.certificate), "-key", str(issued.key), "-www"),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        async with asyncio.timeout(10):
            while not (line := await server.stdout.readline()).startswith(b"ACCEPT"):
                assert line
        url = "https://" + line.split()[1].decode()
        made = by(Tls(ca=str(authority.file)))
        async with stage(rule_file=lambda _: made([url])) as the:
            assert (await the.ask(CLOSE)).startswith(b"HTTP/1.1 502 ")
    finally:
        server.kill()
        await server.wait()
        server._transport.close()  # type: ignore[attr-defined]
    assert "certificate required" in caplog.records[0].message
