"""Settings of losses that may have one number per output."""

from typing import Any

from array_api_compat import device

from ..backends import Array, array_namespace
from ..backends.formula import Expression, UntraceableError


def as_row(given: Any, y_pred: Array, what: str) -> Any:
    """Return a list of numbers as an array with one row; a number or None unchanged.

    Parameters
    ----------
    given : float, list of float or None
    y_pred : array of shape (n, n_outputs)
        The row gets its dtype and device.
    what : str
        What the numbers are, in the plural, for the message.

    Raises
    ------
    UntraceableError
        The formula is traced for a single output, and the numbers are for several.
    """
    if not isinstance(given, list):
        return given
    if isinstance(y_pred, Expression):
        raise UntraceableError(f"several {what}, one for each output")
    return array_namespace(y_pred).asarray([given], dtype=y_pred.dtype, device=device(y_pred))
