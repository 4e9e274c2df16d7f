"""The rule file of a running proxy: each save is live within a second, a bad one changes nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from proxy.run.control import NICENESS
from tests.serve import Proxy, Service, services, serving

LIVE_S = 1.0


def rules(service: Service, extra: str = "") -> str:
    return f"""\
services:
  shop:
    versions:
      {service.name}:
        endpoints: [{service.url}]
routes:
  - name: shop
    service: shop
{extra}"""


@pytest.fixture
async def versions() -> AsyncIterator[list[Service]]:
    async with services("v1", "v2") as started:
        yield started


@pytest.fixture
async def running(tmp_path: Path, versions: list[Service]) -> AsyncIterator[Proxy]:
    """A proxy whose rules lead to v1, in `rules.yaml` by way of a ConfigMap's two symlinks."""
    (tmp_path / "..1").mkdir()
    (tmp_path / "..1" / "rules.yaml").write_text(rules(versions[0]))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "rules.yaml").symlink_to("..data/rules.yaml")
    async with serving(tmp_path / "rules.yaml") as proxy:
        assert await proxy.get() == (200, "v1")
        yield proxy


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def renamed_over(path: Path, text: str) -> None:
    fresh = path.with_suffix(".tmp")
    fresh.write_text(text)
    fresh.rename(path)


def deleted_and_made_anew(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def behind_symlinks(path: Path, text: str) -> None:
    """As the kubelet updates a ConfigMap."""
    (path.parent / "..2").mkdir()
    (path.parent / "..2" / "rules.yaml").write_text(text)
    (path.parent / "..data_tmp").symlink_to("..2")
    (path.parent / "..data_tmp").rename(path.parent / "..data")


def half_at_first(path: Path, text: str) -> None:
    """What stands in between is no rule file."""
    with path.open("w") as file:
        for start in range(0, len(text), 20):
            file.write(text[start : start + 20])
            file.flush()
            time.sleep(0.005)  # the writer is slow: that is the case under test


@pytest.mark.parametrize(
    "save",
    [in_place, renamed_over, deleted_and_made_anew, behind_symlinks, half_at_first],
    ids=lambda way: way.__name__,
)
async def test_each_way_of_saving_is_live_within_a_second(
    tmp_path: Path, running: Proxy, versions: list[Service], save: Callable[[Path, str], None]
) -> None:
    """Within a second of the save every worker serves by the new rules, and no reading in between was refused."""
    save(tmp_path / "rules.yaml", rules(versions[1]))
    await running.until(running.get, (200, "v2"), LIVE_S)
    config = await running.until(lambda: running.api("/api/config"), lambda answer: answer["generation"] == 2, LIVE_S)
    assert {worker["generation"] for worker in config["workers"]} == {2}
    assert config["result"] == "ok"
    assert {await running.get() for _ in range(10)} == {(200, "v2")}
    assert await running.metric("config_reloads_total", 'result="refused"') == 0


async def test_a_bad_save_changes_nothing_and_is_shown(tmp_path: Path, running: Proxy, versions: list[Service]) -> None:
    """The last good rules keep serving; the fault is in /api/config, the log and the metrics; a good save mends it."""
    path = tmp_path / "rules.yaml"
    path.write_text(rules(versions[1]).replace("service: shop", "service: shoop"))
    config = await running.until(lambda: running.api("/api/config"), lambda answer: answer["result"] == "refused")
    assert config["generation"] == 1
    assert config["faults"][0]["line"] == 8
    assert "shoop" in config["faults"][0]["text"]
    assert await running.said("rules.yaml:8:")
    assert await running.metric("config_last_reload_success") == 0
    assert await running.metric("config_reloads_total", 'result="refused"') == 1
    assert await running.get() == (200, "v1")
    path.write_text(rules(versions[0]))  # as it was before
    config = await running.until(lambda: running.api("/api/config"), lambda answer: answer["result"] == "unchanged")
    assert (config["generation"], config["faults"]) == (1, [])
    assert await running.metric("config_last_reload_success") == 1


async def test_a_file_that_fails_its_own_tests_is_refused(
    tmp_path: Path, running: Proxy, versions: list[Service]
) -> None:
    """The `tests:` of a rule file are run before it goes live."""
    trial = "tests:\n  - {request: {path: /}, expect: {version: v1}}\n"
    (tmp_path / "rules.yaml").write_text(rules(versions[1], trial.replace("v1", "v2")))
    await running.until(running.get, (200, "v2"), LIVE_S)
    (tmp_path / "rules.yaml").write_text(rules(versions[0], trial.replace("v1", "v2")))
    config = await running.until(lambda: running.api("/api/config"), lambda answer: answer["result"] == "refused")
    assert config["generation"] == 2
    assert await running.get() == (200, "v2")


async def test_hup_rereads_the_rules(running: Proxy) -> None:
    """A HUP reads the file now; if it is what is live, that is said."""
    running.signal(signal.SIGHUP)
    config = await running.until(lambda: running.api("/api/config"), lambda answer: answer["result"] == "unchanged")
    assert config["generation"] == 1
    assert await running.metric("config_reloads_total", 'result="unchanged"') == 1


async def test_a_file_that_is_gone_changes_nothing(tmp_path: Path, running: Proxy, versions: list[Service]) -> None:
    """A missing file is waited for, and taken when it is back."""
    (tmp_path / "rules.yaml").unlink()
    await running.said("the last good rules keep serving")
    assert await running.get() == (200, "v1")
    (tmp_path / "rules.yaml").write_text(rules(versions[1]))
    await running.until(running.get, (200, "v2"), LIVE_S)


async def test_a_save_that_changes_nothing_is_counted(tmp_path: Path, running: Proxy) -> None:
    """A touch is read and found unchanged: the generation stays, and the log says so."""
    (tmp_path / "rules.yaml").touch()
    assert await running.until(lambda: running.metric("config_reloads_total", 'result="unchanged"'), 1.0) == 1.0
    config = await running.api("/api/config")
    assert (config["generation"], config["result"], config["faults"]) == (1, "unchanged", [])
    await running.said("is unchanged: generation 1")


async def test_only_the_threads_that_read_files_give_way(running: Proxy) -> None:
    """The event loop and all workers, one that is born later too, keep the rank that the proxy was started with."""
    os.kill(running.workers()[0], signal.SIGKILL)
    await running.until(lambda: running.metric("worker_restarts_total"), 1.0)
    await running.until(lambda: running.metric("workers"), 2.0)
    threads = [int(task.name) for task in Path(f"/proc/{running.pid}/task").iterdir()]
    ranks = {task: os.getpriority(os.PRIO_PROCESS, task) for task in (*threads, *running.workers())}
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert {ranks.pop(process) for process in (running.pid, *running.workers())} == {own}
    assert set(ranks.values()) == {min(19, own + NICENESS)}
