"""config/prometheus and config/grafana: what operators copy counts right, asks for what there is, and raises alarms."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import yaml

from proxy.observe.metrics import COUNTERS, GAUGES, HISTOGRAMS, PREFIX
from tests.load import load
from tests.mortal import Mortal
from tests.prometheus import WAIT_S, answered, finished, prometheus, tool
from tests.serve import Proxy, serving

ROOT = Path(__file__).parent.parent.parent
ALERTS = ROOT / "config/prometheus/alerts.yml"
UNIT_TESTS = ROOT / "tests/alerts.yml"
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((ROOT / "config/grafana/dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
OF_PROMETHEUS = {"le", "job", "instance"}
"""Labels that a scrape or a histogram adds."""
VARIABLES = {"$service": "shop", "$__rate_interval": "5s", "$__range": "1h", "$__interval": "5s"}
WINDOW_COLUMNS = 24
RUNBOOK = "https://github.com/grayhound-proxy/grayhound/blob/main/docs/operation.md"

TRAFFIC = """\
services:
  shop:
    health: {{passive: {{consecutive_5xx: 1000, max_ejected: 0%}}}}
    versions:
      v1: {{endpoints: ["{v1}"]}}
      v2: {{endpoints: ["{v2}"]}}
      gone: {{endpoints: ["http://127.0.0.1:1"]}}
routes:
  - name: shop
    service: shop
    rules:
      - {{name: broken, match: {{header: {{foo: gone}}}}, version: gone}}
      - {{name: everyone, split: {{v1: 50, v2: 50}}, mirror: [{{version: v2, compare: true}}]}}
"""
SCRAPE = """\
global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}
rule_files: ["{alerts}"]
scrape_configs:
  - job_name: grayhound
    static_configs: [{{targets: ["{target}"]}}]
"""


def expressions() -> Iterator[tuple[str, str]]:
    """All that is asked of Prometheus: whose it is, and the PromQL."""
    for rule in RULES:
        yield rule.get("record") or rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"] + f" {target['refId']}" * (len(panel["targets"]) > 1), target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


each_expression = pytest.mark.parametrize(
    ("name", "asked"), [pytest.param(*pair, id=pair[0]) for pair in expressions()]
)


# --- promtool ------------------------------------------------------------------------------------------------------


async def test_promtool_takes_the_rules_and_their_unit_tests_pass() -> None:
    """tests/alerts.yml has made-up traffic, and what is raised for it."""
    assert (await finished(tool("promtool"), "check", "rules", str(ALERTS)))[0] == 0
    code, said = await finished(tool("promtool"), "test", "rules", str(UNIT_TESTS))
    assert code == 0, said


def test_every_alert_is_raised_by_a_unit_test() -> None:
    tests = yaml.safe_load(UNIT_TESTS.read_text())["tests"]
    raised = {test["alertname"] for one in tests for test in one["alert_rule_test"] if test["exp_alerts"]}
    assert raised == {rule["alert"] for rule in RULES if "alert" in rule}


def test_the_manual_says_what_to_do_at_each_alert() -> None:
    """Under a heading of its name, which its link leads to; and what it says is short and long."""
    manual = (ROOT / "docs/operation.md").read_text()
    told = re.findall(r"^### (Grayhound\w+)$", manual, re.MULTILINE)
    alerts = [rule for rule in RULES if "alert" in rule]
    assert told == [alert["alert"] for alert in alerts]
    for alert in alerts:
        assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert alert["annotations"]["runbook_url"] == f"{RUNBOOK}#{alert['alert'].lower()}"
        severity = alert["labels"]["severity"]
        assert severity in ("critical", "warning", "info")
        assert f"### {alert['alert']}\n\n**{severity.capitalize()}.** " in manual


# --- Names ---------------------------------------------------------------------------------------------------------


@each_expression
def test_every_metric_and_label_exists(name: str, asked: str) -> None:
    """As `/metrics` has it, or as a recording rule makes it."""
    kinds = COUNTERS | GAUGES | HISTOGRAMS
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    assert set(re.findall(r"\w+:\w+:\w+", asked)) <= recorded
    for metric, selector in re.findall(rf"(?<![:\w]){PREFIX}(\w+)(?:{{(.*?)}})?", asked):
        base = re.sub("_(bucket|sum|count)$", "", metric)
        kind = kinds[metric if metric in kinds else base]
        assert (metric == base) or base in HISTOGRAMS
        assert set(re.findall(r"(\w+)=?[=~!]", selector)) <= {*kind.labels, *OF_PROMETHEUS}, metric
    labels = {label for kind in kinds.values() for label in kind.labels} | OF_PROMETHEUS
    for grouped in re.findall(r"(?:by|on|without|ignoring) ?\(([\w, ]*)\)", asked):
        assert set(re.findall(r"\w+", grouped)) <= labels


def test_the_dashboard_is_laid_out_without_overlap() -> None:
    """Ids are unique, panels fit into the width, and none covers another."""
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= WINDOW_COLUMNS and not cells & taken, panel["title"]
        taken |= cells


def test_the_dashboard_asks_the_chosen_source_and_shows_every_metric() -> None:
    """So it can be loaded beside any Prometheus, nothing that is counted stays unseen, each panel says what it is."""
    sources = [panel["datasource"] for panel in PANELS] + [
        t["datasource"] for panel in PANELS for t in panel["targets"]
    ]
    assert all(panel["description"] for panel in PANELS)
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    shown = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    unseen = {name for name in COUNTERS | GAUGES | HISTOGRAMS if PREFIX + name not in shown}
    assert unseen <= {"build_info", "config_generation"}  # the latter marks reloads on every panel


# --- With traffic --------------------------------------------------------------------------------------------------


def filled(asked: str) -> str:
    for variable, value in VARIABLES.items():
        asked = asked.replace(variable, value)
    return asked


async def empty(session: aiohttp.ClientSession) -> set[str]:
    """Whose expressions have no answer now."""
    return {name for name, asked in expressions() if not await _has_answer(session, asked)}


async def _has_answer(session: aiohttp.ClientSession, asked: str) -> bool:
    if values := re.fullmatch(r"label_values\((\w+), (\w+)\)", asked):
        return bool(await answered(session, f"/api/v1/label/{values[2]}/values", **{"match[]": values[1]}))
    return bool((await answered(session, "/api/v1/query", query=filled(asked))).get("result"))


async def raised(session: aiohttp.ClientSession) -> set[tuple[str, str]]:
    """Alerts with the version they are about; pending ones count, as minutes would have to pass otherwise."""
    alerts = (await answered(session, "/api/v1/alerts")).get("alerts", ())
    return {(alert["labels"]["alertname"], alert["labels"].get("version", "")) for alert in alerts}


async def test_a_failing_version_raises_the_alarm_and_the_dashboard_shows_it(tmp_path: Path) -> None:
    """A real Prometheus, two real services of which the new one answers 500: that version is named, no other."""
    tool("prometheus")
    async with Mortal("v1") as v1, Mortal("v2") as v2:
        path = tmp_path / "rules.yaml"
        path.write_text(TRAFFIC.format(v1=v1.url, v2=v2.url))
        await v2.become("500")
        async with serving(path) as proxy:
            configuration = SCRAPE.format(alerts=ALERTS, target=proxy.admin.removeprefix("http://"))
            async with prometheus(tmp_path, configuration) as address, aiohttp.ClientSession(address) as session:
                await _alarms(proxy, session)
                path.write_text(path.read_text() + "# saved anew\n")
                await proxy.until(lambda: empty(session), lambda silent: "New rules" not in silent, WAIT_S)
                path.write_text("services: {")
                await proxy.until(
                    lambda: raised(session), lambda found: ("GrayhoundReloadRefused", "") in found, WAIT_S
                )
                assert ("GrayhoundWorkerRestarts", "") not in await raised(session)
                assert await empty(session) <= QUIET


QUIET = {
    "First certificate to expire", "TLS handshakes and PROXY headers A", "TLS handshakes and PROXY headers B",
    "Share that the rules say B", "Answers of the proxy's own", "Phase A", "Phase B", "Step", "What has happened",
    "GrayhoundVersionSlow", "GrayhoundNoEndpoint", "GrayhoundEndpointDown", "GrayhoundFull", "GrayhoundDown",
    "GrayhoundNoWorkers", "GrayhoundReplicasDisagree", "GrayhoundWorkerRestarts", "GrayhoundLogDropped",
    "GrayhoundMirrorDropped", "GrayhoundRolloutFailed", "GrayhoundRolloutBlocked", "GrayhoundCertificateExpires",
}  # fmt: skip
"""What may have no answer here: no TLS, no health checks, no rollout, one replica, and nothing else is wrong.
tests/integration/test_alarms.py has them."""


async def _alarms(proxy: Proxy, session: aiohttp.ClientSession) -> None:
    async def traffic() -> set[tuple[str, str]]:
        await load(proxy.url + "/", 0.5, 8, lambda number: {"foo": "gone"} if number % 10 == 0 else {})
        return await raised(session)

    wanted: set[tuple[str, str]] = {
        ("GrayhoundVersionFails", "v2"),
        ("GrayhoundErrors", "v2"),
        ("GrayhoundStandIn", ""),
    }
    found = await proxy.until(traffic, lambda found: found >= wanted, WAIT_S)
    assert not {alert for alert in found if alert[1] == "v1"}
