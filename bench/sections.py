"""Sections of a report: each has processes of its own, yields rows, and is ended at its limit."""

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
"""How many characters of what a command printed are kept."""


@dataclass(frozen=True)
class Measurement:
    """A section whose rows a function yields, in a process of its own.

    So what it holds of a GPU's memory is free when it ends, and a crash is its own.

    Attributes
    ----------
    function : callable
        Takes the options; at a module's top level, so that another process finds it.
    limit : float
        Seconds after which it is ended.
    """

    function: Callable[[argparse.Namespace], Iterator[Row]]
    limit: float

    def rows(self, options: argparse.Namespace, limit: float) -> Iterator[Row]:
        """Yield rows as they come; a failure or the limit adds a last one that says so."""
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
        except (EOFError, OSError):  # it has ended, maybe within a row
            process.join(max(end - time.monotonic(), 1.0))  # so that its own exit code is seen
            if process.exitcode != 0:
                yield {"failed": f"its process ended with code {process.exitcode}"}
        else:
            yield _late(limit)
        finally:
            process.kill()  # it may have no group of its own yet
            signal_group(process.pid, signal.SIGKILL)
            process.join()


def _send_rows(
    function: Callable[[argparse.Namespace], Iterator[Row]],
    options: argparse.Namespace,
    connection: Connection,
    parent: int,
) -> None:
    os.setsid()  # a group of its own, which is ended with all that it has started
    die_with(parent)
    try:
        for row in function(options):
            connection.send(row)
    except Exception:
        connection.send({"failed": traceback.format_exc()})


@dataclass(frozen=True)
class Command:
    """A section that is a command; its only row has the exit status and the end of its output.

    Attributes
    ----------
    function : callable
        Takes the options and returns the command, or a row that says why none is run.
    limit : float
        Seconds after which it is ended.
    """

    function: Callable[[argparse.Namespace], list[str] | Row]
    limit: float

    def rows(self, options: argparse.Namespace, limit: float) -> Iterator[Row]:
        """Yield the row."""
        command = self.function(options)
        yield command if isinstance(command, dict) else run(command, limit)


def run(command: list[str], limit: float) -> Row:
    """Run a command; return its exit status and the end of what it printed, also if it is late."""
    launcher = [sys.executable, "-P", processes.__file__, str(os.getpid())]
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            [*launcher, *command],
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, which is ended as one
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
