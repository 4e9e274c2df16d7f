"""The default number of workers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxy.run.cores import cores_available


@pytest.mark.parametrize(("quota", "cores"), [("50000 100000", 1), ("1 100000", 1), ("max 100000", 0), ("junk", 0)])
def test_cores_follow_the_containers_quota(tmp_path: Path, quota: str, cores: int) -> None:
    """Half a core of quota is one worker, whatever the machine has; without a quota the affinity counts."""
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert cores_available(file) == (cores or len(os.sched_getaffinity(0)))


def test_cores_without_cgroups(tmp_path: Path) -> None:
    """No cgroup file: the affinity counts."""
    assert cores_available(tmp_path / "none") == len(os.sched_getaffinity(0))
