"""NAdam."""

import math
from typing import ClassVar

from ..backends import Array, array_namespace
from ..backends.formula import scalars
from ..common.checks import check_flag, check_fraction, check_non_negative, check_positive
from ..common.overrides import register_builtin
from ..schedules import LearningRate
from .base import Optimizer

_TERMS = 52
"""Terms of the series in `_log_of_product`: the next one is below 2⁻⁵³ / 53."""


class NAdam(Optimizer):
    r"""Adam with Nesterov's momentum, whose strength grows from β₁ / 2 to β₁.

    .. math:: \mu_t = \beta_1 \left(1 - \tfrac12\, 0.96^{t \psi}\right), \qquad
              \Pi_t = \prod_{k=1}^t \mu_k, \qquad
              w \leftarrow w - \alpha\, \frac{\frac{\mu_{t+1}}{1 - \Pi_{t+1}}\, m
              + \frac{1 - \mu_t}{1 - \Pi_t}\, g}{\sqrt{\hat v} + \epsilon}

    at update t, with Adam's m and v̂. Dozat 2016, "Incorporating Nesterov momentum into Adam".

    Parameters
    ----------
    learning_rate : float, Schedule or function, default 0.002
    beta_1, beta_2 : float, default 0.9 and 0.999
        In [0, 1).
    epsilon : float, default 1e-8
        ε > 0.
    momentum_decay : float, default 0.004
        ψ >= 0.
    weight_decay : float, default 0.0
        λ >= 0; λw is added to the gradient.
    decoupled : bool, default False
        Whether the weights decay as in :class:`AdamW`, :math:`w \leftarrow (1 - \alpha\lambda) w`,
        instead of adding λw to the gradient.
    clip_norm, clip_value : float, optional
        See :class:`Optimizer`.

    Attributes
    ----------
    first_moment, second_moment : array or None
        m and v.

    Raises
    ------
    ValueError, TypeError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import NAdam
    >>> optimizer, w = NAdam(learning_rate=0.1), np.array([1.0])
    >>> for _ in range(100):
    ...     w = optimizer.update(w, 2.0 * w)  # the gradient of w²
    >>> bool(abs(w[0]) < 0.1)
    True
    """

    state_names = ("first_moment", "second_moment")
    numbers = ("beta_1", "beta_2", "epsilon", "weight_decay")
    square_names = ("second_moment",)
    _checks: ClassVar = {
        "beta_1": check_fraction,
        "beta_2": check_fraction,
        "epsilon": check_positive,
        "momentum_decay": check_non_negative,
        "weight_decay": check_non_negative,
        "decoupled": check_flag,
    }

    def __init__(
        self,
        learning_rate: LearningRate = 0.002,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        momentum_decay: float = 0.004,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.momentum_decay = momentum_decay
        self.weight_decay = weight_decay
        self.decoupled = decoupled
        self.first_moment: Array = None
        self.second_moment: Array = None

    def rule(
        self, w: Array, g: Array, m: Array, v: Array, *, rate: float, t: float
    ) -> tuple[Array, ...]:
        """Return Adam's update, with the momentum of the next update."""
        if self.decoupled:
            w = (1.0 - rate * self.weight_decay) * w
        else:
            g = g + self.weight_decay * w
        m = self.beta_1 * m + (1.0 - self.beta_1) * g
        v = self.beta_2 * v + (1.0 - self.beta_2) * (g * g)
        now, then = (
            self.beta_1 * (1.0 - 0.5 * 0.96 ** (self.momentum_decay * k)) for k in (t, t + 1.0)
        )
        product = self.beta_1**t * scalars.exp(_log_of_product(self.momentum_decay, t))
        g_factor = (1.0 - now) / (1.0 - product)
        m_factor = then / (1.0 - product * then)
        # The bias correction of v is moved into the factor and ε.
        root = (1.0 - self.beta_2**t) ** 0.5
        scale = array_namespace(w).sqrt(v) + root * self.epsilon
        return w - (rate * root) * ((m_factor * m + g_factor * g) / scale), m, v


def _log_of_product(decay: float, t: float) -> float:
    r"""Return the logarithm of :math:`\prod_{k=1}^t (1 - \frac12 q^k)`, with :math:`q = 0.96^\psi`.

    This is a function of t alone, so the optimizer need not keep the product:

    .. math:: \sum_{k=1}^t \log(1 - \tfrac12 q^k)
              = -\sum_{j \ge 1} \frac{1}{j 2^j} \sum_{k=1}^t q^{jk}
              = -\sum_{j \ge 1} \frac{q^j}{j 2^j} \frac{1 - q^{jt}}{1 - q^j}

    Parameters
    ----------
    decay : float
        ψ.
    t : float
        The number of the update.
    """
    rate = decay * math.log(0.96)
    if rate > -1e-15:  # q is 1 to rounding
        return t * math.log(0.5)
    first = scalars.expm1(rate * t)  # qᵗ - 1
    power, total = first, 0.0  # q^(jt) - 1
    for j in range(1, _TERMS + 1):
        total = total + math.exp(j * rate) / (j * 2.0**j * math.expm1(j * rate)) * power
        power = power * (1.0 + first) + first  # no differences, which would lose digits
    return -total


register_builtin(NAdam)
