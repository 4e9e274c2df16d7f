"""docs/rollouts.md: its commands work as typed, its gates pass check, its words and numbers are those of the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from proxy.cli import main
from proxy.commands.rollout import VERBS
from proxy.rollout.notify import ANSWER_S, TRIES
from proxy.rules.rollouts import DEFAULT_GATES, Event, Metric
from tests.serve import run, services, serving
from tests.test_readme import ROOT, YAML, commands

PAGE = (ROOT / "docs/rollouts.md").read_text()
(RULES,) = [text for text in YAML if text in PAGE]


async def test_its_commands_steer_a_running_rollout(tmp_path: Path) -> None:
    """In the order of the page, `--watch` at the end of them all; the weights in the file are what they say."""
    path = tmp_path / "rules.yaml"
    typed = commands("rollout")
    assert {arguments[1] for arguments in typed} | {"resume"} == set(VERBS)
    async with services("v1", "v2") as (v1, v2):
        path.write_text(RULES.replace("http://10.0.0.11:8080", v1.url).replace("http://10.0.0.21:8080", v2.url))
        async with serving(path) as proxy:
            await proxy.until(lambda: share(path), 5.0)
            for arguments in typed:
                if "--watch" not in arguments:
                    code, out, err = await run(*arguments, "--admin", proxy.admin)
                    assert (code, err) == (0, ""), arguments
                    assert "shop-v2: " in out
            await proxy.until(lambda: share(path), 5.0)  # by retry
            assert (await run("rollout", "abort", "shop-v2", "--admin", proxy.admin))[0] == 0
            (watch,) = [arguments for arguments in typed if "--watch" in arguments]
            code, out, _ = await run(*watch, "--admin", proxy.admin)
            assert code == 1 and "rolled back" in out
            await proxy.until(lambda: share(path), 0.0)


async def share(path: Path) -> float:
    """What v2 has, in percent, by the file."""
    found = re.search(r"v2: ([\d.]+)\}", path.read_text())
    assert found is not None
    return float(found[1])


def test_every_gate_and_webhook_it_shows_passes_check(tmp_path: Path) -> None:
    gates = re.findall(r"`(\{(?:metric|prometheus): .*?\})`", PAGE)
    gates = [gate.replace("QUERY", "up").replace("...", "http://localhost:9090") for gate in gates]
    assert len(gates) >= 6
    (notify,) = re.findall(r"^    (notify: .*)$", PAGE, re.MULTILINE)
    path = tmp_path / "rules.yaml"
    for gate in gates:
        path.write_text(re.sub(r"gates:.*", f"gates: [{gate}]\n    {notify}\n", RULES, flags=re.DOTALL))
        assert main(["check", str(path)]) == 0, gate


def test_its_words_and_numbers_are_those_of_the_code() -> None:
    words = " ".join(PAGE.split())
    assert set(re.findall(r"`(latency_p\d+|success_rate)`", PAGE)) | {"success_rate", "latency_p95"} == set(
        get_args(Metric)
    )
    assert {event for names in re.findall(r"on: \[([a-z_, ]+)\]", PAGE) for event in names.split(", ")} <= set(
        get_args(Event)
    )
    assert [(gate.metric, gate.max_ratio) for gate in DEFAULT_GATES] == [("success_rate", 1)]
    assert (TRIES, ANSWER_S) == (4, 10) and "four tries, of ten seconds" in words
