"""Recognizing data frames and columns of any library."""

from typing import TYPE_CHECKING, Any

from ....common.checks import check_distinct

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw


def column_names(X: Any) -> list[str] | None:
    """Return the column names of a data frame as strings, or None for anything else.

    Examples
    --------
    >>> column_names([[1, 2]]) is None
    True
    """
    names: Any = None
    if hasattr(X, "__array_namespace__"):
        return None
    if hasattr(type(X), "column_names"):  # pyarrow, where `columns` are arrays
        names = X.column_names
    elif hasattr(type(X), "columns") and hasattr(type(X), "to_numpy"):
        names = X.columns
    return None if names is None else [str(name) for name in names]


def as_series(values: Any) -> Any:
    """Convert a column to a type that Narwhals supports; return anything else unchanged.

    A pandas array or index becomes a Series, and a pyarrow array a chunked array. For strings or
    categories, ``series.values`` is a pandas array.

    Examples
    --------
    >>> import pandas as pd
    >>> type(as_series(pd.Categorical(["fig", "plum"]))).__name__
    'Series'
    """
    library = type(values).__module__.partition(".")[0]
    if library == "pyarrow":
        import pyarrow as pa

        return pa.chunked_array([values]) if isinstance(values, pa.Array) else values
    if library != "pandas":
        return values
    import pandas as pd

    is_column = isinstance(values, (pd.api.extensions.ExtensionArray, pd.Index))
    return pd.Series(values) if is_column and values.ndim == 1 else values


def as_frame(where: str, X: Any) -> "nw.DataFrame[Any]":
    """Return a data frame of any library as a Narwhals data frame.

    Raises
    ------
    TypeError
        X is not a data frame of a known library, or it is lazy.
    ValueError
        X has no columns, or two of the same name.
    """
    import narwhals.stable.v2 as nw

    names = column_names(X)
    if names is not None:
        check_distinct(f"{where} has columns", names)
        if not names:
            raise ValueError(f"{where} is a frame without columns")
    if hasattr(X, "to_struct_array") and not hasattr(X, "to_reader"):  # a pyarrow RecordBatch
        import pyarrow as pa

        X = pa.Table.from_batches([X])
    if hasattr(type(X), "to_native"):
        X = X.to_native()  # a Narwhals frame, perhaps of another version of its API
    found = nw.from_native(X, pass_through=True)
    if isinstance(found, nw.DataFrame):
        return found
    if isinstance(found, nw.LazyFrame):
        raise TypeError(
            f"{where} is a {type(X).__name__}, which has not been computed: call collect(), or the "
            "equivalent of its library, first"
        )
    raise TypeError(
        f"{where} is a {type(X).__name__}: expected a pandas or polars data frame, a pyarrow "
        "table, or another frame that Narwhals supports"
    )


def is_lazy(X: Any) -> bool:
    """Whether X has columns, but is neither a data frame nor an array, e.g. a LazyFrame."""
    known = hasattr(type(X), "columns") or hasattr(type(X), "collect_schema")
    return known and column_names(X) is None and not hasattr(X, "__array_namespace__")
