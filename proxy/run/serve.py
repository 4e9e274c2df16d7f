"""`grayhound serve`: takes the addresses, starts the workers, and becomes the control process.

Light on imports, so that the workers start at once, and import what they need while control does.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from typing import NoReturn

from proxy.errors import StartError
from proxy.run.birth import Birth, give_birth
from proxy.run.descriptors import raise_file_limit
from proxy.run.ports import Sockets, bind_one, reserve
from proxy.settings import Settings


def serve(settings: Settings) -> int:
    """Run the proxy until it is told to end; the exit code. Raises StartError or RuleError if it cannot start."""
    began = time.monotonic()
    gc.disable()  # until control has begun: much is made, and nothing is thrown away
    signal.signal(signal.SIGTERM, _end_at_once)  # as PID 1, a signal without a handler would be ignored
    for number in (signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # until control listens: there is nothing to reread or replace yet
    raise_file_limit()
    reserved = reserve(settings.listen, settings.workers)
    tls_reserved = reserve(settings.tls_listen, settings.workers)
    admin = bind_one(settings.admin)
    sockets = [plain + tls for plain, tls in zip(reserved.sockets, tls_reserved.sockets, strict=True)]
    births = [_first_birth(of_worker) for of_worker in sockets]
    try:
        from proxy.run.control import Place, control

        place = Place(reserved.addresses, tls_reserved.addresses, sockets, admin.getsockname()[1])
        return control(settings, place, births, began)
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
