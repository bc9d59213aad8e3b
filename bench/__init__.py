"""Measurements: how fast, how large, beside whom. Not a part of the package."""

import xpnet  # noqa: F401 - before NumPy, so that BLAS's threads do not spin through what follows
