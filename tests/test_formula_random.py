"""Random formulas: their programs against the same functions called with arrays."""

import itertools
from collections import Counter
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from xpnet.backends import _numpy_formulas as on_numpy
from xpnet.backends.formula import Formula, derivative, evaluate, trace_part

from .programs import EXACT, drawn, with_special

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
WIDER = {"float32": "float64", "float64": "longdouble"}
seeds = st.integers(0, 2**32 - 1)


def often(n):
    return settings(
        max_examples=n,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )


def traced(program, dtype="float64"):
    """Return the formula of a program, whose numbers are symbols."""

    def function(part, *inputs, **numbers):
        return program(*inputs, **numbers)

    return trace_part(Part(), function, program.names, dtype, arguments=tuple(program.given))


class Part:
    """An object without attributes."""


def plainly(program, inputs, dtype=None, seen=None):
    """Return what the program gives for arrays, in another type if asked for."""
    if dtype is not None:
        inputs = [array.astype(dtype) for array in inputs]
    numbers = {name: np.full_like(inputs[0], value) for name, value in program.given.items()}
    return program.run(inputs, numbers, seen or (lambda name, value, *_: value))


def same(a, b):
    return (a == b) | (np.isnan(a) & np.isnan(b))


def jittered(program, inputs, rng):
    """Return the values with the result of each operation wrong in its last digits."""
    eps = np.finfo(inputs[0].dtype).eps

    def seen(name, value, *operands):
        if name in EXACT or value.dtype == bool:
            return value
        return value * (1 + eps * rng.choice([-2, -1, 1, 2], value.shape)).astype(value.dtype)

    return plainly(program, inputs, seen=seen)


def assert_values(got, program, inputs, count):
    """Refuse values that differ from the plain function's by more than its own rounding errors.

    Most are equal to the last bit. Formulas with numbers, which are computed in float64, or with
    forms that are replaced by better ones, may differ: there, the value must be within the spread
    of the plain function under rounding errors, or be that of wider numbers.
    """
    dtype = inputs[0].dtype
    plain = plainly(program, inputs)
    count["values"] += sum(each.size for each in got)
    if all(same(a, b).all() for a, b in zip(got, plain, strict=True)):
        count["equal"] += sum(each.size for each in got)
        return
    rng = np.random.default_rng(0)
    jitters = [jittered(program, inputs, rng) for _ in range(8)]
    wide = plainly(program, inputs, WIDER[dtype.name])
    for k, value in enumerate(got):
        ok = same(value, plain[k])
        count["equal"] += int(ok.sum())
        spread = np.max([np.abs(each[k] - plain[k]) for each in jitters], axis=0)
        tolerance = 30 * spread + 8 * np.finfo(dtype).eps * np.abs(plain[k])
        tolerance += 30 * np.finfo(dtype).smallest_subnormal
        ok |= np.abs(value - plain[k]) <= tolerance
        # NaN in the spread: rounding decides whether there is a number at all
        unstable = np.any(
            [np.isfinite(each[k]) != np.isfinite(plain[k]) for each in jitters], axis=0
        )
        reference = wide[k].astype(dtype)
        close = np.abs(value - reference) <= 64 * np.finfo(dtype).eps * np.abs(reference)
        better = same(value, reference) | close | (np.abs(value - reference) <= tolerance)
        count["better"] += int((better & ~ok).sum())
        ok |= better
        count["unstable"] += int((unstable & ~ok).sum())
        ok |= unstable
        assert ok.all(), (
            f"{program}\ninputs {[array[~ok] for array in inputs]}\ngot {value[~ok]}, plainly "
            f"{plain[k][~ok]}, wider {wide[k][~ok]}, tolerance {tolerance[~ok]}"
        )


values = Counter()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values(dtype, monkeypatch):
    monkeypatch.setattr(on_numpy, "BLOCK", 7)
    count = Counter()

    @often(1000)
    @given(drawn, seeds, st.sampled_from([(17,), (7,), (3,), (0,), (), (4, 5)]))
    def check(program, seed, shape):
        rng = np.random.default_rng(seed)
        inputs = [with_special(rng, shape, dtype) for _ in program.names]
        formula = traced(program, dtype)
        by_name = dict(zip(program.names, inputs, strict=True))
        expected = evaluate(formula.outputs, by_name, program.given)
        for each in expected:
            assert each.dtype == dtype
            assert each.shape == shape
        assert_values(expected, program, inputs, count)
        count["trees"] += 1
        got = on_numpy.compute_formula(*inputs, formula=formula, numbers=program.given)
        for ours, reference in zip(got, expected, strict=True):
            assert ours.dtype == dtype
            close = np.abs(ours - reference) <= 4 * np.finfo(dtype).eps * np.abs(reference)
            if not (same(ours, reference) | close).all():
                assert_values(got, program, inputs, count)

    check()
    print(dtype, dict(count))
    assert count["trees"] >= 1000
    assert count["equal"] > 0.85 * count["values"]
    assert count["unstable"] < 0.02 * count["values"]


def patterns(n_inputs, n_outputs):
    """Yield, for each output, the input that it overwrites or None; no input twice."""
    for chosen in itertools.product([None, *range(n_inputs)], repeat=n_outputs):
        used = [k for k in chosen if k is not None]
        if len(set(used)) == len(used):
            yield chosen


@pytest.mark.parametrize("strided", [False, True])
def test_outputs_in_the_memory_of_inputs(strided, monkeypatch):
    monkeypatch.setattr(on_numpy, "BLOCK", 5)
    count = Counter()

    @often(500)
    @given(drawn, seeds)
    def check(program, seed):
        rng = np.random.default_rng(seed)
        formula = traced(program)
        inputs = [with_special(rng, (13,), "float64") for _ in program.names]
        expected = on_numpy.compute_formula(*inputs, formula=formula, numbers=program.given)
        every = list(patterns(len(inputs), len(expected)))
        for k in rng.permutation(len(every))[:8]:
            given = [layout(array, strided) for array in inputs]
            outs = [
                np.full_like(given[0], 7.5) if place is None else given[place][:]
                for place in every[k]
            ]
            names = tuple(None if place is None else f"x{place}" for place in every[k])
            on_numpy.compute_formula(
                *given, formula=formula, numbers=program.given, outs=outs, overwrites=names
            )
            count["patterns"] += 1
            for ours, reference in zip(outs, expected, strict=True):
                np.testing.assert_array_equal(ours, reference, err_msg=f"{program}, {names}")
            for place, (now, before) in enumerate(zip(given, inputs, strict=True)):
                if place not in every[k]:
                    np.testing.assert_array_equal(now, before)

    check()
    assert count["patterns"] > 1500


def layout(array, strided):
    return np.repeat(array, 2)[::2] if strided else array.copy()


def test_values_with_another_library():
    xps = pytest.importorskip("array_api_strict")

    @often(300)
    @given(drawn, seeds)
    def check(program, seed):
        rng = np.random.default_rng(seed)
        inputs = {name: with_special(rng, (6,), "float64") for name in program.names}
        formula = traced(program)
        expected = evaluate(formula.outputs, inputs, program.given)
        theirs = {name: xps.asarray(array) for name, array in inputs.items()}
        got = evaluate(formula.outputs, theirs, program.given)
        for ours, reference in zip(got, expected, strict=True):
            assert ours.dtype == xps.float64
            np.testing.assert_allclose(np.asarray(ours), reference, rtol=1e-14)

    check()


# ---- derivatives

LARGEST, NEAREST = 1e3, 1e-3


def trouble(program, inputs):
    """Return where a value is so large or so near to a kink or a pole that rounding decides.

    It looks at the plain function alone.
    """
    bad = np.zeros(inputs[0].shape, bool)

    def seen(name, value, *operands):
        nonlocal bad
        if value.dtype != bool:
            bad |= ~(np.abs(value) < LARGEST)
        if name in _WITH_KINK:
            a, b = (*operands, np.zeros_like(operands[0]))[:2]
            for border in _WITH_KINK[name] or (b,):
                bad |= (np.abs(a - border) < NEAREST) & ~(same(a, b) & _constant(a, b))
        elif name in _WITH_POLE:
            bad |= np.abs(operands[_WITH_POLE[name]]) < NEAREST
        if name == "pow" and np.ptp(operands[1]) != 0:
            bad |= operands[0] < NEAREST  # numbers only at whole exponents
        return value

    plainly(program, inputs, seen=seen)
    return bad


def _constant(a, b):
    """Whether both operands are the same for all elements: then there is nothing to differ."""
    return a is b or (np.ptp(a) == 0 and np.ptp(b) == 0)


_WITH_KINK = {name: None for name in ("maximum", "minimum", "less", "less_equal", "greater")}
_WITH_KINK |= {name: None for name in ("greater_equal", "equal", "not_equal")}
_WITH_KINK |= {"abs": (0.0,), "sign": (0.0,), "clip": (-0.5, 2.0), "at_least": (0.0,)}
_WITH_KINK |= {"at_most": (1.0,), "leaky": (0.0,), "abs_negative": (0.0,)}
_WITH_POLE = {"divide": 1, "reciprocal": 0, "log": 0, "sqrt": 0, "pow": 0, "a**0.5": 0}
_WITH_POLE |= {"a**-1": 0, "a**1.5": 0}


def slopes(program, by):
    formula = traced(program)
    outputs = tuple(derivative(each, formula.inputs[by]) for each in formula.outputs)
    return formula, Formula(formula.inputs, outputs)


def by_torch(program, inputs, by):
    """Return the derivatives of the outputs' sum over elements, by PyTorch."""
    import torch

    tensors = [torch.tensor(array) for array in inputs]
    tensors[by].requires_grad_(True)
    numbers = {name: torch.full_like(tensors[0], value) for name, value in program.given.items()}
    found = []
    for output in program(*tensors, **numbers):
        if not output.requires_grad:
            found.append(np.zeros_like(inputs[0]))
            continue
        (slope,) = torch.autograd.grad(
            output.sum(), tensors[by], retain_graph=True, allow_unused=True
        )
        found.append(np.zeros_like(inputs[0]) if slope is None else slope.numpy())
    return found


def by_differences(program, inputs, by, h=1e-4):
    """Return the derivatives by differences of fourth order, and their errors at most."""
    found, coarse = (_differences(program, inputs, by, step) for step in (h, 2 * h))
    return found, [10 * np.abs(a - b) for a, b in zip(found, coarse, strict=True)]


def _differences(program, inputs, by, h):
    def at(step):
        moved = list(inputs)
        moved[by] = inputs[by] + step * h
        return plainly(program, moved)

    far, near = zip(at(-2), at(2), strict=True), zip(at(-1), at(1), strict=True)
    return [(8 * (b - a) - (d - c)) / (12 * h) for (a, b), (c, d) in zip(near, far, strict=True)]


@pytest.mark.parametrize("reference", ["torch", "differences"])
def test_derivatives(reference):
    if reference == "torch" and find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    count = Counter()

    @often(1000)
    @given(drawn, seeds)
    def check(program, seed):
        rng = np.random.default_rng(seed)
        by = seed % program.n_inputs
        inputs = [rng.uniform(-3, 3, 12) for _ in program.names]
        _, formula = slopes(program, by)
        got = on_numpy.compute_formula(*inputs, formula=formula, numbers=program.given)
        count["trees"] += 1
        bad = trouble(program, inputs)
        for step in (-4, 4) if reference == "differences" else ():
            moved = list(inputs)
            moved[by] = inputs[by] + step * 1e-4
            bad |= trouble(program, moved)
        if reference == "torch":
            expected, errors = by_torch(program, inputs, by), [0.0] * len(got)
        else:
            expected, errors = by_differences(program, inputs, by)
        for ours, theirs, error in zip(got, expected, errors, strict=True):
            count["points"] += 12
            good = ~bad & np.isfinite(theirs) & (np.abs(theirs) < LARGEST)
            tolerance = 1e-9 if reference == "torch" else 1e-6
            allowed = tolerance * (1 + np.abs(theirs)) + error
            wrong = good & ~(np.abs(ours - theirs) <= allowed)
            good &= allowed < 1e-4 * (1 + np.abs(theirs))
            assert not wrong.any(), (
                f"{program} at {[array[wrong] for array in inputs]}: got {ours[wrong]}, expected "
                f"{theirs[wrong]}"
            )
            count["compared"] += int(good.sum())
            count["nonzero"] += int((theirs[good] != 0).sum())

    check()
    print(dict(count))
    assert count["trees"] >= 1000
    assert count["compared"] > 0.6 * count["points"]
    assert count["nonzero"] > 0.4 * count["compared"]
