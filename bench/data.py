"""The data sets that are trained on."""

import sys
from typing import Any

import numpy as np

from xpnet import Dataset, datasets


def mnist(samples: int) -> Dataset:
    """Return MNIST's first training images, or random ones of the same kind where it is not there.

    Returns
    -------
    Dataset
        ``X`` of shape (samples, 784), ``uint8``; ``y`` from 0 to 9.
    """
    try:
        data = datasets.load_mnist()[0]
    except (OSError, ImportError) as error:
        print(f"random images in place of MNIST's ({error})", file=sys.stderr)
        rng = np.random.default_rng(0)
        data = Dataset(rng.integers(0, 256, (60_000, 784), np.uint8), rng.integers(0, 10, 60_000))
    return data.rows(np.arange(min(samples, len(data))))


def digits_or_mnist() -> tuple[str, Dataset, float]:
    """Return images with their true labels: MNIST's or, where it is not there, the digits.

    Returns
    -------
    str
        Which they are.
    Dataset
        As they are stored.
    float
        The largest number that a pixel may have.

    Raises
    ------
    ImportError
        Neither is there: the digits come with scikit-learn.
    """
    try:
        return "MNIST", datasets.load_mnist()[0], 255.0
    except (OSError, ImportError):
        return "digits", datasets.load_digits(), 16.0


WORDS = 10_000
_DRAWS = 142
"""Words drawn for a row, of which about 130 are different ones."""


def word_counts(samples: int, words: int = WORDS, seed: int = 0) -> tuple[Any, np.ndarray]:
    """Return rows like those of film reviews: few words of many, some of them in most rows.

    The popularity of the word of rank r goes with 1 / (r + 20), Zipf's law with Mandelbrot's shift;
    the label is the sign of a random weighted sum of the words, so that there is something to
    learn.

    Returns
    -------
    X : SciPy CSR array of shape (samples, words), ``float32``
        1 where the row has the word, about 130 times.
    y : array of shape (samples,), ``int64``
        0 or 1, about as many of each.
    """
    from scipy import sparse

    rng = np.random.default_rng(seed)
    popularity = np.cumsum(1 / (np.arange(words) + 20.0))
    drawn = np.searchsorted(popularity / popularity[-1], rng.random((samples, _DRAWS)))
    rows = np.repeat(np.arange(samples, dtype=np.int32), _DRAWS)
    columns = drawn.reshape(-1).astype(np.int32)
    ones = np.ones(columns.size, np.float32)
    X = sparse.csr_array((ones, (rows, columns)), shape=(samples, words))
    X.sum_duplicates()
    X.data[:] = 1
    meaning = X @ rng.standard_normal(words)
    return X, (meaning > np.median(meaning)).astype(np.int64)
