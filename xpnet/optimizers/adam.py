"""Adam and AdamW."""

from typing import ClassVar

from ..backends import Array, array_namespace
from ..common.checks import check_flag, check_fraction, check_non_negative, check_positive
from ..common.overrides import register_builtin
from ..schedules import LearningRate
from .base import Optimizer


class Adam(Optimizer):
    r"""Steps along a moving average of the gradient, scaled by a moving average of its square.

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1)\, g, \qquad
              v \leftarrow \beta_2 v + (1-\beta_2)\, g^2, \qquad
              w \leftarrow w - \alpha \hat m / (\sqrt{\hat v} + \epsilon)

    with :math:`\hat m = m / (1 - \beta_1^t)` and :math:`\hat v = v / (1 - \beta_2^t)` at update t.

    Kingma and Ba 2015, "Adam: a method for stochastic optimization", algorithm 1.

    Parameters
    ----------
    learning_rate : float, Schedule or function, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
        In [0, 1).
    epsilon : float, default 1e-8
        ε > 0.
    corrects_epsilon : bool, default True
        Whether ε is added to the corrected :math:`\sqrt{\hat v}`. False adds it to :math:`\sqrt v`,
        before the correction: :math:`w - \alpha \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}
        \frac{m}{\sqrt v + \epsilon}`. The paper has this form at the end of section 2, and
        TensorFlow and scikit-learn use it.
    amsgrad : bool, default False
        Whether to use the largest v so far instead of v, so that steps do not grow when gradients
        become small. The largest v is kept in a third array. Reddi et al. 2018, "On the convergence
        of Adam and beyond".
    clip_norm, clip_value : float, optional
        See :class:`Optimizer`.

    Attributes
    ----------
    first_moment, second_moment, largest_second_moment : array or None
        m, v, and with ``amsgrad`` the largest v.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import Adam, NeuralNetwork
    >>> optimizer, w = Adam(learning_rate=0.1), np.array([1.0, 1.0])
    >>> optimizer.update(w, np.array([0.001, 1000.0])).round(4).tolist()  # the size hardly matters
    [0.9, 0.9]
    >>> net = NeuralNetwork(optimizer=Adam(learning_rate=0.003, clip_norm=1.0))
    """

    numbers: ClassVar[tuple[str, ...]] = ("beta_1", "beta_2", "epsilon")
    square_names = ("second_moment", "largest_second_moment")
    _checks: ClassVar = {
        "beta_1": check_fraction,
        "beta_2": check_fraction,
        "epsilon": check_positive,
        "corrects_epsilon": check_flag,
        "amsgrad": check_flag,
    }

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        *,
        corrects_epsilon: bool = True,
        amsgrad: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.corrects_epsilon = corrects_epsilon
        self.amsgrad = amsgrad
        self.first_moment: Array = None
        self.second_moment: Array = None
        self.largest_second_moment: Array = None

    @property
    def state_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names of the attributes that hold the state; a third with ``amsgrad``."""
        names = ("first_moment", "second_moment")
        return (*names, "largest_second_moment") if self.amsgrad else names

    def rule(
        self, w: Array, g: Array, m: Array, v: Array, *largest: Array, rate: float, t: float
    ) -> tuple[Array, ...]:
        """Return w - αm̂ / (√v̂ + ε)."""
        xp = array_namespace(w)
        m = self.beta_1 * m + (1.0 - self.beta_1) * g
        v = self.beta_2 * v + (1.0 - self.beta_2) * (g * g)
        largest = tuple(xp.maximum(each, v) for each in largest)
        # αm̂ / (√v̂ + ε), with the bias corrections moved into the factor and ε
        root = (1.0 - self.beta_2**t) ** 0.5
        epsilon = root * self.epsilon if self.corrects_epsilon else self.epsilon
        factor = rate * root / (1.0 - self.beta_1**t)
        scale = xp.sqrt(largest[0] if largest else v)
        return w - factor * (m / (scale + epsilon)), m, v, *largest


class AdamW(Adam):
    r"""Adam with decoupled weight decay: first :math:`w \leftarrow (1 - \alpha\lambda)\, w`.

    The decay is not part of the gradient, so Adam's scaling does not touch it, unlike an L2
    penalty in the loss. Loshchilov and Hutter 2019, "Decoupled weight decay regularization".

    Parameters
    ----------
    learning_rate : float, Schedule or function, default 0.001
    beta_1, beta_2, epsilon : float
        As for :class:`Adam`.
    weight_decay : float, default 0.01
        λ >= 0.
    corrects_epsilon : bool, default True
    amsgrad : bool, default False
        As for :class:`Adam`.
    clip_norm, clip_value : float, optional
        See :class:`Optimizer`.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import AdamW, NeuralNetwork
    >>> optimizer, w = AdamW(learning_rate=0.1, weight_decay=0.5), np.array([1.0])
    >>> optimizer.update(w, np.array([0.0])).tolist()  # only the decay, (1 - 0.1 * 0.5) w
    [0.95]
    >>> net = NeuralNetwork(optimizer=AdamW(0.001, weight_decay=0.05))
    """

    numbers = (*Adam.numbers, "weight_decay")
    _checks: ClassVar = {"weight_decay": check_non_negative}

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        corrects_epsilon: bool = True,
        amsgrad: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            corrects_epsilon=corrects_epsilon,
            amsgrad=amsgrad,
            clip_norm=clip_norm,
            clip_value=clip_value,
        )
        self.weight_decay = weight_decay

    def rule(
        self, w: Array, g: Array, m: Array, v: Array, *largest: Array, rate: float, t: float
    ) -> tuple[Array, ...]:
        """Return Adam's update of the decayed weights."""
        decayed = (1.0 - rate * self.weight_decay) * w
        return super().rule(decayed, g, m, v, *largest, rate=rate, t=t)


register_builtin(Adam, AdamW)
