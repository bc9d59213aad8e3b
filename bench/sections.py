"""Sections of a report: each runs in its own processes, yields rows, and has a time limit."""

import argparse
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from . import processes
from .processes import die_with, signal_group

Row = dict[str, Any]

_TAIL = 3000
"""The number of characters to keep from the end of a command's output."""


@dataclass(frozen=True)
class Measurement:
    """A section that runs a function in another process, which yields the rows.

    So its GPU memory is freed when it ends, and a crash affects only this section.

    Attributes
    ----------
    function : callable
        A function of the options, defined at the top level of a module so that it can be pickled.
    limit : float
        Seconds after which the process is killed.
    """

    function: Callable[[argparse.Namespace], Iterator[Row]]
    limit: float

    def rows(self, options: argparse.Namespace, limit: float) -> Iterator[Row]:
        """Yield rows as they arrive; a last row reports a failure or an exceeded limit."""
        spawning = multiprocessing.get_context("spawn")
        ours, theirs = spawning.Pipe(duplex=False)
        given = self.function, options, theirs, os.getpid()
        process = spawning.Process(target=_send_rows, args=given)
        end = time.monotonic() + limit
        process.start()
        theirs.close()
        try:
            while ours.poll(max(end - time.monotonic(), 0.0)):
                yield ours.recv()
        except (EOFError, OSError):  # the process has ended, perhaps while sending a row
            process.join(max(end - time.monotonic(), 1.0))  # sets the exit code
            if process.exitcode != 0:
                yield {"failed": f"its process ended with code {process.exitcode}"}
        else:
            yield _late(limit)
        finally:
            process.kill()  # it may not have created its process group yet
            signal_group(process.pid, signal.SIGKILL)
            process.join()


def _send_rows(
    function: Callable[[argparse.Namespace], Iterator[Row]],
    options: argparse.Namespace,
    connection: Connection,
    parent: int,
) -> None:
    os.setsid()  # a new group, so that all processes started here can be killed together
    die_with(parent)
    try:
        for row in function(options):
            connection.send(row)
    except Exception:
        connection.send({"failed": traceback.format_exc()})


@dataclass(frozen=True)
class Command:
    """A section that runs a command; its only row has the exit status and the end of the output.

    Attributes
    ----------
    function : callable
        A function of the options that returns the command, or a row that says why it cannot run.
    limit : float
        Seconds after which the command is killed.
    """

    function: Callable[[argparse.Namespace], list[str] | Row]
    limit: float

    def rows(self, options: argparse.Namespace, limit: float) -> Iterator[Row]:
        """Yield the section's only row."""
        command = self.function(options)
        yield command if isinstance(command, dict) else run(command, limit)


def run(command: list[str], limit: float) -> Row:
    """Run a command; return its status and the end of its output, even if it exceeds the limit."""
    launcher = [sys.executable, "-P", processes.__file__, str(os.getpid())]
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            [*launcher, *command],
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a new group, so that all its processes can be killed together
        )
        try:
            row: Row = {"status": process.wait(limit)}
        except subprocess.TimeoutExpired:
            row = _late(limit)
        finally:
            signal_group(process.pid, signal.SIGKILL)
            process.wait()
        printed.seek(0)
        return row | {"tail": printed.read().decode(errors="replace")[-_TAIL:]}


def _late(limit: float) -> Row:
    return {"failed": f"not done after {limit:.0f} s"}
