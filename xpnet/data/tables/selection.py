"""Which columns of a table are the features, the label and the ids."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...backends import UnknownNameError, unknown_name
from ...backends._errors import shown
from ...common.checks import check_distinct, check_strings


class Request(NamedTuple):
    """The columns to read from a table; see :meth:`xpnet.Dataset.from_csv`."""

    label: str | None = None
    columns: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    id: str | None = None
    keeps_missing: bool = False


def keeps_missing(missing: str) -> bool:
    """Return whether missing cells are kept; ``missing`` is the user's argument."""
    if not isinstance(missing, str) or missing not in ("error", "keep"):
        raise ValueError(
            f"missing={shown(missing)}: expected 'error' or 'keep'. To leave out rows with missing "
            "cells, or to fill these in, give missing='keep', and write data.drop_missing() or "
            "data.fill_missing()"
        )
    return missing == "keep"


def check_name(argument: str, value: Any) -> str | None:
    """Return ``value`` if it is a string or None, else raise ``TypeError``."""
    if value is not None and not isinstance(value, str):
        hint = ""
        if argument == "label" and isinstance(value, (list, tuple)):
            hint = (
                ". Give several targets as a dict or a data frame: Dataset(frame[features], "
                f"frame[{shown([*value])}])"
            )
        raise TypeError(f"{argument}={shown(value)}: expected the name of a column{hint}")
    return value


@dataclass(frozen=True)
class Selection:
    """The columns of a table that a data set is made from.

    Attributes
    ----------
    names : list of str
        The names of the features.
    places : list of int
        The position of each feature among the table's columns.
    label, id : int or None
        The positions of the label and of the ids.
    """

    names: list[str]
    places: list[int]
    label: int | None
    id: int | None

    @property
    def used(self) -> list[int]:
        """The positions of all columns that are read, in the table's order."""
        return sorted({*self.places, *(k for k in (self.label, self.id) if k is not None)})


def select(where: str, header: Sequence[str], request: Request) -> Selection:
    """Return the requested columns.

    Parameters
    ----------
    where : str
        The name of the table in messages.
    header : sequence of str
        The names of its columns.
    request : Request

    Raises
    ------
    UnknownNameError
        The table lacks requested columns; the message lists all of them.
    ValueError
        Names occur twice, a column would have two purposes, or no feature is left.
    """
    place = {name: k for k, name in enumerate(header)}
    exclude = check_strings("exclude", request.exclude)
    label, id = check_name("label", request.label), check_name("id", request.id)
    if label is not None and label == id:
        raise ValueError(f"label={label!r} and id={id!r} are the same column: expected two columns")
    purposes = {"label": [label] if label is not None else [], "exclude": exclude}
    if request.columns is None:
        others = {*exclude, label, id}
        names = [name for name in header if name not in others]
    else:
        names = check_strings("columns", request.columns)
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise ValueError(f"columns= has {twice[0]!r} more than once: name each column once")
        for argument, asked in purposes.items():
            if double := [name for name in asked if name in names]:
                raise ValueError(
                    f"columns= and {argument}= both name {double[0]!r}: expected only one of them"
                )
    purposes |= {"columns": names, "id": [id] if id is not None else []}
    if unknown := [name for asked in purposes.values() for name in asked if name not in place]:
        raise UnknownNameError(f"{_unknown(unknown, header)}{_hint(unknown, label, id)}")
    count = Counter(header)
    used = dict.fromkeys([*names, *purposes["label"], *purposes["id"]])
    check_distinct(f"{where} has columns", [name for name in used for _ in range(count[name])])
    if not names:
        raise ValueError(f"{where} has no column left for a feature: expected at least one")
    if "" in names:
        raise ValueError(
            f"{where}, column {place[''] + 1} has no name: give it one, or remove it if it numbers "
            "the rows, e.g. with pandas's to_csv(index=False) (exclude=[''] leaves it out)"
        )
    return Selection(
        names,
        [place[name] for name in names],
        None if label is None else place[label],
        None if id is None else place[id],
    )


def _unknown(names: Sequence[str], header: Sequence[str]) -> str:
    """Return the message for columns that a table lacks."""
    if len(names) == 1:
        return str(unknown_name("column", names[0], header))
    split = [
        name for name in header if "," in name and {*map(str.strip, name.split(","))} <= {*names}
    ]
    found, hint = ", ".join(map(repr, names)), f": did you mean {split[0]!r}?" if split else "."
    return f"unknown columns {found}{hint} Known: {', '.join(header)}"


def _hint(unknown: Sequence[str], label: str | None, id: str | None) -> str:
    """Return advice if ``label`` or ``id`` seems to be a list of several columns; "" if not."""
    for argument, name in {"label": label, "id": id}.items():
        if name in unknown and "," in str(name):
            return f". {argument}= takes only one column"
    return ""
