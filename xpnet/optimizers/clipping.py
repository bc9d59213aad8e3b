"""Clipping of gradients."""

from typing import Any

from ..backends import Array, array_namespace, ops


class Clipping:
    """Base of optimizers: clipping of gradients by ``clip_value`` and ``clip_norm``."""

    clip_value: float | None
    clip_norm: float | None
    _clipped: Array = None

    def clip(self, gradient: Array, keep: bool = False) -> Array:
        """Return the gradient, clipped by value and then by norm if these are set.

        Parameters
        ----------
        gradient : array
            Not written to.
        keep : bool, default False
            Whether the next call may overwrite the result, as in training.
        """
        xp = array_namespace(gradient)
        if self.clip_value is None and self.clip_norm is None:
            return gradient
        out = self._buffer(gradient) if keep else None
        if self.clip_value is not None:
            limit = self.clip_value
            gradient = ops.rowwise(gradient, function=lambda g: ops.clip(g, -limit, limit), out=out)
        if self.clip_norm is not None:
            factor = self.clip_norm / xp.maximum(ops.norm(gradient), self.clip_norm)
            gradient = ops.rowwise(gradient, function=lambda g: g * factor, out=out)
        return gradient

    def _buffer(self, gradient: Array) -> Array:
        """Return the array for clipped gradients, which is reused at every step."""
        if self._clipped is None or self._clipped.shape != gradient.shape:
            self._clipped = array_namespace(gradient).zeros_like(gradient)
        return self._clipped

    def __getstate__(self) -> Any:
        """Copy and pickle without the array that the next step overwrites."""
        state: Any = super().__getstate__()
        slots = state[1:] if isinstance(state, tuple) else ()
        kept = vars(self) | {"_clipped": None}
        return (kept, *slots) if slots else kept
