"""The files that ``xpnet train`` writes: they are checked before training, and written after it."""

import io
import os
from functools import partial
from types import SimpleNamespace
from typing import Any, NoReturn

from .. import NeuralNetwork
from ..common.replacing import check_writable, replacing
from ..model_files.container import check_model_path
from .interruption import StoppedError
from .report import check_report_format

_OUTPUTS = ("save", "plot", "report", "log")
_INPUTS = {
    "source": "the data to train on",
    "test": "the file of --test",
    "validation": "the file of --validation",
}


def check_output_files(options: SimpleNamespace) -> None:
    """Refuse files that could not be written, or would replace one another or the data."""
    taken = {
        os.path.realpath(path): what
        for name, what in _INPUTS.items()
        if (path := getattr(options, name, None))
    }
    for name in _OUTPUTS:
        if path := getattr(options, name, None):
            check_output_file(f"--{name}", path, taken)
            taken[os.path.realpath(path)] = f"the file of --{name}"
    if getattr(options, "save", None):
        _check_model_name(options.save)
    if getattr(options, "plot", None):
        _check_image_format(options.plot)
    if getattr(options, "report", None):
        check_report_format(options.report)
    log = getattr(options, "log", None)
    if log and not log.lower().endswith((".csv", ".jsonl")):
        raise ValueError(f"--log {log}: expected a name that ends in .csv or .jsonl")


def check_output_file(option: str, path: str, taken: dict[str, str]) -> None:
    """Refuse a file that could not be written, or is in use.

    Parameters
    ----------
    option : str
    path : str
    taken : dict of str to str
        Descriptions of the files that are in use, by their real paths.
    """
    if path == "-":
        raise ValueError(f"{option} -: expected the name of a file, not standard output")
    try:
        check_writable(path)
    except OSError as error:
        raise ValueError(f"{option} {error}") from error
    if other := taken.get(os.path.realpath(path)):
        raise ValueError(f"{option} {path} would replace {other}: give another file")


def _check_model_name(path: str) -> None:
    try:
        check_model_path(path)
    except ValueError as error:
        raise ValueError(f"--save {error}") from error


def _check_image_format(path: str) -> None:
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


def write_outputs(
    network: NeuralNetwork, options: SimpleNamespace, report: Any, done: list[str]
) -> None:
    """Write the files of --save, --plot and --report.

    Parameters
    ----------
    network : NeuralNetwork
    options : SimpleNamespace
    report : function
        Writes the report to a path.
    done : list of str
        A clause about each written file is appended, for a message.
    """
    if options.save:
        network.save(options.save)
        done.append(f"the network was saved to {options.save}")
    if options.plot:
        plot(network, options.plot)
        done.append(f"its curves were drawn to {options.plot}")
    if options.report:
        report(options.report)
        done.append(f"the report was written to {options.report}")


def save_interrupted(
    network: NeuralNetwork, options: SimpleNamespace, report: Any, status: int
) -> NoReturn:
    """Write the requested files for a network whose training was interrupted.

    Parameters
    ----------
    network : NeuralNetwork
        As its last step left it.
    options, report
        See :func:`write_outputs`.
    status : int
        The exit status.

    Raises
    ------
    StoppedError
        Always; the message says what was written.
    """
    epochs = network.history.epochs
    said = f"interrupted in epoch {epochs} of {network.epochs}" if epochs else "interrupted"
    folder = options.resume or options.checkpoint
    if not (options.save or options.plot or options.report or folder):
        raise StoppedError(said, status)
    if not epochs:
        raise StoppedError(f"{said} before the first step: nothing was written", status)
    done: list[str] = []
    try:
        write_outputs(network, options, partial(report, note=said), done)
    except OSError as error:
        done.append(str(error))
    except KeyboardInterrupt:
        done.append("a second interruption left the rest unwritten")
    if folder:
        done.append(f"--resume {folder} continues the training")
    raise StoppedError(f"{said}: {', and '.join(done)}", status)
