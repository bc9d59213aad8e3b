"""Scikit-learn's small images of handwritten digits."""

import numpy as np

from ..data import Dataset


def load_digits() -> Dataset:
    """Return scikit-learn's digits: 1797 images of 8×8 pixels, with values from 0 to 16.

    Returns
    -------
    Dataset
        ``X`` of shape (1797, 64), ``uint8``; ``y`` of shape (1797,), ``int64``, 0 to 9.

    Raises
    ------
    ImportError
        scikit-learn is not installed.

    Examples
    --------
    >>> from xpnet.datasets import load_digits
    >>> load_digits()
    Dataset(1797 samples, 64 features of uint8 on cpu, labels of int64)
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(
            "load_digits needs scikit-learn, which contains the data: pip install scikit-learn"
        ) from error
    digits = datasets.load_digits()
    X, y = digits.data.astype(np.uint8), digits.target.astype(np.int64)
    return Dataset(X, y, list(digits.feature_names), "digit")
