"""Grayhound with its data plane compiled, as the container image has it: python -m benchmarks.compiled

Kept in build/compiled, a folder to be put before all others on PYTHONPATH, and made anew when a source is younger.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build/compiled"
MADE = FOLDER / ".made"
INSTALL = "apt-get install gcc libc6-dev; pip install -e '.[compiled]'"


@cache
def command() -> list[str] | None:
    """How a Python with the compiled Grayhound begins, made ready first, which may take two minutes; None if it cannot
    be made here."""
    if not _made() and not _make():
        return None
    paths = os.pathsep.join(map(str, (FOLDER, ROOT)))
    return ["env", f"PYTHONPATH={paths}", "PYTHONSAFEPATH=1", sys.executable]


def _made() -> bool:
    sources = (ROOT / "setup.py", ROOT / "pyproject.toml", *(ROOT / "proxy").rglob("*.py"))
    return MADE.exists() and MADE.stat().st_mtime > max(source.stat().st_mtime for source in sources)


def _make() -> bool:
    if not (shutil.which("cc") and importlib.util.find_spec("mypyc") and importlib.util.find_spec("setuptools")):
        return False
    print("compiling Grayhound, which takes a minute or two ...", file=sys.stderr, flush=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    install = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, "-m", "pip", *install, "--target", FOLDER, "."],
        cwd=ROOT, env=os.environ | {"COMPILE_GRAYHOUND": "1"}, check=True,
    )  # fmt: skip
    MADE.touch()
    return True


if __name__ == "__main__":
    sys.exit(None if command() else f"needs a C compiler, mypy and setuptools: {INSTALL}")
