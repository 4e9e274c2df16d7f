"""The token of the admin port, in a file: never on the command line, where every user of the host could read it."""

from __future__ import annotations

import re

from proxy.errors import StartError
from proxy.run.files import read_file

_token = re.compile(rb"[A-Za-z0-9._~+/-]{1,4096}=*").fullmatch  # RFC 6750 section 2.1, of a length that fits a head


def read_token(file: str) -> str:
    """The token as it stands in the file now, on its one line. Raises StartError."""
    content = read_file(file)
    if isinstance(content, str):
        raise StartError(f"--admin-token-file: {content}")
    token = content.strip()
    if _token(token) is None:
        what = "has more on its one line than letters, digits and -._~+/=" if token else "is empty"
        raise StartError(f"--admin-token-file: {file} {what}; make a token with: openssl rand -hex 32")
    return token.decode()
