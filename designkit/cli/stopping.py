"""Ctrl-C and SIGTERM: the first one ends the work in good order, a second one ends it at once.

An image that is being drawn is given up, those that are drawn are saved; either way the run folder is whole.
"""

from __future__ import annotations

import signal
from types import FrameType

_requested: list[int] = []


class Stopped(BaseException):
    """Somebody asked the command to stop; not an Exception, so that nothing on the way takes it for a fault."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


def stop_on_signals() -> None:
    """From now on raise Stopped in the main thread when SIGINT or SIGTERM comes, unless they are ignored already."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


def check_stopped() -> None:
    """Raise Stopped if a signal came whose exception got lost in code that cannot raise."""
    if _requested:
        raise Stopped(_requested[0])


def _stop(number: int, frame: FrameType | None) -> None:
    _requested.append(number)
    for each in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(each) == _stop:
            signal.signal(each, signal.SIG_DFL)
    raise Stopped(number)
