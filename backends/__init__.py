"""Where arrays live, and the few operations on them that must be fast.

This package knows machines only: no layer, no loss, no epoch. It ships as ``xpnet.backends``.

- :func:`resolve` turns the word a user says (``"cpu"``, ``"cuda"``) into a :class:`Backend`.
- :func:`backend_of` tells which backend an array belongs to.
- :mod:`xpnet.backends.ops` holds the operations with fast versions of their own.

A new backend is one file beside ``_numpy.py`` and one line in ``_registry.py``; one of a third
party is an entry point in the group ``xpnet.backends``.
"""

if __name__ != "xpnet.backends":  # `import backends` from the root of a checkout: a second copy
    raise ImportError("import this package as xpnet.backends, not as " + __name__)

from . import _numpy_kernels  # noqa: F401 - registers NumPy's versions of the operations
from ._backend import Array, Backend, Memory, array_namespace, is_array, is_sparse
from ._cublas import PRECISIONS
from ._errors import DeviceUnavailableError, UnknownNameError, unknown_name
from ._registry import (
    available_backends,
    backend_of,
    move,
    move_state,
    on_gpu,
    resolve,
    to_host,
)
from ._sparse import check_rows, check_structure, own_structure

__all__ = [
    "PRECISIONS",
    "Array",
    "Backend",
    "DeviceUnavailableError",
    "Memory",
    "UnknownNameError",
    "array_namespace",
    "available_backends",
    "backend_of",
    "check_rows",
    "check_structure",
    "is_array",
    "is_sparse",
    "move",
    "move_state",
    "on_gpu",
    "own_structure",
    "resolve",
    "to_host",
    "unknown_name",
]
