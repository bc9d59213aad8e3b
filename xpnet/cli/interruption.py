"""Ctrl-C and SIGTERM outside of training, and the exit statuses after them."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from ..training.interruption import TERMINATED, NotedInterrupt

INTERRUPTED = 130
"""The exit status after Ctrl-C, as in shells: 128 + 2."""


class StoppedError(Exception):
    """Training was interrupted.

    Attributes
    ----------
    status : int
        The exit status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def no_lost_interrupt() -> Iterator[None]:
    """Let Ctrl-C end the command even if Python ignores the exception, as in callbacks of C code.

    Python's report of the ignored KeyboardInterrupt is not shown.
    """
    before = sys.unraisablehook

    def show(unraisable: "sys.UnraisableHookArgs") -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            before(unraisable)

    sys.unraisablehook = show
    try:
        with NotedInterrupt():
            yield
    finally:
        sys.unraisablehook = before


@contextmanager
def sigterm_as_exit() -> Iterator[None]:
    """Let SIGTERM raise SystemExit in the block, unless the process has a handler of its own."""
    is_ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if is_ours:
        signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(*_: object) -> NoReturn:
    raise SystemExit(TERMINATED)
