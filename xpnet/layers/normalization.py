"""Standardising the input by fixed numbers."""

import math
from typing import TYPE_CHECKING, Any, Self

from array_api_compat import device

from .._originals import remember
from ..backends import Array, array_namespace, is_array, is_sparse, ops, to_host
from .base import Layer

if TYPE_CHECKING:
    from ..optimizers import Optimizer


class Normalization(Layer):
    r"""Standardise the input by fixed numbers, found once in the training data: (X - m) / s.

    As the first layer it makes raw numbers (pixels from 0 to 255, columns in different units) fit
    for training. It is saved with the network, so prediction takes raw numbers as well.

    Parameters
    ----------
    mean, scale : float or array-like of shape (n_features,)
        The m and s of the formula; :meth:`adapt` finds them in data.
    input_shape : tuple of int, optional
        Needed by the first layer of a network only.
    """

    state_names = ("mean", "scale")
    output_kind = "real"

    def __init__(
        self, mean: Any = 0.0, scale: Any = 1.0, input_shape: tuple[int, ...] | None = None
    ) -> None:
        self.mean, self.scale = mean, scale
        if input_shape is not None:
            self.set_input_shape(input_shape)

    @classmethod
    def adapt(cls, X: Array, per_feature: bool = True) -> Self:
        """Make the layer for data, from their mean and standard deviation.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        per_feature : bool, default True
            False takes one mean and one deviation over all numbers, as suits images. What never
            changes gets the scale 1.

        Raises
        ------
        TypeError, ValueError
            X is sparse, has another shape or no rows.
        """
        if is_sparse(X):
            raise TypeError("X is sparse: taking the mean off would make it dense")
        if not is_array(X):
            X = to_host(X)
        if X.ndim != 2 or X.shape[0] == 0:
            raise ValueError(f"X has shape {tuple(X.shape)}: expected (n, n_features), n above 0")
        xp = array_namespace(X)
        X = xp.astype(X, _widest_float(X), copy=False)
        axis = 0 if per_feature else None
        mean, scale = xp.mean(X, axis=axis), xp.std(X, axis=axis)
        constant = xp.min(X, axis=axis) == xp.max(X, axis=axis)
        return cls(mean, xp.where(constant, 1.0, scale), input_shape=X.shape[1:])

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Move the numbers to the backend, one for each feature."""
        for name in ("mean", "scale"):
            numbers = to_host(getattr(self, name))
            fits = numbers.shape in ((), self.input_shape()) and numbers.dtype.kind in "biuf"
            fits = fits and all(map(math.isfinite, numbers.ravel().tolist()))
            if not fits or (name == "scale" and (numbers <= 0).any()):
                raise ValueError(
                    f"{name}={getattr(self, name)!r}: expected a finite number"
                    f"{' above 0' * (name == 'scale')}, or {self.input_shape()[0]} of them"
                )
            moved = self.backend.asarray(numbers, self.backend.dtype)
            if name == "scale" and not to_host(moved).all():
                raise ValueError(f"scale={getattr(self, name)!r}: vanishes in {self.backend.dtype}")
            setattr(self, name, self.backend.zeros(self.input_shape()) + moved)
        return super().initialize(optimizer)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return ``(input - mean) / scale``."""
        out = self.buffer("output", input.shape) if training else None
        return ops.standardize(input, self.mean, self.scale, out=out)

    def backward_propagation(self, output_error: Array) -> Array:
        """Return ``output_error / scale``."""
        return output_error / self.scale

    def check_state(self) -> None:
        """Refuse a mean or a scale that is not finite, and a scale that is not above 0."""
        mean, scale = to_host(self.mean).ravel().tolist(), to_host(self.scale).ravel().tolist()
        if not all(map(math.isfinite, mean)):
            raise ValueError("mean has numbers that are not finite")
        if not all(0 < each < math.inf for each in scale):
            raise ValueError("scale has numbers that are not finite, or not above 0")

    def output_shape(self) -> tuple[int, ...]:
        """Return the input's shape."""
        return self.input_shape()

    def parameters(self) -> int:
        """Return 0: nothing here is trained."""
        return 0


def _widest_float(X: Array) -> Any:
    """Return float64, or float32 on a device that has no other."""
    xp = array_namespace(X)
    types = xp.__array_namespace_info__().dtypes(device=device(X), kind="real floating")
    return types.get("float64", xp.float32)


remember(Normalization)
