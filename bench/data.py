"""The data sets of the benchmarks."""

import sys
from typing import Any

import numpy as np

from xpnet import Dataset, datasets


def mnist(samples: int) -> Dataset:
    """Return the first training images of MNIST, or random images if MNIST is not available.

    Returns
    -------
    Dataset
        ``X`` of shape (samples, 784), ``uint8``; ``y`` from 0 to 9.
    """
    try:
        data = datasets.load_mnist()[0]
    except (OSError, ImportError) as error:
        print(f"using random images instead of MNIST ({error})", file=sys.stderr)
        rng = np.random.default_rng(0)
        data = Dataset(rng.integers(0, 256, (60_000, 784), np.uint8), rng.integers(0, 10, 60_000))
    return data.rows(np.arange(min(samples, len(data))))


def digits_or_mnist() -> tuple[str, Dataset, float]:
    """Return MNIST or, if it is not available, scikit-learn's digits.

    Returns
    -------
    str
        The name of the data set.
    Dataset
        The images as stored, with their labels.
    float
        The largest value of a pixel.

    Raises
    ------
    ImportError
        Neither is available.
    """
    try:
        return "MNIST", datasets.load_mnist()[0], 255.0
    except (OSError, ImportError):
        return "digits", datasets.load_digits(), 16.0


WORDS = 10_000
_DRAWS = 142
"""Words drawn per row, of which about 130 are distinct."""


def word_counts(samples: int, words: int = WORDS, seed: int = 0) -> tuple[Any, np.ndarray]:
    """Return sparse rows that resemble bag-of-words film reviews.

    The frequency of the word of rank r is proportional to 1 / (r + 20), by the Zipf-Mandelbrot law.
    The label says whether a randomly weighted sum of the words is above its median, so that it can
    be learned.

    Returns
    -------
    X : SciPy CSR array of shape (samples, words), ``float32``
        1 for each word of the row, about 130 per row, and 0 elsewhere.
    y : array of shape (samples,), ``int64``
        0 or 1, about equally often.
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
