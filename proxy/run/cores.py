"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

CGROUP_CPU_MAX: Final = Path("/sys/fs/cgroup/cpu.max")
"""A container's CPU quota, in cgroup v2: `QUOTA PERIOD` in microseconds, or `max PERIOD`."""


def cores_available(cgroup_cpu_max: Path = CGROUP_CPU_MAX) -> int:
    """The cores of this process's CPU affinity, or of the container's quota (rounded up) if that is less."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = cgroup_cpu_max.read_text(encoding="ascii").split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores  # no cgroup v2 here, or no quota ("max")
