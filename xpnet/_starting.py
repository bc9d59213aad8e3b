"""Ctrl-C while the command ``xpnet`` starts: the process ends at once, without a traceback.

Importing NumPy and this package takes longer than a user may wait. Nothing changes in programs that
import ``xpnet`` themselves.
"""

import os
import signal
import sys
import threading


def is_command() -> bool:
    """Whether this process is the command ``xpnet`` or ``python -m xpnet``."""
    program = sys.argv[0] if sys.argv else ""
    if program != "-m":
        return os.path.splitext(os.path.basename(program))[0] == "xpnet"
    # Python is still looking for the module; its name follows the first "-m".
    arguments = sys.orig_argv
    return "-m" in arguments[:-1] and arguments[arguments.index("-m") + 1] == "xpnet"


def end_at_ctrl_c() -> bool:
    """Let Ctrl-C end the process without a traceback; return whether this changes anything."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        return False
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return True


def started() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, once the command has started."""
    global _is_starting
    if _is_starting:
        _is_starting = False
        signal.signal(signal.SIGINT, signal.default_int_handler)


_is_starting = is_command() and end_at_ctrl_c()
