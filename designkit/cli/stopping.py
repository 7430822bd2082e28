"""Ctrl-C and SIGTERM: the first one ends the work in good order, a second one ends it at once.

An image that is being drawn is given up, those that are drawn are saved; either way the run folder is whole. A
training finishes its step and saves.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Generator
from types import FrameType

_requested: list[int] = []
_holders: list[None] = []


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


@contextlib.contextmanager
def hold_signals() -> Generator[Callable[[], bool]]:
    """Within, a first signal raises nothing: the value says whether one came. Afterwards call `check_stopped`."""
    _holders.append(None)
    try:
        yield lambda: bool(_requested)
    finally:
        _holders.pop()


def _stop(number: int, frame: FrameType | None) -> None:
    is_first = not _requested
    _requested.append(number)
    # A launcher of several processes passes a signal on that the terminal has sent to all of them already.
    if not (_holders and "LOCAL_RANK" in os.environ):
        for each in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(each) == _stop:
                signal.signal(each, signal.SIG_DFL)
    if not _holders:
        raise Stopped(number)
    if is_first and os.environ.get("RANK", "0") == "0":
        os.write(2, b"\nFinishing this step, then saving. Once more ends it at once.\n")
