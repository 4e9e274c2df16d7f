"""Redirects, answers and changes by the real process: both listeners, the command line, metrics and the access log."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.authority import Authority
from tests.integration.test_access_log import output
from tests.integration.test_gray_release import save
from tests.serve import run, services, serving

RULES = """\
services:
  shop: {{versions: {{v1: {{endpoints: ["{v1}"]}}, v2: {{endpoints: ["{v2}"]}}}}}}
routes:
  - name: shop
    service: shop
    redirect: {{scheme: https, port: {port}, status: 308}}
    rewrite: {{replace_prefix: /api}}
    response_headers: {{set: {{x-edge: one}}}}
    rules:
      - {{name: gone, match: {{path: /gone}}, respond: {{status: 410, body: gone}}}}
      - {{name: new, match: {{header: {{foo: bar}}}}, version: v2}}
  - name: old
    hosts: old.example.com
    redirect: {{host: shop.example.com}}
tests:
  - request: {{host: old.example.com, path: /a?b}}
    expect: {{redirect: "http://shop.example.com/a?b", status: 302}}
"""


async def test_one_file_serves_both_listeners(tmp_path: Path) -> None:
    """Who comes by http is sent to https once, and is served there; each answer is counted and logged as what it is."""
    authority = Authority(tmp_path / "ca")
    issued = authority.issue("localhost")
    path, tls = tmp_path / "rules.yaml", authority.client()
    async with services("v1", "v2") as (v1, v2):
        path.write_text(RULES.format(v1=v1.url, v2=v2.url, port=443))
        options = ("--tls-listen", "127.0.0.1:0", "--tls-cert", issued.option, "--access-log", "json")
        async with serving(path, *options) as proxy:
            port = int((await proxy.said("listening for TLS on ")).rpartition(":")[2])
            await save(path, RULES.format(v1=v1.url, v2=v2.url, port=port), proxy)
            plain = proxy.url.replace("127.0.0.1", "localhost")
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session:
                async with session.post(plain + "/x?y=1", data=b"z" * 300_000, headers={"foo": "bar"}) as answer:
                    assert [(one.status, one.headers["Location"]) for one in answer.history] == [
                        (308, f"https://localhost:{port}/x?y=1")
                    ]
                    assert (answer.status, await answer.text(), answer.headers["x-edge"]) == (200, "v2", "one")
                async with session.get(f"https://localhost:{port}/gone") as answer:
                    assert (answer.status, await answer.text(), answer.headers["x-edge"]) == (410, "gone", "one")
                elsewhere = {"Host": "old.example.com"}
                async with session.get(proxy.url, headers=elsewhere, allow_redirects=False) as answer:
                    assert (answer.status, answer.headers["Location"]) == (302, "http://shop.example.com/")
            assert (v1.asked, v2.asked) == ([], ["/api/x?y=1"])
            told = ('route="shop"', 'service="shop"', 'version=""', 'rule="gone"', 'reason="match"')
            await proxy.until(lambda: proxy.metric("decisions_total", *told), 1.0)
            told = ('route="old"', 'service=""', 'version=""', 'code="302"')
            await proxy.until(lambda: proxy.metric("requests_total", *told), 1.0)
            proxy.signal(signal.SIGTERM)
            lines = [json.loads(line) for line in await output(proxy)]
    said = [
        (line["route"], line["version"], line["rule"], line["status"], line["flag"], line["target"]) for line in lines
    ]
    assert sorted(said) == [
        ("old", "", "", 302, "proxy_rule", "/"),
        ("shop", "", "", 308, "proxy_rule", "/x?y=1"),
        ("shop", "", "gone", 410, "proxy_rule", "/gone"),
        ("shop", "v2", "new", 200, "", "/x?y=1"),
    ]


@pytest.mark.parametrize(
    ("url", "end"),
    [
        (
            "http://a/x?y=1",
            "redirect 308 to https://a:8443/x?y=1  (route shop, no rule, reason default)",
        ),
        ("https://a:8443/gone", "status 410  (route shop, rule gone, reason match)"),
        ("https://a:8443/x", "service shop, version v1  (route shop, no rule, reason default)"),
    ],
)
async def test_explain_tells_the_action(url: str, end: str, tmp_path: Path) -> None:
    """The last line is what becomes of the request; before it stands what is changed."""
    path = tmp_path / "rules.yaml"
    path.write_text(RULES.format(v1="http://127.0.0.1:1", v2="http://127.0.0.1:2", port=8443))
    code, out, _ = await run("explain", str(path), url)
    assert code == 0 and out.splitlines()[-1] == end
    assert "what is changed of the response\n  set x-edge: one\n" in out
    assert ("  asks for /api/x\n" in out) == ("version v1" in end)
    code, out, _ = await run("explain", str(path), url, "--json")
    assert code == 0 and json.loads(out)["redirect"] == ("https://a:8443/x?y=1" if "redirect" in end else "")


async def test_a_file_whose_redirect_leads_elsewhere_than_it_says_is_refused(tmp_path: Path) -> None:
    """`tests:` in the file may expect the URL."""
    path = tmp_path / "rules.yaml"
    text = RULES.format(v1="http://127.0.0.1:1", v2="http://127.0.0.1:2", port=8443)
    path.write_text(text.replace("http://shop.example.com/a?b", "http://shop.example.com/a"))
    code, out, _ = await run("check", str(path))
    assert code == 1 and "expected redirect 'http://shop.example.com/a', found 'http://shop.example.com/a?b'" in out
