"""Elementwise formulas: traced from array functions, differentiated, and compiled.

Array functions get their namespace from their arguments, and :mod:`.namespace` is a namespace of
symbols. So a function of arrays can be called with symbols. The result is its formula, an
:class:`Expression`, from which its derivative and programs for NumPy, Numba and CUDA are generated.
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
