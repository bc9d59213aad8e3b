"""Skip connections around layers."""

import math
import operator

from ..backends import Array, ops
from ..common.overrides import register_builtin
from .base import Layer
from .checks import check_batch
from .composite import Composite
from .dense import DenseLayer


class Residual(Composite):
    r"""Layers with a skip connection around them: :math:`Y = X + f(X)`.

    The layers f learn what to add to their input. The derivative reaches earlier layers through the
    sum unchanged, so that deep networks can be trained. An activation after the sum is a separate
    layer, after this one.

    If the outputs of f are wider or narrower than X, a dense layer without biases projects X to
    their width: :math:`Y = X W + f(X)`, He et al.'s option B.

    The backward pass, with :math:`E = \partial L / \partial Y`:
    :math:`\partial L / \partial X = E + \partial L / \partial X |_f`, with :math:`E W^T` in place
    of the first E if there is a projection.

    He et al. 2016, "Deep residual learning for image recognition", eqs. 1 and 2.

    Parameters
    ----------
    *layers : Layer
        New layers, one or more, such as dense layers, normalizations, activations and dropout.
    input_shape : tuple of int, optional
        Only needed for the first layer of a network.

    Attributes
    ----------
    layers : tuple of Layer
    projection : DenseLayer or None
        The layer that changes the width of X, if that is needed.

    Raises
    ------
    TypeError, ValueError
        As for :class:`Composite`; or the layers change the shape of samples that are not rows.

    Examples
    --------
    >>> from xpnet import DenseLayer, NeuralNetwork, ReLUActivation, Residual
    >>> net = NeuralNetwork(seed=0).add(DenseLayer(8, input_shape=(4,)))
    >>> net = net.add(Residual(DenseLayer(8), ReLUActivation(), DenseLayer(8)))
    >>> net = net.add(Residual(DenseLayer(3)))
    >>> [layer.parameters() for layer in net.layers]
    [40, 144, 51]
    >>> net.layers[2].projection.weights.shape
    (8, 3)
    """

    projection: DenseLayer | None = None
    output_kind = "real"

    @property
    def inner_layers(self) -> tuple[Layer, ...]:
        """The given layers, and the projection if there is one."""
        return self.layers if self.projection is None else (*self.layers, self.projection)

    def connect(self) -> None:
        """Set the input shapes of the layers, and make the projection if they change the width."""
        super().connect()
        given, made = self.input_shape(), tuple(self.layers[-1].output_shape())
        if made == given:
            self.projection = None
            return
        if len(given) != 1 or len(made) != 1:
            raise ValueError(
                f"the layers in {self.layer_name()} turn samples of shape {given} into {made}: "
                "expected the same shape, since only rows can be projected to another width. Put "
                "Flatten() before the block, or keep the shape"
            )
        old = self.projection
        if old is None or (old.input_shape(), old.output_shape()) != (given, made):
            self.projection = DenseLayer(made[0], input_shape=given, use_bias=False)

    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return the input, projected if necessary, plus the output of the layers."""
        check_batch(self, input)
        change = self.forward_through(self.layers, input, training)
        if self.projection is not None:
            input = self.projection.forward_propagation(input, training)
        out = self.buffer("output", change.shape) if training else None
        return ops.rowwise(input, change, function=operator.add, out=out)

    def backward_propagation(self, output_error: Array) -> Array:
        """Return the sum of the derivatives through the layers and the skip connection."""
        error = self.backward_through(self.layers, output_error)
        skipped = output_error
        if self.projection is not None:
            self.projection.needs_input_error = self.needs_input_error
            skipped = self.projection.backward_propagation(output_error)
        if not self.needs_input_error:
            return None
        out = self.buffer("input_error", error.shape)
        return ops.rowwise(skipped, error, function=operator.add, out=out)

    def values_per_sample(self) -> int:
        """Return the inner layers' count, plus the sums of both passes."""
        sums = math.prod(self.output_shape())
        if self.needs_input_error:
            sums += math.prod(self.input_shape())
        return super().values_per_sample() + sums


register_builtin(Residual)
