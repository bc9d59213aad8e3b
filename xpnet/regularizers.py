"""Regularizers: penalties on the parameters that keep a network from overfitting.

The penalty depends only on the parameters. It is added to the mean loss of a batch, and its
derivative to the gradient. Decoupled weight decay (:class:`xpnet.AdamW`) is different: it shrinks
the weights separately from the gradient, so that Adam does not divide it by the gradient's size.
For gradient descent without momentum, the two are the same.

For a new penalty that is a sum over weights, subclass :class:`ElementwisePenalty` and define
``element_penalty``; the rest is derived from it. For any other, subclass :class:`Regularizer`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from .backends import Array, array_namespace
from .backends._errors import shown
from .common.checks import check_flag, check_non_negative, find
from .common.overrides import register_builtin
from .common.readable import Readable
from .common.traceable import Traceable, apply, checked_call, derivative_of

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "REGULARIZERS",
    "ElementwisePenalty",
    "FunctionPenalty",
    "Regularizer",
    "find_regularizer",
]


class Regularizer(Readable, ABC):
    """Base of all regularizers.

    Attributes
    ----------
    per_sample : bool
        Whether the penalty is divided by the total weight of the batch's samples, or by their
        number if they have no weights. It then counts for less in a large batch.

    Examples
    --------
    A penalty that couples the weights of a unit, so that whole units vanish: the group lasso of
    Yuan and Lin 2006.

    >>> import numpy as np
    >>> from xpnet import DenseLayer, Regularizer, array_namespace
    >>> from xpnet.testing import check_gradient
    >>> class GroupLasso(Regularizer):
    ...     def __init__(self, factor=0.01):
    ...         self.factor = factor
    ...
    ...     def lengths(self, w):
    ...         xp = array_namespace(w)
    ...         return xp.sqrt(xp.sum(w * w, axis=0, keepdims=True))
    ...
    ...     def penalty(self, w):
    ...         return self.factor * array_namespace(w).sum(self.lengths(w))
    ...
    ...     def derivative(self, w):
    ...         return self.factor * w / array_namespace(w).maximum(self.lengths(w), 1e-12)
    >>> lasso, w = GroupLasso(0.5), np.array([[3.0, 1.0], [4.0, 0.0]])
    >>> float(lasso.penalty(w))  # 0.5 (5 + 1)
    3.0
    >>> check_gradient(lambda w: float(lasso.penalty(w)), lasso.derivative(w), w)
    >>> layer = DenseLayer(8, regularizer=lasso)
    """

    per_sample: bool = False

    @abstractmethod
    def penalty(self, w: Array) -> Array:
        """Return the penalty on a parameter, a 0-d array."""

    @abstractmethod
    def derivative(self, w: Array) -> Array:
        """Return the derivative of :meth:`penalty`, of the shape of ``w``."""

    def add_to(
        self, gradient: Array, w: Array, share: Array | float = 1.0, out: Array | None = None
    ) -> Array:
        """Return the sum of the gradient and the derivative times ``share``.

        The result may be written to ``out``.
        """
        return gradient + share * self.derivative(w)


class ElementwisePenalty(Traceable, Regularizer):
    """Base of the penalties that are the sum, over all weights, of one formula.

    A subclass defines :meth:`element_penalty`; the rest is derived from it. See
    :class:`~xpnet.common.traceable.Traceable` for what the formula may use. The penalty is saved
    with a network if its attributes have the names of its constructor's arguments.

    Attributes
    ----------
    numbers : tuple of str
        The settings that may change without compiling the formula again; by default, none.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import ElementwisePenalty, array_namespace
    >>> from xpnet.testing import check_gradient
    >>> class LogPenalty(ElementwisePenalty):
    ...     numbers = ("strength",)
    ...
    ...     def __init__(self, strength=0.01):
    ...         self.strength = strength
    ...
    ...     def element_penalty(self, w):
    ...         return self.strength * array_namespace(w).log1p(w * w)
    >>> penalty, w = LogPenalty(0.5), np.array([[1.0, -2.0]])
    >>> penalty.derivative(w).tolist()
    [[0.5, -0.4]]
    >>> check_gradient(lambda w: float(penalty.penalty(w)), penalty.derivative(w), w)
    """

    formula_names = ("element_penalty", "derivative")

    @abstractmethod
    def element_penalty(self, w: Array) -> Array:
        """Return the penalty on each weight, of the shape of ``w``.

        Parameters
        ----------
        w : array of any shape, or symbol
            A parameter, or several in one row.
        """

    def penalty(self, w: Array) -> Array:
        """Return the sum of the penalties."""
        return array_namespace(w).sum(checked_call(self.element_penalty, w))

    def derivative(self, w: Array) -> Array:
        """Return the derivative of the penalty on each weight; by default from its formula.

        Raises
        ------
        UntraceableError
            :meth:`element_penalty` is not an elementwise formula.
        """
        return derivative_of(self, "element_penalty", (w,), by=0)

    def add_to(
        self, gradient: Array, w: Array, share: Array | float = 1.0, out: Array | None = None
    ) -> Array:
        """Return the sum of the gradient and the derivative times ``share``."""
        numbers = {} if isinstance(share, float) and share == 1.0 else {"share": share}
        outs = None if out is None else (out,)
        return apply(self, _added, {"g": gradient, "w": w}, numbers, outs, overwrites=("g",))[0]


def _added(
    penalty: ElementwisePenalty, g: Array, w: Array, share: Array | float = 1.0
) -> tuple[Array]:
    return (g + share * penalty.derivative(w),)


class L1L2(ElementwisePenalty):
    r"""The elastic net, :math:`\lambda_1 \sum |w| + \lambda_2 \sum w^2`. Zou and Hastie 2005.

    Parameters
    ----------
    l1 : float, default 0.0
    l2 : float, default 0.0
        For the λ of textbooks that write :math:`\frac{\lambda}{2} \sum w^2`, give λ / 2.
    per_sample : bool, default False
        Whether the penalty is divided by the number of samples in the batch, as scikit-learn's
        ``alpha`` is.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import L1L2, NeuralNetwork
    >>> penalty = L1L2(l1=0.25, l2=0.5)
    >>> float(penalty.penalty(np.array([1.0, -2.0])))  # 0.25 (1 + 2) + 0.5 (1 + 4)
    3.25
    >>> net = NeuralNetwork(regularizer=penalty)
    """

    numbers = ("l1", "l2")

    def __init__(self, l1: float = 0.0, l2: float = 0.0, per_sample: bool = False) -> None:
        self.l1, self.l2 = check_non_negative("l1", l1), check_non_negative("l2", l2)
        self.per_sample = check_flag("per_sample", per_sample)

    def element_penalty(self, w: Array) -> Array:
        """Return λ₁ |w| + λ₂ w²."""
        return self.l1 * array_namespace(w).abs(w) + self.l2 * (w * w)

    def derivative(self, w: Array) -> Array:
        """Return λ₁ sign(w) + 2 λ₂ w; the derivative of |w| at 0 is taken as 0."""
        return self.l1 * array_namespace(w).sign(w) + (2.0 * self.l2) * w


def _absent(name: str, value: Any) -> float:
    if value != 0.0:
        raise ValueError(f"{name}={shown(value)}, but this penalty has no {name}: use L1L2(l1, l2)")
    return 0.0


class L1(L1L2):
    r"""The lasso, :math:`\lambda \sum |w|`: it drives many weights close to 0. Tibshirani 1996.

    Parameters
    ----------
    factor : float, default 0.01
    per_sample : bool, default False
        See :class:`L1L2`.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import L1, DenseLayer
    >>> float(L1(0.5).penalty(np.array([1.0, -2.0])))
    1.5
    >>> layer = DenseLayer(8, regularizer=L1(0.001))
    """

    _checks: ClassVar = {"l2": _absent}

    def __init__(self, factor: float = 0.01, per_sample: bool = False) -> None:
        self.factor = check_non_negative("factor", factor)
        super().__init__(l1=factor, per_sample=per_sample)

    def element_penalty(self, w: Array) -> Array:
        """Return λ |w|."""
        return self.l1 * array_namespace(w).abs(w)

    def derivative(self, w: Array) -> Array:
        """Return λ sign(w), with sign(0) = 0."""
        return self.l1 * array_namespace(w).sign(w)


class L2(L1L2):
    r"""Ridge, or weight decay in the loss, :math:`\lambda \sum w^2`. Hoerl and Kennard 1970.

    Parameters
    ----------
    factor : float, default 0.01
    per_sample : bool, default False
        See :class:`L1L2`.

    Raises
    ------
    ValueError, TypeError
        An argument is invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import L2, NeuralNetwork
    >>> float(L2(0.5).penalty(np.array([1.0, -2.0])))
    2.5
    >>> net = NeuralNetwork(regularizer=L2(0.001))
    """

    _checks: ClassVar = {"l1": _absent}

    def __init__(self, factor: float = 0.01, per_sample: bool = False) -> None:
        self.factor = check_non_negative("factor", factor)
        super().__init__(l2=factor, per_sample=per_sample)

    def element_penalty(self, w: Array) -> Array:
        """Return λ w²."""
        return self.l2 * (w * w)

    def derivative(self, w: Array) -> Array:
        """Return 2 λ w."""
        return (2.0 * self.l2) * w


class FunctionPenalty(ElementwisePenalty):
    """A penalty given as a function; ``regularizer=function`` makes one.

    Its derivative is derived from the function. A network with it cannot be saved: for that, define
    a subclass of :class:`ElementwisePenalty`.

    Parameters
    ----------
    function : callable
        ``function(w)`` returns the penalty on each weight, of the shape of ``w``. It uses operators
        and the functions of ``array_namespace(w)``.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import NeuralNetwork
    >>> from xpnet.regularizers import FunctionPenalty
    >>> def quartic(w):
    ...     return 0.001 * w**4
    >>> FunctionPenalty(quartic).derivative(np.array([1.0, 2.0])).tolist()
    [0.004, 0.032]
    >>> NeuralNetwork(regularizer=quartic).regularizer
    FunctionPenalty(quartic)
    """

    # For the error message of ``save``.
    instead = "define a subclass of ElementwisePenalty with element_penalty(w)"

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self.function = function

    def element_penalty(self, w: Array) -> Array:
        """Return ``function(w)``."""
        return checked_call(self.function, w)


REGULARIZERS: dict[str, type[Regularizer]] = {"l1": L1, "l2": L2, "l1_l2": L1L2}

# Not FunctionPenalty, whose function may change at any time.
register_builtin(*REGULARIZERS.values())


def find_regularizer(given: Any) -> Regularizer | None:
    """Return a regularizer from a name, an instance or a function; None for None.

    Examples
    --------
    >>> from xpnet.regularizers import find_regularizer
    >>> find_regularizer("l2")
    L2()
    """
    if given is None:
        return None
    return find("regularizer", given, Regularizer, REGULARIZERS, of_function=FunctionPenalty)


def __dir__() -> list[str]:
    return sorted(__all__)
