"""A certificate for tests, as the proxies that are compared are all given."""

from __future__ import annotations

import subprocess
from pathlib import Path


def certify(folder: Path, name: str = "localhost") -> None:
    """A new one, shop.pem and shop.key, in place of the last; the name tells them apart."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "9", "-subj", f"/CN={name}", "-keyout", f"{folder}/new.key", "-out", f"{folder}/new.pem"]
    subprocess.run(command, check=True, capture_output=True)
    for end in ("key", "pem"):
        (folder / f"new.{end}").rename(folder / f"shop.{end}")
