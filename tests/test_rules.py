"""The optimizers' rules: PyTorch's or the paper's steps, on every backend, in place, resumed."""

import copy
import itertools
import math

import numpy as np
import pytest

import xpnet
from xpnet import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    ConstantLearningRate,
    DenseLayer,
    LinearDecay,
    Lion,
    NAdam,
    NeuralNetwork,
    RAdam,
    RMSProp,
    Rprop,
    TanhActivation,
)
from xpnet.backends import to_host
from xpnet.backends.formula import evaluate, scalars, trace_part
from xpnet.callbacks import Checkpoint, LambdaCallback
from xpnet.optimizers import OPTIMIZERS
from xpnet.optimizers.nadam import _log_of_product

STEPS, SIZE = 50, 40

# name -> our optimizer, the name and the arguments of PyTorch's
PAIRS = {
    "RMSProp, momentum": (
        lambda: RMSProp(0.01, momentum=0.8),
        ("RMSprop", {"lr": 0.01, "alpha": 0.9, "momentum": 0.8}),
    ),
    "RMSProp, centered": (
        lambda: RMSProp(0.01, centered=True),
        ("RMSprop", {"lr": 0.01, "alpha": 0.9, "centered": True}),
    ),
    "RMSProp, both": (
        lambda: RMSProp(0.01, momentum=0.5, centered=True),
        ("RMSprop", {"lr": 0.01, "alpha": 0.9, "momentum": 0.5, "centered": True}),
    ),
    "Adam, amsgrad": (
        lambda: Adam(0.01, beta_2=0.9, amsgrad=True),
        ("Adam", {"lr": 0.01, "betas": (0.9, 0.9), "amsgrad": True}),
    ),
    "AdamW, amsgrad": (
        lambda: AdamW(0.01, weight_decay=0.1, amsgrad=True),
        ("AdamW", {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True}),
    ),
    "Adadelta": (Adadelta, ("Adadelta", {})),
    "Adadelta, options": (
        lambda: Adadelta(0.5, 0.8, 1e-3),
        ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-3}),
    ),
    "Adamax": (Adamax, ("Adamax", {})),
    "Adamax, options": (
        lambda: Adamax(0.01, 0.8, 0.9, 1e-3),
        ("Adamax", {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-3}),
    ),
    "NAdam": (NAdam, ("NAdam", {})),
    "NAdam, weight decay": (
        lambda: NAdam(0.01, 0.8, 0.9, 1e-3, 0.3, weight_decay=0.1),
        (
            "NAdam",
            {
                "lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-3, "momentum_decay": 0.3,
                "weight_decay": 0.1,
            },
        ),
    ),
    "NAdam, decoupled": (
        lambda: NAdam(weight_decay=0.1, decoupled=True),
        ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ),
    "NAdam, constant momentum": (
        lambda: NAdam(momentum_decay=0.0),
        ("NAdam", {"momentum_decay": 0.0}),
    ),
    "RAdam": (RAdam, ("RAdam", {})),
    "RAdam, options": (
        lambda: RAdam(0.01, 0.8, 0.9, 1e-3),
        ("RAdam", {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-3}),
    ),
    # ρ∞ is 4: the formula of the correction would divide by 0, and is never in use.
    "RAdam, never corrected": (
        lambda: RAdam(beta_2=0.6),
        ("RAdam", {"betas": (0.9, 0.6)}),
    ),
    "Rprop": (Rprop, ("Rprop", {})),
    "Rprop, options": (
        lambda: Rprop(0.1, 0.3, 1.5, 1e-3, 0.5),
        ("Rprop", {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (1e-3, 0.5)}),
    ),
}  # fmt: skip

MADE = {
    "SGD": lambda: SGD(0.05, nesterov=True),
    "RMSProp": lambda: RMSProp(0.01),
    "Adagrad": lambda: Adagrad(0.05),
    "Adam": lambda: Adam(0.01),
    "AdamW": lambda: AdamW(0.01),
    "Lion": lambda: Lion(0.01, weight_decay=0.1),
    **{name: make for name, (make, _) in PAIRS.items()},
}


def gradients(rng):
    """Return a function that gives the gradient at weights: of a quadratic form, with noise."""
    a = rng.standard_normal((SIZE, SIZE))
    noise = 0.1 * rng.standard_normal((STEPS, SIZE))
    noise[::3, :5] = 0.0
    return lambda w, step: 0.01 * (a.T @ (a @ w)) + noise[step]


def steps_of(optimizer, w, gradient, asarray=np.asarray):
    """Return the weights after each step; gradients are computed from weights on the host."""
    w, found = asarray(w), []
    for step in range(STEPS):
        w = optimizer.update(w, asarray(gradient(to_host(w).astype(float), step)))
        found.append(to_host(w))
    return np.array(found)


@pytest.fixture
def wide_numbers_in_torch():
    """PyTorch's NAdam keeps the product of its momenta in the default type."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", PAIRS)
def test_fifty_steps_are_those_of_pytorch(name, wide_numbers_in_torch, rng):
    torch, (make, (kind, arguments)) = wide_numbers_in_torch, PAIRS[name]
    start, gradient = rng.standard_normal(SIZE), gradients(rng)
    found = steps_of(make(), start, gradient)
    weights = torch.tensor(start, requires_grad=True)
    theirs = getattr(torch.optim, kind)([weights], **arguments)
    for step in range(STEPS):
        weights.grad = torch.tensor(gradient(weights.detach().numpy(), step))
        theirs.step()
        expected = weights.detach().numpy()
        np.testing.assert_allclose(found[step], expected, rtol=1e-9, atol=1e-12)


def test_lion_is_the_algorithm_of_its_paper(rng):
    """Chen et al. 2023, algorithm 2, line by line."""
    rate, beta_1, beta_2, decay = 0.01, 0.9, 0.99, 0.1
    theta, gradient = rng.standard_normal(SIZE), gradients(rng)
    found = steps_of(Lion(rate, weight_decay=decay), theta, gradient)
    m = np.zeros(SIZE)
    for step in range(STEPS):
        g = gradient(theta, step)
        c = beta_1 * m + (1 - beta_1) * g
        theta = theta - rate * (np.sign(c) + decay * theta)
        m = beta_2 * m + (1 - beta_2) * g
        np.testing.assert_allclose(found[step], theta, rtol=1e-9, atol=1e-12)


def test_every_optimizer_is_compared_with_another_implementation():
    from tests.test_trajectories import OPTIMIZER_PAIRS

    compared = {type(make()) for make, _ in (*OPTIMIZER_PAIRS.values(), *PAIRS.values())}
    by_rules = {kind for kind in OPTIMIZERS.values() if not kind.takes_all_samples}
    assert compared | {Lion} == by_rules
    assert {type(make()) for make in MADE.values()} == by_rules


@pytest.mark.parametrize("name", MADE)
def test_steps_are_the_same_on_every_backend(name, float64_backend, rng):
    start, gradient = rng.standard_normal(SIZE), gradients(rng)
    expected = steps_of(MADE[name](), start, gradient)
    optimizer, backend = MADE[name](), float64_backend
    found = steps_of(optimizer, start, gradient, lambda x: backend.asarray(x, "float64"))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    for state in optimizer.state_names:
        assert backend.owns(getattr(optimizer, state))


@pytest.mark.parametrize("name", MADE)
def test_float32_stays_float32(name, backend, rng):
    optimizer = MADE[name]()
    w, g = (backend.asarray(rng.standard_normal(SIZE), "float32") for _ in range(2))
    for _ in range(3):
        w = optimizer.update(w, g)
    for array in (w, *(getattr(optimizer, state) for state in optimizer.state_names)):
        assert str(array.dtype).endswith("float32")
        assert np.isfinite(to_host(array)).all()


@pytest.mark.parametrize("clip", [{}, {"clip_norm": 0.5}, {"clip_value": 0.1}])
@pytest.mark.parametrize("size", [7, 100_000])
@pytest.mark.parametrize("name", MADE)
def test_in_place_gives_the_same_bits(name, size, clip, rng):
    optimizer = MADE[name]()
    for option, value in clip.items():
        setattr(optimizer, option, value)
    other = copy.deepcopy(optimizer)
    w = rng.standard_normal(size)
    place = w.copy()
    for _ in range(5):
        g = rng.standard_normal(size)
        kept = g.copy()
        w = optimizer.update(w, g)
        place = other.update(place, g, out=place)
        np.testing.assert_array_equal(place, w)
        np.testing.assert_array_equal(g, kept)
    for state in optimizer.state_names:
        np.testing.assert_array_equal(getattr(other, state), getattr(optimizer, state))


@pytest.mark.parametrize("name", MADE)
def test_clipping_comes_before_the_rule(name, rng):
    clipped, plain = MADE[name](), MADE[name]()
    clipped.clip_norm = 0.5
    w = v = rng.standard_normal(SIZE)
    for _ in range(5):
        g = rng.standard_normal(SIZE)
        w, v = clipped.update(w, g), plain.update(v, g * (0.5 / np.linalg.norm(g)))
        np.testing.assert_allclose(w, v, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", MADE)
def test_a_gradient_that_is_not_a_number_is_not_hidden(name):
    w = MADE[name]().update(np.ones(3), np.array([1.0, np.nan, -1.0]))
    np.testing.assert_array_equal(np.isnan(w), [False, True, False])


# ---- single properties


@pytest.mark.parametrize("decay", [0.0, 1e-310, 1e-12, 1e-5, 0.004, 0.3, 10.0, 1e6])
def test_the_product_of_nadams_momenta_has_a_closed_form(decay):
    total = 0.0
    for t in range(1, 5001):
        total += math.log1p(-0.5 * 0.96 ** (t * decay))
        if t in (1, 2, 3, 10, 100, 1000, 5000):
            assert _log_of_product(decay, float(t)) == pytest.approx(total, rel=1e-11, abs=1e-14)


def test_rprops_steps_grow_and_shrink():
    optimizer, w = Rprop(0.1, step_max=0.13), np.zeros(1)
    expected = [
        (1.0, -0.1, 0.1),  # the first step
        (2.0, -0.22, 0.12),  # the same sign: 1.2 times as long
        (1.0, -0.35, 0.13),  # as long as is allowed
        (-1.0, -0.35, 0.065),  # another sign: the weight stays
        (-1.0, -0.285, 0.065),  # and the next sign counts as new
    ]
    for gradient, weight, step in expected:
        w = optimizer.update(w, np.array([gradient]))
        np.testing.assert_allclose([w[0], optimizer.step_size[0]], [weight, step], rtol=1e-12)


def test_rprop_tells_signs_of_gradients_whose_product_underflows():
    optimizer, w = Rprop(0.1), np.zeros(1, np.float32)
    for _ in range(2):
        w = optimizer.update(w, np.full(1, 1e-30, np.float32))
    np.testing.assert_allclose(w, [-0.22], rtol=1e-6)


def test_rprop_refuses_a_schedule():
    with pytest.raises(ValueError, match="Rprop, which adapts its steps itself: expected a number"):
        Rprop(LinearDecay(0.1, 0.01))
    optimizer = Rprop(0.1)
    with pytest.raises(ValueError, match="Rprop, which adapts its steps itself"):
        optimizer.schedule = LinearDecay(0.1, 0.01)
    optimizer.schedule = ConstantLearningRate(0.2)
    assert repr(optimizer) == "Rprop(learning_rate=0.2)"


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (Adam, "amsgrad", True),
        (lambda: AdamW(amsgrad=True), "amsgrad", False),
        (RMSProp, "centered", True),
        (RMSProp, "momentum", 0.5),
    ],
)
def test_what_is_remembered_cannot_change_after_updates(make, name, value):
    optimizer = make()
    before, names = getattr(optimizer, name), optimizer.state_names
    setattr(optimizer, name, value)  # there is nothing to lose yet
    assert optimizer.state_names != names
    setattr(optimizer, name, before)
    optimizer.update(np.zeros(2), np.ones(2))
    with pytest.raises(ValueError, match=rf"{name}=.* cannot be set after 1 updates"):
        setattr(optimizer, name, value)
    assert getattr(optimizer, name) == before
    optimizer.update(np.zeros(2), np.ones(2))


def test_rmsprops_momentum_may_change_as_long_as_there_is_some():
    optimizer, other = RMSProp(0.1, momentum=0.5), RMSProp(0.1, momentum=0.9)
    w = optimizer.update(np.zeros(2), np.ones(2))
    other.update(np.zeros(2), np.ones(2))
    optimizer.momentum = 0.9
    np.testing.assert_array_equal(optimizer.update(w, np.ones(2)), other.update(w, np.ones(2)))


def test_the_rule_of_a_users_amsgrad_may_be_adams_of_two_moments():
    """A subclass that was written for two moments works as long as it has no third."""

    class Halved(Adam):
        def rule(self, w, g, m, v, *, rate, t):
            return super().rule(w, 0.5 * g, m, v, rate=rate, t=t)

    g = np.array([1.0, -2.0])
    np.testing.assert_array_equal(
        Halved().update(np.zeros(2), g), Adam().update(np.zeros(2), 0.5 * g)
    )


# ---- in networks


def network(optimizer, steps, **arguments):
    arguments = {"batch_size": 30, "epochs": 4, "seed": 3, "dtype": "float64"} | arguments
    net = NeuralNetwork(optimizer=optimizer, steps=steps, **arguments)
    return net.add(DenseLayer(8, (5,))).add(TanhActivation()).add(DenseLayer(2))


@pytest.fixture
def data(rng):
    X = rng.standard_normal((120, 5))
    return X, X[:, :2] * X[:, 2:4]


def all_of(net):
    optimizer = net.optimizer
    return [net.parameters.copy(), *(getattr(optimizer, name) for name in optimizer.state_names)]


@pytest.mark.parametrize("steps", ["formulas", "compiled"])
@pytest.mark.parametrize("name", MADE)
def test_a_saved_network_goes_on_bit_for_bit(name, steps, data, tmp_path):
    whole = network(MADE[name](), steps).fit(data, epochs=7)
    first = network(MADE[name](), steps).fit(data, epochs=4)
    first.save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net")
    assert repr(loaded.optimizer) == repr(first.optimizer)
    assert loaded.optimizer.state_names == first.optimizer.state_names
    rest = loaded.fit(data, epochs=3)
    assert rest.history["loss"] == whole.history["loss"]
    for found, expected in zip(all_of(rest), all_of(whole), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("steps", ["formulas", "compiled"])
@pytest.mark.parametrize("name", MADE)
def test_a_training_that_was_broken_off_is_resumed_bit_for_bit(name, steps, data, tmp_path):
    def stop(network, epoch):
        if epoch == 4:
            raise RuntimeError("broken off")

    whole = network(MADE[name](), steps).fit(data, epochs=7)
    folder = tmp_path / "run"
    with pytest.raises(RuntimeError, match="broken off"):
        network(MADE[name](), steps).fit(
            data,
            epochs=7,
            callbacks=[Checkpoint(folder), LambdaCallback(on_epoch_begin=stop)],
        )
    rest = network(MADE[name](), steps).fit(
        data, epochs=7, callbacks=[Checkpoint(folder), LambdaCallback()], resume=folder
    )
    assert rest.history["loss"] == whole.history["loss"]
    for found, expected in zip(all_of(rest), all_of(whole), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", MADE)
def test_a_diverged_epoch_is_undone(name, data):
    net = network(MADE[name](), "formulas").fit(data, epochs=2)
    before, n_updates = [each.copy() for each in all_of(net)], net.optimizer.n_updates

    def spoil(network, epoch):
        network.layers[0].weights[...] = np.inf

    with pytest.raises(xpnet.DivergedError):
        net.fit(data, epochs=1, callbacks=LambdaCallback(on_epoch_begin=spoil))
    for found, expected in zip(all_of(net), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert net.optimizer.n_updates == n_updates


def test_the_memory_plan_counts_what_the_options_keep(data):
    def planned(optimizer):
        net = network(optimizer, "formulas", epochs=1).fit(data)
        return net.last_plan.total, 8 * net.parameters.copy().size

    for plain, more, arrays in (
        (Adam(), Adam(amsgrad=True), 1),
        (RMSProp(), RMSProp(momentum=0.5, centered=True), 2),
        (Adam(), Lion(), -1),
    ):
        (less, size), (total, _) = planned(plain), planned(more)
        assert total - less == 2 * arrays * size  # and a copy that a failed epoch returns to


@pytest.mark.parametrize("name", ["Adam, amsgrad", "RMSProp, both", "Rprop"])
def test_a_state_that_no_training_leaves_is_refused(name, data, tmp_path):
    net = network(MADE[name](), "formulas").fit(data)
    optimizer = net.optimizer
    last = optimizer.state_names[-1]
    kept = getattr(optimizer, last)
    setattr(optimizer, last, None)
    with pytest.raises(ValueError, match=f"{last} is missing after 16 updates"):
        optimizer.check_state()
    setattr(optimizer, last, kept - np.inf)
    with pytest.raises(ValueError, match=f"{last} has numbers that training cannot produce"):
        optimizer.check_state()


# ---- functions of numbers


def test_functions_of_numbers_take_numbers():
    assert scalars.exp(0.0) == 1.0
    assert scalars.exp(1e4) == math.inf
    assert math.isnan(scalars.sqrt(-1.0))
    assert scalars.log(1.0) == scalars.expm1(0.0) == 0.0
    assert (scalars.maximum(1.0, 2.0), scalars.minimum(1.0, 2.0)) == (2.0, 1.0)
    a, b = np.ones(2), np.zeros(2)
    assert scalars.where(True, a, b) is a
    assert scalars.where(False, a, b) is b


def test_functions_of_numbers_take_symbols():
    def function(x, *, t):
        return x * scalars.exp(t), scalars.where(t > 2.0, x, -x), scalars.where(t > 2.0, t, x)

    formula = _formula(function)
    for t, x in itertools.product((1.0, 3.0), (np.array([1.0, -2.0]),)):
        found = evaluate(formula.outputs, {"x": x}, {"t": t})
        for one, other in zip(found, function(x, t=t), strict=True):
            np.testing.assert_array_equal(one, np.broadcast_to(other, x.shape))


def test_a_branch_by_a_number_works_on_every_backend(backend):
    formula = _formula(lambda x, *, t: scalars.where(t > 2.0, t, x))
    x = backend.asarray(np.array([1.0, -2.0]), backend.dtype)
    for t, expected in ((1.0, [1.0, -2.0]), (3.0, [3.0, 3.0])):
        (found,) = evaluate(formula.outputs, {"x": x}, {"t": t})
        np.testing.assert_array_equal(to_host(found), expected)


def _formula(function):
    return trace_part(SGD(), lambda part, x, *, t: function(x, t=t), ["x"], "float64", (), ("t",))
