"""Formulas of one number as programs: traced from array functions, differentiated, compiled.

An array API namespace is only a namespace, so :mod:`.namespace` is one of symbols. A function of
arrays that is called with symbols returns what it computes as an :class:`Expression`. From it come
its derivative, and programs for NumPy, Numba and CUDA.
"""

from . import scalars
from .derivatives import derivative
from .errors import UntraceableError
from .evaluation import evaluate
from .expressions import Expression, Graph
from .listing import Listing, Statement, listing
from .running import run
from .tracing import Formula, trace, trace_part

__all__ = [
    "Expression",
    "Formula",
    "Graph",
    "Listing",
    "Statement",
    "UntraceableError",
    "derivative",
    "evaluate",
    "listing",
    "run",
    "scalars",
    "trace",
    "trace_part",
]
