"""Operations on SciPy's sparse matrices: features that are mostly zero, and stay sparse.

The weights' gradient is one sparse product. Computing only the rows of it that the batch touches
was slower (3 to 5 times, at 512 rows of 130 out of 10,000): a batch touches most of what is
common, and finding out which costs more than the product.
"""

from typing import Any

from scipy import sparse

from . import ops
from ._backend import Array


@ops.affine.register(sparse.csr_array, sparse.csr_matrix)
def affine(x: Any, w: Array, b: Array, out: Array | None = None) -> Array:
    """See :func:`ops.affine`; SciPy's product is a new array."""
    product = x @ w
    product += b
    return product


@ops.matmul.register(sparse.csc_array, sparse.csc_matrix)
def matmul(a: Any, b: Array, out: Array | None = None) -> Array:
    """See :func:`ops.matmul`; for the transpose of rows."""
    product = a @ b
    if out is None:
        return product
    out[...] = product
    return out
