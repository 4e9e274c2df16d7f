"""docs/operation.md: what it tells operators to type works, and what it shows is what they see."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from proxy.sources import file
from tests.authority import Authority
from tests.serve import serving
from tests.test_readme import ROOT, SHELL, YAML

PAGE = (ROOT / "docs/operation.md").read_text()
SERVE = [line for line in SHELL if "grayhound serve " in line and "[" not in line]


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("line", SERVE, ids=lambda line: line.rpartition("grayhound ")[2].partition("#")[0].strip())
async def test_serve_starts_as_typed_and_ends_at_term(line: str, tmp_path: Path) -> None:
    """But for the ports; with files of the names it mentions, made as it says where it says how."""
    (tmp_path / "rules.yaml").write_text(YAML[0])
    authority = Authority(tmp_path)
    for certificate, key in re.findall(r"(\w+\.pem):(\w+\.key)", line):
        issued = authority.issue("shop.example.com")
        shutil.copy(issued.certificate, tmp_path / certificate)
        shutil.copy(issued.key, tmp_path / key)
    before, _, command = line.rpartition("grayhound serve ")
    if before:
        subprocess.run(["sh", "-c", before.removesuffix("&& ")], cwd=tmp_path, check=True)
    rules, *options = shlex.split(re.sub(r"0\.0\.0\.0:\d+", "127.0.0.1:0", command), comments=True)
    options = [re.sub(r"(?<![\w.])([a-z]+\.(?:pem|key)|keys)\b", rf"{tmp_path}/\1", option) for option in options]
    async with serving(tmp_path / rules, *options) as proxy:
        assert not [line for line in proxy.lines if " ERROR " in line]
        proxy.signal(signal.SIGTERM)
        assert await proxy.ended() == 0


async def test_a_refused_save_is_told_as_shown(tmp_path: Path) -> None:
    """In the log line by line, and under /api/config; then the next good save is taken."""
    path = tmp_path / "rules.yaml"
    path.write_text(YAML[0])
    shown = [line.strip() for line in re.findall(r"^ {4}(rules\.yaml.*)$", section("Saving the rules"), re.MULTILINE)]
    assert len(shown) == 2
    async with serving(path) as proxy:
        path.write_text(YAML[0].replace("v2: 20}", "v3: 20}"))
        for line in shown:
            await proxy.said(f"{tmp_path}/{line}")
        config = await proxy.api("/api/config")
        assert config["result"] == "refused" and config["faults"][0]["text"] in shown[0]
        assert await proxy.metric("config_last_reload_success") == 0
        path.write_text(YAML[0].replace("v2: 20}", "v2: 30}"))
        await proxy.until(lambda: proxy.metric("config_last_reload_success"), 1.0)


def test_its_times_and_sizes_of_reading_are_those_of_the_code() -> None:
    saving = " ".join(section("Saving the rules").split())
    assert file.POLL_S == 1 / 4 and "four times a second" in saving
    assert f"not changed for {file.SETTLE_S:g} s" in saving
    assert f"after {file.MISSING_POLLS * file.POLL_S:g} s without it" in saving
    assert f"more than {file.FILE_BYTES_MAX >> 20} MiB" in saving


def test_every_figure_of_sizing_was_measured() -> None:
    """They stand in the benchmarks' page, where they are said how."""
    measured = (ROOT / "benchmarks/README.md").read_text()
    figures = re.findall(r"\| ([\d.]+) µs \|", section("Sizing")) + re.findall(r"[\d,]+(?= bytes)", section("Sizing"))
    assert len(figures) >= 7
    assert [figure for figure in figures if not re.search(rf"(?<![\d,.]){figure}(?![\d,.])", measured)] == []


def test_kubectl_makes_objects_of_what_is_applied() -> None:
    """As far as it goes without a cluster."""
    (folder,) = (line.rpartition(" ")[2] for line in SHELL if line.startswith("kubectl apply -k"))
    kubectl = shutil.which("kubectl") or pytest.skip("needs kubectl")
    made = subprocess.run([kubectl, "kustomize", str(ROOT / folder)], capture_output=True, text=True, check=True).stdout
    kinds = re.findall(r"^kind: (\w+)$", made, re.MULTILINE)
    assert sorted(kinds) == [
        "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "Service",
        "Service",
    ]  # fmt: skip
    assert "name: grayhound-rules\n" in made


def test_the_alerts_become_a_prometheus_rule_as_typed() -> None:
    """What is handed to kubectl holds the groups of alerts.yml, unchanged."""
    shell, _, kubectl = "\n".join(line for line in section("Alerts").splitlines() if line[:4] == "    ").rpartition("|")
    assert kubectl == " kubectl apply -f -"
    shell = shell[shell.index("{ printf") :]
    made = yaml.safe_load(subprocess.run(["sh", "-c", shell], cwd=ROOT, capture_output=True, check=True).stdout)
    assert (made["kind"], made["apiVersion"]) == ("PrometheusRule", "monitoring.coreos.com/v1")
    assert made["spec"] == yaml.safe_load((ROOT / "config/prometheus/alerts.yml").read_text())
