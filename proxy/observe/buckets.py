"""The buckets of every duration histogram: what workers count into, and what control renders."""

from __future__ import annotations

from typing import Final

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds, each included in its bucket; what is slower falls into `+Inf`. The Prometheus default list:
it suits a web service, and existing dashboards expect it."""
