"""RMSProp."""

from typing import ClassVar

from ..backends import Array, array_namespace
from ..common.checks import check_flag, check_fraction, check_positive
from ..common.overrides import register_builtin
from ..schedules import LearningRate
from .base import Optimizer


class RMSProp(Optimizer):
    r"""Steps scaled by a moving average of the squared gradient.

    .. math:: s \leftarrow \rho s + (1 - \rho)\, g^2, \qquad
              w \leftarrow w - \alpha g / (\sqrt{s} + \epsilon)

    Tieleman and Hinton 2012, lecture 6.5. The options are those of Graves 2013, "Generating
    sequences with recurrent neural networks", equations 38 to 45.

    Parameters
    ----------
    learning_rate : float, Schedule or function, default 0.001
    rho : float, default 0.9
        ρ in [0, 1).
    epsilon : float, default 1e-8
        ε > 0.
    momentum : float, default 0.0
        μ in [0, 1). With momentum, the step is α v with v = μv + g / (√s + ε).
    centered : bool, default False
        Whether to scale by the variance of the gradient, s - m², instead of s. m is the moving
        average of the gradient.
    clip_norm, clip_value : float, optional
        See :class:`Optimizer`.

    Attributes
    ----------
    mean_square, mean_gradient, velocity : array or None
        s, m and v; m only if centered, v only with momentum.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import NeuralNetwork, RMSProp
    >>> optimizer, w = RMSProp(learning_rate=0.1, rho=0.75), np.array([1.0, 1.0])
    >>> optimizer.update(w, np.array([1.0, -100.0])).round(6).tolist()  # ∓ 0.1 / √(1 - 0.75)
    [0.8, 1.2]
    >>> net = NeuralNetwork(optimizer=RMSProp(0.001, momentum=0.9, centered=True))
    """

    numbers = ("rho", "epsilon", "momentum")
    square_names = ("mean_square",)
    _checks: ClassVar = {
        "rho": check_fraction,
        "epsilon": check_positive,
        "momentum": check_fraction,
        "centered": check_flag,
    }

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.9,
        epsilon: float = 1e-8,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.rho = rho
        self.epsilon = epsilon
        self.momentum = momentum
        self.centered = centered
        self.mean_square: Array = None
        self.mean_gradient: Array = None
        self.velocity: Array = None

    @property
    def state_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The attributes that hold the state, which depends on the options."""
        optional = {"mean_gradient": self.centered, "velocity": self.momentum > 0.0}
        return ("mean_square", *(name for name, is_kept in optional.items() if is_kept))

    def rule(
        self, w: Array, g: Array, s: Array, *others: Array, rate: float, t: float
    ) -> tuple[Array, ...]:
        """Return w - αg / (√s + ε), or with momentum w - αv."""
        xp, kept = array_namespace(w), list(others)
        s = self.rho * s + (1.0 - self.rho) * (g * g)
        scale = s
        if self.centered:
            kept[0] = self.rho * kept[0] + (1.0 - self.rho) * g
            scale = xp.maximum(s - kept[0] * kept[0], 0.0)  # rounding may make it negative
        step = g / (xp.sqrt(scale) + self.epsilon)
        if len(kept) > int(self.centered):
            step = kept[-1] = self.momentum * kept[-1] + step
        return w - rate * step, s, *kept


register_builtin(RMSProp)
