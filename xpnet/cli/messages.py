"""Messages on standard error: one line each, with options in place of Python's arguments."""

import os
import re
import shlex
import sys
from contextlib import suppress
from typing import Any

from ..backends._errors import printable


def print_message(message: str) -> None:
    """Print a message in one line on standard error, with options in place of arguments."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"xpnet: {printable(with_option_names(message))}", file=sys.stderr)


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning in one line; replaces :func:`warnings.showwarning`."""
    print_message(f"warning: {message}")


def give_up_output() -> None:
    """Discard buffered output that cannot be written; Python would fail at exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - stays open until Python exits


_OPTIONS = {
    "columns": "--features",
    "label": "--target",
    "n_units": "--hidden",
    "rate": "--dropout",
    **{
        name: f"--{name.replace('_', '-')}"
        for name in (
            "batch_size", "decimal", "delimiter", "device", "dropout", "dtype", "encoding",
            "epochs", "exclude", "id", "learning_rate", "memory_limit", "optimizer", "patience",
            "resume", "seed", "test_size",
        )
    },
}  # fmt: skip
"""Maps the names of the library's arguments to options."""

_ARGUMENT = re.compile(rf"\b({'|'.join(_OPTIONS)})=('[^']*'|\"[^\"]*\"|[^\s,:;()]+)")
_BARE = re.compile(rf"\b({'|'.join(_OPTIONS)})=(?=[\s,;.)]|$)")

_PHRASES = {
    "path='": "'",
    "load_mnist() without a folder": "xpnet train mnist without --data",
    "give Dataset.from_frame(frame)": "save it as a new CSV file",
    "missing='keep' reads it as NaN": "xpnet train --missing median fills in a feature, --missing "
    "drop drops the row",
    "data = Dataset.from_...(missing='keep') and data.fill_missing() or data.drop_missing()": (
        "xpnet train --missing median or --missing drop"
    ),
    "dataset.fill_missing(), those of new data with the values of the training data, "
    "new.fill_missing(train.fill_values)": "xpnet train --missing median",
    "dataset.drop_missing()": "xpnet train --missing drop",
    ", or give fill_missing() a value for each column": "",
    "give fill_missing() one for each such column": "fill them in or leave such rows out",
    "missing='keep'": "--missing median",
    "fewer or smaller layers, an optimizer with less state": "fewer or smaller --hidden layers, an "
    "--optimizer with less state, such as sgd",
    "a larger memory_limit": "a larger --memory-limit",
    "header=False": "--no-header",
    ", and decimal='infer' finds commas in quotes": "",
    " (exclude=[''] leaves it out)": "",
    " (header=True takes the first line as names)": "",
    "fill_missing()": "--missing median",
    "drop_missing()": "--missing drop",
}
"""Maps advice for Python to advice for the command line."""


def with_option_names(message: str) -> str:
    """Replace the arguments that a message of the library names by options.

    Examples
    --------
    >>> with_option_names("'red' is not a number: give label='colour of eyes'")
    "'red' is not a number: give --target 'colour of eyes'"
    """
    for phrase, own in _PHRASES.items():
        message = message.replace(phrase, own)
    message = _BARE.sub(lambda found: _OPTIONS[found[1]], message)
    return _ARGUMENT.sub(
        lambda found: f"{_OPTIONS[found[1]]} {shlex.quote(found[2].strip(chr(34) + chr(39)))}",
        message,
    )
