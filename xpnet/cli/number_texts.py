"""Writing predictions and probabilities with only the digits that the network's type has."""

import numpy as np

_MOST_DECIMALS = 400
"""More decimals than float64 has."""


def number_texts(
    values: np.ndarray, dtype: str, mean: float = 0.0, scale: float = 1.0
) -> list[str]:
    """Return numbers as strings, with the fewest digits that identify a network's outputs.

    Numbers of a float64 network are read back exactly. Numbers of a float32 network have at most 9
    digits, unless the mean of the target unit is much larger than its scale.

    Parameters
    ----------
    values : array of shape (n,)
        Finite predictions or probabilities.
    dtype : {"float32", "float64"}
        The type in which the network computes.
    mean, scale : float
        The target unit: the values are ``mean + scale * output``.

    Examples
    --------
    >>> third = np.array([1 / 3])
    >>> number_texts(third, "float64"), number_texts(third, "float32")
    (['0.3333333333333333'], ['0.33333334'])
    >>> number_texts(1e6 + 50 * third, "float32", mean=1e6, scale=50.0)
    ['1000016.666667']
    """
    if dtype == "float64":
        return [str(value) for value in values.tolist()]
    if (mean, scale) == (0.0, 1.0):
        return [str(value) for value in values.astype(dtype)]
    output = np.abs(values - mean) / scale
    if mean:  # outputs near 0 are differences of numbers near 1, and only as precise
        output = np.maximum(output, 1.0)
    below = np.nextafter(output.astype(dtype), np.float32(0.0))
    steps = scale * np.spacing(below).astype(np.float64)  # to the next smaller output
    with np.errstate(divide="ignore"):
        decimals = np.minimum(np.floor(-np.log10(steps)) + 1.0, _MOST_DECIMALS).astype(int)
    rounded = (round(*each) for each in zip(values.tolist(), decimals.tolist(), strict=True))
    return [str(value + 0.0) for value in rounded]  # 0.0 for -0.0
