"""The space of a search: the possible values of each setting, and random draws from them."""

import reprlib
import warnings
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from .file import RESERVED


def check_space(space: Any) -> None:
    """Refuse a space that is not made of lists of values and distributions by name."""
    spaces = [space] if isinstance(space, Mapping) else space
    if (
        not isinstance(spaces, (list, tuple))
        or not spaces
        or not all(isinstance(each, Mapping) for each in spaces)
    ):
        raise TypeError(
            f"space={reprlib.repr(space)}: expected a dict that maps settings to lists of values, "
            "such as {'n_units': [16, 64]}, or a list of such dicts"
        )
    for name, values in ((name, values) for each in spaces for name, values in each.items()):
        if not isinstance(name, str):
            raise TypeError(
                f"space has the setting {reprlib.repr(name)}: expected the name of an argument of "
                "build, as a string"
            )
        if hasattr(values, "rvs"):
            continue
        given = f"space[{name!r}]={reprlib.repr(values)}"
        listed = isinstance(values, Sequence) or getattr(values, "ndim", 0) == 1
        if not listed or isinstance(values, (str, bytes, bytearray)):
            advice = f"for a single value give [{reprlib.repr(values)}]"
            if isinstance(values, (Set, Iterator, Mapping)) or hasattr(values, "ndim"):
                advice = f"convert it with list(space[{name!r}])"
            raise TypeError(f"{given}: expected a list of values or a SciPy distribution; {advice}")
        if not len(values):
            raise ValueError(f"{given} is empty: expected at least one value")


def draw_settings(sampler: Any, space: Any, n_iter: int, seed: int | None) -> list[dict[str, Any]]:
    """Draw the settings of ``n_iter`` trials, or of all trials if the space has fewer."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The total space of parameters")
        drawn: list[dict[str, Any]] = list(sampler(space, n_iter, random_state=seed))
    for name in {name for settings in drawn for name in settings}:
        if name in RESERVED:
            raise ValueError(
                f"space has a setting {name!r}, which is the name of a column of the result: "
                f"rename it. Reserved names are {', '.join(RESERVED)}"
            )
    return drawn
