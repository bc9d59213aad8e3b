"""The process: arguments in, messages and an exit status out."""

import errno
import os
import sys
import warnings
from collections.abc import Sequence

import click
import numpy as np
from click.shell_completion import shell_complete

from .. import _starting
from ..backends import DeviceUnavailableError
from ..training.errors import DivergedError
from ..training.memory import MemoryPlanError
from .commands import cli
from .interruption import INTERRUPTED, StoppedError, no_lost_interrupt
from .messages import give_up_output, print_message, show_warning

_COMPLETION = "_XPNET_COMPLETE"
"""The environment variable by which a shell asks for completions."""

_WRONG_PATHS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Errors are reported in one line on standard error. Set the environment variable
    ``XPNET_TRACEBACK`` to get the traceback of an unexpected error.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        The exit status: 0 for success; 2 if an argument, or the file that it names, is wrong; 1 if
        this machine lacks something, training diverged or the output could not be written; 130
        after Ctrl-C and 143 after SIGTERM. Both end training after the current step, and the
        requested files are still written.
    """
    if instruction := os.environ.get(_COMPLETION):
        return shell_complete(cli, {}, "xpnet", _COMPLETION, instruction)
    given = sys.argv[1:] if arguments is None else list(arguments)
    # Overflow is reported once, for the result.
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        warnings.showwarning = show_warning
        try:
            _starting.started()
            with no_lost_interrupt(), cli.make_context("xpnet", given) as context:
                cli.invoke(context)
            if sys.stdout is not None:
                sys.stdout.flush()
        except click.exceptions.Exit as end:  # after --help and --version
            return end.exit_code
        except click.UsageError as error:
            program = error.ctx.command_path if error.ctx else "xpnet"
            return _fail(f"{error.format_message().rstrip('.')} (see {program} --help)", 2)
        except BrokenPipeError:  # the program that reads our output, e.g. head, has ended
            give_up_output()
            return 1
        except KeyboardInterrupt:
            return _fail("interrupted", INTERRUPTED)
        except StoppedError as error:
            return _fail(error, error.status)
        except (*_WRONG_PATHS, ValueError) as error:
            return _fail(error, 2)
        except (DeviceUnavailableError, DivergedError, ImportError) as error:
            return _fail(error, 1)
        except MemoryPlanError as error:
            return _fail(error.summary, 1)
        except OSError as error:
            give_up_output()
            return _fail(error, 2 if error.errno == errno.ENAMETOOLONG else 1)
        except MemoryError as error:
            reason = f" ({error})" if str(error) else ""
            return _fail(f"out of memory{reason}: give a smaller --hidden or --batch-size", 1)
        except Exception as error:
            if os.environ.get("XPNET_TRACEBACK"):
                raise
            return _fail(
                f"this is a bug in xpnet, please report it: {type(error).__name__}: {error} "
                "(set XPNET_TRACEBACK=1 for the traceback)",
                1,
            )
    return 0


def _fail(error: object, status: int) -> int:
    """Report an error in one line; return the exit status."""
    print_message(str(error))
    return status
