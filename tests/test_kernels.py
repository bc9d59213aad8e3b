"""Every fast version of an operation against its definition."""

import inspect
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest

from xpnet import L1, L1L2, L2, SGD, Adam
from xpnet.backends import _numpy_formulas, _numpy_kernels, ops
from xpnet.common.traceable import apply
from xpnet.optimizers import OPTIMIZERS
from xpnet.optimizers.base import ruled

N = 2 * _numpy_formulas.BLOCK + 123

# operation -> the numbers that it takes besides arrays, and how many arrays (w, g and state)
CASES = {"scale": [(1, (0.99,))], "clip": [(1, (-0.5, 0.25))]}


# operation -> the shapes that it takes for a batch of n, and the shape of its result
BATCH = {
    "matmul": lambda n: ([(n, 4), (4, 3)], (n, 3)),
    "affine": lambda n: ([(n, 4), (4, 3), (3,)], (n, 3)),
    "column_sum": lambda n: ([(n, 4)], (4,)),
    "standardize": lambda n: ([(n, 4), (4,), (4,)], (n, 4)),
}


@pytest.mark.parametrize("name", BATCH)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [0, 1, 7])
@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("with_out", [False, True])
def test_fast_batch_operations_are_their_definitions(name, dtype, n, strided, with_out, rng):
    shapes, result = BATCH[name](n)
    arrays = [rng.uniform(0.5, 2, shape).astype(dtype) for shape in shapes]
    if strided:
        arrays[0] = np.asfortranarray(np.repeat(arrays[0], 2, axis=0))[::2]
    operation = getattr(ops, name)
    expected = operation.dispatch(object)(*arrays)
    out = np.full(result, np.nan, dtype) if with_out else None
    got = operation(*arrays, out=out)
    assert got.dtype == dtype
    assert got is out or not with_out
    np.testing.assert_allclose(got, expected, rtol=1e-5 if dtype == "float32" else 1e-13)


# operations with a test of their own below
ROWS = ("take_rows", "rowwise", "dropout_mask", "all_finite", "softmax_cross_entropy", "norm")
ROWS += ("sum_rows",)  # in test_embeddings.py


@pytest.mark.parametrize("shape", [(0, 3), (1, 2), (5, 3), (70, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1.0, 1000.0])
def test_softmax_cross_entropy_is_its_definition(shape, dtype, size, rng):
    z = (size * rng.standard_normal(shape)).astype(dtype)
    labels, kept = rng.integers(0, shape[1], shape[0]), z.copy()
    got = ops.softmax_cross_entropy(z, labels)
    expected = ops.softmax_cross_entropy.dispatch(object)(z, labels)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for ours, reference in zip(got, expected, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, reference, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(z, kept)


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (70_000,), (9, 8_000)])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1.0, 1e30])
def test_the_norm_neither_overflows_nor_vanishes(shape, size, rng):
    x = np.asarray(size * rng.standard_normal(shape), dtype=np.float32)
    assert ops.norm(x) == pytest.approx(ops.norm.dispatch(object)(x), rel=1e-5)
    assert float(ops.norm(x)) == pytest.approx(np.linalg.norm(x.astype(float).ravel()), rel=1e-5)
    assert ops.norm(x).dtype == np.float32


@pytest.mark.parametrize("bad", [None, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,), (3, 5), (70_000,), (9, 8_000)])
def test_a_number_that_is_not_finite_is_found_wherever_it_is(bad, shape, rng):
    x = rng.standard_normal(shape).astype(np.float32)
    if bad is not None and x.size:
        x.flat[-1] = bad
    assert ops.all_finite(x) == ops.all_finite.dispatch(object)(x)
    assert ops.all_finite(x) == (bad is None or not x.size)


@pytest.mark.parametrize("shape", [(0, 3), (5, 3), (7, _numpy_kernels.PIECE // 8 - 1), (2, 40_000)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_at_a_time_are_all_rows_at_once(shape, dtype, rng):
    x, y = (rng.standard_normal(shape).astype(dtype) for _ in range(2))

    def function(x, y):
        return x * np.sum(y, axis=1, keepdims=True)

    expected = ops.rowwise.dispatch(object)(x, y, function=function)
    out = np.full(shape, np.nan, dtype)
    assert ops.rowwise(x, y, function=function, out=out) is out
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(ops.rowwise(x, y, function=function), expected)


@pytest.mark.parametrize("shape", [(0, 3), (5, 3), (9, _numpy_kernels.PIECE // 16 + 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("with_out", [False, True])
def test_a_mask_drawn_in_pieces_is_the_mask(shape, dtype, with_out):
    like = np.zeros(shape, dtype)
    expected = ops.dropout_mask.dispatch(object)(like, 0.3, 7, 2)
    out = np.full(shape, np.nan, dtype) if with_out else None
    got = ops.dropout_mask(like, 0.3, 7, 2, out=out)
    assert got.dtype == expected.dtype == dtype
    assert got is out or not with_out
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("kind", ["uint8", "float32"])
@pytest.mark.parametrize("into", [None, "float32", "float64"])
def test_rows_are_gathered_in_the_type_of_out(kind, into, rng):
    x, index = rng.integers(0, 256, (9, 5)).astype(kind), np.array([8, 0, 8])
    out = None if into is None else np.full((3, 5), np.nan, into)
    got = ops.take_rows(x, index, out=out)
    assert got.dtype == (into or kind)
    assert got is out or out is None
    np.testing.assert_array_equal(got, x[index])
    assert ops.take_rows.dispatch(object)(x, index, out=out).dtype == got.dtype


def fast_operations():
    return {
        name
        for name, function in vars(ops).items()
        if hasattr(function, "registry") and np.ndarray in function.registry
    }


def test_every_fast_operation_is_in_the_table():
    assert fast_operations() == {*CASES, *BATCH, *ROWS}


@pytest.mark.parametrize("name", [*CASES, *BATCH, *ROWS])
def test_fast_versions_have_the_definitions_arguments(name):
    operation = getattr(ops, name)
    of = [inspect.signature(operation.registry[cls]).parameters for cls in (object, np.ndarray)]
    assert [(p.name, p.default) for p in of[0].values()] == [
        (p.name, p.default) for p in of[1].values()
    ]


def random_arrays(count, shape, dtype, layout, rng):
    """Weights and gradient of any sign, and states, which are squares where it matters."""
    arrays = [rng.standard_normal(shape), rng.standard_normal(shape)][:count]
    arrays += [rng.uniform(0.01, 1, shape) for _ in range(count - 2)]
    arrays = [array.astype(dtype) for array in arrays]
    if layout == "strided":
        arrays = [np.repeat(array, 2, axis=0)[::2] for array in arrays]
    return arrays


def of_operation(name, numbers):
    operation = getattr(ops, name)

    def fast(x, out):
        return (operation(x, *numbers, out=out),)

    return 1, lambda x: (operation.dispatch(object)(x, *numbers),), fast


def of_rule(optimizer):
    """The arrays, the plain rule and its NumPy version, with everything that it may write to."""
    names, numbers = optimizer.state_names, {"rate": 0.01, "t": 3.0}

    def fast(w, g, *state, out):
        arrays = dict(zip(("w", "g", *names), (w, g, *state), strict=True))
        outs = (np.empty_like(w) if out is None else out, *state)
        return apply(optimizer, ruled, arrays, numbers, outs, ("w", *names))

    return 2 + len(names), lambda *arrays: optimizer.rule(*arrays, **numbers), fast


def of_penalty(penalty):
    return (
        2,
        lambda g, w: (g + 0.5 * penalty.derivative(w),),
        lambda g, w, out: (penalty.add_to(g, w, 0.5, out=out),),
    )


FAST = {
    f"{name}{numbers}": of_operation(name, numbers) for name in CASES for _, numbers in CASES[name]
}
BY_RULES = [kind for kind in OPTIMIZERS.values() if not kind.takes_all_samples]
FAST |= {repr(kind()): of_rule(kind()) for kind in BY_RULES}
FAST |= {
    repr(each): of_rule(each)
    for each in (
        SGD(0.1, 0.9, dampening=0.5),
        SGD(0.1, 0.9, nesterov=True),
        Adam(corrects_epsilon=False),
    )
}
FAST |= {repr(each): of_penalty(each) for each in (L1(0.3), L2(0.2), L1L2(0.3, 0.2))}


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["contiguous", "strided"])
@pytest.mark.parametrize("shape", [(0,), (1,), (5, 3), (N,)])
@pytest.mark.parametrize("out", ["none", "itself", "another"])
def test_fast_is_the_definition(name, dtype, layout, shape, out, rng):
    count, definition, fast = FAST[name]
    arrays = random_arrays(count, shape, dtype, layout, rng)
    expected = definition(*(array.copy() for array in arrays))
    w = arrays[0].copy() if layout == "contiguous" else np.repeat(arrays[0], 2, axis=0)[::2]
    given = [array.copy() for array in arrays[1:2]]
    target = {"none": None, "itself": w, "another": np.full_like(w, np.nan)}[out]
    got = fast(w, *given, *arrays[2:], out=target)
    if target is not None:
        assert got[0] is target
    if out != "itself":
        np.testing.assert_array_equal(w, arrays[0])
    np.testing.assert_array_equal(given, arrays[1:2])
    for ours, reference in zip(got, expected, strict=True):
        assert ours.dtype == dtype
        tolerance = 1e-5 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(ours, reference, rtol=tolerance, atol=tolerance)


class Beside:
    """NumPy with products that report an invalid value beside the arrays, as BLAS may."""

    def __getattr__(self, name):
        return getattr(np, name)

    def matmul(self, *given):
        np.subtract(np.inf, np.inf)
        return np.matmul(*given)


INF_TIMES_0 = [[np.inf, 0.0]], [[0.0], [1.0]]
INF_MINUS_INF = [[1.0, 1.0]], [[np.inf], [-np.inf]]
PRODUCTS = {
    "of finite numbers": (([[1.0, 2.0]], [[3.0], [4.0]]), False),
    "with NaN in a row": (([[np.nan, np.inf], [1.0, 1.0]], [[0.0], [0.0]]), False),
    "with NaN in a column": (([[np.inf, 1.0]], [[np.nan, 1.0], [1.0, 1.0]]), False),
    "of inf": (([[np.inf, 1.0]], [[1.0], [1.0]]), False),
    "without rows": ((np.zeros((0, 2)), np.zeros((2, 3))), False),
    "of inf and 0": (INF_TIMES_0, True),
    "of inf and -inf": (INF_MINUS_INF, True),
    "with NaN elsewhere": (([[np.nan, 0.0], [np.inf, 0.0]], [[0.0], [1.0]]), True),
}


@pytest.mark.parametrize("case", PRODUCTS)
@pytest.mark.parametrize("beside", [False, True])
def test_products_report_invalid_values_of_their_own(case, beside, monkeypatch):
    (x, w), is_invalid = PRODUCTS[case]
    x, w = np.asarray(x), np.asarray(w)
    with np.errstate(all="ignore"):
        expected = np.matmul(x, w)
    if beside:
        monkeypatch.setattr(_numpy_kernels, "np", Beside())
    told = []
    for product in (ops.matmul, lambda x, w: ops.affine(x, w, np.zeros(w.shape[1]))):
        with np.errstate(invalid="call", over="ignore", call=lambda *given: told.append(given)):
            np.testing.assert_array_equal(product(x, w), expected)
        assert {kind for kind, _ in told} == ({"invalid value"} if is_invalid else set())
        told.clear()
        with np.errstate(invalid="ignore", over="ignore"):
            np.testing.assert_array_equal(product(x, w), expected)
        with np.errstate(invalid="raise", over="ignore"):
            context = pytest.raises(FloatingPointError, match="invalid value")
            with context if is_invalid else nullcontext():
                product(x, w)


@pytest.mark.parametrize("shapes", ["ba bc", "bba ac", "bba bac", "a ac", "a bac", "bba a", "a a"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("other", [0.0, 1.0])
@pytest.mark.parametrize("swapped", [False, True])
def test_products_of_any_axes_report_invalid_values_of_their_own(
    shapes, value, other, swapped, monkeypatch
):
    monkeypatch.setattr(_numpy_kernels, "np", Beside())
    sizes = {"a": 3, "b": 3, "c": 2}
    a, b = (np.full([sizes[axis] for axis in shape], other) for shape in shapes.split())
    (b if swapped else a).flat[1] = value
    with np.errstate(all="ignore"):
        expected = np.matmul(a, b)
    is_invalid = np.isinf(value) and other == 0
    context = pytest.raises(FloatingPointError, match="invalid value")
    with np.errstate(invalid="raise"), context if is_invalid else nullcontext():
        np.testing.assert_array_equal(ops.matmul(a, b), expected)


def test_products_report_an_overflow_once():
    x, w = np.array([[1e300, 0.0], [np.inf, 0.0]]), np.array([[1e300, 0.0], [0.0, 0.0]])
    with np.errstate(over="warn", invalid="warn"), pytest.warns(RuntimeWarning) as told:
        ops.matmul(x, w)
    assert sorted(str(each.message).split()[0] for each in told) == ["invalid", "overflow"]
    with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        ops.matmul(x, w)


def test_threads_report_their_own_products(monkeypatch):
    """One computes NaN from infinity, the other is told of what is beside its arrays."""
    monkeypatch.setattr(_numpy_kernels, "np", Beside())

    def errors(given):
        found = 0
        for _ in range(200):
            try:
                with np.errstate(invalid="raise"):
                    ops.matmul(*map(np.asarray, given))
            except FloatingPointError:
                found += 1
        return found

    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(errors, each) for each in (INF_TIMES_0, ([[1.0]], [[2.0]]))]
    assert [each.result() for each in done] == [200, 0]
