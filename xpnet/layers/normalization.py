"""Standardising the input by fixed numbers."""

from typing import TYPE_CHECKING, Any, Self

from ..backends import Array, array_namespace, move, ops
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
        X : array of shape (n, n_features)
        per_feature : bool, default True
            False takes one mean and one deviation over all numbers, as suits images. What never
            changes gets the scale 1.
        """
        xp = array_namespace(X)
        if not xp.isdtype(X.dtype, "real floating"):
            X = xp.astype(X, xp.float32)
        axis = 0 if per_feature else None
        mean, scale = xp.mean(X, axis=axis), xp.std(X, axis=axis)
        return cls(mean, xp.where(scale > 0, scale, 1.0), input_shape=X.shape[1:])

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Move the numbers to the backend, one for each feature."""
        zeros = self.backend.zeros(self.input_shape())
        self.mean = zeros + move(self.mean, self.backend, self.backend.dtype)
        self.scale = zeros + move(self.scale, self.backend, self.backend.dtype)
        return super().initialize(optimizer)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return ``(input - mean) / scale``."""
        out = self.buffer("output", input.shape)
        return ops.standardize(input, self.mean, self.scale, out=out)

    def backward_propagation(self, output_error: Array) -> Array:
        """Return ``output_error / scale``."""
        return output_error / self.scale

    def output_shape(self) -> tuple[int, ...]:
        """Return the input's shape."""
        return self.input_shape()

    def parameters(self) -> int:
        """Return 0: nothing here is trained."""
        return 0
