"""A model: layers, a loss and an optimizer, with all parameters on one backend."""

import copy
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, SupportsIndex, overload

from ..activations import FunctionActivation
from ..backends import (
    Array,
    Backend,
    array_namespace,
    available_backends,
    is_array,
    move_state,
    resolve,
)
from ..backends._errors import shown
from ..common.keywords import MODEL, with_hints
from ..common.naming import listing
from ..common.overrides import is_defined_here, remember
from ..common.readable import Readable, is_plain_function
from ..common.versioned import Versioned
from ..layers import Layer
from ..layers.checks import check_output, check_output_shape
from ..layers.composite import all_layers, unchanged_on_failure
from ..losses import LOSSES, LossFunction, MeanSquaredError
from ..optimizers import OPTIMIZERS, SGD, Optimizer
from ..regularizers import REGULARIZERS, Regularizer
from ..schedules import LearningRate
from .parameters import Parameters, check_training
from .pasting import Pastable
from .randomness import Randomness
from .settings import CHECKS, Check, check_setting, check_unused, make_optimizer
from .snapshot import Snapshot
from .updating import refusal_of_factors


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

        It is 0 for parameters of frozen layers.
        It is read from the model, so take it before the model's next backward pass.
        """
        return self.parameters.gradient()


@listing(loss=LOSSES, optimizer=OPTIMIZERS, regularizer=REGULARIZERS)
class Model(Pastable, Versioned):
    """Layers, a loss and an optimizer, for a training loop of your own.

    :class:`~xpnet.NeuralNetwork` is a model that also checks its data, trains and predicts.

    Parameters
    ----------
    loss : str, LossFunction, subclass, function or dict, default MeanSquaredError
        A function ``(y_true, y_pred)`` returns the loss of each output. An instance is never
        changed. A dict is for several targets; see :class:`~xpnet.Heads`.
    optimizer : str, Optimizer or subclass, default SGD
        An instance is copied. A class, also if given by name, is called with ``learning_rate`` and
        ``momentum``.
    learning_rate : float, Schedule or function of the epoch, optional
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
    Arguments take these names, and the names of the classes. Case, spaces, ``_`` and
    ``-`` make no difference.

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

    @with_hints(**MODEL)
    def __init__(
        self,
        loss: str | LossFunction | type[LossFunction] | Mapping[str, Any] = MeanSquaredError,
        optimizer: str | Optimizer | type[Optimizer] = SGD,
        learning_rate: LearningRate | None = None,
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
            The first layer needs an input shape. A layer that has been initialised or trained
            keeps its parameters and its arrays of state, which are moved to the model's backend and
            type; an optimizer of its own is dropped. A function of an array is an activation; see
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
            The layer has no input shape, or one that does not fit, or is already in a network. A
            layer cannot be in two networks: add ``layer.copy()``.
        """
        if not isinstance(layer, Layer) and is_plain_function(layer):
            layer = FunctionActivation(layer)
        if not isinstance(layer, Layer):
            hint = f": write {layer.__name__}(...)" if isinstance(layer, type) else ""
            raise TypeError(f"add({layer!r}): expected an instance of Layer{hint}")
        for each in all_layers([layer]):
            if each.in_network:
                raise ValueError(
                    f"this {each.layer_name()} is already in a network: add layer.copy(), which "
                    "keeps its parameters, or a new layer"
                )
        with unchanged_on_failure(layer):
            self._append(layer)
        return self

    def _append(self, layer: Layer) -> None:
        """Connect a layer to the last one, and update everything that depends on the layers."""
        learned = _learned(layer)
        if self.layers:
            shape = self.layers[-1].output_shape()
            is_free = vars(layer).get("_ready", False) and not learned  # e.g. a copied activation
            if layer._input_shape not in (None, shape) and not is_free:
                raise ValueError(
                    f"{layer.layer_name()} has input_shape={layer.input_shape()}, but the layer "
                    f"before it has outputs of shape {shape}: leave input_shape out"
                )
            layer.set_input_shape(shape)
        layer.input_shape()
        check_training(layer)
        for each in all_layers([layer]):
            if is_defined_here(type(each)) and "parameter_names" in vars(each):
                raise ValueError(
                    f"the parameter_names of this {each.layer_name()} were changed: to freeze it, "
                    "set its trainable to False instead"
                )
        self._initialize(layer, len(self.layers))
        check_output_shape(layer)
        for (each, name), array in learned.items():
            setattr(each, name, self._fitting(each, name, array))
        layer._ready = True
        if self.parameters.layers[-1:] != self.layers[-1:]:  # fit looks at all of them
            self.check_layers()
        # A derivative with respect to the input is of use only to earlier layers with parameters.
        layer.needs_input_error = bool(self.parameters)
        # Before the layer is added, because this refuses a layer that lacks a parameter.
        self.parameters = self.parameters.with_layer(layer)
        for each in all_layers([layer]):
            each.in_network = True
        self.layers.append(layer)
        if self.optimizer.n_updates:  # its state is that of fewer parameters
            self.optimizer = self._new_optimizer

    def _fitting(self, layer: Layer, name: str, array: Array) -> Array:
        """Return what a layer has learned elsewhere, on the model's backend and in its type."""
        new: Any = getattr(layer, name, None)
        if is_array(new) and tuple(new.shape) != tuple(array.shape):
            raise ValueError(
                f"this {layer.layer_name()} brings {name} of shape {tuple(array.shape)}, but here "
                f"it needs {tuple(new.shape)}, since its inputs have the shape "
                f"{layer.input_shape()}: add a new layer"
            )
        return move_state(array, self.backend, name in layer.wide_names)

    def _initialize(self, layer: Layer, index: int) -> None:
        layer.backend, layer.rng = self.backend, self.randomness.of_layer(index)
        with self.backend.active():
            layer.initialize()

    def reset(self) -> Self:
        """Undo all training: initialise all parameters, and restore the optimizer.

        With a ``seed``, the parameters get the same initial values as before. Without one, they
        get new random values. So do those that a layer had when it was added. Frozen layers keep
        their parameters.
        """
        if self.seed is None:
            self.randomness = Randomness()
        for index, layer in enumerate(self.layers):
            frozen = [each for each in all_layers([layer]) if not each.trainable]
            kept = {key: array for each in frozen for key, array in _held(each).items()}
            self._initialize(layer, index)
            for (each, name), array in kept.items():
                setattr(each, name, array)
        self.parameters = Parameters(self.layers, self.regularizer)
        self.optimizer = self._new_optimizer
        return self

    def to(self, backend: Backend | str) -> Self:
        """Move everything that the model has learned to another backend.

        Parameters
        ----------
        backend : Backend or str
            A backend from :func:`xpnet.backends.resolve`. Or the name of a device, such as
            ``"cuda"``, or of an array library, such as ``"torch"``; the type then stays the same.

        Returns
        -------
        Model
            The model itself.

        Raises
        ------
        TypeError
            ``backend`` is neither a Backend nor a name.
        UnknownNameError, DeviceUnavailableError
            There is no backend of this name, or it is not available.
        """
        if isinstance(backend, str):
            is_library = backend in available_backends()
            given = {"backend": backend} if is_library else {"device": backend}
            backend = resolve(**given, dtype=self.backend.dtype)
        if not isinstance(backend, Backend):
            raise TypeError(
                f"to({shown(backend)}): expected the name of a device or an array library, such as "
                "'cuda' or 'torch', or a Backend"
            )
        if backend == self.backend:
            return self
        # All arrays are copied before any is replaced, so a move that fails changes nothing.
        holders: list[tuple[Any, tuple[str, ...]]] = [(self.optimizer, self.optimizer.state_names)]
        holders += [
            (layer, (*layer.parameter_names, *layer.state_names))
            for layer in all_layers(self.layers)
        ]
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
        for layer in all_layers(self.layers):
            layer.backend = backend
        self.parameters = Parameters(self.layers, self.regularizer)
        return self

    def check_layers(self) -> None:
        """Refuse layers that were not added with ``add``, since they would not be trained.

        After ``layers.pop()``, the parameters are those of the layers that are left. Changes of
        ``trainable`` and ``learning_rate_factor`` are taken in, too.
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
        self.parameters.refresh()
        if self.parameters.have_factors and (why := refusal_of_factors(self.optimizer)) is not None:
            raise ValueError(
                f"a layer has a learning_rate_factor, and {type(self.optimizer).__name__} {why}: "
                "set it to 1, or use another optimizer"
            )

    def summary(self) -> None:
        """Print the layers, their output shapes and their numbers of parameters as a table.

        If there are frozen layers, their parameters are counted separately.
        """
        from tabulate import tabulate

        rows, frozen = [], 0
        for layer in self.layers:
            n, still = layer.parameters(), _frozen(layer)
            words = "" if not still else "frozen" if still == n else "partly frozen"
            rows.append((layer.layer_name(), layer.output_shape(), n, words))
            frozen += still
        if not frozen:
            rows = [row[:3] for row in rows]  # type: ignore[misc]
        headers = ["layer", "output shape", "parameters", ""][: 4 if frozen else 3]
        print(tabulate(rows, headers=headers, intfmt=","))
        n = sum(row[2] for row in rows)
        kinds = f" ({n - frozen:,} trainable, {frozen:,} frozen)" if frozen else ""
        print(f"{n:,} parameters{kinds}, {self.backend.dtype}")

    # ---- parts of it

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self.layers)

    def __bool__(self) -> bool:
        """Return True, also for a model without layers."""
        return True

    def __iter__(self) -> Iterator[Layer]:
        """Iterate over the layers."""
        return iter(self.layers)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Layer: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Layer | Self:
        """Return a layer, or a new model of some of them.

        Parameters
        ----------
        index : int or slice
            ``model[1]`` is the layer itself. ``model[:3]`` is a model with the same settings, a
            new optimizer, and copies of the first three layers with their parameters.

        Raises
        ------
        IndexError
            There is no such layer.
        ValueError
            The layers of the slice do not fit each other.
        """
        return self._part(index) if isinstance(index, slice) else self.layers[index]

    def _part(self, index: slice) -> Self:
        part = copy.deepcopy(self)
        layers = part.layers[index]
        part.layers, part.parameters = [], Parameters([], part.regularizer)
        for layer in layers:
            for each in all_layers([layer]):
                each.in_network = False
            part.add(layer)
        part.optimizer = part._new_optimizer
        return part

    def copy(self) -> Self:
        """Return a copy that shares nothing with the model, the same as ``copy.deepcopy(model)``.

        It has the parameters, the optimizer's state and, of a network, the history.
        """
        return copy.deepcopy(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the attributes of a copy, whose layers belong to it."""
        super().__setstate__(state)
        for layer in all_layers(self.layers):
            layer.in_network = True
        self.parameters.refresh()

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
            There was no forward pass with ``training=True``.

        Notes
        -----
        Propagation ends at the first layer that is trained. The derivative with respect to the
        data is not needed, and computing it would make that layer's step half as long again.
        """
        for layer in reversed(self.layers):
            try:
                output_error = layer.backward_propagation(output_error)
            except (AttributeError, TypeError) as error:
                if any(getattr(layer, name, None) is not None for name in layer.passing_names):
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
        self.parameters.check_names()
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
            *((layer, layer.state_names) for layer in all_layers(self.layers)),
            *(
                (each.rng.bit_generator, ("state",))
                for each in all_layers(self.layers)
                if each.rng is not None
            ),
            (optimizer, (*optimizer.changing_names(), "schedule")),
        ]
        return Snapshot(self.parameters, holders, [(self, ("optimizer", "_new_optimizer"))])


def _frozen(layer: Layer) -> int:
    """Return how many numbers in a layer, and in those inside it, are frozen."""
    if not layer.inner_layers:
        return 0 if layer.trainable else layer.parameters()
    frozen = (each for each in all_layers([layer]) if not each.trainable)
    return sum(math.prod(getattr(x, name).shape) for x in frozen for name in x.parameter_names)


def _learned(layer: Layer) -> dict[tuple[Layer, str], Array]:
    """Return the parameters and the arrays of state of a layer that was initialised before.

    They include those of the layers inside it.
    """
    ready = (each for each in all_layers([layer]) if vars(each).get("_ready", False))
    return {key: array for each in ready for key, array in _held(each).items()}


def _held(layer: Layer) -> dict[tuple[Layer, str], Array]:
    """Return the parameters and the arrays of state of a layer."""
    names = (*layer.parameter_names, *layer.state_names)
    held = {(layer, name): getattr(layer, name, None) for name in names}
    return {key: array for key, array in held.items() if is_array(array)}


remember(Model)
