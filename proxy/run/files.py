"""Small files that options and rules name: certificates, keys and CAs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FILE_BYTES_MAX: Final = 4 * 1024 * 1024
"""A chain has some KiB, every CA of the web together 250 KiB."""

Content = bytes | str
"""What is in a file; or, as a text, why it cannot be read."""


def read_file(name: str) -> Content:
    """The whole file, as it is now."""
    path = Path(name)
    try:
        if not path.is_file() and path.exists():
            return f"{path} is not a file"  # reading a FIFO would wait for ever
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        return f"cannot read {path}: {error.strerror}"
    return data if len(data) <= FILE_BYTES_MAX else f"{path} is larger than {FILE_BYTES_MAX // 1024 // 1024} MiB"
