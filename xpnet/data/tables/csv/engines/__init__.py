"""The libraries that read blocks of CSV files, and the choice of one that is installed."""

from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec

from .....backends import unknown_name
from .....common.checks import check_string
from .base import Engine

ENGINES = {"pyarrow": "PyArrow", "polars": "Polars", "pandas": "Pandas"}
"""The class of each engine by the library's name, the strictest library first.

Polars and pandas silently pad rows that have too few cells, so more blocks are in doubt and have to
be read again. Apart from that, all three are about equally fast.
"""


def engine_class(name: str) -> type[Engine] | None:
    """Return the engine of that name; None for Python's own ``csv``.

    Parameters
    ----------
    name : str
        A name in `ENGINES`, "csv", or "auto", which is the first engine that works.

    Raises
    ------
    UnknownNameError
        The name is not known.
    ImportError
        The library is not installed.
    """
    check_string("engine", name)
    if name == "auto":
        for each in ENGINES:
            with suppress(Exception):  # a broken library may raise anything, and csv needs none
                if find_spec(each) is not None:
                    return _load(each)
        return None
    if name == "csv":
        return None
    if name not in ENGINES:
        raise unknown_name("engine", name, ["auto", "csv", *ENGINES])
    if find_spec(name) is None:
        raise ImportError(
            f"engine={name!r} needs {name}, which is not installed: pip install {name}, or leave "
            "engine out"
        )
    return _load(name)


def _load(name: str) -> type[Engine]:
    found: type[Engine] = getattr(import_module(f"{__name__}._{name}"), ENGINES[name])
    return found
