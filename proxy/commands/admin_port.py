"""Asks the admin port of a running proxy; its errors are the same for every command that does."""

from __future__ import annotations

import getpass
import http.client
import json
import socket
import urllib.error
import urllib.request
from typing import Any, Final

from proxy.commands.base import UsageError
from proxy.errors import StartError

ANSWER_S: Final = 10.0
"""For an answer to come from a control process that is busy with a large rule file."""


def ask(url: str, wait_s: float = 0.0, method: str = "GET", token: str = "") -> Any:
    """What is answered. wait_s: for which the port was asked to wait. Raises UsageError for a name it does not know or
    a question it does not take, StartError for whatever else is no answer."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if method != "GET" and (user := _user()):
        headers["From"] = user
    request = urllib.request.Request(url, method=method, headers=headers)
    asked = url.partition("?")[0]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the admin port is near, never behind one
    try:
        with opener.open(request, timeout=wait_s + ANSWER_S) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        text = _told(error)
        if error.code in (400, 404) and text:
            raise UsageError(text) from None
        if error.code == 409 and text:
            raise StartError(text) from None
        raise StartError(f"{asked} answers {error.code}: {text or error.reason}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise StartError(
            f"no answer from the admin port at {asked}: {getattr(reason, 'strerror', None) or reason}"
        ) from None


def _user() -> str:
    """Who runs this command, as they say; empty where nobody has a name, as in some containers."""
    try:
        user = f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return ""
    return user if user.isascii() and user.isprintable() else ""


def _told(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return ""
