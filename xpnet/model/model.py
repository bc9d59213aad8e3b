"""A model: layers, a loss and an optimizer, with all parameters on one backend."""

import copy
from typing import Any, ClassVar, Self

from ..backends import Backend, is_array, move_state, resolve
from ..common.keywords import MODEL, with_hints
from ..common.naming import listing
from ..common.overrides import register_builtin
from ..layers.composite import all_layers
from ..losses import LOSSES, MeanSquaredError
from ..losses.names import GivenLoss
from ..optimizers import OPTIMIZERS, SGD, Optimizer
from ..regularizers import REGULARIZERS, Regularizer
from ..schedules import LearningRate
from .code_repr import CodeRepr
from .moving import find_backend, move_arrays
from .parameters import Parameters
from .propagation import Propagating
from .randomness import Randomness
from .settings import CHECKS, Check, check_setting, check_unused, make_optimizer
from .slicing import Sliceable
from .snapshot import Snapshot
from .summary import summary


@listing(loss=LOSSES, optimizer=OPTIMIZERS, regularizer=REGULARIZERS)
class Model(Propagating, Sliceable, CodeRepr):
    """Layers, a loss and an optimizer, for a training loop of your own.

    :class:`~xpnet.NeuralNetwork` is a model that also checks its data, trains and predicts.

    Parameters
    ----------
    loss : str, LossFunction, subclass, function or dict, default MeanSquaredError
        A function takes ``(y_true, y_pred)`` and returns the loss of each output. An instance is
        never changed. A dict is for several targets; see :class:`~xpnet.Heads`.
    optimizer : str, Optimizer or subclass, default SGD
        An instance is copied. A class, or the name of one, is called with ``learning_rate`` and
        ``momentum``.
    learning_rate : float, Schedule or function of the epoch, optional
        By default, the optimizer's default.
    momentum : float, optional
        By default, the optimizer's default.
    device, backend : str, optional
        The device and the array library; see :func:`xpnet.backends.resolve`.
    dtype : {"float32", "float64"} or the NumPy type of that name, default "float32"
        The dtype of the parameters.
    seed : int, optional
        Fixes the initial parameters and dropout. By default, they differ from run to run.
    regularizer : str, Regularizer or function of the weights, optional
        Adds a penalty on the weights of each dense layer for which no regularizer is given.

    Attributes
    ----------
    layers : list of Layer
        ``model.layers.pop()`` removes the last layer; :meth:`add` appends one.
    parameters : Parameters
        All parameters as one flat array: ``gather()`` returns it, ``scatter(flat)`` sets it, and
        ``gradient()`` returns the gradients of the last backward pass.
    randomness : Randomness
        The random streams that the seed determines.

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

    _called: ClassVar[tuple[str, str]] = ("model", "model")
    """The noun for it in messages, and the name of a variable that holds one."""

    _setting_checks: ClassVar[dict[str, Check]] = CHECKS

    @with_hints(**MODEL)
    def __init__(
        self,
        loss: GivenLoss = MeanSquaredError,
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
        self.layers = []
        self.regularizer = regularizer  # type: ignore[assignment]

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a setting is checked, and attributes that depend on it are updated."""
        value = check_setting(self, self._setting_checks, name, value)
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
        elif name == "optimizer":  # a used one, whose state may be on another backend
            for each in filter(lambda each: is_array(getattr(value, each)), value.state_names):
                setattr(value, each, move_state(getattr(value, each), self.backend))
        elif name == "regularizer":
            self.parameters = Parameters(self.layers, value)

    def to(self, backend: Backend | str) -> Self:
        """Move everything that the model has learned to another backend.

        Parameters
        ----------
        backend : Backend or str
            A backend from :func:`xpnet.backends.resolve`. Or the name of a device, such as
            ``"cuda"``, or of an array library, such as ``"torch"``; the dtype then stays the same.

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
        backend = find_backend(backend, self.backend.dtype)
        if backend != self.backend:
            self.parameters.values.check()
            move_arrays(self.layers, self.optimizer, backend)
            self._set("backend", backend)
            self.parameters = Parameters(self.layers, self.regularizer)
        return self

    def summary(self) -> None:
        """Print the layers, their output shapes and their numbers of parameters as a table.

        If there are frozen layers, their parameters are counted separately. The layers inside a
        composite follow it, each after a hyphen; the composite's number includes theirs.
        """
        print(summary(self.layers, self.backend.dtype))

    def snapshot(self) -> Snapshot:
        """Return a copy of everything that training changes, with a ``restore`` method."""
        optimizer = self.optimizer
        holders = [
            *((layer, layer.state_names) for layer in all_layers(self.layers)),
            *(
                (each.rng.bit_generator, ("state",))
                for each in all_layers(self.layers)
                if each.rng is not None
            ),
            (optimizer, (*optimizer.training_state_names(), "schedule")),
        ]
        return Snapshot(self.parameters, holders, [(self, ("optimizer", "_new_optimizer"))])


register_builtin(Model)
