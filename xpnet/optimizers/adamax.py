"""Adamax."""

from typing import ClassVar

from ..backends import Array, array_namespace
from ..common.checks import check_fraction, check_positive
from ..common.overrides import register_builtin
from ..schedules import LearningRate
from .base import Optimizer


class Adamax(Optimizer):
    r"""Adam with a decaying maximum of gradients instead of the root of their mean square.

    .. math:: m \leftarrow \beta_1 m + (1 - \beta_1)\, g, \qquad
              u \leftarrow \max(\beta_2 u, |g| + \epsilon), \qquad
              w \leftarrow w - \frac{\alpha}{1 - \beta_1^t} \frac{m}{u}

    at update t. Kingma and Ba 2015, "Adam: a method for stochastic optimization", algorithm 2. The
    ε is added as in PyTorch, since all gradients of a weight so far may be 0.

    Parameters
    ----------
    learning_rate : float, Schedule or function, default 0.002
    beta_1, beta_2 : float, default 0.9 and 0.999
        In [0, 1).
    epsilon : float, default 1e-8
        ε > 0.
    clip_norm, clip_value : float, optional
        See :class:`Optimizer`.

    Attributes
    ----------
    first_moment, largest_gradient : array or None
        m and u.

    Raises
    ------
    ValueError, TypeError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import Adamax
    >>> optimizer, w = Adamax(learning_rate=0.1), np.array([1.0, 1.0])
    >>> optimizer.update(w, np.array([0.001, 1000.0])).round(4).tolist()
    [0.9, 0.9]
    """

    state_names = ("first_moment", "largest_gradient")
    numbers = ("beta_1", "beta_2", "epsilon")
    square_names = ("largest_gradient",)
    _checks: ClassVar = {
        "beta_1": check_fraction,
        "beta_2": check_fraction,
        "epsilon": check_positive,
    }

    def __init__(
        self,
        learning_rate: LearningRate = 0.002,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.first_moment: Array = None
        self.largest_gradient: Array = None

    def rule(
        self, w: Array, g: Array, m: Array, u: Array, *, rate: float, t: float
    ) -> tuple[Array, ...]:
        """Return w - αm̂ / u."""
        xp = array_namespace(w)
        m = self.beta_1 * m + (1.0 - self.beta_1) * g
        u = xp.maximum(self.beta_2 * u, xp.abs(g) + self.epsilon)
        return w - (rate / (1.0 - self.beta_1**t)) * (m / u), m, u


register_builtin(Adamax)
