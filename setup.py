"""What pyproject.toml has no words for: the data plane as C, compiled by mypyc from the same files.

GRAYHOUND_COMPILED=1 pip install --no-build-isolation .      needs a C compiler, mypy and setuptools

Without that variable nothing is compiled, and nothing of it is needed. Beside each compiled file stands its source all
the same, for people and for tracebacks.
"""

from __future__ import annotations

import os

from setuptools import setup

COMPILED = [
    "clock downstream/body downstream/entrance downstream/http1 downstream/https1 downstream/listener",
    "downstream/pace downstream/visit gateway/exchange gateway/gateway gateway/lane gateway/logged gateway/retry",
    "gateway/tunnel http/framing http/h1 http/headers http/message http/paths observe/access_lines observe/access_log",
    "observe/counters protocol rules/choose rules/conditions rules/cookies rules/decision rules/lookup rules/paths",
    "rules/split rules/sticky rules/table upstream/balance upstream/endpoint upstream/http1 upstream/pool upstream/tls",
]
"""What a request, its bytes or its connection comes through."""


def compiled() -> list[object]:
    from mypyc.build import mypycify

    files = [f"proxy/{name}.py" for names in COMPILED for name in names.split()]
    return list(mypycify(["--config-file", "pyproject.toml", *files], opt_level="3", group_name="grayhound"))


setup(ext_modules=compiled() if os.environ.get("GRAYHOUND_COMPILED") == "1" else [])
