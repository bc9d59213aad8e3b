"""RAdam."""

from typing import ClassVar

from ..backends import Array, array_namespace
from ..backends.formula import scalars
from ..common.checks import check_fraction, check_positive
from ..common.overrides import register_builtin
from ..schedules import LearningRate
from .base import Optimizer


class RAdam(Optimizer):
    r"""Adam with shorter first steps, while its mean of squares covers only a few gradients.

    .. math:: \rho_\infty = \frac{2}{1 - \beta_2} - 1, \qquad
              \rho_t = \rho_\infty - \frac{2 t \beta_2^t}{1 - \beta_2^t}, \qquad
              r_t = \sqrt{\frac{(\rho_t - 4)(\rho_t - 2)\, \rho_\infty}
                               {(\rho_\infty - 4)(\rho_\infty - 2)\, \rho_t}}

    With Adam's m̂ and v, the step is :math:`\alpha r_t \hat m \sqrt{1 - \beta_2^t} / (\sqrt v +
    \epsilon)` where :math:`\rho_t > 5`, else :math:`\alpha \hat m`. Liu et al. 2020, "On the
    variance of the adaptive learning rate and beyond", algorithm 2. The paper has 4 instead of 5;
    PyTorch and the authors' code have 5.

    Parameters
    ----------
    learning_rate : float, Schedule or function, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
        In [0, 1).
    epsilon : float, default 1e-8
        ε > 0.
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
    >>> from xpnet import RAdam
    >>> optimizer, w = RAdam(learning_rate=0.1), np.array([1.0])
    >>> for _ in range(100):
    ...     w = optimizer.update(w, 2.0 * w)  # the gradient of w²
    >>> bool(abs(w[0]) < 0.1)
    True
    """

    state_names = ("first_moment", "second_moment")
    numbers = ("beta_1", "beta_2", "epsilon")
    square_names = ("second_moment",)
    _checks: ClassVar = {
        "beta_1": check_fraction,
        "beta_2": check_fraction,
        "epsilon": check_positive,
    }

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
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
        self.second_moment: Array = None

    def rule(
        self, w: Array, g: Array, m: Array, v: Array, *, rate: float, t: float
    ) -> tuple[Array, ...]:
        """Return w - αrm̂ √(1 - β₂ᵗ) / (√v + ε), or w - αm̂ in the first updates."""
        m = self.beta_1 * m + (1.0 - self.beta_1) * g
        v = self.beta_2 * v + (1.0 - self.beta_2) * (g * g)
        power = self.beta_2**t
        longest = 2.0 / (1.0 - self.beta_2) - 1.0
        length = longest - 2.0 * t * power / (1.0 - power)
        # The factor is not used where the length is 5 or less; the limits avoid a division by 0.
        above, most = scalars.maximum(length, 5.0), scalars.maximum(longest, 5.0)
        shares = (above - 4.0) * (above - 2.0) * most / ((most - 4.0) * (most - 2.0) * above)
        factor = (shares * (1.0 - power)) ** 0.5
        adapted = factor * (m / (array_namespace(w).sqrt(v) + self.epsilon))
        step = scalars.where(length > 5.0, adapted, m)
        return w - (rate / (1.0 - self.beta_1**t)) * step, m, v


register_builtin(RAdam)
