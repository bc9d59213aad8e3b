"""Vectors for codes of categories, which are the integers from 0 to n - 1."""

from ..backends import Array, Backend, array_namespace, ops


def check_exact(n_categories: int, backend: Backend) -> None:
    """Refuse more categories than the dtype of the features can represent exactly.

    Raises
    ------
    ValueError
        There are too many categories.
    """
    most = round(2.0 / backend.xp.finfo(backend.float_dtype).eps)
    if n_categories > most:
        raise ValueError(
            f"{n_categories:,} categories in {backend.dtype}, which holds whole numbers exactly "
            f"only up to {most:,}: give the network dtype='float64', or use fewer categories"
        )


def vectors_of(
    codes: Array, table: Array, n_categories: int, out: Array | None = None
) -> tuple[Array, Array]:
    """Return the rows of a table for codes.

    Parameters
    ----------
    codes : array of shape (m,)
        The codes, in any real dtype.
    table : array of shape (n_categories, w) or (n_categories + 1, w)
        An additional last row is for all numbers that are not codes. Without it, these get rows of
        NaN, which no loss accepts: raising an error here would have to wait for the device.
    n_categories : int

    Returns
    -------
    vectors : array of shape (m, w)
    index : int64 array of shape (m,)
        The rows of the table.
    """
    xp = array_namespace(codes, table)
    codes = xp.astype(codes, table.dtype, copy=False)
    is_code = (codes >= 0) & (codes < n_categories) & (codes == xp.floor(codes))
    has_unknown = table.shape[0] > n_categories
    other = float(n_categories) if has_unknown else 0.0
    index = xp.astype(xp.where(is_code, codes, other), xp.int64)
    vectors = ops.take_rows(table, index, out=out)
    if not has_unknown:
        vectors = ops.rowwise(
            vectors, is_code[:, None], function=lambda v, known: xp.where(known, v, xp.nan), out=out
        )
    return vectors, index
