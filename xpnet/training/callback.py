"""The base of all callbacks, which are called during training."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from inspect import signature
from typing import Any, ClassVar

import numpy as np

from ..backends._errors import shown
from ..common.checked_settings import is_of_this_package
from ..common.readable import Readable
from ..schedules import Schedule
from .errors import DivergedError


class Callback(Readable):
    """Base of all callbacks; its methods do nothing.

    Between epochs, a callback may change the network: the parameters and settings of its layers,
    the loss, the optimizer, and the methods of these objects. The next epoch trains with the
    change. A new ``batch_size``, ``memory_limit``, ``precision`` or ``steps`` takes effect with the
    next ``fit``.

    A callback must not add or remove layers, replace the metric, or call ``fit``: these raise an
    error.

    The hooks get the :class:`~xpnet.NeuralNetwork` that is being trained. Annotate the argument
    with that class in your own callbacks.

    To end training after an epoch, set ``network.stop_training = True``. An exception in a callback
    also ends training, and propagates to the caller of ``fit``; completed epochs are kept.

    To change the learning rate, set ``network.optimizer.learning_rate``, which replaces the
    schedule by a constant. Set in ``on_epoch_begin``, it applies from this epoch on; in
    ``on_batch_end``, from the next step on; in ``on_epoch_end``, from the next epoch on.

    A callback with ``on_batch_end`` or ``needs_gradients`` makes ``fit`` take steps by formulas,
    since compiled and captured steps run many batches at a time. Small networks then take several
    times as long. ``network.explain_steps(X, y, callbacks=...)`` says which steps ``fit`` takes.

    For an epoch that Ctrl-C or SIGTERM cuts short, ``on_epoch_end`` is not called; ``on_train_end``
    is.

    Attributes
    ----------
    state_names : tuple of str
        The attributes that change during training, which a :class:`~xpnet.callbacks.Checkpoint`
        saves. Each may be a number, a string, None, an array, a list, tuple, set or dict of these,
        or a snapshot of the network. By default there are none, and the callback starts afresh when
        training is resumed.
    needs_gradients : bool
        Whether each layer has the gradients of the epoch's last update in ``on_epoch_end``, such as
        ``layer.weights_gradient``. They include penalties, and are not clipped. By default they are
        absent with every kind of training step.

    Examples
    --------
    >>> from xpnet import Callback, DenseLayer, NeuralNetwork
    >>> class Largest(Callback):
    ...     needs_gradients = True
    ...
    ...     def on_epoch_end(self, network, row):
    ...         self.gradient = float(abs(network.layers[0].weights_gradient).max())
    >>> largest, net = Largest(), NeuralNetwork(seed=0).add(DenseLayer(1, (2,)))
    >>> net = net.fit(([[0.0, 1.0], [1.0, 0.0]], [0.0, 1.0]), epochs=3, callbacks=largest)
    >>> largest.gradient > 0
    True

    A callback that keeps the weights of each epoch:

    >>> from xpnet import Callback, DenseLayer, NeuralNetwork
    >>> class Weights(Callback):
    ...     def on_train_begin(self, network, columns):
    ...         self.kept = []
    ...
    ...     def on_epoch_end(self, network, row):
    ...         self.kept.append(network.layers[0].weights.copy())
    ...         if row["loss"] < 1e-3:
    ...             network.stop_training = True
    >>> weights = Weights()
    >>> net = NeuralNetwork(epochs=200, learning_rate=0.1, seed=0).add(DenseLayer(1, (1,)))
    >>> net = net.fit(([[0.0], [1.0]], [0.0, 1.0]), callbacks=weights)
    >>> len(weights.kept) == net.history.epochs < 200
    True
    """

    state_names: ClassVar[tuple[str, ...]] = ()
    needs_gradients: bool = False

    def on_train_begin(self, network: Any, columns: Sequence[str]) -> None:
        """Run before the first epoch of a ``fit``.

        Parameters
        ----------
        network : NeuralNetwork
        columns : sequence of str
            The columns that the history will have.
        """

    def on_resume(self, network: Any, columns: Sequence[str], state: dict[str, Any]) -> None:
        """Run in place of ``on_train_begin`` if ``fit(resume=...)`` continues from a checkpoint.

        By default, it runs ``on_train_begin``, and then sets the attributes in ``state``.

        Parameters
        ----------
        network : NeuralNetwork
            As it was at the end of the checkpoint's epoch, with the history.
        columns : sequence of str
            The columns that the history will have.
        state : dict
            The values of ``state_names`` at the end of that epoch.
        """
        self.on_train_begin(network, columns)
        for name, value in state.items():
            setattr(self, name, value)

    def on_epoch_begin(self, network: Any, epoch: int) -> None:
        """Run before an epoch, counted from 0; its learning rate has been set."""

    def on_batch_end(self, network: Any, step: int, loss: Any) -> None:
        """Run after each batch; a callback that defines it makes ``fit`` take steps by formulas.

        An exception ends training and undoes the epoch.

        Parameters
        ----------
        network : NeuralNetwork
            With ``accumulate=k``, its parameters are updated only after every ``k`` batches.
        step : int
            The batch's number in the epoch, from 0.
        loss : float or 0-d array
            The mean loss of the batch before the update, without penalties. On a GPU it is an
            array: ``float(loss)`` waits for its value.
        """

    def on_epoch_end(self, network: Any, row: dict[str, float]) -> None:
        """Run after a complete epoch; ``row`` is its row in the history."""

    def on_diverged(self, network: Any, error: DivergedError) -> bool:
        """Run when training has diverged and the epoch has been undone.

        Returns
        -------
        bool
            Whether to end training without an error.
        """
        return False

    def on_train_end(self, network: Any) -> None:
        """Run when training ends, including after an error or an interrupt."""


def has_batch_hook(callback: Callback) -> bool:
    """Whether a callback defines ``on_batch_end``."""
    own = callback.on_batch_end
    return getattr(own, "__func__", own) is not Callback.on_batch_end


def why_formulas(callbacks: Iterable[Callback]) -> str | None:
    """Return why these callbacks need steps by formulas, or None if they do not."""
    for each in callbacks:
        if has_batch_hook(each):
            return f"{type(each).__name__} has on_batch_end, which is called after each batch"
        if each.needs_gradients:
            return f"{type(each).__name__} has needs_gradients=True"
    return None


_FOR_FUNCTION = ": write LambdaCallback(on_epoch_end=...) for a function"
_FOR_SCHEDULE = (
    ". Give a schedule as the learning rate, as in NeuralNetwork(learning_rate=...) or Adam(...)"
)


def check_callbacks(given: Any) -> list[Callback]:
    """Return a list of callbacks, from a single one, an iterable of them, or None.

    Raises
    ------
    TypeError
        An item is not a callback. Or a callback has a method whose name begins with ``on_`` but
        which is not a hook, or a hook with the wrong arguments.
    """
    if given is None:
        return []
    if isinstance(given, (Callback, type)):
        given = [given]
    if isinstance(given, (str, np.ndarray)) or not isinstance(given, Iterable):
        hint = _FOR_FUNCTION if callable(given) else ""
        hint = _FOR_SCHEDULE if isinstance(given, Schedule) else hint
        raise TypeError(f"callbacks={shown(given)}: expected a Callback or a list of them{hint}")
    found: list[Any] = list(given)
    for each in found:
        if not isinstance(each, Callback):
            hint = f": write {each.__name__}(...)" if isinstance(each, type) else ""
            hint = _FOR_FUNCTION if callable(each) and not hint else hint
            hint = _FOR_SCHEDULE if isinstance(each, Schedule) else hint
            raise TypeError(f"callbacks has {shown(each)}: expected an instance of Callback{hint}")
        _check_hooks(each)
    return found


def _check_hooks(callback: Callback) -> None:
    """Refuse a method that looks like a hook but is not one, or a hook with the wrong arguments."""
    classes = type(callback).__mro__
    known = {name for each in classes if is_of_this_package(each) for name in vars(each)}
    own = {**vars(callback)}
    for each in classes:
        own |= {} if is_of_this_package(each) else vars(each)
    for name, value in own.items():
        if not name.startswith("on_") or not callable(value):
            continue
        if name in _HOOKS:
            _check_arguments(callback, name)
        elif name not in known:
            near = get_close_matches(_in_our_words(name), _HOOKS, n=1, cutoff=0.7)
            hint = f"did you mean {near[0]}? " if near else ""
            raise TypeError(
                f"{type(callback).__name__}.{name} is never called: {hint}The hooks are "
                f"{', '.join(_HOOKS)}. Another method needs a name that does not begin with on_"
            )


_HOOKS = {
    name: [*signature(method).parameters][1:]
    for name, method in vars(Callback).items()
    if name.startswith("on_")
}
"""The arguments of each hook, without ``self``."""

_WORDS = {"begin": "started starts start begins", "end": "finished finish stop done complete"}


def _in_our_words(name: str) -> str:
    """Return a method's name with synonyms of "begin" and "end" replaced by these words."""
    name = name.replace("_train_batch_", "_batch_")
    for ours, others in _WORDS.items():
        for other in others.split():
            if name.endswith(f"_{other}"):
                return name.removesuffix(other) + ours
    return name


def _check_arguments(callback: Callback, name: str) -> None:
    """Refuse a hook that does not accept the arguments that training passes."""
    hook, expected = getattr(callback, name), _HOOKS[name]
    try:
        called, within = signature(hook, follow_wrapped=False), signature(hook)
    except (ValueError, TypeError):  # a function in C, or an odd __signature__
        return
    try:
        called.bind(*expected)  # a decorator may add arguments for the function that it wraps
        names = [*within.parameters]
        fits = names[:1] not in (["epoch"], ["batch"], ["logs"])
    except TypeError:
        names, fits = [*called.parameters], False
    if not fits:
        raise TypeError(
            f"{type(callback).__name__}.{name} takes ({', '.join(names)}), but it is called with "
            f"({', '.join(expected)}): define it with the latter, in this order"
        )
