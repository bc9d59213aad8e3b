"""Well-known data sets: scikit-learn's digits, MNIST, and IMDB film reviews."""

from .digits import load_digits
from .imdb import load_imdb
from .mnist import load_mnist

__all__ = ["load_digits", "load_imdb", "load_mnist"]


def __dir__() -> list[str]:
    return sorted(__all__)
