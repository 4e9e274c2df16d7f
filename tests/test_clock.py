"""The clock that is moved a few times a second."""

from __future__ import annotations

from email.utils import formatdate, parsedate_to_datetime

import pytest

from proxy.clock import Clock


@pytest.mark.parametrize(
    ("since_epoch", "date"),
    [
        (784111777.0, b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (784111777.999, b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (951782400.0, b"Tue, 29 Feb 2000 00:00:00 GMT"),
        (4102444799.5, b"Thu, 31 Dec 2099 23:59:59 GMT"),
    ],
)
def test_a_date_is_an_imf_fixdate(since_epoch: float, date: bytes) -> None:
    """RFC 9110 section 5.6.7: the one form a sender may use, of the second that has begun."""
    assert Clock(5.0, since_epoch).date == b"Date: %b\r\n" % date


def test_a_date_is_made_once_a_second() -> None:
    """What everybody reads is one object until the second ends, however often the clock is moved, back as well."""
    clock = Clock(0.0, 100.0)
    first = clock.date
    clock.move(0.9, 100.9)
    assert clock.now == 0.9 and clock.date is first
    for second in (101, 102, 50):  # an operator may set the time back
        clock.move(float(second), second + 0.1)
        assert parsedate_to_datetime(clock.date[6:-2].decode()).timestamp() == second
        assert clock.date.decode() == f"Date: {formatdate(second, usegmt=True)}\r\n"
