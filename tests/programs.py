"""Random formulas: straight-line programs that run on arrays of any library and on symbols."""

from dataclasses import dataclass

import hypothesis.strategies as st
import numpy as np

from xpnet.backends import array_namespace, ops
from xpnet.backends.formula import expressions, namespace

TO_BOOL = expressions.COMPARISONS | expressions.TESTS
TESTS = sorted(expressions.TESTS)
COMPARISONS = sorted(expressions.COMPARISONS)
LOGICAL = sorted(expressions.LOGICAL - {"logical_not"})
ONE = sorted(set(namespace.ONE) - TO_BOOL - expressions.LOGICAL)
TWO = sorted(set(namespace.TWO) - TO_BOOL - expressions.LOGICAL)
OPERATORS = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "negative": lambda a: -a,
    "abs": abs,
}
OTHERS = {
    # abbreviations, and forms that tracing replaces with more accurate ones
    "square": lambda xp, a: xp.square(a),
    "reciprocal": lambda xp, a: xp.reciprocal(a),
    "positive": lambda xp, a: xp.positive(a),
    "ones_like": lambda xp, a: xp.ones_like(a),
    "zeros_like": lambda xp, a: xp.zeros_like(a),
    "full_like": lambda xp, a: xp.full_like(a, -2.5),
    "clip": lambda xp, a: ops.clip(a, -0.5, 2.0),
    "at_least": lambda xp, a: xp.maximum(a, 0.0),
    "at_most": lambda xp, a: xp.minimum(a, 1.0),
    "leaky": lambda xp, a: xp.where(a > 0, a, 0.1 * a),
    "logistic": lambda xp, a: 1.0 / (1.0 + xp.exp(-a)),
    "share": lambda xp, a: a / (xp.exp(a) + 1.0),
    "log_sum": lambda xp, a: xp.log(1.0 + xp.exp(a)),
    "log1p_exp": lambda xp, a: xp.log1p(xp.exp(a)),
    "log_sigmoid": lambda xp, a: xp.log(ops.sigmoid(a)),
    "one_minus": lambda xp, a: 1.0 - ops.sigmoid(a),
    "twice_negative": lambda xp, a: xp.negative(-a),
    "abs_negative": lambda xp, a: xp.abs(-a),
    "a**2": lambda xp, a: a**2,
    "a**3": lambda xp, a: a**3,
    "a**4": lambda xp, a: a**4,
    "a**0.5": lambda xp, a: a**0.5,
    "a**-1": lambda xp, a: a**-1.0,
    "a**1.5": lambda xp, a: a**1.5,
    "a*1": lambda xp, a: 1.0 * a,
    "a/1": lambda xp, a: a / 1.0,
}
STABLE = {
    "logistic": lambda xp, a: ops.sigmoid(a),
    "share": lambda xp, a: a * ops.sigmoid(-a),
    "log_sum": lambda xp, a: ops.softplus(a),
    "log1p_exp": lambda xp, a: ops.softplus(a),
    "log_sigmoid": lambda xp, a: -ops.softplus(-a),
    "one_minus": lambda xp, a: ops.sigmoid(-a),
}
"""The forms in ``OTHERS`` that tracing replaces, as their more accurate replacements."""
EXACT = {
    "sign", "negative", "abs", "maximum", "minimum", "positive", "ones_like", "zeros_like",
    "full_like", "clip", "at_least", "at_most", "twice_negative", "abs_negative", "a*1", "a/1",
}  # fmt: skip
KINDS = [
    *(("one", name) for name in ONE),
    *(("ops", name) for name in namespace.OF_OPS),
    *(("two", name) for name in TWO),
    *(("two", name) for name in ("add", "subtract", "multiply", "divide")),
    *(("operator", name) for name in OPERATORS),
    *(("other", name) for name in OTHERS),
    *(("compare", name) for name in COMPARISONS),
    *(("test", name) for name in TESTS),
    *(("logical", name) for name in LOGICAL),
    ("not", "logical_not"),
    ("where", "where"),
    ("where", "where"),
    ("where", "where_bool"),
    ("astype", "astype"),
    ("number", "number"),
    ("constant", "constant"),
]
CONSTANTS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.0, 1e-8, 1e3, float("inf"), float("nan"))


@dataclass(frozen=True)
class Drawn:
    """A random program.

    Attributes
    ----------
    n_inputs : int
    steps : tuple of (int, int, int, int)
        The kind of an operation, and three numbers that choose the operands among earlier results.
    n_outputs : int
    numbers : tuple of float
        The values of the numbers a0, a1, ...
    """

    n_inputs: int
    steps: tuple[tuple[int, int, int, int], ...]
    n_outputs: int
    numbers: tuple[float, ...]

    @property
    def names(self):
        return tuple(f"x{k}" for k in range(self.n_inputs))

    @property
    def given(self):
        return {f"a{k}": value for k, value in enumerate(self.numbers)}

    def __str__(self):
        names = [KINDS[kind % len(KINDS)][1] for kind, *_ in self.steps]
        return f"{self.n_inputs} inputs, {names}, {self.n_outputs} outputs, {self.numbers}"

    def __call__(self, *inputs, **numbers):
        """Return the outputs for arrays or symbols; the numbers are symbols or arrays."""
        return self._run(inputs, numbers, lambda name, value, *_: value, OTHERS)

    def run(self, inputs, numbers, seen):
        """Run with ``STABLE`` forms; ``seen(name, value, *operands)`` may replace each value."""
        return self._run(inputs, numbers, seen, OTHERS | STABLE)

    def _run(self, inputs, numbers, seen, others):
        xp = array_namespace(inputs[0])
        values, truths = list(inputs), []
        given = [numbers[f"a{k}"] for k in range(len(self.numbers))]

        def truth(k):
            if not truths:
                truths.append(seen("greater", values[-1] > values[0], values[-1], values[0]))
            return truths[k % len(truths)]

        for kind, *places in self.steps:
            group, name = KINDS[kind % len(KINDS)]
            a, b = (values[-1 - k % len(values)] for k in places[:2])
            if group == "one":
                values.append(seen(name, getattr(xp, name)(a), a))
            elif group == "ops":
                values.append(seen(name, getattr(ops, name)(a), a))
            elif group == "two":
                values.append(seen(name, getattr(xp, name)(a, b), a, b))
            elif group == "operator":
                operands = (a,) if name in ("negative", "abs") else (a, b)
                values.append(seen(name, OPERATORS[name](*operands), *operands))
            elif group == "other":
                values.append(seen(name, others[name](xp, a), a))
            elif group == "compare":
                truths.append(seen(name, getattr(xp, name)(a, b), a, b))
            elif group == "test":
                truths.append(seen(name, getattr(xp, name)(a), a))
            elif group == "logical":
                operands = truth(places[0]), truth(places[1])
                truths.append(seen(name, getattr(xp, name)(*operands), *operands))
            elif group == "not":
                truths.append(seen(name, xp.logical_not(truth(places[0])), truth(places[0])))
            elif name == "where":
                values.append(seen(name, xp.where(truth(places[2]), a, b), a, b))
            elif name == "where_bool":
                operands = [truth(k) for k in places]
                truths.append(seen(name, xp.where(*operands), *operands))
            elif name == "astype":
                values.append(seen(name, xp.astype(truth(places[0]), inputs[0].dtype), a))
            elif name == "number" and given:
                values.append(given[places[0] % len(given)])
            else:
                value = CONSTANTS[places[0] % len(CONSTANTS)]
                values.append(xp.full_like(inputs[0], value))
        return tuple(values[-self.n_outputs :])


_PLACES = 7
# One number per step, because Hypothesis is slow for each drawn number.
_step = st.integers(0, len(KINDS) * _PLACES**3 - 1).map(
    lambda k: (k // _PLACES**3, k // _PLACES**2 % _PLACES, k // _PLACES % _PLACES, k % _PLACES)
)
_number = st.sampled_from((0.5, -1.5, 0.0, 1.0, 2.0, 3.0, 1e-8, -0.25, 40.0))
drawn = st.builds(
    Drawn,
    st.integers(1, 3),
    st.lists(_step, min_size=1, max_size=14).map(tuple),
    st.integers(1, 3),
    st.lists(_number, max_size=2).map(tuple),
)


def random_program(rng, n_inputs=2, n_outputs=1):
    """Return a program of nine steps, drawn without Hypothesis, to compile many together."""
    steps = [(int(rng.integers(len(KINDS))), *map(int, rng.integers(7, size=3))) for _ in range(9)]
    return Drawn(n_inputs, tuple(steps), n_outputs, (0.5, -1.5))


SPECIAL = (
    0.0, -0.0, 1.0, -1.0, 0.5, 6.0, -6.0, float("nan"), float("inf"), -float("inf"),
    5e-324, -1e-310, 1e-40, 1e-30, -1e-30, 1e30, -1e30, 88.8, -88.8, 710.0, -746.0,
)  # fmt: skip


def with_special(rng, shape, dtype):
    """Return an array of ordinary numbers and, for about a third, special values."""
    ordinary = rng.uniform(-3, 3, shape)
    special = rng.choice(SPECIAL, shape)
    with np.errstate(over="ignore", under="ignore"):
        return np.where(rng.random(shape) < 0.7, ordinary, special).astype(dtype)
