"""Arrays that are reused at every step, so that only the first batch of training allocates."""

from collections.abc import Callable
from functools import cache
from inspect import signature
from typing import Any

from ..backends import Array, Backend


def takes_out(method: Callable[..., Any]) -> bool:
    """Whether a method has a parameter ``out``; the methods of users' classes may lack it."""
    # The plain function: the cache would keep a bound method's object alive.
    return _has_out(getattr(method, "__func__", method))


@cache
def _has_out(function: Callable[..., Any]) -> bool:
    try:
        return "out" in signature(function).parameters
    except ValueError:  # a function written in C, without a signature
        return False


class Workspace:
    """The reusable arrays of one layer, or of another part of a step.

    A layer gets an array by name and passes it as ``out``. Without a workspace, ``out`` is None:
    in prediction, or if the library cannot write into given arrays.

    Parameters
    ----------
    backend : Backend
        The backend that makes the arrays.
    **arrays
        Existing arrays to use, by name.
    """

    def __init__(self, backend: Backend, **arrays: Array) -> None:
        self.backend = backend
        self._arrays: dict[str, Any] = arrays

    def array(self, name: str, shape: tuple[int, ...], dtype: str | None = None) -> Array:
        """Return the array of this name, made at the first call; its content is arbitrary.

        If the array has more rows than ``shape``, its first rows are returned.

        Parameters
        ----------
        name : str
        shape : tuple of int
        dtype : str, optional
            The array's dtype, which must be the same in all calls; by default the backend's
            floating-point dtype.
        """
        held = self._arrays.get(name)
        if held is not None and held.shape == shape:
            return held
        if held is None or held.shape[0] < shape[0] or held.shape[1:] != shape[1:]:
            held = self._arrays[name] = self.backend.zeros(shape, dtype)
            return held
        return held[: shape[0], ...]
