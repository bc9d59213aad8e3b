"""Reading a data frame, or the data frames that are batches of a file or a stream."""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from ....common.checks import check_strings
from ..gathering import RowCollector, replace_codes
from ..selection import Request, Selection, check_name, select
from ..table import Table
from .base import Column, Rules
from .categories import is_categorical
from .choice import column_for
from .frame_types import as_frame
from .ids import IdColumn
from .numbers import exact

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

_PIECE = 1 << 20
"""About how many numbers of a frame are read at a time if memory is limited."""

_INDEX = re.compile(r"__index_level_\d+__")
"""The name that pandas gives the column of an unnamed index in a file."""


def read_frame(
    frame: Any,
    where: str,
    request: Request,
    *,
    advice: str | None = None,
    may_be_empty: bool = False,
    limit: float | None = None,
) -> Table:
    """Read a data frame in memory.

    Parameters
    ----------
    frame : data frame
        A frame of pandas, polars, pyarrow or another library that Narwhals supports.
    where : str
        The name of the frame in messages.
    request : Request
    advice : str, optional
        What to do about missing cells.
    may_be_empty : bool, default False
        Whether the frame may have no rows.
    limit : float, default infinity
        The maximum number of bytes of the features in memory. The frame is then read in pieces.
    """
    whole = as_frame(where, frame)
    header = whole.columns
    rules = _rules(where, request, limit is None, advice, may_be_empty)
    selection = _select(where, header, request)
    used = [header[k] for k in selection.used]
    pieces: Iterable[nw.DataFrame[Any]] = [whole]
    if not rules.is_whole:
        pieces = _pieces(whole, max(_PIECE // len(used), 1))
    missing_in: set[Any] = set()
    if rules.keeps_missing:
        missing_in = {name for name in used if whole.get_column(name).null_count()}
    return _read(rules, whole, pieces, selection, math.inf if limit is None else limit, missing_in)


def read_batches(
    first: Any,
    batches: Iterable[Any],
    where: str,
    request: Request,
    *,
    limit: float,
    never_missing: Collection[str] = (),
) -> Table:
    """Read data frames whose rows follow each other.

    Parameters
    ----------
    first : data frame
        A frame with the same columns; its rows are not read.
    batches : iterable of data frames
        Each has at least the columns that are used.
    where, request, limit
        See `read_frame`.
    never_missing : collection of str
        Columns that the schema says have no missing values.
    """
    schema = as_frame(where, first)
    selection = _select(where, schema.columns, request)
    frames = (as_frame(where, batch) for batch in batches)
    may_be_missing = set(schema.columns).difference(never_missing)
    rules = _rules(where, request, False)
    return _read(rules, schema.head(0), frames, selection, limit, may_be_missing)


def check_same(used: Sequence[str], first: Any, its_name: str, other: Any, where: str) -> None:
    """Refuse a table that lacks a used column, or has it with another type than the first table."""
    types, found = as_frame(its_name, first).schema, as_frame(where, other).schema
    for name in used:
        if name not in found:
            raise ValueError(f"{where} has no column {name!r}, which {its_name} has")
        if types[name] != found[name] and not (
            is_categorical(types[name]) and is_categorical(found[name])
        ):
            raise ValueError(
                f"{where}, column {name!r} has the type {found[name]}, but {its_name} has "
                f"{types[name]}: expected one type"
            )


def used_columns(where: str, header: Sequence[str], request: Request) -> list[str]:
    """Return the names of the columns that are read, in the order of the table."""
    selection = _select(where, header, request)
    return [header[k] for k in selection.used]


def _rules(
    where: str,
    request: Request,
    is_whole: bool,
    advice: str | None = None,
    may_be_empty: bool = False,
) -> Rules:
    if advice is None:
        advice = (
            "fill them in or drop these rows, e.g. with data = Dataset.from_...(missing='keep') "
            "and data.fill_missing() or data.drop_missing()"
        )
    return Rules(where, request.keeps_missing, advice, is_whole, may_be_empty)


def _select(where: str, header: Sequence[Any], request: Request) -> Selection:
    """Return the columns to read; an unnamed pandas index only if an argument names it."""
    names = [str(name) for name in header]
    exclude = check_strings("exclude", request.exclude)
    if request.columns is None:
        named = check_name("label", request.label), check_name("id", request.id)
        asked = {*exclude, *named}
        exclude += [name for name in names if _INDEX.fullmatch(name) and name not in asked]
    return select(where, names, request._replace(exclude=exclude))


def _pieces(frame: "nw.DataFrame[Any]", rows: int) -> Iterator["nw.DataFrame[Any]"]:
    for start in range(0, len(frame), rows):
        yield frame[start : start + rows]


def _read(
    rules: Rules,
    schema: "nw.DataFrame[Any]",
    frames: Iterable["nw.DataFrame[Any]"],
    selection: Selection,
    limit: float,
    may_be_missing: Collection[Any],
) -> Table:
    """Read the selected columns of frames whose rows follow each other."""
    own = schema.columns  # in pandas, not always strings

    def column(place: int) -> Column:
        series, name = schema.get_column(own[place]), own[place]
        return column_for(str(name), series, rules, name in may_be_missing)

    numbers = _all_at_once(schema, selection.places) if rules.is_whole else None
    features = [column(place) for place in selection.places] if numbers is None else []
    label = None if selection.label is None else column(selection.label)
    ids = None
    if selection.id is not None:
        ids = IdColumn(str(own[selection.id]), rules, math.inf if rules.is_whole else limit)
    dtype = _common_type(rules.where, features) if numbers is None else numbers.dtype
    labels: list[np.ndarray] = []
    start, block = 0, np.empty((0, len(selection.places)), dtype)
    collector = RowCollector(len(selection.places), dtype, limit)
    with collector as gathered, ids or nullcontext():
        for frame in frames:
            if not len(frame):
                continue
            if ids is not None and selection.id is not None:
                ids.read(frame.get_column(own[selection.id]), start)
            if label is not None and selection.label is not None:
                labels.append(label.read(frame.get_column(own[selection.label]), start))
            block = np.empty((len(frame), block.shape[1]), dtype) if numbers is None else numbers
            rows = range(start, start + len(block))
            for k, (each, place) in enumerate(zip(features, selection.places, strict=False)):
                found = each.read(frame.get_column(own[place]), start)
                block[:, k] = exact(each.what, found, dtype, rows)
            start += len(block)
            if not rules.is_whole:
                gathered.add(block)
        if not start and not rules.may_be_empty:
            raise ValueError(f"{rules.where} has no rows: expected a row for each sample")
        meanings = [each.feature() for each in features]
        values = {k: each.values for k, each in enumerate(meanings) if each is not None}
        if rules.is_whole:  # not copied, since it may take most of the memory
            replace_codes(block, values)
        X = block if rules.is_whole else gathered.finish(values)
        found_ids = None if ids is None else ids.finish()
    table = Table(selection.names, X, ids=found_ids)
    for name, meaning in zip(selection.names, meanings, strict=False):
        if meaning is not None and meaning.names is not None:
            table.categories[name] = meaning.names
    if label is not None and selection.label is not None:
        all_labels = np.concatenate(labels) if labels else np.zeros(0, label.dtype)
        table.y, table.class_names = label.label(all_labels)
        table.label_name = str(own[selection.label])
    return table


def _all_at_once(frame: "nw.DataFrame[Any]", places: list[int]) -> np.ndarray | None:
    """Return the columns if all are numbers of the same type without missing values, else None.

    Reading thousands of such columns one by one takes much longer.
    """
    all_types = list(frame.schema.values())
    types = {str(all_types[place]).lower() for place in places}
    if len(types) != 1 or (kind := types.pop()) not in _NUMBERS or not len(frame):
        return None
    numbers = frame[:, places].to_numpy()
    # Nullable types may be converted to another type, or to objects.
    if numbers.dtype != kind or not np.isfinite(numbers).all():
        return None
    return np.array(numbers, order="C")


_NUMBERS = {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)} | {
    "float32",
    "float64",
}


def _common_type(where: str, features: Sequence[Column]) -> np.dtype:
    """Return a dtype that holds the numbers of all columns."""
    codes = [each for each in features if each.is_code and each.dtype.kind != "f"]
    if len(codes) == len(features):
        return np.dtype(np.int64)
    dtype = np.result_type(*(each.dtype for each in features))
    if dtype.kind == "f" and all(each.dtype.kind in "biu" for each in features):
        raise TypeError(
            f"{where} has columns of uint64 and of signed integers: cast them to one type"
        )
    return dtype
