"""Optimizers: how a gradient changes the weights.

``update(w, grad_loss_w)`` returns the updated weights and keeps what it has to remember: one
optimizer serves one array, and a network hands it all of its parameters as one. A new optimizer is
a subclass of :class:`Optimizer` with ``rule``, the formula of one weight; arrays that it keeps are
named in ``state_names``. One that needs more than a weight and its gradient has its own ``update``.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from .backends import Array, array_namespace, ops, to_host
from .backends._errors import shown
from .common.checks import (
    check_count,
    check_flag,
    check_fraction,
    check_non_negative,
    check_positive,
)
from .common.overrides import is_defined_here, remember
from .common.readable import Readable
from .common.traceable import Traceable, apply
from .schedules import ConstantLearningRate, Schedule


def _check_schedule(name: str, value: Any) -> Schedule:
    if not isinstance(value, Schedule):
        raise TypeError(
            f"{name}={shown(value)}: expected a schedule, e.g. ConstantLearningRate(0.1)"
        )
    return value


def _or_none(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    return lambda name, value: None if value is None else check(name, value)


class Optimizer(Traceable, Readable):
    """Base of the optimizers.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.01
        α > 0, or how it goes from epoch to epoch.
    clip_norm : float, optional
        Shorten a gradient that is longer than this (Euclidean norm) to this length. In a network
        it is the norm over all parameters. Pascanu et al. 2013, algorithm 1.
    clip_value : float, optional
        Bring every number of the gradient into [-clip_value, clip_value].

    Attributes
    ----------
    learning_rate : float
        The current learning rate. ``schedule`` sets it at the beginning of each epoch. A callback
        may change it for one epoch, in ``on_epoch_begin``.
    schedule : Schedule
        Gives the learning rate of each epoch. To continue training with another rate, set
        ``net.optimizer.schedule = ConstantLearningRate(rate)``.
    n_updates : int
        How many updates there were.
    state_names : tuple of str
        Attributes that hold what is remembered, arrays of the shape of the weights or None.
    square_names : tuple of str
        Those of them that hold squares.
    """

    state_names: ClassVar[tuple[str, ...]] = ()
    square_names: ClassVar[tuple[str, ...]] = ()
    formula_names = ("rule",)
    n_updates: int = 0
    _clipped: Array = None
    _checks: ClassVar[dict[str, Callable[[str, Any], Any]]] = {
        "learning_rate": check_non_negative,
        "schedule": _check_schedule,
        "clip_norm": _or_none(check_positive),
        "clip_value": _or_none(check_positive),
    }
    """For settings that may be set later: the function that returns the checked value."""

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        if not isinstance(learning_rate, Schedule):
            learning_rate = ConstantLearningRate(check_positive("learning_rate", learning_rate))
        self.schedule = learning_rate
        self.clip_norm, self.clip_value = clip_norm, clip_value  # checked, as all settings
        self.begin_epoch(0, 1)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a setting is checked as in the constructor."""
        check = self._checks.get(name)
        super().__setattr__(name, value if check is None else check(name, value))

    def rule(self, w: Array, g: Array, *state: Array, rate: float, t: float) -> tuple[Array, ...]:
        """Return the new weights and the new state; a formula of one weight.

        Parameters
        ----------
        w, g : array
            The weights and their gradient, clipped if that is asked for.
        *state : array of the shape of w
            The attributes of ``state_names``, in their order; zeros at the first update.
        rate : float
            The learning rate.
        t : float
            The number of the update, from 1.

        Returns
        -------
        tuple of array
            The weights, then the state.
        """
        raise NotImplementedError(
            f"{type(self).__name__} needs a method: rule(w, g, *state, rate, t), which returns the "
            "new weights and the new state, or update(w, grad_loss_w)"
        )

    def update(self, w: Array, grad_loss_w: Array, out: Array | None = None) -> Array:
        """Return the weights after one step, by :meth:`rule`.

        Parameters
        ----------
        w : array
            The weights; not written to, unless they are ``out`` themselves.
        grad_loss_w : array of the shape of w
            Derivative of the loss with respect to the weights; not written to. It lasts for this
            call: who wants it later keeps a copy.
        out : array of the shape of w, optional
            A hint: an array, ``w`` itself say, that may be overwritten with the result. What is
            returned counts. An optimizer of one's own may leave this argument out.

        Raises
        ------
        ValueError
            The state kept is of weights of another shape.
        """
        states = {name: self.remembered(name, w) for name in self.state_names}
        gradient = self.clip(grad_loss_w, keep=out is not None)
        arrays = {"w": w, "g": gradient, **states}
        outs = (array_namespace(w).empty_like(w) if out is None else out, *states.values())
        numbers = {"rate": self.learning_rate, "t": float(self.n_updates + 1)}
        w, *kept = apply(self, ruled, arrays, numbers, outs, ("w", *states))
        for name, array in zip(states, kept, strict=True):
            setattr(self, name, array)
        self.n_updates += 1
        return w

    def _argument(self, name: str) -> Any:
        if name != "learning_rate":
            return super()._argument(name)
        schedule = self.schedule
        return schedule.initial if type(schedule) is ConstantLearningRate else schedule

    def changing_names(self) -> tuple[str, ...]:
        """Return the names of all that training changes in it, arrays and numbers."""
        return (*self.state_names, "n_updates", "learning_rate")

    def check_state(self) -> None:
        """Refuse what no training leaves in the optimizer, e.g. of a file.

        An optimizer of the library has either all arrays of ``state_names`` and some updates, or
        none of both, and its arrays are finite. A mean of squares may be infinite, since the square
        of a large gradient can be; it is never below 0.

        Raises
        ------
        ValueError
            The message names the attribute.
        """
        check_count("n_updates", self.n_updates, least=0)
        check_non_negative("learning_rate", self.learning_rate)
        if not is_defined_here(type(self)):
            return
        for name in self.state_names:
            if ((array := getattr(self, name)) is None) != (self.n_updates == 0):
                there = "no" if array is None else "an array"
                raise ValueError(f"there is {there} {name} after {self.n_updates} updates")
            if array is None:
                continue
            numbers = to_host(array)
            isfinite = array_namespace(numbers).isfinite
            if not (numbers >= 0 if name in self.square_names else isfinite(numbers)).all():
                raise ValueError(f"{name} has numbers that no training leaves")

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Set the learning rate for one of ``epochs`` epochs, counted from 0."""
        self.learning_rate = float(self.schedule.learning_rate(epoch, epochs))

    def clip(self, gradient: Array, keep: bool = False) -> Array:
        """Return the gradient clipped by value, then by norm, as far as either is asked for.

        Parameters
        ----------
        gradient : array
            Not written to.
        keep : bool, default False
            Whether the result's array may be used again at the next call, as in training.
        """
        xp = array_namespace(gradient)
        if self.clip_value is None and self.clip_norm is None:
            return gradient
        place = self._place(gradient) if keep else None
        if self.clip_value is not None:
            most = self.clip_value
            gradient = ops.rowwise(gradient, function=lambda g: ops.clip(g, -most, most), out=place)
        if self.clip_norm is not None:
            factor = self.clip_norm / xp.maximum(ops.norm(gradient), self.clip_norm)
            gradient = ops.rowwise(gradient, function=lambda g: g * factor, out=place)
        return gradient

    def _place(self, gradient: Array) -> Array:
        """Return the array for clipped gradients, the same one at every step."""
        if self._clipped is None or self._clipped.shape != gradient.shape:
            self._clipped = array_namespace(gradient).zeros_like(gradient)
        return self._clipped

    def __getstate__(self) -> Any:
        """Copy and pickle without what the next step writes over."""
        state: Any = super().__getstate__()
        slots = state[1:] if isinstance(state, tuple) else ()
        kept = vars(self) | {"_clipped": None}
        return (kept, *slots) if slots else kept

    def remembered(self, name: str, w: Array) -> Array:
        """Return the array kept under ``name``: zeros of the shape of ``w`` at the first update."""
        kept = getattr(self, name)
        if kept is None:
            return array_namespace(w).zeros_like(w)
        if kept.shape != w.shape:
            raise ValueError(
                f"{type(self).__name__} remembers weights of shape {kept.shape} and got some of "
                f"shape {w.shape}: give each array an optimizer of its own (copy.deepcopy)"
            )
        return kept


class SGD(Optimizer):
    r"""Stochastic gradient descent with momentum.

    .. math:: v \leftarrow \mu v + (1 - d)\, g, \qquad w \leftarrow w - \alpha v

    ``dampening=0`` is the form v = μv + g. ``dampening=momentum`` is the moving average
    V = βV + (1 - β)g, which takes steps 1 - β times as long. v starts at zero in both.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.01
    momentum : float, default 0.9
        μ in [0, 1); 0 is plain gradient descent.
    dampening : float, default 0.0
        d in [0, 1).
    nesterov : bool, default False
        Step along μv + g in place of v: the gradient looked up ahead. Sutskever et al. 2013.
    clip_norm, clip_value : float, optional
        See :class:`Optimizer`.

    Attributes
    ----------
    retained_gradient : array or None
        v.
    """

    state_names = ("retained_gradient",)
    numbers = ("momentum",)
    _checks = Optimizer._checks | {
        "momentum": check_fraction,
        "dampening": check_fraction,
        "nesterov": check_flag,
    }

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        momentum: float = 0.9,
        dampening: float = 0.0,
        nesterov: bool = False,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.momentum = momentum
        self.dampening = dampening
        self.nesterov = nesterov
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError(
                f"nesterov=True with momentum={momentum!r} and dampening={dampening!r}: expected a "
                "momentum above 0 and no dampening"
            )
        self.retained_gradient: Array = None

    def rule(self, w: Array, g: Array, v: Array, *, rate: float, t: float) -> tuple[Array, ...]:
        """Return w - αv, or with Nesterov's form w - α(μv + g)."""
        v = self.momentum * v + (g if self.dampening == 0.0 else (1.0 - self.dampening) * g)
        step = self.momentum * v + g if self.nesterov else v
        return w - rate * step, v


class RMSProp(Optimizer):
    r"""Steps scaled by a moving average of the squared gradient.

    .. math:: s \leftarrow \rho s + (1 - \rho)\, g^2, \qquad
              w \leftarrow w - \alpha g / (\sqrt{s} + \epsilon)

    Tieleman and Hinton 2012, lecture 6.5.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    rho : float, default 0.9
        ρ in [0, 1).
    epsilon : float, default 1e-8
    clip_norm, clip_value : float, optional
        See :class:`Optimizer`.
    """

    state_names = ("mean_square",)
    numbers = ("rho", "epsilon")
    square_names = ("mean_square",)
    _checks = Optimizer._checks | {"rho": check_fraction, "epsilon": check_positive}

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        rho: float = 0.9,
        epsilon: float = 1e-8,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.rho = rho
        self.epsilon = epsilon
        self.mean_square: Array = None

    def rule(self, w: Array, g: Array, s: Array, *, rate: float, t: float) -> tuple[Array, ...]:
        """Return w - αg / (√s + ε)."""
        s = self.rho * s + (1.0 - self.rho) * (g * g)
        return w - rate * (g / (array_namespace(w).sqrt(s) + self.epsilon)), s


class Adam(Optimizer):
    r"""Steps along a moving average of the gradient, scaled by one of its square.

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1)\, g, \qquad
              v \leftarrow \beta_2 v + (1-\beta_2)\, g^2, \qquad
              w \leftarrow w - \alpha \hat m / (\sqrt{\hat v} + \epsilon)

    with :math:`\hat m = m / (1 - \beta_1^t)` and :math:`\hat v = v / (1 - \beta_2^t)` at update t.

    Kingma and Ba 2015, "Adam: a method for stochastic optimization", algorithm 1.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
        In [0, 1).
    epsilon : float, default 1e-8
    corrects_epsilon : bool, default True
        False has :math:`\sqrt{v} + \epsilon` in the place of :math:`\sqrt v`, uncorrected too, the
        form at the end of section 2 of the paper: :math:`w - \alpha \frac{\sqrt{1 - \beta_2^t}}
        {1 - \beta_1^t} \frac{m}{\sqrt v + \epsilon}`, as in TensorFlow and scikit-learn.
    clip_norm, clip_value : float, optional
        See :class:`Optimizer`.
    """

    state_names = ("first_moment", "second_moment")
    numbers = ("beta_1", "beta_2", "epsilon")
    square_names = ("second_moment",)
    _checks = Optimizer._checks | {
        "beta_1": check_fraction,
        "beta_2": check_fraction,
        "epsilon": check_positive,
        "corrects_epsilon": check_flag,
    }

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        *,
        corrects_epsilon: bool = True,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.corrects_epsilon = corrects_epsilon
        self.first_moment: Array = None
        self.second_moment: Array = None

    def rule(
        self, w: Array, g: Array, m: Array, v: Array, *, rate: float, t: float
    ) -> tuple[Array, ...]:
        """Return w - αm̂ / (√v̂ + ε)."""
        m = self.beta_1 * m + (1.0 - self.beta_1) * g
        v = self.beta_2 * v + (1.0 - self.beta_2) * (g * g)
        # αm̂ / (√v̂ + ε), with the corrections of the bias moved into the factor and ε
        root = (1.0 - self.beta_2**t) ** 0.5
        epsilon = root * self.epsilon if self.corrects_epsilon else self.epsilon
        factor = rate * root / (1.0 - self.beta_1**t)
        return w - factor * (m / (array_namespace(w).sqrt(v) + epsilon)), m, v


class AdamW(Adam):
    r"""Adam with decoupled weight decay: first :math:`w \leftarrow (1 - \alpha\lambda)\, w`.

    The decay is not part of the gradient, so Adam's scaling does not touch it, unlike an L2
    penalty in the loss. Loshchilov and Hutter 2019, "Decoupled weight decay regularization".

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    beta_1, beta_2, epsilon : float
        As for :class:`Adam`.
    weight_decay : float, default 0.01
        λ >= 0.
    corrects_epsilon : bool, default True
        As for :class:`Adam`.
    clip_norm, clip_value : float, optional
        See :class:`Optimizer`.
    """

    numbers = (*Adam.numbers, "weight_decay")
    _checks = Adam._checks | {"weight_decay": check_non_negative}

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        corrects_epsilon: bool = True,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            corrects_epsilon=corrects_epsilon,
            clip_norm=clip_norm,
            clip_value=clip_value,
        )
        self.weight_decay = weight_decay

    def rule(
        self, w: Array, g: Array, m: Array, v: Array, *, rate: float, t: float
    ) -> tuple[Array, ...]:
        """Return Adam's update of the decayed weights."""
        return super().rule((1.0 - rate * self.weight_decay) * w, g, m, v, rate=rate, t=t)


class Adagrad(Optimizer):
    r"""Steps scaled by the sum of all squared gradients so far.

    .. math:: s \leftarrow s + g^2, \qquad w \leftarrow w - \alpha g / (\sqrt{s} + \epsilon)

    Duchi et al. 2011, "Adaptive subgradient methods".

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.01
    epsilon : float, default 1e-10
    clip_norm, clip_value : float, optional
        See :class:`Optimizer`.
    """

    state_names = ("sum_of_squares",)
    numbers = ("epsilon",)
    square_names = ("sum_of_squares",)
    _checks = Optimizer._checks | {"epsilon": check_positive}

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        epsilon: float = 1e-10,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.epsilon = epsilon
        self.sum_of_squares: Array = None

    def rule(self, w: Array, g: Array, s: Array, *, rate: float, t: float) -> tuple[Array, ...]:
        """Return w - αg / (√s + ε)."""
        s = s + g * g
        return w - rate * (g / (array_namespace(w).sqrt(s) + self.epsilon)), s


def ruled(
    optimizer: Optimizer, w: Array, g: Array, *state: Array, rate: float, t: float
) -> tuple[Array, ...]:
    """Return what an optimizer's rule gives; a function, so that its formula can be kept."""
    result = optimizer.rule(w, g, *state, rate=rate, t=t)
    found = tuple(result) if isinstance(result, (tuple, list)) else (result,)
    if len(found) != 1 + len(state):
        raise ValueError(
            f"the rule of {type(optimizer).__name__} returned {len(found)} arrays: expected the "
            f"new weights and {len(state)} for state_names={optimizer.state_names!r}"
        )
    return found


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSProp,
    "adam": Adam,
    "adamw": AdamW,
    "adagrad": Adagrad,
}

remember(*OPTIMIZERS.values())
