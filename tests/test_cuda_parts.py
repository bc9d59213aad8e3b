"""On a GPU: kernels that are written from formulas, beside the formulas on the CPU."""

import copy

import numpy as np
import pytest

from bench import written
from tests.own_parts import Bent, LogCosh, SignSGD, Slowing, Smooth, Swish
from xpnet import DenseLayer, NeuralNetwork, TanhActivation
from xpnet.activations import ActivationLayer
from xpnet.backends import to_host
from xpnet.backends.cuda import formulas
from xpnet.backends.formula import Formula, run
from xpnet.common.traceable import formula_of
from xpnet.optimizers import Optimizer
from xpnet.optimizers.base import ruled
from xpnet.training.steps.captured import graphs
from xpnet.training.steps.translation import listings_of_activation

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("cuda")]

N, K = 330, 20


def trained(device, steps, *own, dtype="float64", **arguments):
    rng = np.random.default_rng(0)
    data = rng.standard_normal((N, K)), rng.uniform(0.1, 0.9, (N, 4))
    settings = {"epochs": 2, "batch_size": 32, "seed": 0} | arguments
    net = NeuralNetwork(device=device, dtype=dtype, steps=steps, **settings)
    for layer in (DenseLayer(24, (K,)), *own, DenseLayer(4)):
        net.add(layer)
    return net.fit(data)


def assert_same(gpu, cpu, tolerance=1e-8):
    ours, theirs = to_host(gpu.parameters.copy()), cpu.parameters.copy()
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    assert gpu.history["loss"] == pytest.approx(cpu.history["loss"], rel=tolerance)


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("activation", [Swish, Bent])
@pytest.mark.parametrize("optimizer", [lambda: SignSGD(0.003), Slowing])
def test_own_parts_are_captured(activation, optimizer, one_by_one, monkeypatch):
    monkeypatch.setattr(graphs, "ONE_BY_ONE", one_by_one)

    def make(device, steps):
        own = {"loss": LogCosh(), "optimizer": optimizer(), "regularizer": Smooth()}
        return trained(device, steps, activation(), **own)

    assert_same(make("cuda", "captured"), make("cpu", "formulas"))


def cubes(w):
    return abs(w) ** 3


def fourth_power(y, p):
    return (y - p) ** 4


@pytest.mark.parametrize("steps", ["captured", "formulas"])
def test_plain_functions_are_parts(steps):
    def make(device, steps):
        return trained(device, steps, TanhActivation(), loss=fourth_power, regularizer=cubes)

    assert_same(make("cuda", steps), make("cpu", "formulas"))


@pytest.mark.parametrize("part", written.parts(Optimizer), ids=repr)
@pytest.mark.parametrize("steps", ["captured", "formulas"])
def test_optimizers(part, steps):
    def make(device, steps):
        own = {"loss": "mse", "optimizer": copy.deepcopy(part), "regularizer": "l2"}
        return trained(device, steps, TanhActivation(), **own)

    # Dividing by the square root of a small square enlarges the rounding.
    assert_same(make("cuda", steps), make("cpu", "formulas"), tolerance=1e-6)


# ---- kernels alone: numbers at which the device's functions might differ


def unusual(dtype):
    """Return numbers, but subnormal ones, which are 0 in float32 on a GPU."""
    values = [0.0, np.nan, np.inf, 1.0, 6.0, 1e30, 1e-30, 0.4 * np.finfo(dtype).max, 90.0, 20.0]
    values = np.array([*values, *(-value for value in values)], dtype)
    rng = np.random.default_rng(5)
    return np.concatenate([values, (3 * rng.standard_normal(200)).astype(dtype)])


def assert_near(got, wanted, dtype):
    # Of sums in which numbers of about 10 cancel, the GPU rounds one term less.
    rtol, atol = (2e-5, 1e-5) if dtype == "float32" else (1e-10, 1e-13)
    np.testing.assert_allclose(got, wanted, rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("part", written.parts(ActivationLayer), ids=repr)
def test_activations_at_unusual_numbers(part, dtype, cuda):
    _, program, _ = listings_of_activation(part, dtype)
    machine, x = machine_of(cuda, dtype), unusual(dtype)
    z, d = machine.zeros(x.shape), machine.zeros(x.shape)
    numbers = {name: getattr(part, name) for name in program.numbers}
    given = z, None, d, 1, x.size, *formulas.fixed(program, numbers)
    with machine.ordered_with_current_stream():  # on which the arrays were made
        machine.write(z, x)
        machine.run([machine.kernel(formulas.activation(program), (2, 1), 64, *given)])
    with np.errstate(all="ignore"):
        wanted = part.activation_function(x), part.derivative(x)
    for found, expected in zip((z, d), wanted, strict=True):
        assert_near(machine.read(found), expected, dtype)
    machine.close()


def machine_of(cuda, dtype):
    return type(cuda)(cuda.name, cuda.xp, cuda.device, dtype).machine("float32")


def rule_of(part, dtype) -> Formula:
    states = tuple(f"s{k}" for k in range(len(part.state_names)))
    return formula_of(part, ruled, ("w", "g", *states), dtype, ("rate", "t"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("part", written.parts(Optimizer), ids=repr)
def test_rules_at_unusual_numbers(part, dtype, cuda):
    import cupy

    rng, formula = np.random.default_rng(1), rule_of(part, dtype)
    values = unusual(dtype)
    if getattr(part, "centered", False):
        # s - m² is NaN where both overflow, but not where m * m is not rounded before it is
        # subtracted.
        values = values[abs(values) < 1e18]
    host = [rng.choice(values, 3000) for _ in formula.inputs]
    with np.errstate(all="ignore"):
        wanted = part.rule(*host, rate=0.1, t=7.0)
    arrays = [cupy.asarray(each) for each in host]
    numbers = {name: float(getattr(part, name)) for name in part.numbers} | {"rate": 0.1, "t": 7.0}
    outs = [arrays[0], *arrays[2:]]
    found = run(*arrays, formula=formula, numbers=numbers, outs=outs)
    assert all(one is other for one, other in zip(found, outs, strict=True))
    for each, expected in zip(found, wanted, strict=True):
        assert_near(each.get(), expected, dtype)


def test_arrays_that_the_kernel_does_not_take_are_computed_all_the_same(cuda):
    import cupy

    formula, host = rule_of(SignSGD(), "float64"), np.arange(-6.0, 6.0).reshape(3, 4)
    w, g = cupy.asarray(host), cupy.asarray(-host)
    numbers = {"rate": 0.5, "t": 1.0}
    expected = host + 0.5 * np.sign(host)
    cases = [
        ((w, g), numbers),
        ((w.T, g.T), numbers),
        ((w, g), {"rate": cupy.asarray(0.5), "t": 1.0}),
        ((w, cupy.asarray(-host[:1])), numbers),
        ((w.astype("float32"), g), numbers),
    ]
    for arrays, given in cases:
        (found,) = run(*arrays, formula=formula, numbers=given)
        wanted = expected.T if found.shape == (4, 3) else expected
        if arrays[1].shape == (1, 4):
            wanted = host + 0.5 * np.sign(host[:1])
        np.testing.assert_allclose(found.get(), wanted)


def test_no_elements_are_no_error(cuda):
    import cupy

    empty = cupy.zeros((0, 4), "float32")
    (found,) = run(empty, empty, formula=rule_of(SignSGD(), "float32"), numbers={"rate": 0.5})
    assert found.shape == (0, 4)
