"""`grayhound serve`: starts the nursery, takes the addresses, asks for the workers, and becomes the control process.

What control needs is imported only then: it and the nursery do so side by side.
"""

from __future__ import annotations

import gc
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import NoReturn

from proxy.errors import StartError
from proxy.run.birth import Nursery, fork_nursery
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
    with ExitStack() as stack:
        nursery = stack.enter_context(closing(_first_nursery()))  # before there is anything that it should not have
        reserved = stack.enter_context(closing(reserve(settings.listen, settings.workers)))
        tls_reserved = stack.enter_context(closing(reserve(settings.tls_listen, settings.workers)))
        admin = stack.enter_context(bind_one(settings.admin))
        sockets = [plain + tls for plain, tls in zip(reserved.sockets, tls_reserved.sockets, strict=True)]
        _ask(nursery, sockets)
        from proxy.run.control import Place, control

        place = Place(reserved.addresses, tls_reserved.addresses, sockets, admin.getsockname()[1])
        return control(settings, place, nursery, began)


def _first_nursery() -> Nursery:
    try:
        return Nursery(fork_nursery())
    except OSError as error:
        raise StartError(f"cannot start the nursery of workers: {error.strerror}") from None


def _ask(nursery: Nursery, sockets: Sequence[Sockets]) -> None:
    try:
        for of_worker in sockets:
            nursery.ask(of_worker)
    except OSError as error:
        raise StartError(f"cannot start a worker: {error.strerror}") from None


def _end_at_once(*_: object) -> NoReturn:
    sys.exit(0)
