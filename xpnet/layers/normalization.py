"""Standardisation of the input with a fixed mean and scale."""

import math
from typing import TYPE_CHECKING, Any, Self

from ..backends import Array, array_namespace, ops, to_host
from ..common.checks import check_flag, naming_memory_errors
from ..common.overrides import register_builtin
from ..data import Dataset, moments
from ..data.categories import refuse_categories
from ..data.features import SparseRows
from .base import Layer
from .checks import check_batch

if TYPE_CHECKING:
    from ..optimizers import Optimizer


class Normalization(Layer):
    r"""Standardise the input with a fixed mean m and scale s: (X - m) / s.

    As the first layer, it lets a network train on raw numbers (pixels from 0 to 255, columns in
    different units). It is saved with the network, so prediction takes raw numbers as well.

    As the first layer, it also accepts float64 features and large integers (int32, uint32, int64,
    uint64). It subtracts the mean in float64, and rounds the result to the network's dtype. So a
    float32 network trains as well as a float64 network on a column such as Unix seconds, which
    needs more digits than float32 has. On a device without float64 the features are rounded first,
    and ``fit`` warns if that loses digits that matter.

    Parameters
    ----------
    mean, scale : float or array-like of shape (n_features,)
        The m and s of the formula; s is above 0. :meth:`adapt` computes them from data.
    input_shape : tuple of int, optional
        Only needed for the first layer of a network.

    Attributes
    ----------
    mean, scale : array of shape input_shape
        Arrays once the layer is initialised, in float64 if the device supports it.

    Raises
    ------
    ValueError
        ``mean`` or ``scale`` has numbers that are not finite, or not one number for each feature;
        or a scale is not above 0.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork, Normalization
    >>> layer = Normalization.adapt([[1.7e9, 5.0], [1.7e9 + 600, 5.0]])
    >>> layer.scale.tolist()
    [300.0, 1.0]
    >>> net = NeuralNetwork().add(layer).add(DenseLayer(1))
    """

    state_names = ("mean", "scale")
    wide_names = ("mean", "scale")
    output_kind = "real"
    _is_adapted = False
    """Whether :meth:`adapt` made the layer; False for a layer from a file."""

    def __init__(
        self, mean: Any = 0.0, scale: Any = 1.0, input_shape: tuple[int, ...] | None = None
    ) -> None:
        self.mean, self.scale = mean, scale
        if input_shape is not None:
            self.set_input_shape(input_shape)
        for name in self.state_names:
            self._numbers(name)

    @classmethod
    def adapt(cls, X: Any, per_feature: bool = True) -> Self:
        r"""Make a layer with the mean and the standard deviation of the given data.

        A constant column gets the scale 1. So does a column whose numbers differ only by rounding
        errors, e.g. sums of proportions that should all be 1. Dividing by such a small deviation
        would turn the last digits of a new value into huge numbers. The largest such deviation is
        :math:`n \epsilon |m|`, the bound on the rounding error for n numbers with the mean m in
        float64 (Chan, Golub and LeVeque 1983). For float32 and float16 data the bound is at least
        :math:`4 \epsilon |m|` with the ε of that type. A column of integers is constant only if all
        its numbers are equal.

        Features with categories get the mean 0 and the scale 1, so that their codes are unchanged,
        for a :class:`CategoricalEmbeddings` as the next layer.

        Parameters
        ----------
        X : array-like of shape (n, n_features), Dataset, or tuple (X, y) or (X, y, sample_weight)
            Anything that :class:`~xpnet.Dataset` accepts, except a sparse matrix. Stored data (a
            memory map, HDF5, Zarr) are read twice, in chunks. Sample weights are not used.
        per_feature : bool, default True
            If False, one mean and one deviation over all numbers are used, e.g. for images.

        Returns
        -------
        Normalization
            A layer with ``mean`` and ``scale`` as float64 NumPy arrays, and the data's input shape.

        Raises
        ------
        TypeError
            X is sparse or not numeric; or it has categories, and ``per_feature`` is False.
        ValueError
            X has missing or infinite values, is not two-dimensional, or has no rows.
        """
        per_feature = check_flag("per_feature", per_feature)
        if isinstance(X, tuple) and len(X) in (2, 3):
            X = X[0]
        data = X if isinstance(X, Dataset) else Dataset(X)
        if not per_feature:
            refuse_categories(data.categories)
        features = data.features
        if isinstance(features, SparseRows):
            raise TypeError(
                "X is sparse: subtracting the mean would make it dense. Leave Normalization out, "
                "or give X.toarray()"
            )
        if len(data) == 0:
            raise ValueError(f"X has shape {data.shape}: expected (n, n_features), n above 0")
        features.check_finite(data.feature_names)
        mean, scale = features.mean_and_scale(per_feature)
        for name in data.categories:  # leave codes unchanged
            column = (data.feature_names or []).index(name)
            mean[column], scale[column] = 0.0, 1.0
        made = cls(mean, scale, input_shape=(data.n_features,))
        made._is_adapted = True
        made._adapted_to = data.feature_names if per_feature else None
        return made

    @property
    def takes_wide(self) -> bool:  # type: ignore[override]
        """True, unless a subclass overrides the forward pass."""
        return type(self).forward_propagation is Normalization.forward_propagation

    def _numbers(self, name: str) -> Any:
        """Return ``mean`` or ``scale`` as a checked NumPy array."""
        return moments.check_moment(name, getattr(self, name), self._input_shape)

    def initialize(self, optimizer: "Optimizer | None" = None) -> Self:
        """Move mean and scale to the backend, with one value per feature."""
        shape, dtype = self.input_shape(), self.backend.wide_dtype
        for name in self.state_names:
            numbers = moments.check_moment(name, to_host(self._numbers(name)), shape, dtype)
            with naming_memory_errors(name, shape):
                full = self.backend.zeros(shape, dtype) + self.backend.asarray(numbers)
            setattr(self, name, full)
        return super().initialize(optimizer)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return ``(input - mean) / scale`` in the network's dtype, for input of any real dtype."""
        check_batch(self, input)
        out = self.buffer("output", input.shape) if training else None
        return ops.standardize(input, self.mean, self.scale, self.backend.float_dtype, out=out)

    def backward_propagation(self, output_error: Array) -> Array:
        """Return ``output_error / scale``."""
        xp = array_namespace(output_error)
        return xp.astype(output_error / self.scale, output_error.dtype, copy=False)

    def values_per_sample(self) -> int:
        """Return the count of the base class, plus temporary arrays if ``out`` is unsupported."""
        count = super().values_per_sample()
        if not self.backend.writes_out:
            ratio = 2 if self.backend.wide_dtype != self.backend.dtype else 1
            count += 2 * ratio * self.input_shape()[0]
        return count

    def check_state(self) -> None:
        """Refuse a mean or a scale that is not finite, and a scale that is not above 0."""
        mean, scale = to_host(self.mean).ravel().tolist(), to_host(self.scale).ravel().tolist()
        if not all(map(math.isfinite, mean)):
            raise ValueError("mean has numbers that are not finite")
        if not all(0 < each < math.inf for each in scale):
            raise ValueError("scale has numbers that are not finite, or not above 0")


register_builtin(Normalization)
