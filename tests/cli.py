"""Running the command line in tests."""

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

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
