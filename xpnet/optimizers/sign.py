"""Optimizers that use only the sign of a gradient or of a momentum: Lion and Rprop."""

from typing import ClassVar

from ..backends import Array, array_namespace
from ..backends.formula import scalars
from ..common.checks import check_fraction, check_non_negative, check_positive
from ..common.overrides import register_builtin
from ..schedules import LearningRate
from .base import Optimizer
from .settings import constant_only


class Lion(Optimizer):
    r"""Steps of the same length for all weights, in the direction of the sign of a momentum.

    .. math:: w \leftarrow w - \alpha\, (\operatorname{sign}(\beta_1 m + (1 - \beta_1)\, g)
              + \lambda w), \qquad
              m \leftarrow \beta_2 m + (1 - \beta_2)\, g

    It keeps one array where Adam keeps two. Chen et al. 2023, "Symbolic discovery of optimization
    algorithms", algorithm 2. The authors advise a learning rate 3 to 10 times smaller than Adam's,
    and a weight decay larger by the same factor.

    Parameters
    ----------
    learning_rate : float, Schedule or function, default 0.0001
    beta_1, beta_2 : float, default 0.9 and 0.99
        In [0, 1).
    weight_decay : float, default 0.0
        λ >= 0; decoupled, as in :class:`AdamW`.
    clip_norm, clip_value : float, optional
        See :class:`Optimizer`.

    Attributes
    ----------
    first_moment : array or None
        m.

    Raises
    ------
    ValueError, TypeError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import Lion
    >>> optimizer, w = Lion(learning_rate=0.25), np.array([1.0, 1.0])
    >>> optimizer.update(w, np.array([0.001, -1000.0])).tolist()  # only the signs matter
    [0.75, 1.25]
    """

    state_names = ("first_moment",)
    numbers = ("beta_1", "beta_2", "weight_decay")
    _checks: ClassVar = {
        "beta_1": check_fraction,
        "beta_2": check_fraction,
        "weight_decay": check_non_negative,
    }

    def __init__(
        self,
        learning_rate: LearningRate = 0.0001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        weight_decay: float = 0.0,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.weight_decay = weight_decay
        self.first_moment: Array = None

    def rule(self, w: Array, g: Array, m: Array, *, rate: float, t: float) -> tuple[Array, ...]:
        """Return w - α (sign(β₁m + (1 - β₁)g) + λw)."""
        step = array_namespace(w).sign(self.beta_1 * m + (1.0 - self.beta_1) * g)
        new = (1.0 - rate * self.weight_decay) * w - rate * step
        return new, self.beta_2 * m + (1.0 - self.beta_2) * g


class Rprop(Optimizer):
    r"""Resilient backpropagation: each weight has its own step size, which adapts.

    A step gets longer while the sign of the gradient stays the same, and shorter when it changes:

    .. math:: s \leftarrow \begin{cases}
              \min(\eta^+ s, s_{max}) & g_{t-1}\, g_t > 0 \\
              \max(\eta^- s, s_{min}) & g_{t-1}\, g_t < 0 \\
              s & \text{else}\end{cases}, \qquad
              w \leftarrow w - \operatorname{sign}(g)\, s

    Where the sign has changed, the weight stays the same, and g counts as 0 in the next update.
    Riedmiller and Braun 1993, "A direct adaptive method for faster backpropagation learning".

    It is for **full batches** (``batch_size`` equal to the number of samples): between
    mini-batches, the sign of a gradient changes by chance, and the steps shrink without reason.

    Parameters
    ----------
    learning_rate : float or ConstantLearningRate, default 0.01
        The length of each weight's first step, clipped to [step_min, step_max]. Later changes would
        have no effect, so all other schedules are refused, as is a layer's
        ``learning_rate_factor``.
    eta_minus, eta_plus : float, default 0.5 and 1.2
        η⁻ in (0, 1) and η⁺ > 1.
    step_min, step_max : float, default 1e-6 and 50
        The shortest and the longest step.
    clip_norm, clip_value : float, optional
        See :class:`Optimizer`; neither changes a sign.

    Attributes
    ----------
    previous_gradient, step_size : array or None
        g of the last update, and s.

    Raises
    ------
    ValueError, TypeError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import Rprop
    >>> optimizer, w = Rprop(0.1), np.array([1.0])
    >>> for _ in range(100):
    ...     w = optimizer.update(w, 2.0 * w)  # the gradient of w²
    >>> bool(abs(w[0]) < 1e-4)
    True
    """

    no_factors = "adapts its steps itself"
    state_names = ("previous_gradient", "step_size")
    numbers = ("eta_minus", "eta_plus", "step_min", "step_max")
    square_names = ("step_size",)
    _checks: ClassVar = {
        "schedule": constant_only(
            "Rprop, which adapts its steps itself: expected a number, the length of the first steps"
        ),
        "eta_minus": check_fraction,
        "eta_plus": check_positive,
        "step_min": check_positive,
        "step_max": check_positive,
    }

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        eta_minus: float = 0.5,
        eta_plus: float = 1.2,
        step_min: float = 1e-6,
        step_max: float = 50.0,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.eta_minus = eta_minus
        self.eta_plus = eta_plus
        self.step_min = step_min
        self.step_max = step_max
        if not (self.eta_minus > 0 and self.eta_plus > 1):
            raise ValueError(
                f"eta_minus={eta_minus!r} and eta_plus={eta_plus!r}: expected "
                "0 < eta_minus < 1 < eta_plus"
            )
        if self.step_min > self.step_max:
            raise ValueError(
                f"step_min={step_min!r} is above step_max={step_max!r}: expected step_min <= "
                "step_max"
            )
        self.previous_gradient: Array = None
        self.step_size: Array = None

    def rule(
        self, w: Array, g: Array, before: Array, s: Array, *, rate: float, t: float
    ) -> tuple[Array, ...]:
        """Return w - sign(g) s."""
        xp = array_namespace(w)
        same = xp.sign(g) * xp.sign(before)  # the product of gradients may underflow
        shorter = xp.where(same < 0, self.eta_minus, xp.ones_like(w))
        factor = xp.where(same > 0, self.eta_plus, shorter)
        s = scalars.where(t == 1.0, rate, s) * factor
        s = xp.minimum(xp.maximum(s, self.step_min), self.step_max)
        g = xp.where(same < 0, 0.0, g)
        return w - xp.sign(g) * s, g, s


register_builtin(Lion, Rprop)
