"""Running the command line in tests."""

import io
import os
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import pytest

import xpnet
from xpnet.cli import main

ROOT = Path(xpnet.__file__).parent.parent


def run(*arguments):
    """Run the command line in this process; return its exit status, output and errors."""
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        try:
            status = main([str(each) for each in arguments])
        except SystemExit as exit:
            status = exit.code
    return status, output.getvalue(), errors.getvalue()


def run_process(*arguments, content=b"", check=False, **environment):
    """Run the command line in another process, with this standard input and no terminal."""
    return subprocess.run(
        [sys.executable, "-m", "xpnet", *map(str, arguments)],
        input=content,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"} | environment,
        check=check,
    )


def on_terminal(*arguments, columns=80):
    """Run the command line on a terminal; return its exit status and what was shown."""
    if os.name != "posix":
        pytest.skip("pseudo-terminals are those of POSIX systems")
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "MPLBACKEND": "Agg"}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "xpnet", *map(str, arguments)],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the other end is closed
        while piece := os.read(ours, 4096):
            shown += piece
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", shown.decode())
    return process.wait(), text
