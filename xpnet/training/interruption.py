"""Ctrl-C and SIGTERM: no signal is lost, and training ends after a complete step."""

import signal
import threading
from contextlib import AbstractContextManager
from typing import Any

TERMINATED = 143
"""The exit status after SIGTERM, as in shells: 128 + 15."""


class NotedInterrupt(AbstractContextManager["NotedInterrupt"]):
    """A context in which Ctrl-C always raises KeyboardInterrupt, though perhaps later.

    Python ignores exceptions in functions that C code calls, such as the callbacks of llvmlite
    during compilation. A KeyboardInterrupt that was ignored is raised again when training begins,
    or else at the end of the block. If SIGINT has another handler, or outside the main thread, the
    context has no effect.

    Attributes
    ----------
    asked : bool
        Whether Ctrl-C was pressed.
    """

    def __init__(self) -> None:
        self.asked = self._is_installed = False

    def __enter__(self) -> "NotedInterrupt":
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._is_installed = True
        return self

    def __exit__(self, *exception: object) -> None:
        if self._is_installed and signal.getsignal(signal.SIGINT) == self._note:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self.asked and exception[0] is None:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: object) -> None:
        self.asked = True
        raise KeyboardInterrupt


class Interruption(AbstractContextManager["Interruption"]):
    """A context in which the first signal sets a flag, and the second ends training at once.

    SIGINT (Ctrl-C) leads to KeyboardInterrupt. SIGTERM, which shutdowns and job schedulers send,
    leads to SystemExit. Training checks the flag between steps, so that no step is interrupted
    halfway. If the flag is set after the last check, the end of the block raises. A signal with
    another handler is left alone, and so are all signals outside the main thread, which alone
    handles them. If :class:`NotedInterrupt` has noted Ctrl-C, entering the block raises.

    Attributes
    ----------
    asked : bool
        Whether a signal has been received.
    """

    def __init__(self) -> None:
        self.asked = False
        self._signal: int = signal.SIGINT
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
            noted = getattr(signal.getsignal(signal.SIGINT), "__self__", None)
            if isinstance(noted, NotedInterrupt):
                if noted.asked:
                    raise self.error("training ended before its first step")
                usual[signal.SIGINT] = signal.getsignal(signal.SIGINT)
            for number, handler in usual.items():
                if signal.getsignal(number) == handler:
                    self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())
        if self.asked and exception[0] is None:  # the signal came after the last check
            raise self.error("training ended")

    def error(self, message: str) -> BaseException:
        """Return the exception that ends training: KeyboardInterrupt, or SystemExit(143)."""
        if self._signal == signal.SIGTERM:
            return SystemExit(TERMINATED)
        return KeyboardInterrupt(message)

    def _note(self, number: int, frame: object) -> None:
        self._signal = number
        if self.asked:
            raise self.error("a second signal ended training at once")
        self.asked = True
