"""Each kernel that is written from a formula, run on the CPU, against the formula itself.

The parts are all that the library has, found as subclasses.
"""

import copy
import shutil
from functools import cache

import numpy as np
import pytest

from bench import written
from tests.cuda.emulator import Emulator, differences, sanitized
from tests.cuda.written import emulator_of
from xpnet import L1L2, SGD, BinaryCrossEntropy, MeanSquaredError
from xpnet.activations import ActivationLayer
from xpnet.backends import array_namespace, ops
from xpnet.backends.cuda import formulas, kernels
from xpnet.backends.formula import evaluate, listing, namespace, trace_part
from xpnet.losses import ElementwiseLoss, KLDivergence
from xpnet.optimizers import Optimizer
from xpnet.regularizers import ElementwisePenalty
from xpnet.training.steps.translation import (
    listing_of_loss,
    listing_of_rule,
    listings_of_activation,
    slope_of_penalty,
)

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")

REALS = ("float32", "float64")
real = pytest.mark.parametrize("real", REALS)


def each(base):
    """Parametrize a test by the library's parts of a kind."""
    parts = written.parts(base)
    return pytest.mark.parametrize("part", parts, ids=[repr(part) for part in parts])


# ---- numbers


def special(real, *programs):
    """Return ordinary numbers and unusual ones, and those around the constants of formulas."""
    about = np.finfo(real)
    values = [0.0, -0.0, np.nan, np.inf, -np.inf, 1.0, 0.5, 1e30, 1e-30, 1e4, 90.0, 20.0]
    values += [about.tiny, about.smallest_subnormal * 3, about.eps, 0.4 * about.max]
    for program in programs:
        for _, value in program.constants:
            near = np.asarray(value, real)
            with np.errstate(all="ignore"):
                values += [near, np.nextafter(near, np.inf), np.nextafter(near, -np.inf)]
    values = np.unique(np.array([*values, *(-value for value in map(float, values))], real))
    rng = np.random.default_rng(5)
    return np.concatenate([values, [-0.0], 3 * rng.standard_normal(64)]).astype(real)


def pairs(values):
    """Return all pairs of numbers, some of them twice: 2^n."""
    first, second = (array.ravel() for array in np.meshgrid(values, values))
    size = 1 << (len(first) - 1).bit_length()
    return np.resize(first, size), np.resize(second, size)


def drawn(values, n, rng):
    return [rng.choice(values, 3000) for _ in range(n)]


def assert_near(got, wanted, real, scale=1.0):
    rtol, atol = (2e-5, 1e-6) if real == "float32" else (1e-10, 1e-14)
    wanted = np.broadcast_to(np.asarray(wanted, real), np.shape(got))
    np.testing.assert_allclose(got, wanted, rtol=rtol, atol=atol * scale)


def quiet(function, *arguments, **options):
    with np.errstate(all="ignore"):
        return function(*arguments, **options)


def values_of(part, program):
    """Return the last arguments of a kernel."""
    return formulas.fixed(program, {name: getattr(part, name) for name in program.numbers})


def launch(kernel, real, grid, block, *arguments):
    emulator_of(kernel, real).launch(kernel.name, grid, block, *arguments)


def state_of(**values):
    return kernels.new_state([], **({"step": 1, "start": 4, "update": 7, "rate": 0.1} | values))


# ---- activations


@each(ActivationLayer)
@real
def test_activations(part, real):
    alone, both, back = listings_of_activation(part, real)
    x = special(real, both, *([back] if back else []))
    wanted, slope = quiet(part.activation_function, x), quiet(part.derivative, x)
    for program in (alone, both):
        kernel = formulas.activation(program)
        z, d = x.copy(), [np.zeros_like(x)] * (program is both)
        launch(kernel, real, 2, 32, z, None, *d, 1, x.size, *values_of(part, program))
        assert_near(z, wanted, real)
        for kept in d:
            assert_near(kept, slope, real)
    if back is not None:
        e, sums = np.full_like(x, 2.0), np.zeros_like(x)
        arguments = [e, wanted.astype(real), sums, 1, x.size, *values_of(part, back)]
        launch(formulas.back(back), real, (-(-x.size // 32), 1), 64, *arguments)
        for found in (e, sums):
            assert_near(found, 2.0 * slope, real)


@each(ActivationLayer)
@real
@pytest.mark.parametrize("shape", [(1, 1), (33, 70), (300, 40), (0, 3)], ids=str)
def test_activations_of_a_batch(part, real, shape, rng):
    (rows, n), (_, both, back) = shape, listings_of_activation(part, real)
    z, b, e = (rng.standard_normal(size).astype(real) for size in (shape, n, shape))
    d, x = np.zeros_like(z), z + b
    numbers = values_of(part, both)
    launch(formulas.activation(both), real, 3, 64, z, b, d, rows, n, *numbers)
    assert_near(z, part.activation_function(x), real)
    assert_near(d, part.derivative(x), real)
    if back is not None:
        wanted, sums = e * d, np.zeros((4, n), real)
        grid, piece = (-(-n // 32), 4), -(-rows // 4)
        launch(formulas.back(back), real, grid, 128, e, z, sums, rows, n, *values_of(part, back))
        assert_near(e, wanted, real)
        parts = [wanted[k * piece : (k + 1) * piece].sum(axis=0) for k in range(4)]
        assert_near(sums, parts, real, scale=10.0)


# ---- losses


def loss_arguments(program, part, real, y, z, **options):
    """Return what the kernel of a loss is called with; each sample is a row."""
    rows, n = z.shape
    given = {"order": np.arange(len(y)), "weights": None, "state": state_of(start=0)} | options
    errors, losses = np.full_like(z, np.nan), np.full(rows, np.nan)
    factor, most = given.get("factor", 1.0), given.get("most", np.inf)
    arguments = [z, errors, y, given["order"], given["weights"], given["state"], losses]
    return [*arguments, rows, n, factor, most, *values_of(part, program)], errors, losses


@each(ElementwiseLoss)
@real
def test_losses(part, real):
    program = listing_of_loss(part, real)
    y, p = pairs(special(real, program)[::2])
    y, p = y[:, None], p[:, None]
    arguments, errors, losses = loss_arguments(program, part, real, y, p)
    launch(formulas.loss(program), real, 4, 128, *arguments)
    wanted, slope = quiet(part.element_loss, y, p), quiet(part.element_derivative, y, p)
    assert_near(losses * len(y), wanted[:, 0], real)
    assert_near(errors * len(y), slope, real)


@each(ElementwiseLoss)
@real
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (33, 70), (0, 3)], ids=str)
def test_losses_of_a_batch(part, real, weighted, shape, rng):
    part = copy.copy(part)
    part.factor, part.max_reported = 2.5, 0.3
    (rows, n), program = shape, listing_of_loss(part, real)
    n = max(n, 2) if isinstance(part, KLDivergence) else n  # which is not for one output
    y = rng.uniform(0.1, 0.9, (rows + 9, n)).astype(real)
    z = rng.uniform(0.1, 0.9, (rows, n)).astype(real)
    order = rng.permutation(len(y))
    batch = order[4 : 4 + rows]
    weights = rng.uniform(0, 2, len(y)).astype(real) if weighted else None
    given = () if weights is None else (weights[batch],)
    options = {"order": order, "weights": weights, "factor": part.factor_of(n), "most": 0.3}
    total = float(weights[batch].sum()) if weighted else 0.0
    state = state_of(scale=4.0, total=total)
    arguments, errors, losses = loss_arguments(program, part, real, y, z, state=state, **options)
    launch(formulas.loss(program), real, 3, 64, *arguments)
    if rows:
        value, derivative = part.loss_and_derivative(y[batch], z, *given)
        assert_near(losses.sum(), value, real)
        assert_near(errors, 4.0 * derivative, real)


def test_a_loss_that_is_no_number_is_not_taken_for_the_most():
    part = BinaryCrossEntropy(from_logits=True)
    program, z = listing_of_loss(part, "float32"), np.zeros((5, 3), np.float32)
    z[2, 1] = np.nan
    arguments, _, losses = loss_arguments(program, part, "float32", 0 * z + 1, z, most=0.1)
    arguments[2][2] = 0.5
    launch(formulas.loss(program), "float32", 3, 64, *arguments)
    assert np.isnan(losses).tolist() == [False, False, True, False, False]


def test_samples_that_weigh_nothing_cost_nothing():
    part = MeanSquaredError()
    program, z = listing_of_loss(part, "float32"), np.ones((4, 3), np.float32)
    weights = np.zeros(4, np.float32)
    arguments, errors, losses = loss_arguments(program, part, "float32", 0 * z, z, weights=weights)
    launch(formulas.loss(program), "float32", 1, 64, *arguments)
    assert not errors.any()
    assert not losses.any()


# ---- penalties


@each(ElementwisePenalty)
@real
@pytest.mark.parametrize(("total", "divisor"), [(None, 8), (6.5, 6.5), (0.0, np.inf)], ids=str)
def test_penalties(part, real, total, divisor, rng):
    program = slope_of_penalty(part, real)
    w = special(real, program)
    if total == 0.0:
        w = w[np.isfinite(w)]
    g = rng.standard_normal(w.size).astype(real)
    wanted = quiet(lambda: g + (4.0 / divisor) * part.derivative(w))
    state = state_of(scale=4.0, total=total or 0.0)
    share = 1 / 8 if total is None else 1.0
    arguments = [g, w, state, w.size, share, total is not None, *values_of(part, program)]
    launch(formulas.penalty(program), real, 2, 32, *arguments)
    assert_near(g, wanted, real)


# ---- optimizers


def arrays_of(part, real, rng):
    """Return a weight, its gradient and a state, drawn from unusual numbers and from ordinary."""
    values = special(real, listing_of_rule(part, real))
    n = 2 + len(part.state_names)
    usual = [rng.standard_normal(500).astype(real) for _ in range(n)]
    usual[2:] = [np.abs(state) for state in usual[2:]]
    return [np.concatenate(both) for both in zip(drawn(values, n, rng), usual, strict=True)]


@each(Optimizer)
@real
@pytest.mark.parametrize("t", [1, 7, 100_000])
def test_optimizers(part, real, t, rng):
    program = listing_of_rule(part, real)
    w, g, *states = arrays_of(part, real, rng)
    wanted = quiet(part.rule, w, real_of(0.5, real) * g, *states, rate=0.1, t=float(t))
    state = state_of(update=t + 3, factor=0.5, rate=0.2)  # three of which were missed
    names = [name for name in program.numbers if name not in ("rate", "t")]
    numbers = [float(getattr(part, name)) for name in names]
    arguments = [w, g, *states, state, w.size, 0.5, 3.0, *numbers]
    launch(formulas.update(program), real, 3, 64, *arguments)
    for found, new in zip([w, *states], wanted, strict=True):
        assert_near(found, new, real)


def real_of(value, real):
    return np.dtype(real).type(value)


@each(Optimizer)
@real
def test_optimizers_of_steps_that_are_not_captured(part, real, rng):
    program = listing_of_rule(part, real)
    arrays = arrays_of(part, real, rng)
    wanted = quiet(part.rule, *arrays, rate=0.1, t=7.0)
    numbers = {name: float(getattr(part, name, 0.0)) for name in program.numbers}
    values = formulas.fixed(program, numbers | {"rate": 0.1, "t": 7.0})
    outs = [arrays[0], *arrays[2:]]  # the results are written over what they are made of
    launch(formulas.elementwise(program), real, 3, 64, *arrays, *outs, arrays[0].size, *values)
    for found, new in zip(outs, wanted, strict=True):
        assert_near(found, new, real)


@pytest.mark.parametrize("part", written.parts(Optimizer), ids=repr)
def test_a_skipped_update_changes_nothing(part, rng):
    program = listing_of_rule(part, "float32")
    arrays = arrays_of(part, "float32", rng)
    before = copy.deepcopy(arrays)
    numbers = [1.0 for name in program.numbers if name not in ("rate", "t")]
    arguments = [*arrays, state_of(skipped=1), arrays[0].size, 1.0, 0.0, *numbers]
    launch(formulas.update(program), "float32", 3, 64, *arguments)
    for found, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(found, old)


# ---- any formula


def signs(x, y, a):
    xp = array_namespace(x)
    return xp.where(xp.logical_xor(x > 0, y > 0), xp.sign(x), xp.sign(y) * a)


def truths(x, y, a):
    """Truth values as numbers, and as results."""
    xp = array_namespace(x)
    both = (x > 0) & ~(y > 0) | xp.isnan(x) | xp.isinf(y) | ~xp.isfinite(x)
    ratio = xp.astype(x > 1, x.dtype) / (2.0 + xp.astype(y > 1, x.dtype))
    return ratio, xp.where(both, xp.astype(both, x.dtype), y), xp.astype(both ^ (x != y), x.dtype)


def constants(x, y, a):
    xp = array_namespace(x)
    found = (
        xp.where(x > 0, x, np.inf),
        xp.where(x > 0, x, -np.inf),
        xp.where(x > 0, x, np.nan),
        xp.where(x > 0, x, -0.0),
        x * 0.1 + 1e-30 - 5e29 * y,
    )
    return (*found, xp.zeros_like(x), a, 2.0 * a)


def of_numbers(x, y, a):
    """What is computed on the host: also truth values."""
    xp = array_namespace(x)
    big = xp.maximum(a, 0.25) if hasattr(a, "graph") else max(a, 0.25)
    return xp.where((x > 0) & (a > 0.5), x * big, y), x + a**3.0 / (a - a**2)


def one(name):
    return lambda x, y, a: getattr(array_namespace(x), name)(x)


def two(name):
    return lambda x, y, a: getattr(array_namespace(x), name)(x, y)


FORMULAS = {
    "signs": signs,
    "truths": truths,
    "constants": constants,
    "of numbers": of_numbers,
    "unused": lambda x, y, a: y,
    "sigmoid": lambda x, y, a: (ops.sigmoid(a * x), ops.sigmoid(-a * x)),
    "softplus": lambda x, y, a: (ops.softplus(x), ops.softplus(-x)),
    "erf": lambda x, y, a: ops.erf(x),
    **{
        name: one(name)
        for name in namespace.ONE
        if name not in ("logical_not", "isfinite", "isinf", "isnan")
    },
    **{
        name: two(name)
        for name in namespace.TWO
        if not name.startswith(("logical", "less", "greater", "equal", "not"))
    },
}


@real
@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name, real):
    formula, program, kernel = compiled(real)[0][name]
    x, y = pairs(special(real, program)[::3])
    outs = [np.full_like(x, np.nan) for _ in formula.outputs]
    for a in (0.75, 0.25):
        wanted = quiet(evaluate, formula.outputs, {"x": x, "y": y}, {"a": a})
        values = formulas.fixed(program, {"a": a} if program.numbers else {})
        compiled(real)[1].launch(kernel.name, 3, 64, x, y, *outs, x.size, *values)
        for found, new in zip(outs, wanted, strict=True):
            assert_near(found, new, real)


@cache
def compiled(real):
    """Return each formula with its program and its kernel, and an emulator that has them all."""
    made = {}
    for name, function in FORMULAS.items():
        formula = formula_with_number(function, real)
        program = listing(formula)
        made[name] = formula, program, formulas.elementwise(program)
    all_kernels = tuple(dict.fromkeys(kernel for _, _, kernel in made.values()))
    table = written.signatures_of(all_kernels)
    return made, Emulator(real, source=written.text_of(all_kernels), signatures=table)


class WithNumber:
    """An object with a number that formulas use."""

    a = 0.5


def formula_with_number(function, real):
    return trace_part(
        WithNumber(), lambda part, x, y: function(x, y, part.a), ("x", "y"), real, ("a",)
    )


def test_a_number_of_any_name_is_an_argument():
    """CuPy writes the text in the encoding of the locale, and some names are words of C++."""
    names = ("β", "float", "w", "n", "i", "state", "x0")

    class Odd:
        pass

    part = Odd()
    vars(part).update({name: 0.5 + k for k, name in enumerate(names)})

    def function(part, x):
        return sum((getattr(part, name) * x for name in names), start=x)

    program = listing(trace_part(part, function, ("x",), "float32", names))
    kernel = formulas.elementwise(program)
    assert kernel.text.isascii()
    x, out = np.ones(3, np.float32), np.zeros(3, np.float32)
    launch(kernel, "float32", 1, 32, x, out, 3, *formulas.fixed(program, vars(part)))
    np.testing.assert_allclose(out, 1 + sum(vars(part).values()))


def test_other_numbers_are_the_same_kernel_and_other_constants_are_not():
    def kernel(part):
        return formulas.update(listing_of_rule(part, "float32"))

    assert kernel(SGD(momentum=0.5)) == kernel(SGD(0.3, momentum=0.9))
    assert kernel(SGD(dampening=0.5)) != kernel(SGD(dampening=0.25))
    slopes = [slope_of_penalty(L1L2(*each), "float32") for each in ((0.1, 0.2), (0.3, 0.0))]
    assert formulas.penalty(slopes[0]) == formulas.penalty(slopes[1])


def test_signatures_are_those_of_the_texts():
    for kind in written.KINDS:
        found = written.kernels(kind, "float32")
        assert differences(written.text_of(found), written.signatures_of(found)) == []


def test_all_kinds_of_parts_are_found():
    assert {type(part).__name__ for part in written.parts(ActivationLayer)} >= {
        "ReLUActivation", "TanhActivation", "SigmoidActivation", "LinearActivation",
    }  # fmt: skip
    assert {type(part) for part in written.parts(ElementwiseLoss)} >= {
        MeanSquaredError,
        BinaryCrossEntropy,
    }
    assert SGD in {type(part) for part in written.parts(Optimizer)}
    assert L1L2 in {type(part) for part in written.parts(ElementwisePenalty)}


# ---- sanitizers


def launches():
    """Return a launch of each written kernel of the library."""
    rng = np.random.default_rng(0)
    rows, n = 33, 70

    def new(*shape):
        return rng.uniform(0.1, 0.9, shape).astype(np.float32)

    for part in written.parts(ActivationLayer):
        alone, both, back = listings_of_activation(part, "float32")
        z = new(rows, n)
        for program in (alone, both):
            d = [new(rows, n)] * (program is both)
            arguments = [z, new(n), *d, rows, n, *values_of(part, program)]
            yield formulas.activation(program), 3, 64, *arguments
        if back is not None:
            arguments = [new(rows, n), z, new(2, n), rows, n, *values_of(part, back)]
            yield formulas.back(back), (3, 2), 128, *arguments
    for part in written.parts(ElementwiseLoss):
        program, y = listing_of_loss(part, "float32"), new(rows + 4, n)
        options = {"weights": new(len(y)), "state": state_of(total=3.0)}
        arguments, _, _ = loss_arguments(program, part, "float32", y, new(rows, n), **options)
        yield formulas.loss(program), 3, 64, *arguments
    for part in written.parts(ElementwisePenalty):
        program = slope_of_penalty(part, "float32")
        arguments = [new(300), new(300), state_of(), 300, 1.0, 0, *values_of(part, program)]
        yield formulas.penalty(program), 3, 64, *arguments
    for part in written.parts(Optimizer):
        program = listing_of_rule(part, "float32")
        arrays = [new(300) for _ in range(2 + len(part.state_names))]
        numbers = [0.5 for name in program.numbers if name not in ("rate", "t")]
        yield formulas.update(program), 3, 64, *arrays, state_of(), 300, 1.0, 0.0, *numbers
        outs, kernel = [arrays[0], *arrays[2:]], formulas.elementwise(program)
        yield kernel, 3, 64, *arrays, *outs, 300, *(0.5 for _ in program.shared)


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["address", "thread", "undefined"])
def test_a_sanitizer_finds_nothing_in_any_written_kernel(sanitizer):
    calls = list(launches())
    used = tuple(dict.fromkeys(kernel for kernel, *_ in calls))
    assert set(used) == {k for kind in written.KINDS for k in written.kernels(kind, "float32")}
    outcome = sanitized(
        [(kernel.name, *rest) for kernel, *rest in calls],
        sanitizer,
        source=written.text_of(used),
        signatures=written.signatures_of(used),
        timeout=300,
    )
    assert outcome.returncode == 0, outcome.stderr[-3000:]
