"""Arrays that are used again at every step, so that an epoch makes none after its first batch."""

from collections.abc import Callable
from functools import cache
from inspect import signature
from typing import Any

from .backends import Array, Backend


def takes_out(method: Callable[..., Any]) -> bool:
    """Whether a method of an object has an argument ``out``; a user's may know nothing of it."""
    return _has_out(getattr(method, "__func__", method))  # without the object, which would be kept


@cache
def _has_out(function: Callable[..., Any]) -> bool:
    try:
        return "out" in signature(function).parameters
    except ValueError:  # a function in C that does not say
        return False


class Workspace:
    """The arrays of one layer, or of whatever else has some at every step.

    A layer asks for an array by name and passes it as ``out``, which is a hint: where the library
    cannot write into an array, or nobody is training, there is no workspace and the hint is None.

    Parameters
    ----------
    backend : Backend
        Where the arrays are made.
    **arrays
        Some that are there already, by name.
    """

    def __init__(self, backend: Backend, **arrays: Array) -> None:
        self.backend = backend
        self._arrays: dict[str, Any] = arrays

    def array(self, name: str, shape: tuple[int, ...], dtype: str | None = None) -> Array:
        """Return the array of that name; one with more rows than asked for lends its first.

        It is of the backend's floating-point type, or of another one, always the same.
        """
        held = self._arrays.get(name)
        if held is not None and held.shape == shape:
            return held
        if held is None or held.shape[0] < shape[0] or held.shape[1:] != shape[1:]:
            held = self._arrays[name] = self.backend.zeros(shape, dtype)
            return held
        return held[: shape[0], ...]
