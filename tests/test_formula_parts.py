"""Every part that is a formula: its programs and its derivatives against the plain formula."""

import inspect
from importlib.util import find_spec

import numpy as np
import pytest

import xpnet  # noqa: F401 - defines all parts
from bench.written import kinds_of
from xpnet.activations import ActivationLayer
from xpnet.backends import _numpy_formulas as on_numpy
from xpnet.backends import array_namespace
from xpnet.common import traceable
from xpnet.common.overrides import has_methods_of
from xpnet.losses import ElementwiseLoss
from xpnet.optimizers import Optimizer
from xpnet.optimizers.base import ruled
from xpnet.regularizers import ElementwisePenalty
from xpnet.training.steps import translation

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
needs_numba = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("numba", "scipy", "threadpoolctl")),
    reason="compiled steps need the extra numba",
)
BASES = (ActivationLayer, ElementwiseLoss, ElementwisePenalty, Optimizer)
DTYPES = ["float64", "float32"]

WIDER = {"float32": "float64", "float64": "longdouble"}
TOLERANCE = {"float64": 1e-13, "float32": 4e-6}
"""Of values, relative to their size or to 1."""


def a_function(*arrays):
    """A formula of somebody's own: of one number, or of a target and an output."""
    return array_namespace(arrays[-1]).tanh(arrays[-1] - 0.5 * arrays[0])


# By the name of the class: arguments that its constructor needs, and others to try.
REQUIRED = {
    "FunctionActivation": {"function": a_function},
    "FunctionLoss": {"function": a_function},
    "FunctionPenalty": {"function": a_function},
}
ARGUMENTS = {
    "SGD": [{"momentum": 0.8, "dampening": 0.3}, {"momentum": 0.8, "nesterov": True}],
    "SigmoidActivation": [{"slope": 2.5}],
    "L1L2": [{"l1": 0.3, "l2": 0.2}],
}


def kinds(base):
    """Return the classes of the library with a formula of single numbers."""
    found = {*kinds_of(base)}
    if base is ActivationLayer:
        rows = "forward_propagation", "backward_propagation"
        found = {each for each in found if not any(name in vars(each) for name in rows)}
    if base is Optimizer:  # others have an update of their own
        found = {each for each in found if each.rule is not Optimizer.rule}
    return sorted(found, key=lambda kind: kind.__name__)


def instances(base):
    """Yield each part by default, with each flag turned round, and with ``ARGUMENTS``."""
    for kind in kinds(base):
        settings = [{}, *ARGUMENTS.get(kind.__name__, [])]
        for name, parameter in inspect.signature(kind).parameters.items():
            if type(parameter.default) is bool:
                settings.append({name: not parameter.default})
        for each in settings:
            try:
                part = kind(**REQUIRED.get(kind.__name__, {}) | each)
            except ValueError:
                assert each != {}, f"{kind.__name__} needs arguments: name some in REQUIRED"
                continue  # flags that exclude each other
            text = ", ".join(f"{name}={value}" for name, value in each.items())
            yield pytest.param(part, id=f"{kind.__name__}({text})")


every = {base: pytest.mark.parametrize("part", list(instances(base))) for base in BASES}


def test_the_search_finds_parts():
    names = {kind.__name__ for base in BASES for kind in kinds(base)}
    assert {"ReLUActivation", "MeanSquaredError", "L2", "AdamW", "BinaryCrossEntropy"} <= names
    assert "SoftmaxActivation" not in names


ORDINARY = (-7.3, -2.5, -1.1, -0.6, -0.13, 0.02, 0.3, 0.5, 0.9, 1.7, 3.2, 11.0)
SPECIAL = (
    0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 5e-324, -1e-310, 1e-45, -1e-40, 1e-30, -1e-30,
    1e30, -1e30, 86.0, -86.0, 90.0, -105.0, 700.0, -740.0,
)  # fmt: skip


def points(formula, part, dtype):
    """Return ordinary numbers, special ones, and the borders of a formula's branches."""
    borders = [value for _, value in traceable.listing_of(formula).constants]
    borders += traceable.formula_numbers(part).values()
    found = np.array([*ORDINARY, *SPECIAL, *borders, *(-np.array(borders, float))], dtype)
    around = [np.nextafter(found, np.array(end, dtype)) for end in (np.inf, -np.inf)]
    return np.unique(np.concatenate([found, *around]))


def pairs(first, second, rng, n=1500):
    """Return a sample of all pairs."""
    return [rng.choice(each, n) for each in (first, second)]


def assert_close(got, plain, wide, dtype, *inputs, largest=0.0):
    """Compare with the plain formula in the same type and in a wider one: either has to agree.

    Where the plain one itself overflows to inf - inf, there is nothing to compare with.

    The plain one may overflow in its own type, or lose digits in it that a compiled one keeps.
    Terms of the size ``largest`` may cancel.
    """
    got = np.asarray(got)
    assert got.dtype == dtype
    wide = np.asarray(wide).astype(dtype)
    ok = np.isnan(plain) & np.all([np.isfinite(each) for each in inputs], axis=0)
    assert (ok & ~np.isnan(got)).mean() < 0.05
    for expected in (np.asarray(plain), wide):
        tolerance = TOLERANCE[dtype] * np.maximum(1, np.abs(expected))
        ok |= (got == expected) | (np.isnan(got) & np.isnan(expected))
        tolerance += 4 * np.finfo(dtype).eps * largest
        ok |= np.abs(got - expected) <= tolerance
    assert ok.all(), (
        f"at {[np.asarray(x)[~ok] for x in inputs]}: got {got[~ok]}, plainly {plain[~ok]}, in a "
        f"wider type {wide[~ok]}"
    )


def check(part, function, inputs, dtype, run, **numbers):
    """Compare all outputs of a formula, computed by ``run``, with the function itself.

    What rounding of the inputs does to the plain formula is allowed: compiled code rounds a·b + c
    once, so that terms cancel in another way.
    """
    got = run(*inputs)
    plain = function(part, *inputs, **numbers)
    wide = function(part, *(array.astype(WIDER[dtype]) for array in inputs), **numbers)
    rng, eps = np.random.default_rng(0), np.finfo(dtype).eps
    spread = [np.zeros(inputs[0].shape)] * len(got)
    for _ in range(4):
        moved = [x * (1 + eps * rng.choice([-1, 1], x.shape)).astype(dtype) for x in inputs]
        for k, value in enumerate(function(part, *moved, **numbers)[: len(got)]):
            spread[k] = np.fmax(spread[k], np.abs(value - plain[k]))
    for k, value in enumerate(got):
        largest = np.nan_to_num(spread[k]) / eps
        assert_close(value, np.asarray(plain[k], dtype), wide[k], dtype, *inputs, largest=largest)


def by_numpy(formula, part, **numbers):
    values = traceable.formula_numbers(part) | numbers
    return lambda *inputs: on_numpy.compute_formula(*inputs, formula=formula, numbers=values)


# ---- activations


def of_activation(part, x, a=None):
    return translation._of_activation(part, x, x if a is None else a)


@every[ActivationLayer]
@pytest.mark.parametrize("dtype", DTYPES)
def test_activations_on_numpy(part, dtype):
    formula = translation.traced(part, translation._of_activation, ("x", "a"), dtype)
    x = points(formula, part, dtype)
    check(part, of_activation, (x, x), dtype, by_numpy(formula, part))


@needs_numba
@every[ActivationLayer]
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("outputs", [(0,), (0, 1)])
def test_activations_on_numba(part, dtype, outputs):
    from . import formula_kernels as on_numba

    formula = translation.traced(part, translation._of_activation, ("x", "a"), dtype)
    x = points(formula, part, dtype)
    listing = traceable.listing_of(formula, *outputs)
    numbers = translation.numbers_in(part, listing)
    check(
        part, of_activation, (x.reshape(-1, 1),), dtype,
        lambda x: on_numba.activation(listing, x, numbers),
    )  # fmt: skip


@needs_numba
@every[ActivationLayer]
@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives_of_outputs_on_numba(part, dtype, rng):
    from . import formula_kernels as on_numba

    if part.derivative_of_output is None:
        assert part.derivative(np.ones(1)).shape == (1,)
        return
    formula = translation.traced(part, translation._of_activation, ("x", "a"), dtype)
    a = points(formula, part, dtype)[:, None]
    e = rng.uniform(-2, 2, a.shape).astype(dtype)
    listing = traceable.listing_of(formula, 2)
    got, sums = on_numba.back(listing, e, a, translation.numbers_in(part, listing))
    plain = e * part.derivative_of_output(a)
    wide = e.astype("float64") * part.derivative_of_output(a.astype("float64"))
    assert_close(got, plain, wide, dtype, a)
    assert sums.shape == (1,)
    assert np.isnan(sums[0]) == np.isnan(got.sum())


# ---- losses


@every[ElementwiseLoss]
@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_on_numpy(part, dtype, rng):
    formula = translation.traced(part, translation._of_loss, ("y", "p"), dtype)
    values = points(formula, part, dtype)
    y, p = pairs(values, values, rng)
    check(part, translation._of_loss, (y, p), dtype, by_numpy(formula, part))


@needs_numba
@every[ElementwiseLoss]
@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_on_numba(part, dtype, rng):
    from . import formula_kernels as on_numba

    formula = translation.traced(part, translation._of_loss, ("y", "p"), dtype)
    values = points(formula, part, dtype)
    listing = traceable.listing_of(formula)
    numbers = translation.numbers_in(part, listing)
    y, p = (each[:, None] for each in pairs(values, values, rng))

    def run(y, p):
        _, slopes = on_numba.loss(listing, y, p, numbers, factor=float(len(y)))
        singly = [on_numba.loss(listing, y[k : k + 1], p[k : k + 1], numbers)[0] for k in few]
        return slopes, np.array(singly)[:, None].astype(dtype)

    few = rng.permutation(len(y))[:150]
    slopes, losses = run(y, p)
    of = translation._of_loss
    plain, wide = of(part, y, p), of(part, y.astype(WIDER[dtype]), p.astype(WIDER[dtype]))
    assert_close(slopes, plain[1], wide[1], dtype, y, p)
    few_y, few_p = y[few], p[few]
    product = np.abs(np.nan_to_num(few_y * few_p))
    assert_close(losses, plain[0][few], wide[0][few], dtype, few_y, few_p, largest=product)


# ---- penalties


@every[ElementwisePenalty]
@pytest.mark.parametrize("dtype", DTYPES)
def test_penalties_on_numpy(part, dtype):
    formula = translation.traced(part, translation._of_penalty, ("w",), dtype)
    w = points(formula, part, dtype)
    check(part, translation._of_penalty, (w,), dtype, by_numpy(formula, part))


@needs_numba
@every[ElementwisePenalty]
@pytest.mark.parametrize("dtype", DTYPES)
def test_penalties_on_numba(part, dtype, rng):
    from . import formula_kernels as on_numba

    formula = translation.traced(part, translation._of_penalty, ("w",), dtype)
    w = points(formula, part, dtype)
    listing = traceable.listing_of(formula)
    numbers = translation.numbers_in(part, listing)
    g = rng.uniform(-1, 1, w.shape).astype(dtype)
    of, wider = translation._of_penalty, w.astype(WIDER[dtype])
    plain, wide = of(part, w), of(part, wider)
    _, got = on_numba.penalty(listing, g, w, numbers)
    assert_close(got, g + plain[1], g + wide[1], dtype, w)
    singly = [on_numba.penalty(listing, g[:1], w[k : k + 1], numbers)[0] for k in range(len(w))]
    assert_close(np.array(singly).astype(dtype), plain[0], wide[0], dtype, w)


# ---- optimizers


def arrays_of(part, formula, dtype, rng):
    """Return weights, gradients and states; an ordinary one each for half of the places."""
    values = points(formula, part, dtype)
    arrays = [rng.choice(values, 600) for _ in formula.inputs]
    ordinary = rng.random(600) < 0.5
    arrays = [np.where(ordinary, rng.uniform(-2, 2, 600), each).astype(dtype) for each in arrays]
    for name, k in zip(part.state_names, range(2, len(arrays)), strict=True):
        if name in part.square_names:
            arrays[k] = np.abs(arrays[k])
    return arrays


@every[Optimizer]
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("t", [1, 2, 1000, 10**7])
def test_optimizers_on_numpy(part, dtype, t, rng):
    names = ("w", "g", *(f"s{k}" for k in range(len(part.state_names))))
    formula = translation.traced(part, ruled, names, dtype, ("rate", "t"))
    arrays, numbers = arrays_of(part, formula, dtype, rng), {"rate": 0.03, "t": float(t)}
    run = by_numpy(formula, part, **numbers)
    check(part, ruled, arrays, dtype, run, **numbers)


@needs_numba
@every[Optimizer]
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("t", [1, 2, 1000, 10**7])
def test_optimizers_on_numba(part, dtype, t, rng):
    from . import formula_kernels as on_numba

    names = ("w", "g", *(f"s{k}" for k in range(len(part.state_names))))
    formula = translation.traced(part, ruled, names, dtype, ("rate", "t"))
    arrays, numbers = arrays_of(part, formula, dtype, rng), {"rate": 0.03, "t": float(t)}
    listing = traceable.listing_of(formula)
    values = translation.numbers_in(part, listing)
    check(
        part, ruled, arrays, dtype,
        lambda *arrays: on_numba.update(listing, arrays, values, 0.03, t), **numbers,
    )  # fmt: skip


# ---- derivatives

FORMULAS = {
    ActivationLayer: ("activation_function", "derivative"),
    ElementwiseLoss: ("element_loss", "element_derivative"),
    ElementwisePenalty: ("element_penalty", "derivative"),
}


def with_derivative():
    for base in FORMULAS:
        for each in instances(base):
            yield pytest.param(base, *each.values, id=each.id)


def arguments_of(base, part, rng):
    """Return ordinary arguments in the domain of a part, which the derivative goes by the last."""
    if base is not ElementwiseLoss:
        return (np.concatenate([rng.uniform(-5, 5, 400), [0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 6.0]]),)
    logical = part.accepts in (frozenset(["probability"]), frozenset(["distribution"]))
    p = rng.uniform(0.001, 0.999, 400) if logical else rng.uniform(-3, 3, 400)
    targets = {
        "values": rng.uniform(-3, 3, 400),
        None: rng.uniform(-3, 3, 400),
        "counts": rng.integers(0, 5, 400).astype(float),
        "probabilities": rng.choice([0.0, 1.0, 0.3], 400),
        "binary": rng.choice([0.0, 1.0], 400),
        "positive": rng.uniform(0.1, 5, 400),
        "distributions": rng.choice([0.0, 1.0, 0.3], 400),
    }
    return targets.get(part.targets, rng.uniform(0.01, 0.99, 400)), p


@pytest.mark.parametrize(("base", "part"), list(with_derivative()))
def test_derived_derivatives_are_those_by_hand(base, part, rng):
    value, by_hand = FORMULAS[base]
    arguments = arguments_of(base, part, rng)
    wrong = differ(part, value, by_hand, arguments)
    assert not wrong[:400].any(), arguments[-1][wrong]
    # At a border where min or max has equal operands, each has a derivative of its own.
    for end in (np.inf, -np.inf):
        beside = np.nextafter(arguments[-1], end)
        assert not (wrong & differ(part, value, by_hand, (*arguments[:-1], beside))).any()


def differ(part, value, by_hand, arguments):
    """Return where the derived derivative is not the one by hand."""
    derived = traceable.derivative_of(part, value, arguments, by=len(arguments) - 1)
    found = getattr(part, by_hand)(*arguments)
    assert derived.shape == found.shape
    return ~(np.abs(derived - found) <= 1e-12 * np.maximum(1, np.abs(found)))


@pytest.mark.parametrize(("base", "part"), list(with_derivative()))
def test_derivatives_are_differences(base, part, rng):
    value, by_hand = FORMULAS[base]
    *before, x = arguments_of(base, part, rng)
    if base is not ElementwiseLoss:
        x = x[:400]  # the others are borders
    function = getattr(part, value)
    h = 1e-5
    found = getattr(part, by_hand)(*before, x)
    sides = [function(*before, x + step * h) for step in (-2, -1, 1, 2)]
    at = (8 * (sides[2] - sides[1]) - (sides[3] - sides[0])) / (12 * h)
    left, right = (function(*before, x + step) for step in (-h, h))
    middle = function(*before, x)
    # Within h of a kink, the two one-sided slopes differ.
    bend = np.abs((right - middle) - (middle - left)) / h
    smooth = bend < 1e-3 * np.maximum(1, np.abs(found))
    assert smooth.mean() > 0.95
    assert np.abs(at - found)[smooth].max() <= 1e-6 * np.abs(found).max() + 1e-8


@every[ActivationLayer]
def test_derivatives_of_the_output_are_those_of_the_input(part, rng):
    if not has_methods_of(ActivationLayer, part, "backward_propagation"):
        return
    x = rng.uniform(-4, 4, 300)
    if part.derivative_of_output is None:
        return
    found = part.derivative_of_output(part.activation_function(x))
    np.testing.assert_allclose(found, part.derivative(x), rtol=1e-10, atol=1e-12)
