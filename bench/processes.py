"""Make processes end together with their parent.

    python bench/processes.py PARENT COMMAND...

replaces itself by COMMAND, which the system kills when the process with the id PARENT ends.
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with(parent: int) -> None:
    """Make the system kill this process when its parent ends, even if this process is stopped.

    It works only on Linux and does nothing elsewhere. The setting survives ``exec``.

    Parameters
    ----------
    parent : int
        The parent's process id, to detect that it has already ended.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def signal_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to all remaining processes of a process group."""
    with suppress(ProcessLookupError):
        os.killpg(leader, number)


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
