"""Run formulas on arrays, by a library's fast version if there is one."""

from collections.abc import Mapping, Sequence

from .._backend import Array
from .._dispatch import operation
from .evaluation import evaluate
from .tracing import Formula


@operation
def run(
    first: Array,
    *others: Array,
    formula: Formula,
    numbers: Mapping[str, float],
    outs: Sequence[Array] | None = None,
    overwrites: tuple[str | None, ...] = (),
) -> tuple[Array, ...]:
    """Return the outputs of a formula.

    Parameters
    ----------
    first, *others : array
        An array for each input of the formula, all of one dtype; fast versions need equal shapes.
    formula : Formula
    numbers : mapping of str to float
    outs : sequence of array, optional
        Arrays that a version may overwrite with the results, or ignore.
    overwrites : tuple of str or None
        For each of ``outs``, the name of the input that may be the same array.
    """
    names = [each.operands[0] for each in formula.inputs]
    inputs = dict(zip(names, (first, *others), strict=True))
    return evaluate(formula.outputs, inputs, numbers)
