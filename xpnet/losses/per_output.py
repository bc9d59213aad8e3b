"""Arguments of losses that may be a number for each output."""

from typing import Any

from array_api_compat import device

from ..backends import Array, array_namespace
from ..backends.formula import Expression, UntraceableError


def of_outputs(given: Any, y_pred: Array, what: str) -> Any:
    """Return a number or None unchanged, and a list of numbers as an array with one row.

    Parameters
    ----------
    given : float, list of float or None
    y_pred : array of shape (n, n_outputs)
        The array has its type and is on its device.
    what : str
        The name of the numbers for the message, in the plural.

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
