"""Array libraries and devices, and the few operations that need fast versions for them.

This package knows nothing of layers, losses or epochs. It ships as ``xpnet.backends``.

- :func:`resolve` turns a device name (``"cpu"``, ``"cuda"``) into a :class:`Backend`.
- :func:`backend_of` returns the backend of an array.
- :mod:`xpnet.backends.ops` defines the operations that can have fast versions per library.

To add a backend, write a file next to ``_numpy.py`` and add a line to ``_registry.py``. Other
packages register backends by an entry point in the group ``xpnet.backends``.
"""

if __name__ != "xpnet.backends":  # `import backends` in a checkout would load a second copy
    raise ImportError("import this package as xpnet.backends, not as " + __name__)

from . import (  # register NumPy's versions of the operations
    _numpy_formulas,  # noqa: F401
    _numpy_kernels,  # noqa: F401
)
from ._backend import Array, Backend, Memory, array_namespace, is_array, is_sparse
from ._errors import DeviceUnavailableError, UnknownNameError, unknown_name
from ._registry import available_backends, backend_of, move, move_state, on_gpu, resolve, to_host
from ._sparse import check_rows, check_structure, own_structure
from .cuda.cublas import PRECISIONS

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


def __dir__() -> list[str]:
    return sorted(__all__)
