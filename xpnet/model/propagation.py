"""Forward and backward passes through a network, and the update of its parameters."""

from dataclasses import dataclass

from ..backends import Array, array_namespace
from ..common.readable import Readable
from ..layers import Layer
from ..layers.checks import check_output
from ..layers.composite import all_layers
from ..losses import LossFunction
from .layered import Layered
from .parameters import Parameters


@dataclass(frozen=True, repr=False)
class Pass(Readable):
    """The result of a forward and a backward pass with a batch.

    Attributes
    ----------
    loss : 0-d array or float
        The mean loss of the batch, without penalties.
    output : array of shape (n, n_outputs)
        During training, the next pass may overwrite it.
    parameters : Parameters
        The model's parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer, Model
    >>> model = Model(dtype="float64", seed=0).add(DenseLayer(1, input_shape=(2,)))
    >>> done = model.loss_and_gradient(np.array([[0.0, 1.0]]), np.array([[3.0]]))
    >>> done.output.shape, done.gradient.shape
    ((1, 1), (3,))
    """

    loss: Array
    output: Array
    parameters: Parameters

    @property
    def gradient(self) -> Array:
        """The derivative of the loss with respect to all parameters, as one flat array.

        It is 0 for parameters of frozen layers. The model's next backward pass changes it.
        """
        return self.parameters.gradient()


class Propagating(Layered):
    """Base of models: forward and backward passes."""

    loss: LossFunction

    def forward_propagation(self, X: Array, training: bool = True) -> Array:
        """Return the output of the last layer for a batch of shape (n, n_features).

        A network's ``target_unit`` is not applied; ``predict`` does that.
        """
        for layer in self.layers:
            X = layer.forward_propagation(X, training)
            check_output(layer, X)
        return X

    def backward_propagation(self, output_error: Array, update: bool = True) -> None:
        """Propagate the derivative of the loss back, and update the parameters of all layers.

        Parameters
        ----------
        output_error : array of shape (n, n_outputs)
            Derivative of the loss with respect to the last output.
        update : bool, default True
            If False, the parameters stay the same; the layers keep their gradients in any case.

        Raises
        ------
        ValueError
            There was no forward pass with ``training=True``.

        Notes
        -----
        Propagation ends at the first layer that is trained. The derivative with respect to the
        data is not needed, and computing it would make that layer's step about 50% longer.
        """
        for layer in reversed(self.layers):
            try:
                output_error = layer.backward_propagation(output_error)
            except (AttributeError, TypeError) as error:
                if any(map(_keeps_a_pass, all_layers([layer]))):
                    raise
                raise ValueError(
                    f"{layer.layer_name()} has no forward pass to propagate back through: call "
                    "forward_propagation(X) first, or loss_and_gradient(X, y)"
                ) from error
            if not layer.needs_input_error:
                break
        if update:
            self.update_parameters()

    def loss_and_gradient(self, X: Array, y: Array, sample_weight: Array | None = None) -> Pass:
        """Run a forward and a backward pass with a batch; the parameters stay the same.

        Parameters
        ----------
        X : array of shape (n, n_features)
            It must be an array of the model's library, device and dtype, like the other arrays.
        y : array
            The targets in the form that the loss takes.
        sample_weight : array of shape (n,), optional

        Returns
        -------
        Pass
            The loss and the gradient, both without penalties, and the output.
            :meth:`update_parameters` adds the gradients of penalties.

        Raises
        ------
        ValueError
            The loss has returned a derivative that does not have the output's shape, or a layer
            was not added with :meth:`add`.
        """
        if not self.layers:
            raise ValueError("the model has no layers: add(DenseLayer(10, input_shape=(784,)))")
        self._check_layers()
        self.parameters.check_names()
        self.parameters.values.check()
        return self.propagate_loss(self.forward_propagation(X, training=True), y, sample_weight)

    def propagate_loss(
        self,
        output: Array,
        y: Array,
        sample_weight: Array | None = None,
        out: Array | None = None,
        loss: LossFunction | None = None,
    ) -> Pass:
        """Compute the loss of the last forward pass, and its gradient by a backward pass.

        Parameters
        ----------
        output : array of shape (n, n_outputs)
            The result of the forward pass.
        y, sample_weight : array
            As for :meth:`loss_and_gradient`.
        out : array of the shape of ``output``, optional
            Where the loss writes its derivative; only for a loss that takes ``out``.
        loss : LossFunction, optional
            By default, the model's.

        Returns
        -------
        Pass

        Raises
        ------
        ValueError
            The loss has returned a derivative that does not have the output's shape, or there was
            no forward pass.
        """
        self._check_layers()
        loss = self.loss if loss is None else loss
        arguments = (y, output) if sample_weight is None else (y, output, sample_weight)
        place = {} if out is None else {"out": out}
        value, error = loss.loss_and_derivative(*arguments, **place)
        if error.dtype != output.dtype:  # e.g. a user's loss, for targets of another type
            error = array_namespace(error).astype(error, output.dtype)
        if error.shape != output.shape:
            raise ValueError(
                f"{type(loss).__name__}.derivative returned shape {error.shape}: expected "
                f"{output.shape}, the shape of y_pred"
            )
        self.backward_propagation(error, update=False)
        return Pass(value, output, self.parameters)

    def update_parameters(self, weight: Array | float = 1.0) -> None:
        """Update the parameters with the optimizer and the gradients of the last backward pass.

        Parameters
        ----------
        weight : float or 0-d array, default 1.0
            The total weight of the batch's samples, by which ``per_sample`` penalties are divided.
        """
        self._check_layers()
        if self.parameters:
            self.parameters.update(self.optimizer, weight)


def _keeps_a_pass(layer: Layer) -> bool:
    """Whether a layer still holds arrays of a forward pass."""
    return any(getattr(layer, name, None) is not None for name in layer.passing_names)
