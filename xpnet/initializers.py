"""Initializers, which draw the initial parameters of layers.

An initializer is called with the shape of the weights, ``(n_inputs, n_units)``, and a NumPy random
generator, and returns a NumPy array of that shape. Numbers are drawn on the host, so that one seed
gives the same initial weights on every backend. Any function of these two arguments works, too.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from .backends import Array, is_array, to_host
from .common.allocation import draws
from .common.checks import check_positive, find, naming_memory_errors
from .common.keywords import INITIALIZERS as ELSEWHERE
from .common.readable import Readable

__all__ = [
    "INITIALIZERS",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "Normal",
    "Zeros",
    "find_initializer",
]

InitializerFunction = Callable[[tuple[int, ...], np.random.Generator], np.ndarray]


class Initializer(Readable, ABC):
    """Base of all initializers.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer
    >>> from xpnet.initializers import Initializer
    >>> class Sparse(Initializer):
    ...     def __init__(self, share=0.1):
    ...         self.share = share
    ...
    ...     def __call__(self, shape, rng):
    ...         return rng.standard_normal(shape) * (rng.random(shape) < self.share)
    >>> Sparse(0.2)((10, 10), np.random.default_rng(0)).shape
    (10, 10)
    >>> layer = DenseLayer(8, initializer=Sparse(0.2))
    """

    @abstractmethod
    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw an array of ``shape``."""


class Zeros(Initializer):
    """All zeros: for biases. It does not suit weights, since units that start equal stay equal.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.initializers import Zeros
    >>> Zeros()((2, 3), np.random.default_rng(0)).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return zeros; ``rng`` is not used."""
        return np.zeros(shape)


class Normal(Initializer):
    """Normal distribution of mean 0.

    Parameters
    ----------
    scale : float, default 0.05
        The standard deviation. Some textbooks use Glorot's *variance*, 2 / (n_in + n_out), as the
        standard deviation; to reproduce their results, give ``Normal(2 / (n_in + n_out))``.

    Raises
    ------
    ValueError
        An argument is not a number, or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer
    >>> from xpnet.initializers import Normal
    >>> w = Normal(scale=0.1)((1000, 100), np.random.default_rng(0))
    >>> round(float(w.std()), 3)
    0.1
    >>> layer = DenseLayer(8, initializer=Normal(0.1))
    """

    def __init__(self, scale: float = 0.05) -> None:
        self.scale = check_positive("scale", scale)

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw from N(0, scale²)."""
        return rng.normal(0.0, self.scale, shape)


class GlorotNormal(Initializer):
    """Normal distribution of variance 2 / (n_in + n_out): for tanh and sigmoid.

    Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural
    networks", eq. 12.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.initializers import GlorotNormal
    >>> w = GlorotNormal()((1000, 1000), np.random.default_rng(0))
    >>> round(float(w.var()), 4)  # 2 / (1000 + 1000)
    0.001
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw from N(0, 2 / (n_in + n_out))."""
        n_in, n_out = _fans(shape)
        return rng.normal(0.0, math.sqrt(2.0 / (n_in + n_out)), shape)


class GlorotUniform(Initializer):
    """Uniform distribution on ±√(6 / (n_in + n_out)): for tanh and sigmoid.

    Glorot and Bengio 2010, eq. 16; the same variance as :class:`GlorotNormal`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.initializers import GlorotUniform
    >>> w = GlorotUniform()((3, 3), np.random.default_rng(0))
    >>> bool(abs(w).max() <= 1.0)  # the square root of 6 / (3 + 3)
    True
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw from U(-√(6 / (n_in + n_out)), √(6 / (n_in + n_out)))."""
        n_in, n_out = _fans(shape)
        limit = math.sqrt(6.0 / (n_in + n_out))
        return rng.uniform(-limit, limit, shape)


class HeNormal(Initializer):
    """Normal distribution of variance 2 / n_in: for ReLU and its relatives.

    He et al. 2015, "Delving deep into rectifiers", eq. 10.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet import DenseLayer
    >>> from xpnet.initializers import HeNormal
    >>> w = HeNormal()((1000, 1000), np.random.default_rng(0))
    >>> round(float(w.var()), 4)  # 2 / 1000
    0.002
    >>> layer = DenseLayer(8, initializer="he_normal")
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw from N(0, 2 / n_in)."""
        return rng.normal(0.0, math.sqrt(2.0 / _fans(shape)[0]), shape)


class HeUniform(Initializer):
    """Uniform distribution on ±√(6 / n_in); the same variance as :class:`HeNormal`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnet.initializers import HeUniform
    >>> w = HeUniform()((6, 100), np.random.default_rng(0))
    >>> bool(abs(w).max() <= 1.0)  # the square root of 6 / 6
    True
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw from U(-√(6 / n_in), √(6 / n_in))."""
        limit = math.sqrt(6.0 / _fans(shape)[0])
        return rng.uniform(-limit, limit, shape)


class FromArray(Initializer):
    """The values of an array, e.g. weights that were trained elsewhere.

    ``DenseLayer(4, initializer=array)`` makes one.

    Parameters
    ----------
    values : array or nested list
        The values, in the shape of the parameter. They are copied.

    Raises
    ------
    TypeError, ValueError
        ``values`` are not finite real numbers.
    """

    def __init__(self, values: Array) -> None:
        found = np.array(to_host(values))
        if found.dtype.kind not in "biuf":
            raise TypeError(f"an array of type {found.dtype}: expected real numbers")
        if not np.isfinite(found).all():
            raise ValueError("an array with numbers that are not finite: expected finite numbers")
        self.values = found

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return the values, which must have this shape; ``rng`` is not used."""
        if self.values.shape != shape:
            raise ValueError(f"an array of shape {self.values.shape}: expected {shape}")
        return self.values


INITIALIZERS: dict[str, type[Initializer]] = {
    "zeros": Zeros,
    "normal": Normal,
    "glorot_normal": GlorotNormal,
    "glorot_uniform": GlorotUniform,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
}


def find_initializer(
    given: str | type[Initializer] | InitializerFunction | Array, name: str = "initializer"
) -> InitializerFunction:
    """Return an initializer from a name, a class, an instance, a function or an array.

    ``name`` is the argument's name, for messages.

    Raises
    ------
    UnknownNameError
        The name is not known.
    TypeError
        ``given`` is none of these.

    Examples
    --------
    >>> from xpnet.initializers import find_initializer
    >>> find_initializer("he_normal")
    HeNormal()
    """
    if isinstance(given, list) or (is_array(given) and not isinstance(given, Initializer)):
        try:
            return FromArray(given)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from error
    if callable(given) and not isinstance(given, type):
        return given
    return find(name, given, Initializer, INITIALIZERS, elsewhere=ELSEWHERE)


def draw(
    initializer: InitializerFunction,
    shape: tuple[int, ...],
    rng: np.random.Generator | None,
    what: str = "a parameter",
) -> np.ndarray:
    """Call an initializer and check its result; return zeros if a file has the values.

    ``what`` is the name of the parameter, for messages.

    Raises
    ------
    ValueError
        The array has another shape, or a value that is not finite.
    MemoryError
        The array does not fit in memory.
    """
    rng = np.random.default_rng() if rng is None else rng
    with naming_memory_errors("a parameter", shape):
        if not draws() and not isinstance(initializer, FromArray):  # whose shape may be wrong
            return np.zeros(shape, np.float32)
        try:
            values = np.asarray(initializer(shape, rng))
        except ValueError as error:
            raise ValueError(f"initial values of {what}: {error}") from error
    if values.shape != shape or not np.all(np.isfinite(values)):
        raise ValueError(
            f"the initializer {initializer!r} of {what} returned an array of shape {values.shape}: "
            f"expected finite numbers of shape {shape}"
        )
    return values


def random_key(rng: np.random.Generator | None) -> int:
    """Return a random integer in [0, 2**63), the key of a stream of random numbers."""
    return int((np.random.default_rng() if rng is None else rng).integers(2**63))


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the number of inputs and of outputs of a weight matrix."""
    return shape[0], shape[-1]


def __dir__() -> list[str]:
    return sorted(__all__)
