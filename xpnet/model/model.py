"""A model: layers, a loss and an optimizer, with all parameters on one backend."""

import copy
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from ..activations import FunctionActivation
from ..backends import Array, Backend, array_namespace, is_array, move_state, resolve
from ..backends._errors import shown
from ..common.naming import listing
from ..common.overrides import remember
from ..common.readable import Readable, is_plain_function
from ..common.versioned import Versioned
from ..layers import Layer
from ..layers.checks import check_output, check_output_shape
from ..losses import LOSSES, LossFunction, MeanSquaredError
from ..optimizers import OPTIMIZERS, SGD, Optimizer
from ..regularizers import REGULARIZERS, Regularizer
from ..schedules import Schedule
from .parameters import Parameters
from .pasting import Pastable
from .randomness import Randomness
from .settings import CHECKS, Check, check_setting, check_unused, make_optimizer
from .snapshot import Snapshot


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
        Those of the model.

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

        It is read from the model, so take it before the model's next backward pass.
        """
        return self.parameters.gradient()


@listing(loss=LOSSES, optimizer=OPTIMIZERS, regularizer=REGULARIZERS)
class Model(Pastable, Versioned):
    """Layers, a loss and an optimizer, for those who write a training loop of their own.

    :class:`~xpnet.NeuralNetwork` is a model that also checks its data, trains and predicts.

    Parameters
    ----------
    loss : str, LossFunction, subclass or function, default MeanSquaredError
        A function ``(y_true, y_pred)`` returns the loss of each output. An instance is never
        changed.
    optimizer : str, Optimizer or subclass, default SGD
        An instance is copied. A class, also if given by name, is called with ``learning_rate`` and
        ``momentum``.
    learning_rate : float or Schedule, optional
        By default, the optimizer's default.
    momentum : float, optional
        By default, the optimizer's default.
    device, backend : str, optional
        The device and the array library; see :func:`xpnet.backends.resolve`.
    dtype : {"float32", "float64"} or the NumPy type of that name, default "float32"
        The type of the parameters.
    seed : int, optional
        Fixes the initial parameters and dropout. By default, they differ from run to run.
    regularizer : str, Regularizer or function of the weights, optional
        Adds a penalty on the weights of each dense layer for which no regularizer is given.

    Attributes
    ----------
    layers : list of Layer
        ``model.layers.pop()`` removes the last one; :meth:`add` appends one.
    parameters : Parameters
        All parameters as one flat array: ``gather()`` returns it, ``scatter(flat)`` sets it, and
        ``gradient()`` returns the gradients of the last backward pass.
    randomness : Randomness
        All random streams that the seed makes.

    Raises
    ------
    UnknownNameError, ValueError, TypeError
        An argument is invalid.
    DeviceUnavailableError
        The device is not available.

    Notes
    -----
    These are the names that arguments take, in any case, and with or without ``_``. The names of
    the classes do too.

    {names}

    Examples
    --------
    A training loop by hand:

    >>> import numpy as np
    >>> from xpnet import DenseLayer, Model
    >>> model = Model(learning_rate=0.1, dtype="float64", seed=0).add(DenseLayer(1, (2,)))
    >>> X, y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0], [3.0]])
    >>> for step in range(200):
    ...     done = model.loss_and_gradient(X, y)
    ...     model.update_parameters()
    >>> float(done.loss) < 1e-3
    True
    >>> done.gradient.shape
    (3,)
    """

    optimizer: Optimizer
    loss: LossFunction
    backend: Backend
    seed: int | None
    regularizer: Regularizer | None
    parameters: Parameters

    _called: ClassVar[tuple[str, str]] = ("model", "model")
    """What messages call it, and a variable that holds one."""

    _checks: ClassVar[dict[str, Check]] = CHECKS

    def __init__(
        self,
        loss: str | LossFunction | type[LossFunction] = MeanSquaredError,
        optimizer: str | Optimizer | type[Optimizer] = SGD,
        learning_rate: float | Schedule | None = None,
        momentum: float | None = None,
        *,
        device: str | None = None,
        backend: str | None = None,
        dtype: str = "float32",
        seed: int | None = None,
        regularizer: str | Regularizer | None = None,
    ) -> None:
        self.backend = resolve(device, backend=backend, dtype=dtype)
        self._follows_data = device is None and backend is None
        self.loss = loss  # type: ignore[assignment]
        self._new_optimizer = make_optimizer(optimizer, learning_rate, momentum)
        check_unused(self._new_optimizer)
        self.optimizer = self._new_optimizer
        self.seed = seed
        self.layers: list[Layer] = []
        self.regularizer = regularizer  # type: ignore[assignment]

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a setting is checked, and attributes that depend on it are updated."""
        value = check_setting(self, self._checks, name, value)
        if name == "backend" and vars(self).get("layers"):
            self.to(value)
        else:
            self._set(name, value)

    def _set(self, name: str, value: Any) -> None:
        """Set an attribute to a checked value, and update the attributes that depend on it."""
        super().__setattr__(name, value)
        if name == "seed":
            self.randomness = Randomness(value)
        elif name == "optimizer" and value.n_updates == 0:
            self._new_optimizer = copy.deepcopy(value)  # restored by reset
        elif name == "optimizer":  # its state may be of another type, if it was used
            for each in filter(lambda each: is_array(getattr(value, each)), value.state_names):
                setattr(value, each, move_state(getattr(value, each), self.backend))
        elif name == "regularizer":
            self.parameters = Parameters(self.layers, value)

    # ---- building

    def add(self, layer: Layer | Callable[[Array], Array]) -> Self:
        """Append a layer, and initialise its parameters.

        Parameters
        ----------
        layer : Layer or function
            The first layer needs an input shape. A function of an array is an activation; see
            :class:`~xpnet.activations.FunctionActivation`.

        Returns
        -------
        Model
            The model itself, so that calls can be chained.

        Raises
        ------
        TypeError
            ``layer`` is not a layer, but e.g. a class instead of an instance.
        ValueError
            The layer has no input shape, or one that does not fit, or is already in a network.
        """
        if not isinstance(layer, Layer) and is_plain_function(layer):
            layer = FunctionActivation(layer)
        if not isinstance(layer, Layer):
            hint = f": write {layer.__name__}(...)" if isinstance(layer, type) else ""
            raise TypeError(f"add({layer!r}): expected an instance of Layer{hint}")
        if layer.in_network:
            raise ValueError(f"this {layer.layer_name()} is already in a network: make a new one")
        before = dict(vars(layer))
        try:
            self._append(layer)
        except Exception:
            vars(layer).clear()
            vars(layer).update(before)
            raise
        return self

    def _append(self, layer: Layer) -> None:
        """Connect a layer to the last one, and update everything that depends on the layers."""
        if self.layers:
            shape = self.layers[-1].output_shape()
            if layer._input_shape not in (None, shape):
                raise ValueError(
                    f"{layer.layer_name()} has input_shape={layer.input_shape()}, but the layer "
                    f"before it has outputs of shape {shape}: leave input_shape out"
                )
            layer.set_input_shape(shape)
        layer.input_shape()
        self._initialize(layer, len(self.layers))
        check_output_shape(layer)
        if self.parameters.layers[-1:] != self.layers[-1:]:  # fit looks at all of them
            self.check_layers()
        # A derivative with respect to the input is of use only to earlier layers with parameters.
        layer.needs_input_error = bool(self.parameters)
        # Before the layer is added, because this refuses a layer that lacks a parameter.
        self.parameters = self.parameters.with_layer(layer)
        layer.in_network = True
        self.layers.append(layer)
        self.optimizer = self._new_optimizer

    def _initialize(self, layer: Layer, index: int) -> None:
        layer.backend, layer.rng = self.backend, self.randomness.of_layer(index)
        with self.backend.active():
            layer.initialize()

    def reset(self) -> Self:
        """Undo all training: initialise all parameters, and restore the optimizer.

        With a ``seed``, the parameters get the same initial values as before. Without one, they
        get new random values.
        """
        if self.seed is None:
            self.randomness = Randomness()
        for index, layer in enumerate(self.layers):
            self._initialize(layer, index)
        self.parameters = Parameters(self.layers, self.regularizer)
        self.optimizer = self._new_optimizer
        return self

    def to(self, backend: Backend) -> Self:
        """Move everything that the model has learned to another backend.

        Parameters
        ----------
        backend : Backend
            See :func:`xpnet.backends.resolve`.

        Returns
        -------
        Model
            The model itself.

        Raises
        ------
        TypeError
            ``backend`` is not a Backend, but e.g. a name.
        """
        if not isinstance(backend, Backend):
            raise TypeError(
                f"to({shown(backend)}): expected a Backend, e.g. xpnet.resolve(backend='torch')"
            )
        if backend == self.backend:
            return self
        # All arrays are copied before any is replaced, so a move that fails changes nothing.
        holders: list[tuple[Any, tuple[str, ...]]] = [(self.optimizer, self.optimizer.state_names)]
        holders += [(layer, (*layer.parameter_names, *layer.state_names)) for layer in self.layers]
        moved = [
            (holder, name, move_state(getattr(holder, name), backend, name in wide_names))
            for holder, names in holders
            for wide_names in [getattr(holder, "wide_names", ())]
            for name in names
            if is_array(getattr(holder, name))
        ]
        for holder, name, array in moved:
            setattr(holder, name, array)
        self._set("backend", backend)
        for layer in self.layers:
            layer.backend = backend
        self.parameters = Parameters(self.layers, self.regularizer)
        return self

    def check_layers(self) -> None:
        """Refuse layers that were not added with ``add``, since they would not be trained.

        After ``layers.pop()``, the parameters are those of the layers that are left.
        """
        added = self.parameters.layers
        if not all(map(operator.is_, self.layers, added)) or len(self.layers) > len(added):
            raise ValueError(
                "layers has a layer that was not added with add(layer): remove the last layers "
                "with layers.pop(), and append others with add(layer)"
            )
        if len(self.layers) < len(added):  # the last ones were removed
            self.parameters = Parameters(self.layers, self.regularizer)
            self.optimizer = self._new_optimizer

    def summary(self) -> None:
        """Print the layers, their output shapes and their numbers of parameters as a table."""
        from tabulate import tabulate

        rows = [
            (layer.layer_name(), layer.output_shape(), layer.parameters()) for layer in self.layers
        ]
        print(tabulate(rows, headers=["layer", "output shape", "parameters"], intfmt=","))
        print(f"{sum(row[2] for row in rows):,} parameters, {self.backend.dtype}")

    # ---- the passes

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
            There was no forward pass in training.

        Notes
        -----
        Propagation ends at the first layer with parameters. The derivative with respect to the
        data is not needed, and computing it would make that layer's step half as long again.
        """
        for layer in reversed(self.layers):
            try:
                output_error = layer.backward_propagation(output_error)
            except (AttributeError, TypeError) as error:
                if any(getattr(layer, name, None) is not None for name in layer.passing_names):
                    raise
                raise ValueError(
                    f"{layer.layer_name()} has kept nothing of a forward pass to go back from: "
                    "call forward_propagation(X) first, or loss_and_gradient(X, y)"
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
            Like the other arrays, of the model's library, on its device and in its type.
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
        self.check_layers()
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
            The loss writes the derivative into it; only for one that takes ``out``.
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
        self.check_layers()
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
        self.check_layers()
        if self.parameters:
            self.parameters.update(self.optimizer, weight)

    def snapshot(self) -> Snapshot:
        """Return a copy of all that training changes, whose ``restore`` brings it back."""
        optimizer = self.optimizer
        holders = [
            *((layer, layer.state_names) for layer in self.layers),
            *((each.rng.bit_generator, ("state",)) for each in self.layers if each.rng is not None),
            (optimizer, (*optimizer.changing_names(), "schedule")),
        ]
        return Snapshot(self.parameters, holders, [(self, ("optimizer", "_new_optimizer"))])


remember(Model)
