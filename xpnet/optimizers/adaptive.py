"""Adagrad and Adadelta."""

from typing import ClassVar

from ..backends import Array, array_namespace
from ..common.checks import check_fraction, check_positive
from ..common.overrides import register_builtin
from ..schedules import LearningRate
from .base import Optimizer


class Adagrad(Optimizer):
    r"""Steps scaled by the sum of all squared gradients so far.

    .. math:: s \leftarrow s + g^2, \qquad w \leftarrow w - \alpha g / (\sqrt{s} + \epsilon)

    Duchi et al. 2011, "Adaptive subgradient methods".

    Parameters
    ----------
    learning_rate : float, Schedule or function, default 0.01
    epsilon : float, default 1e-10
        ε > 0.
    clip_norm, clip_value : float, optional
        See :class:`Optimizer`.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import Adagrad
    >>> optimizer, w = Adagrad(learning_rate=0.5), np.array([1.0])
    >>> for _ in range(4):  # steps of 0.5, 0.5 / √2, 0.5 / √3, 0.5 / √4
    ...     before, w = w, optimizer.update(w, np.array([3.0]))
    >>> (before - w).round(6).tolist()
    [0.25]
    """

    state_names = ("sum_of_squares",)
    numbers = ("epsilon",)
    square_names = ("sum_of_squares",)
    _checks: ClassVar = {"epsilon": check_positive}

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
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


class Adadelta(Optimizer):
    r"""Steps scaled by moving averages of the squared gradient and of the squared steps.

    .. math:: s \leftarrow \rho s + (1 - \rho)\, g^2, \qquad
              \Delta = \frac{\sqrt{u + \epsilon}}{\sqrt{s + \epsilon}}\, g, \qquad
              u \leftarrow \rho u + (1 - \rho)\, \Delta^2, \qquad
              w \leftarrow w - \alpha \Delta

    Steps have the unit of the weights, so the learning rate can usually stay 1. Zeiler 2012,
    "ADADELTA: an adaptive learning rate method", algorithm 1.

    Parameters
    ----------
    learning_rate : float, Schedule or function, default 1.0
    rho : float, default 0.9
        ρ in [0, 1).
    epsilon : float, default 1e-6
        Determines the length of the first steps, about α √ε.
    clip_norm, clip_value : float, optional
        See :class:`Optimizer`.

    Attributes
    ----------
    mean_square, mean_squared_step : array or None
        s and u.

    Raises
    ------
    ValueError, TypeError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import Adadelta
    >>> optimizer, w = Adadelta(), np.array([1.0])
    >>> for _ in range(500):
    ...     w = optimizer.update(w, 2.0 * w)  # the gradient of w²
    >>> bool(abs(w[0]) < 0.01)
    True
    """

    state_names = ("mean_square", "mean_squared_step")
    numbers = ("rho", "epsilon")
    square_names = ("mean_square", "mean_squared_step")
    _checks: ClassVar = {"rho": check_fraction, "epsilon": check_positive}

    def __init__(
        self,
        learning_rate: LearningRate = 1.0,
        rho: float = 0.9,
        epsilon: float = 1e-6,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.rho = rho
        self.epsilon = epsilon
        self.mean_square: Array = None
        self.mean_squared_step: Array = None

    def rule(
        self, w: Array, g: Array, s: Array, u: Array, *, rate: float, t: float
    ) -> tuple[Array, ...]:
        """Return w - αΔ."""
        sqrt = array_namespace(w).sqrt
        s = self.rho * s + (1.0 - self.rho) * (g * g)
        step = sqrt(u + self.epsilon) / sqrt(s + self.epsilon) * g
        u = self.rho * u + (1.0 - self.rho) * (step * step)
        return w - rate * step, s, u


register_builtin(Adagrad, Adadelta)
