"""Ctrl-C that waits until the current step of training is done."""

import signal
import threading
from contextlib import AbstractContextManager
from typing import Any


class Interruption(AbstractContextManager["Interruption"]):
    """Within it, the first Ctrl-C is noted and the second one raises.

    So no step is cut in two. A note that came behind the last look at it raises at the end.
    Outside of the main thread, which alone gets signals, or where somebody has a handler of their
    own, nothing is changed.

    Attributes
    ----------
    asked : bool
        Whether there was a Ctrl-C.
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
        if self.asked and exception[0] is None:  # it came behind the last look
            raise KeyboardInterrupt

    def _note(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
