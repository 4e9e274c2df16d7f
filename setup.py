"""What pyproject.toml has no words for: the data plane as C, compiled by mypyc from the same files.

COMPILE_GRAYHOUND=1 pip install --no-build-isolation .      needs a C compiler, mypy and setuptools

Without that variable nothing is compiled, and nothing of it is needed. Beside each compiled file stands its source all
the same, for people and for tracebacks.
"""

from __future__ import annotations

import os
from pathlib import Path

from setuptools import setup

COMPILED = {
    "": "clock protocol",
    "downstream": "body entrance http1 https1 listener pace visit",
    "gateway": "exchange gateway lane logged retry state tunnel",
    "http": "framing h1 headers known message paths",
    "observe": "access_lines access_log counters",
    "rules": "choose conditions decision lookup paths split sticky table",
    "upstream": "balance endpoint http1 https1 pool",
}
"""What a request, its bytes or its connection comes through."""


def compiled() -> list[object]:
    from mypyc.build import mypycify

    files = [str(Path("proxy", folder, f"{name}.py")) for folder, names in COMPILED.items() for name in names.split()]
    # As lenient as mypy is without our settings: what is not installed here, as tracing's library, is not looked at.
    options = ["--config-file=", "--ignore-missing-imports"]
    return list(mypycify([*options, *files], opt_level="3", group_name="grayhound"))


setup(ext_modules=compiled() if os.environ.get("COMPILE_GRAYHOUND") == "1" else [])
