"""The admin port of a running proxy with a token file: changes need the token, reading does not."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from tests.serve import run, serving

RULES = "services: {shop: {versions: {v1: {endpoints: [http://127.0.0.1:1]}}}}\nroutes: [{service: shop}]\n"


async def post(url: str, token: str) -> int:
    fields = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session, session.post(url, headers=fields) as response:
        return response.status


async def test_a_change_needs_the_token_in_the_file_as_it_is_now(tmp_path: Path) -> None:
    """Whoever has it passes the gate (and is told here that there is nothing to change); a new one counts at once."""
    rules, token = tmp_path / "rules.yaml", tmp_path / "token"
    rules.write_text(RULES)
    token.write_text("first\n")
    async with serving(rules, "--admin-token-file", str(token)) as proxy:
        assert (await proxy.api("/api/config"))["generation"] == 1
        assert await post(proxy.admin + "/api/config", "guess") == 401
        assert await post(proxy.admin + "/api/config", "first") == 405
        token.write_text("second\n")
        assert await post(proxy.admin + "/api/config", "first") == 401
        assert await post(proxy.admin + "/api/config", "second") == 405


async def test_a_missing_token_file_is_one_line(tmp_path: Path) -> None:
    """Found before anything listens; exit code 1."""
    (tmp_path / "rules.yaml").write_text(RULES)
    code, _, err = await run("serve", str(tmp_path / "rules.yaml"), "--admin-token-file", "/none/token")
    assert (code, err) == (1, "grayhound: --admin-token-file: cannot read /none/token: No such file or directory\n")
