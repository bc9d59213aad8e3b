"""Random outputs of layers after training, and derivatives of their predictions."""

import copy
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from ..backends import Array, array_namespace, backend_of
from ..common.overrides import has_methods_of

if TYPE_CHECKING:
    from numpy.random import Generator


class PredictionPasses:
    """The part of a layer that ``predict(samples=...)`` and ``input_gradient`` use.

    Attributes
    ----------
    is_random : bool
        Whether training draws random numbers for each batch, as dropout does. Such a layer defines
        :meth:`sample_propagation`.
    """

    is_random: bool = False

    @abstractmethod
    def forward_propagation(self, input: Array, training: bool = True) -> Array:
        """Return the output for a batch, as in :class:`Layer`."""

    @abstractmethod
    def layer_name(self) -> str:
        """Return the name of the layer's class."""

    def sample_propagation(self, input: Array, rng: "Generator") -> Array:
        """Return one random output for a batch, with dropout or noise as in training.

        Everything else is as in prediction, and the layer keeps nothing of the pass. ``predict``
        with ``samples`` calls it. By default it is the forward pass of prediction.

        Parameters
        ----------
        input : array of shape (n, *input_shape)
        rng : numpy.random.Generator
            The source of the random numbers, in place of the layer's own.
        """
        return self.forward_propagation(input, training=False)

    def input_derivative(self, input: Array, output_error: Array) -> Array:
        """Return the derivative of the predicted output with respect to the input.

        The layer is unchanged. By default a copy of it runs a forward and a backward pass as in
        training. A layer that computes something else in training must define this method.

        Parameters
        ----------
        input : array of shape (n, *input_shape)
        output_error : array of shape (n, *output_shape)
            The derivative of a scalar with respect to the output.

        Returns
        -------
        array of shape (n, *input_shape)

        Raises
        ------
        ValueError
            The forward passes of training and of prediction differ, or the backward pass returns
            nothing.
        """
        layer: Any = copy.copy(self)
        layer.needs_input_error, layer.workspace, layer._optimizers = True, None, None
        layer.rng = copy.deepcopy(layer.rng)
        _check_same(self, self.forward_propagation(input, False), layer.forward_propagation(input))
        error: Array = layer.backward_propagation(output_error)
        if error is None:
            raise ValueError(
                f"{self.layer_name()}.backward_propagation returned None: expected the derivative "
                "with respect to the input while needs_input_error is True"
            )
        return error


def check_sampling_defined(layer: Any, base: type) -> None:
    """Refuse a subclass of a random layer that overrides the forward pass, but not sampling."""
    if not has_methods_of(base, layer, "forward_propagation"):
        raise ValueError(
            f"{layer.layer_name()} overrides forward_propagation, so its random outputs are not "
            f"those of {base.__name__}: define its method sample_propagation(input, rng) too"
        )


def _check_same(layer: Any, predicted: Array, trained: Array) -> None:
    """Refuse a layer whose outputs in prediction and in training differ by more than rounding."""
    xp = array_namespace(predicted)
    if predicted.shape == trained.shape and 0 in predicted.shape:
        return
    if predicted.shape == trained.shape:
        difference, size = xp.max(xp.abs(predicted - trained)), xp.max(xp.abs(predicted))
        allowed = 1e3 * float(xp.finfo(predicted.dtype).eps)
        limit = allowed * xp.maximum(size, xp.ones_like(size))
        if backend_of(predicted).scalar(difference <= limit):
            return
    raise ValueError(
        f"{layer.layer_name()} computes something else in training than in prediction, so its "
        "backward pass is not the derivative of what it predicts: define its method "
        "input_derivative(input, output_error)"
    )
