"""Stochastic gradient descent."""

from typing import ClassVar

from ..backends import Array
from ..common.checks import check_flag, check_fraction
from ..common.overrides import register_builtin
from ..schedules import LearningRate
from .base import Optimizer


class SGD(Optimizer):
    r"""Stochastic gradient descent with momentum.

    .. math:: v \leftarrow \mu v + (1 - d)\, g, \qquad w \leftarrow w - \alpha v

    With ``dampening=0``, v becomes μv + g. With ``dampening=momentum``, it becomes the moving
    average μv + (1 - μ)g, and steps are 1 - μ times as long. v starts at zero in both.

    Parameters
    ----------
    learning_rate : float, Schedule or function, default 0.01
    momentum : float, default 0.9
        μ in [0, 1); 0 is plain gradient descent.
    dampening : float, default 0.0
        d in [0, 1).
    nesterov : bool, default False
        Step along μv + g instead of v, which looks ahead by one step. Sutskever et al. 2013.
    clip_norm, clip_value : float, optional
        See :class:`Optimizer`.

    Attributes
    ----------
    retained_gradient : array or None
        v.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import SGD, CosineDecay, NeuralNetwork
    >>> optimizer, w = SGD(learning_rate=0.5, momentum=0.5), np.array([1.0])
    >>> for _ in range(2):
    ...     w = optimizer.update(w, np.array([1.0]))
    >>> w.tolist(), optimizer.retained_gradient.tolist()  # 1 - 0.5 - 0.5 * 1.5, 1.5
    ([-0.25], [1.5])
    >>> net = NeuralNetwork(optimizer=SGD(CosineDecay(0.1), momentum=0.9, nesterov=True))
    """

    state_names = ("retained_gradient",)
    numbers = ("momentum",)
    _checks: ClassVar = {
        "momentum": check_fraction,
        "dampening": check_fraction,
        "nesterov": check_flag,
    }

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
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


register_builtin(SGD)
