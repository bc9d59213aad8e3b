"""Kernels generated from formulas, as CUDA C++ that uses the functions of ``common.cuh``.

Each function takes a :class:`~xpnet.backends.formula.Listing` and returns a :class:`Kernel`. The
numbers of the formula are arguments of the launch, so changing one compiles nothing.

Values that depend only on numbers are computed in float64: on the host (:func:`fixed`) or, for an
optimizer's rule, by one thread of each block, since the learning rate and the update number are on
the device. The kernel uses them in the dtype of the network.
"""

import hashlib
from collections.abc import Iterable, Mapping

from ..formula.evaluation import shared_values
from ..formula.listing import Listing, Statement
from .kernels import Kernel


def fixed(listing: Listing, numbers: Mapping[str, float]) -> list[float]:
    """Return the values of ``listing.shared``, the last arguments of all kernels but ``update``.

    Parameters
    ----------
    listing : Listing
    numbers : mapping of str to float
    """
    return [float(value) for value in shared_values(listing, numbers)]


def activation(listing: Listing) -> Kernel:
    """Return the kernel that sets z to f(z + b), and d to f'(z + b) if f' is the second output.

    Only the first input is used. The arguments are z, b or null, d if there is one, rows, columns,
    and :func:`fixed`.
    """
    keeps = len(listing.results) > 1
    text = _Code(listing)
    body = [
        f"each_output(z, b, rows, n, [&](unsigned i, {_unused('REAL x0')}) {{",
        *_indented(text.inside),
        f"    z[i] = {text.results[0]};",
        *([f"    d[i] = {text.results[1]};"] if keeps else []),
        "});",
    ]
    arrays = ["REAL* z", "const REAL* b", *(["REAL* d"] if keeps else [])]
    return _kernel("activation", [*arrays, "int rows", "int n", *text.parameters], body)


def back(listing: Listing) -> Kernel:
    """Return the kernel that multiplies e by a formula of the activation, and sums its columns.

    The last input is the activation. The arguments are e, the activation, the sums (one row for
    each of gridDim.y groups of rows), rows, columns, and :func:`fixed`.
    """
    text = _Code(listing)
    body = [
        "back_columns(parts, rows, n, [&](int64 i) {",
        f"    {_unused(f'const REAL x{len(listing.inputs) - 1}')} = a[i];",
        *_indented(text.inside),
        f"    return e[i] *= {text.results[0]};",
        "});",
    ]
    arrays = ["REAL* e", "const REAL* a", "REAL* parts"]
    return _kernel("back", [*arrays, "int rows", "int n", *text.parameters], body)


def loss(listing: Listing) -> Kernel:
    """Return the kernel of a loss per output; the formula returns the loss and its derivative.

    The inputs are the target and the output. The arguments are z, e, the targets, the order, the
    samples' weights or null, the state, the rows' losses, rows, columns, the factor of the loss,
    the largest loss to report for one output, and :func:`fixed`.
    """
    text = _Code(listing)
    arguments = "z, e, targets, order, weights, state, losses, rows, n, factor, limit"
    inputs = f"{_unused('REAL x0')}, {_unused('REAL x1')}"
    body = [
        f"each_row({arguments}, [&]({inputs}, REAL& slope) {{",
        *_indented(text.inside),
        f"    slope = {text.results[1]};",
        f"    return (REAL){text.results[0]};",
        "});",
    ]
    parameters = [
        "const REAL* z", "REAL* e", "const REAL* targets", "const int64* order",
        "const REAL* weights", "const State* state", "double* losses", "int rows", "int n",
        "double factor", "double limit",
    ]  # fmt: skip
    return _kernel("loss", [*parameters, *text.parameters], body)


def penalty(listing: Listing) -> Kernel:
    """Return the kernel that adds a penalty's derivative to the gradient.

    The input is a weight; the only output is the derivative. The arguments are g, w, the state, the
    number of weights, a factor, whether to divide by the total weight of the batch's samples (2: of
    all batches since the last update), and :func:`fixed`.
    """
    text = _Code(listing)
    body = [
        "double scale = state->scale * share;",
        "const double total = weighted == 2 ? state->group_weight : state->total;",
        "if (weighted) scale = total > 0 ? scale / total : 0;",
        "const REAL factor = (REAL)scale;",
        *_over_elements(
            [f"{_unused('const REAL x0')} = w[i];"],
            text.inside,
            [f"g[i] += factor * {text.results[0]};"],
        ),
    ]
    parameters = ["REAL* g", "const REAL* w", "const State* state", "int64 n"]
    parameters += ["double share", "int weighted", *text.parameters]
    return _kernel("penalty", parameters, body)


def update(listing: Listing) -> Kernel:
    """Return the kernel of an optimizer's update rule.

    The inputs are the weight, its gradient and the optimizer's state; the outputs are the new
    weight and the new state. The numbers ``rate`` and ``t`` are the step's learning rate and update
    number. The arguments are w, g, the arrays of the optimizer's state, the state of training, the
    number of weights, the factor of the rate, the number of updates that these weights have missed,
    and all other numbers.
    """
    known = {"rate": "(state->rate * relative)", "t": "((double)state->update - missed)"}
    text = _Code(listing, known)
    arrays = [f"a{k}" for k in range(len(listing.inputs))]
    loads = ["a0[i]", "factor * a1[i]", *(f"{name}[i]" for name in arrays[2:])]
    outputs = [name for name in arrays if name != "a1"]
    body = [
        *(["(void)relative;"] if "rate" not in listing.numbers else []),
        *(["(void)missed;"] if "t" not in listing.numbers else []),
        *text.hoisted(),
        "const REAL factor = (REAL)state->factor;",
        *_over_elements(
            [f"{_unused(f'const REAL x{k}')} = {load};" for k, load in enumerate(loads)],
            text.inside,
            [f"{a}[i] = {new};" for a, new in zip(outputs, text.results, strict=True)],
        ),
    ]
    parameters = [f"{'const ' if name == 'a1' else ''}REAL* {name}" for name in arrays]
    parameters += ["const State* state", "int64 n", "double relative", "double missed"]
    parameters += text.numbers()
    return _kernel("update", parameters, body)


def elementwise(listing: Listing) -> Kernel:
    """Return the kernel that computes a formula for each element.

    The arguments are the inputs, the outputs, which may be the same arrays, the number of elements,
    and :func:`fixed`.
    """
    text = _Code(listing)
    inputs, outputs = range(len(listing.inputs)), range(len(listing.results))
    body = _over_elements(
        [f"{_unused(f'const REAL x{k}')} = a{k}[i];" for k in inputs],
        text.inside,
        [f"o{k}[i] = {text.results[k]};" for k in outputs],
    )
    parameters = [*(f"const REAL* a{k}" for k in inputs), *(f"REAL* o{k}" for k in outputs)]
    return _kernel("formula", [*parameters, "int64 n", *text.parameters], body)


# ---- the parts of the generated code


class _Code:
    """A listing as C++ code.

    The inputs are ``x0``, ``x1``, ... The values of ``listing.shared`` are ``s0``, ``s1``, ..., in
    the dtype of the network.

    Parameters
    ----------
    listing : Listing
    known : mapping of str to str, optional
        Numbers that are in the state of training, with the code that reads them.

    Attributes
    ----------
    parameters : list of str
        The kernel's parameters for ``listing.shared``.
    inside : list of str
        The lines that compute one element.
    results : list of str
    """

    def __init__(self, listing: Listing, known: Mapping[str, str] | None = None) -> None:
        self._listing, self._known = listing, known or {}
        self.parameters = [f"REAL s{k}" for k in range(len(listing.shared))]
        names = {f"in_{name}": f"x{k}" for k, name in enumerate(listing.inputs)}
        names |= {name: f"s{k}" for k, name in enumerate(listing.shared)}
        names |= {name: _literal(value, "REAL") for name, value in listing.constants}
        self.inside = [_line(each, names, "REAL") for each in listing.inside]
        self.results = [names.get(name, name) for name in listing.results]

    def numbers(self) -> list[str]:
        """Return the kernel's parameters for the numbers that are not in the state."""
        names = enumerate(self._listing.numbers)
        return [f"double n{k}" for k, name in names if name not in self._known]

    def hoisted(self) -> list[str]:
        """Return the lines that compute the values of ``listing.shared`` on the device.

        They also end the kernel if the update is skipped.
        """
        listing, skip = self._listing, "if (state->skipped) return;"
        names = {
            f"n_{name}": self._known.get(name, f"n{k}") for k, name in enumerate(listing.numbers)
        }
        names |= {name: _literal(value, "double") for name, value in listing.constants}
        values = [f"(REAL){names.get(name, name)}" for name in listing.shared]
        if not listing.before:
            return [skip, *(f"const REAL s{k} = {value};" for k, value in enumerate(values))]
        return [
            f"SHARED(REAL, shared, {len(values)});",
            skip,
            "if (threadIdx.x == 0) {  // once per block, since powers of doubles are slow on GPUs",
            *_indented(_line(each, names, "double") for each in listing.before),
            *_indented(f"shared[{k}] = {value};" for k, value in enumerate(values)),
            "}",
            "__syncthreads();",
            *(f"const REAL s{k} = shared[{k}];" for k in range(len(values))),
        ]


def _line(statement: Statement, names: Mapping[str, str], real: str) -> str:
    """Return a statement in C++, where booleans are the numbers 1 and 0."""
    name, operation, operands, _ = statement
    form = _FORMATS.get(operation, f"{operation}({', '.join(['{}'] * len(operands))})")
    value = form.replace("REAL", real).format(*(names.get(each, each) for each in operands))
    return f"const {real} {name} = {value};"


_FORMATS = {
    "add": "{} + {}",
    "subtract": "{} - {}",
    "multiply": "{} * {}",
    "divide": "{} / {}",
    "negative": "-{}",
    "abs": "fabs({})",
    "less": "{} < {}",
    "less_equal": "{} <= {}",
    "greater": "{} > {}",
    "greater_equal": "{} >= {}",
    "equal": "{} == {}",
    "not_equal": "{} != {}",
    "logical_and": "{} && {}",
    "logical_or": "{} || {}",
    "logical_xor": "(!{}) != (!{})",
    "logical_not": "!{}",
    "maximum": "larger<REAL>({}, {})",
    "minimum": "smaller<REAL>({}, {})",
    "where": "{} ? {} : {}",
}
"""Formats of the operations that are not C++ functions of the same name."""


def _literal(value: float | bool, real: str) -> str:
    """Return a constant as an exact literal; without headers, infinity and NaN have no names."""
    if value != value:
        text = "not_a_number()"
    elif value in (float("inf"), float("-inf")):
        text = "infinite()" if value > 0 else "(-infinite())"
    else:  # repr has the shortest digits that are exact
        text = f"({float(value)!r})"
    return f"({real}){text}"


def _unused(declaration: str) -> str:
    """Return a declaration that causes no warning if the formula does not use the variable."""
    return f"[[maybe_unused]] {declaration}"


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _over_elements(*groups: Iterable[str]) -> list[str]:
    """Return a loop over all elements, whose index is ``i``."""
    inside = [line for group in groups for line in group]
    return ["for (int64 i = first_index(); i < n; i += stride()) {", *_indented(inside), "}"]


_LETTERS = {"int": "i", "int64": "l", "double": "d", "REAL": "r"}


def _kernel(kind: str, parameters: list[str], body: list[str]) -> Kernel:
    """Return the kernel with these parameters and lines."""
    kinds = [each.rpartition(" ")[0] for each in parameters]
    signature = "".join("p" if each.endswith("*") else _LETTERS[each] for each in kinds)
    text = "\n".join([f"({', '.join(parameters)}) {{", *_indented(body), "}\n"])
    name = f"{kind}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return Kernel(name, signature, f"KERNEL {name}{text}")
