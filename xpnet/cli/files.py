"""The files that ``xpnet train`` writes after training, or when it is interrupted."""

import argparse
import io
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from .. import NeuralNetwork
from ..common.replacing import check_writable, replacing
from ..training.interruption import TERMINATED

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


def check_output_files(options: argparse.Namespace) -> None:
    """Refuse files that could not be written, or would replace one another or the data."""
    taken = {os.path.realpath(options.source): "the data to train on"}
    for name in ("save", "plot"):
        path = getattr(options, name)
        if not path:
            continue
        try:
            check_writable(path)
        except OSError as error:
            raise ValueError(f"--{name} {error}") from error
        if other := taken.get(os.path.realpath(path)):
            raise ValueError(f"--{name} {path} would replace {other}: give another file")
        taken[os.path.realpath(path)] = f"the file of --{name}"
    if options.plot:
        check_image_format(options.plot)


def check_image_format(path: str) -> None:
    """Draw an empty plot to find out whether this machine can write the format."""
    from ..plots import pyplot

    figure, _ = pyplot().subplots()
    try:
        known, ending = figure.canvas.get_supported_filetypes(), os.path.splitext(path)[1]
        if ending[1:].lower() not in known:
            raise ValueError(f"--plot {path}: expected a name that ends in .{', .'.join(known)}")
        _picture(figure, path)
    except ValueError:
        raise
    except Exception as error:  # a format may need a program such as LaTeX, and raise anything
        raise ValueError(
            f"--plot {path}: this machine cannot write {ending} files ({error}): give a name that "
            "ends in .png"
        ) from error
    finally:
        pyplot().close(figure)


def _picture(figure: Any, path: str) -> bytes:
    """Return a figure in the format of a file's ending."""
    content = io.BytesIO()
    figure.savefig(content, format=os.path.splitext(path)[1][1:].lower())
    return content.getvalue()


def plot(network: NeuralNetwork, path: str) -> None:
    """Draw the curves of a network's history to a file."""
    content = _picture(network.history.plot()[0].figure, path)
    with replacing(path) as file:
        file.write(content)


def save_interrupted(network: NeuralNetwork, options: argparse.Namespace, status: int) -> NoReturn:
    """Write the requested files for a network whose training was interrupted.

    Parameters
    ----------
    network : NeuralNetwork
        As its last step left it.
    options : argparse.Namespace
    status : int
        The exit status.

    Raises
    ------
    StoppedError
        Always; the message says what was written.
    """
    epochs = network.history.epochs
    said = f"interrupted in epoch {epochs} of {network.epochs}" if epochs else "interrupted"
    if not (options.save or options.plot):
        raise StoppedError(said, status)
    if not epochs:
        raise StoppedError(f"{said} before the first step: nothing was written", status)
    done = []
    try:
        if options.save:
            network.save(options.save)
            done.append(f"the network was saved to {options.save}")
        if options.plot:
            plot(network, options.plot)
            done.append(f"its curves were drawn to {options.plot}")
    except OSError as error:
        done.append(str(error))
    except KeyboardInterrupt:
        done.append("a second interruption left the rest unwritten")
    raise StoppedError(f"{said}: {', and '.join(done)}", status)


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
