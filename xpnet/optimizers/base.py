"""The base of all optimizers: updates by a rule, with clipping, a learning rate and state."""

from collections.abc import Callable, Sequence
from inspect import signature
from numbers import Real
from types import MappingProxyType
from typing import Any, ClassVar

from ..backends import Array, array_namespace, is_array
from ..backends._errors import shown
from ..backends.formula import Expression, UntraceableError
from ..common.checks import check_positive
from ..common.overrides import is_builtin
from ..common.traceable import apply
from ..schedules import LearningRate
from .clipping import Clipping
from .scheduled import Scheduled
from .settings import or_none, schedule_of
from .state import Stateful


class Optimizer(Clipping, Scheduled, Stateful):
    """Base of the optimizers; a subclass defines :meth:`rule`.

    :class:`~xpnet.common.traceable.Traceable` says what the rule may use. A constructor calls
    ``super().__init__(learning_rate)``. An optimizer that needs more than a weight, its gradient
    and its state defines :meth:`update` instead.

    Parameters
    ----------
    learning_rate : float, Schedule or function, default 0.01
        α > 0; or a schedule of :mod:`xpnet.schedules`, or a function of the epoch (see
        :class:`~xpnet.schedules.FunctionSchedule`).
    clip_norm : float, optional
        Scale a gradient whose Euclidean norm is larger than this down to this norm. In a network
        it is the norm over all parameters. Pascanu et al. 2013, algorithm 1.
    clip_value : float, optional
        Clip each number of the gradient to [-clip_value, clip_value].

    Attributes
    ----------
    learning_rate : float
        The current learning rate, set from ``schedule`` at the beginning of each epoch or step.
        Setting it replaces the schedule by this constant, between two calls of ``fit`` and in
        callbacks: in ``on_epoch_begin`` from this epoch on, in ``on_batch_end`` from the next step
        on, in ``on_epoch_end`` from the next epoch on.
    schedule : Schedule
        Determines the learning rates. It may be set to another schedule, or to a function.
    n_updates : int
        The number of updates so far.
    missed_updates : tuple of int
        For each parameter of the network, in the order of the layers: how many of these updates it
        missed while its layer was frozen. Parameters beyond the end of the tuple missed none. A
        rule's ``t`` does not count missed updates.
    state_names : tuple of str
        The attributes that hold the state: arrays in the shape of the weights, or None before the
        first update.
    numbers : tuple of str
        The settings that may change without compiling the rule again; by default none.
    square_names : tuple of str
        The state arrays that are never negative, and may be infinite: squares may overflow.
    takes_all_samples : bool
        Whether ``fit`` passes the loss of all samples as a function, instead of gradients.
    no_factors : str or None
        Why layers cannot have a ``learning_rate_factor``: what the optimizer does instead, for the
        error message, e.g. "adapts its steps itself". None if they can.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import Optimizer
    >>> class Momentum(Optimizer):
    ...     state_names = ("velocity",)
    ...
    ...     def __init__(self, learning_rate=0.1, mu=0.5):
    ...         super().__init__(learning_rate)
    ...         self.mu = mu
    ...
    ...     def rule(self, w, g, velocity, *, rate, t):
    ...         velocity = self.mu * velocity + g
    ...         return w - rate * velocity, velocity
    >>> optimizer, w = Momentum(), np.array([1.0])
    >>> for _ in range(2):
    ...     w = optimizer.update(w, np.array([1.0]))
    >>> w.tolist(), optimizer.velocity.tolist()
    ([0.75], [1.5])
    """

    takes_all_samples: ClassVar[bool] = False
    no_factors: ClassVar[str | None] = None
    formula_names = ("rule",)
    aliases: ClassVar = MappingProxyType(
        {
            "learning_rate": lambda graph: graph.number("rate"),
            "n_updates": lambda graph: graph.number("t") - 1.0,
        }
    )
    _checks: ClassVar = {
        "clip_norm": or_none(check_positive),
        "clip_value": or_none(check_positive),
    }

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        self.schedule = schedule_of("learning_rate", learning_rate)
        self.clip_norm, self.clip_value = clip_norm, clip_value  # __setattr__ checks them
        self.begin_epoch(0, 1)

    # Declared so that mypy accepts a rule with any number of arrays: rule(w, g, *state, rate, t).
    def rule(self, *arrays: Any, **numbers: Any) -> tuple[Array, ...]:
        """Return the new weights and the new state, by a formula of one weight.

        Define it as ``rule(self, w, g, *, rate, t)``, with an argument after ``g`` for each array
        of the state.

        Parameters
        ----------
        w, g : array
            The weights and their gradient, which is clipped already.
        *state : array of the shape of w
            The attributes in ``state_names``, in this order; zeros at the first update.
        rate : float
            The learning rate.
        t : float
            The number of updates of these weights, including this one.

        Returns
        -------
        tuple of array
            The weights, then the state.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no rule: define rule(self, w, g, *, rate, t), with an "
            "argument after g for each name in state_names, which returns the new weights and the "
            "new state; or define update(self, w, grad_loss_w)"
        )

    def update(self, w: Array, grad_loss_w: Array, out: Array | None = None) -> Array:
        """Take one step by :meth:`rule`, and return the new weights.

        Parameters
        ----------
        w : array
            The weights; not written to, unless they are ``out`` themselves.
        grad_loss_w : array of the shape of w
            Derivative of the loss with respect to the weights; not written to. The array is reused
            after this call: copy it to keep it.
        out : array of the shape of w, optional
            An array that may be overwritten with the result, e.g. ``w`` itself. This is only a
            hint: the returned array is what counts. A subclass may omit this argument.

        Raises
        ------
        ValueError
            The state belongs to weights of another shape.
        """
        return self._update(w, grad_loss_w, None, out)

    def update_parts(
        self,
        w: Array,
        grad_loss_w: Array,
        parts: Sequence[tuple[slice, float, int]],
        out: Array | None = None,
    ) -> Array:
        """Take one step of parts of the weights, each with its own rate; return all weights.

        Parameters
        ----------
        w, grad_loss_w, out : array
            As for :meth:`update`. The gradient is clipped as a whole, so it must be 0 outside the
            parts if it is clipped by norm.
        parts : sequence of (slice, float, int)
            Rows of ``w``, the factor of their learning rate, and how many updates they missed.
            Other rows, and their state, stay the same.
        """
        return self._update(w, grad_loss_w, parts, out)

    def _update(
        self,
        w: Array,
        grad_loss_w: Array,
        parts: Sequence[tuple[slice, float, int]] | None,
        out: Array,
    ) -> Array:
        states = {name: self.state_like(name, w) for name in self.state_names}
        gradient = self.clip(grad_loss_w, keep=out is not None)
        if states and not is_builtin(type(self)):
            # A rule may return the gradient as state, but the next step overwrites its array.
            gradient = array_namespace(gradient).asarray(gradient, copy=True)
        arrays, xp = {"w": w, "g": gradient, **states}, array_namespace(w)
        if parts is None:
            outs = (xp.empty_like(w) if out is None else out, *states.values())
            w, *kept = _results(self, arrays, self.learning_rate, 0, outs)
        else:
            w = xp.asarray(w, copy=True) if out is None else out
            kept = list(states.values())
            for part, factor, missed in parts:
                outs = tuple(array[part, ...] for array in (w, *kept))
                own = {name: array[part, ...] for name, array in arrays.items()}
                results = _results(self, own, self.learning_rate * factor, missed, outs)
                for array, place, result in zip((w, *kept), outs, results, strict=True):
                    if result is not place:
                        array[part, ...] = result
        for name, array in zip(states, kept, strict=True):
            if array is not vars(self).get(name):
                setattr(self, name, array)
        self.n_updates += 1
        return w


def _results(
    optimizer: Optimizer,
    arrays: dict[str, Array],
    rate: float,
    missed: int,
    outs: tuple[Array, ...],
) -> tuple[Array, ...]:
    """Return the new weights and state of the next update."""
    names = [name for name in arrays if name != "g"]
    numbers = {"rate": rate, "t": float(optimizer.n_updates + 1 - missed)}
    if missed:  # a rule that is not traced may read n_updates
        optimizer.n_updates -= missed
    try:
        results = apply(optimizer, ruled, arrays, numbers, outs, tuple(names))
    finally:
        if missed:
            optimizer.n_updates += missed
    if is_builtin(type(optimizer)):
        return results
    like = arrays["w"]
    return tuple(
        _as_weights(optimizer, name, array, like)
        for name, array in zip(names, results, strict=True)
    )


def ruled(
    optimizer: Optimizer, w: Array, g: Array, *state: Array, rate: float, t: float
) -> tuple[Array, ...]:
    """Return the results of an optimizer's rule: new weights, and one array per state name."""
    try:
        result = optimizer.rule(w, g, *state, rate=rate, t=t)
    except TypeError as error:
        if _takes(optimizer.rule, w, g, *state, rate=rate, t=t):
            raise
        names = "".join(f", {name}" for name in optimizer.state_names)
        raise TypeError(
            f"{error}: expected rule(self, w, g{names}, *, rate, t), with an argument for each "
            "name in state_names"
        ) from error
    found = tuple(result) if isinstance(result, (tuple, list)) else (result,)
    if len(found) != 1 + len(state):
        raise ValueError(
            f"the rule of {type(optimizer).__name__} returned {len(found)} arrays: expected the "
            f"new weights and {len(state)} for state_names={optimizer.state_names!r}"
        )
    if isinstance(w, Expression) and not isinstance(found[0], Expression):
        raise UntraceableError(f"the new weights {shown(found[0])}, which are not an array")
    return found


def _takes(function: Callable[..., Any], *arrays: Array, **numbers: float) -> bool:
    """Whether a function can be called with these arguments."""
    try:
        signature(function).bind(*arrays, **numbers)
    except TypeError:
        return False
    return True


def _as_weights(optimizer: Optimizer, name: str, result: Any, like: Array) -> Array:
    """Return a result of the rule as an array in the shape and dtype of the weights.

    A state may be a single number for all weights, as in compiled steps.

    Raises
    ------
    TypeError, ValueError
        The result is not an array of this shape, nor a number for a state.
    """
    xp = array_namespace(like)
    if name != "w" and isinstance(result, Real):
        return xp.full_like(like, float(result))
    if not is_array(result):
        raise TypeError(
            f"the rule of {type(optimizer).__name__} returned {shown(result)} as new {name}: "
            f"expected an array of shape {like.shape}"
        )
    if result.shape != like.shape:
        raise ValueError(
            f"the rule of {type(optimizer).__name__} returned an array of shape {result.shape} as "
            f"new {name}: expected {like.shape}"
        )
    return xp.astype(result, like.dtype, copy=False)
