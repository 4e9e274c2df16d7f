"""`grayhound serve`: sees whether the proxy can start, starts the workers, and becomes the control process.

Light on imports, so that the workers start at once; control's heavy parts are imported meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import NoReturn

from proxy.errors import StartError
from proxy.observe import logs
from proxy.observe.observer import check_observer
from proxy.run.birth import Birth, give_birth
from proxy.run.certificates import certificate_files
from proxy.run.cookie_keys import check_key_file
from proxy.run.descriptors import raise_file_limit
from proxy.run.ports import Sockets, bind_one, reserve
from proxy.run.token import read_token
from proxy.settings import Settings
from proxy.sources.base import SourceError
from proxy.sources.file import FileSource


def serve(settings: Settings) -> int:
    """Run the proxy until it is told to end; the exit code. Raises StartError or RuleError if it cannot start."""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, _end_at_once)  # as PID 1, a signal without a handler would be ignored
    for number in (signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # until control listens: there is nothing to reread or replace yet
    logs.set_up(settings.log_level)
    source = FileSource(settings.rules)
    try:
        content = source.read()
    except SourceError as error:
        raise StartError(str(error)) from None
    check_observer(settings)
    check_key_file(settings.cookie_key_file)
    if settings.admin_token_file:
        read_token(settings.admin_token_file)
    certificates = certificate_files(settings)
    if certificates is not None:
        certificates.read()
    raise_file_limit()
    reserved = reserve(settings.listen, settings.workers)
    tls_reserved = reserve(settings.tls_listen, settings.workers)
    admin = bind_one(settings.admin)
    sockets = [plain + tls for plain, tls in zip(reserved.sockets, tls_reserved.sockets, strict=True)]
    births = [_first_birth(of_worker) for of_worker in sockets]
    try:
        from proxy.run.channel import Rules, Start
        from proxy.run.control import Control
        from proxy.run.load import load

        loaded = load(content, settings.cookie_key_file)
        start = Start(settings, reserved.addresses, Rules.pack(1, loaded.rule_file), {}, tls_reserved.addresses)
        control = Control(start, sockets, source, certificates, began)
        # Not uvloop: it keeps SIGCHLD to itself, control must hear of every child, and has little to do otherwise.
        return asyncio.run(control.run(births, content, loaded, admin.getsockname()[1]))
    finally:
        for birth in births:
            birth.end.close()  # a worker whose channel closes ends
        reserved.close()
        tls_reserved.close()
        admin.close()


def _first_birth(sockets: Sockets) -> Birth:
    try:
        return give_birth(sockets)
    except OSError as error:
        raise StartError(f"cannot start a worker: {os.strerror(error.errno or 0)}") from None


def _end_at_once(*_: object) -> NoReturn:
    sys.exit(0)
