"""Ctrl-C that waits for the end of the current training step."""

import signal
import threading
from contextlib import AbstractContextManager
from typing import Any


class Interruption(AbstractContextManager["Interruption"]):
    """A context in which the first Ctrl-C sets a flag, and the second raises KeyboardInterrupt.

    Training checks the flag between steps, so that no step is interrupted halfway. If the flag is
    set after the last check, the end of the block raises. Nothing changes outside the main thread,
    which alone gets signals, or if the user has installed a handler.

    Attributes
    ----------
    asked : bool
        Whether Ctrl-C was pressed.
    """

    def __init__(self) -> None:
        self.asked = False
        self._handler: Any = None

    def __enter__(self) -> "Interruption":
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._handler = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self._handler = None
        if self.asked and exception[0] is None:  # Ctrl-C was pressed after the last check
            raise KeyboardInterrupt

    def _note(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
