"""One message for all columns of a table that keep a network from being trained on it."""

import ast
import csv
import io
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from .. import Dataset
from ..backends import UnknownNameError, to_host
from ..data.missing import codes_of_none, count_missing

_MOST_UNREADABLE, _MOST_SHOWN = 20, 6
"""The most unreadable columns to look for, and the most columns that a message lists."""

_COLUMN = r"(?:, line \d+)?, column ('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")(?:, row \d+)?[: ]+"
"""Matches the name of a column in messages about cells, after the path."""

_TIMES = ("give dates and times", "give durations", "datetime", "date32", "timestamp")
"""Words in the messages about dates and times."""


def read_for_training(
    path: Path, read: Callable[..., Dataset], options: SimpleNamespace, **request: Any
) -> Dataset:
    """Read a table, or refuse it in one message that names all columns that need an option.

    Parameters
    ----------
    path : Path
        For messages.
    read : function
        Reads the table at the path.
    options : SimpleNamespace
        ``features``, ``exclude`` and ``missing`` of ``xpnet train``.
    **request
        The keyword arguments of ``read``.

    Raises
    ------
    ValueError
        Cells are missing although ``missing`` is None or "error", or columns cannot be read, or
        columns identify the rows.
    """
    try:
        data = read(**request)
    except UnknownNameError:
        raise
    except (TypeError, ValueError) as error:
        unreadable, whole = _unreadable(path, read, request)
        missing = {} if whole is None or options.missing else _missing(whole)
        identifying = {} if whole is None else _identifying(whole, options)
        if (label := request["label"]) in unreadable:
            raise ValueError(unreadable[label]) from error
        n_problems = len(unreadable) + len(missing) + len(identifying)
        if not (unreadable or missing) or (missing and n_problems == 1):
            raise  # the message has the line
        if n_problems == 1:
            name = next(iter(unreadable))
            way = _leaving_out([name], name, options)
            raise ValueError(f"{error}. To leave the column out, give {way}") from error
        raise ValueError(
            _message(path, options, missing, unreadable, identifying, len(whole or ()))
        ) from error
    if identifying := _identifying(data, options):
        raise ValueError(_message(path, options, {}, {}, identifying, len(data)))
    return data


def _unreadable(
    path: Path, read: Callable[..., Dataset], request: dict[str, Any]
) -> tuple[dict[str, str], Dataset | None]:
    """Return error messages by unreadable column, and the data of the others, if readable."""
    found: dict[str, str] = {}
    start = re.compile(re.escape(str(path)) + _COLUMN)
    while len(found) < _MOST_UNREADABLE:
        columns = request["columns"]
        others = {"columns": columns and [name for name in columns if name not in found]}
        if columns is None:
            others["exclude"] = [*request["exclude"], *found]
        try:
            return found, read(**{**request, **others, "missing": "keep"})
        except (TypeError, ValueError) as error:
            message = str(error)
            if not (at := start.match(message)) or (name := ast.literal_eval(at[1])) in found:
                return found, None
            found[name] = message
    return found, None


def _missing(data: Dataset) -> dict[str, int]:
    """Return the number of missing cells, by the name of each column that has any."""
    _, counts = count_missing(data.features, codes_of_none(data.feature_names, data.categories))
    found = dict(zip(data.feature_names or (), counts.tolist(), strict=True))
    y = to_host(data.y)
    found[str(data.label_name)] = int(np.isnan(y).sum()) if y.dtype.kind == "f" else 0
    return {name: count for name, count in found.items() if count}


def _identifying(data: Dataset, options: SimpleNamespace) -> dict[str, Sequence[str | None]]:
    """Return the distinct strings of columns that identify rows and are not in --features."""
    return {
        name: strings
        for name, strings in data.categories.items()
        if name not in (options.features or ()) and len(strings) > max(0.9 * len(data), 10)
    }


def _message(
    path: Path,
    options: SimpleNamespace,
    missing: Mapping[str, int],
    unreadable: Mapping[str, str],
    identifying: Mapping[str, Sequence[str | None]],
    n_rows: int,
) -> str:
    """Return the message for one or more columns with problems."""
    problems, advice = [], []
    if missing:
        counts = [f"{name!r} ({count})" for name, count in missing.items()]
        problems.append(f"of {n_rows} rows, cells are missing in {_some(counts)}")
        advice.append("--missing median, which fills them in, or --missing drop")
    if unreadable:
        problems.append(_some([_brief(name, said) for name, said in unreadable.items()]))
    for name, strings in identifying.items():
        problems.append(
            f"column {name!r}: {len(strings)} different strings in {n_rows} rows, e.g. "
            f"{strings[0]!r}"
        )
    if out := [*unreadable, *identifying]:
        advice.append(_leaving_out(out, next(iter(identifying), None), options))
    keep = ". To keep such a column of strings as a feature, name all features with --features"
    separator = ", " if len(out) == 1 and not missing else ": "
    return (
        f"{path}{separator}{'; '.join(problems)}: give {', and '.join(advice)}"
        f"{keep if identifying else ''}"
    )


def _leaving_out(names: Sequence[str], id: str | None, options: SimpleNamespace) -> str:
    """Return advice on leaving columns out; ``id`` is one that may identify the rows."""
    if options.features:
        return f"--features without {_list(names)}"
    option = f"--exclude {_list([*(options.exclude or ()), *names])}"
    if id is None or options.id:
        return option
    if len(names) == 1:
        return f"{option} or, if {id!r} identifies the rows, --id {shlex.quote(id)}"
    return (
        f"{option} (if {id!r} identifies the rows, --id {shlex.quote(id)} instead of its name in "
        "--exclude)"
    )


def _brief(name: str, message: str) -> str:
    """Return what is wrong with a column, in a few words."""
    problem = re.split(_COLUMN, message, maxsplit=1)[-1]  # without the name of the column
    reason = problem.partition(": ")[0]
    if any(word in problem for word in _TIMES):
        cell = reason.removesuffix(" is not a number")
        return f"column {name!r} has dates or times, e.g. {cell}"
    return f"column {name!r}: {reason}"


def _some(texts: list[str]) -> str:
    more = len(texts) - _MOST_SHOWN
    return ", ".join(texts[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _list(names: Sequence[str]) -> str:
    """Return names as the quoted value of an option."""
    file = io.StringIO()
    csv.writer(file, lineterminator="").writerow(names)
    return shlex.quote(file.getvalue())
