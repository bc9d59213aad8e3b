"""Optimizers and schedules: formulas worked by hand, clipping, state, minima found."""

import copy
import math

import numpy as np
import pytest

from xpnet import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    ConstantLearningRate,
    CosineDecay,
    CosineRestarts,
    ExponentialDecay,
    LinearDecay,
    Lion,
    NAdam,
    OneCycle,
    Optimizer,
    PolynomialDecay,
    RAdam,
    ReduceOnPlateau,
    RMSProp,
    Rprop,
    StepDecay,
    WarmUp,
    schedules,
)
from xpnet.backends import to_host
from xpnet.optimizers import OPTIMIZERS
from xpnet.schedules import FunctionSchedule, ScaledSchedule, Schedule

W, G1, G2 = 1.0, 0.5, -0.25
BY_RULES = [kind for kind in OPTIMIZERS.values() if not kind.takes_all_samples]


def two_steps(optimizer, backend=None):
    """Weights after each of two updates of w = 1 with the gradients 0.5 and -0.25."""
    asarray = np.asarray if backend is None else lambda x: backend.asarray(x, backend.dtype)
    w1 = optimizer.update(asarray([W]), asarray([G1]))
    w2 = optimizer.update(w1, asarray([G2]))
    return [to_host(w)[0] for w in (w1, w2)]


# Worked by hand from the formulas of the docstrings.
BY_HAND = {
    # w1 = 1 - 0.1 * 0.5; w2 = 0.95 + 0.1 * 0.25
    "plain": (lambda: SGD(0.1, momentum=0.0), [0.95, 0.975]),
    # v1 = 0.5; v2 = 0.9 * 0.5 - 0.25 = 0.2
    "momentum": (lambda: SGD(0.1, momentum=0.9), [0.95, 0.93]),
    # V1 = 0.1 * 0.5 = 0.05; V2 = 0.9 * 0.05 - 0.1 * 0.25 = 0.02
    "moving average": (lambda: SGD(0.1, momentum=0.9, dampening=0.9), [0.995, 0.993]),
    # v1 = 0.5, step 0.9 * 0.5 + 0.5 = 0.95; v2 = 0.2, step 0.9 * 0.2 - 0.25 = -0.07
    "Nesterov": (lambda: SGD(0.1, momentum=0.9, nesterov=True), [0.905, 0.912]),
    # s1 = 0.1 * 0.25 = 0.025; s2 = 0.0225 + 0.1 * 0.0625 = 0.02875
    "RMSProp": (
        lambda: RMSProp(0.01),
        [1 - 0.005 / math.sqrt(0.025), 1 - 0.005 / math.sqrt(0.025) + 0.0025 / math.sqrt(0.02875)],
    ),
    # m̂ = g and v̂ = g² at first: a step of α; m2 = 0.045 - 0.025 = 0.02, m̂2 = 0.02 / 0.19;
    # v2 = 0.999 * 0.00025 + 0.001 * 0.0625 = 0.00031225, v̂2 = 0.00031225 / 0.001999
    "Adam": (
        lambda: Adam(0.01),
        [0.99, 0.99 - 0.01 * (0.02 / 0.19) / math.sqrt(0.00031225 / 0.001999)],
    ),
    # the same moments, ε beside √v: 0.05 / (√0.00025 + 0.1), then 0.02 / (√0.00031225 + 0.1)
    "Adam, ε uncorrected": (
        lambda: Adam(0.01, epsilon=0.1, corrects_epsilon=False),
        [
            1 - 0.01 * (UNCORRECTED := math.sqrt(0.001) / 0.1 * 0.05 / (math.sqrt(0.00025) + 0.1)),
            1
            - 0.01 * UNCORRECTED
            - 0.01 * math.sqrt(0.001999) / 0.19 * 0.02 / (math.sqrt(0.00031225) + 0.1),
        ],
    ),
    # the same from weights times 1 - 0.01 * 0.1
    "AdamW": (
        lambda: AdamW(0.01, weight_decay=0.1),
        [
            0.999 - 0.01,
            0.989 * 0.999 - 0.01 * (0.02 / 0.19) / math.sqrt(0.00031225 / 0.001999),
        ],
    ),
    # v1 = 0.5; v2 = 0.5 * v1 - 0.25 / √s2
    "RMSProp, momentum": (
        lambda: RMSProp(0.01, momentum=0.5),
        [
            1 - 0.01 * (FIRST := 0.5 / math.sqrt(0.025)),
            1 - 0.015 * FIRST + 0.0025 / math.sqrt(0.02875),
        ],
    ),
    # m1 = 0.05, s1 - m1² = 0.0225; m2 = 0.02, s2 - m2² = 0.02835
    "RMSProp, centered": (
        lambda: RMSProp(0.01, centered=True),
        [1 - 0.005 / 0.15, 1 - 0.005 / 0.15 + 0.0025 / math.sqrt(0.02835)],
    ),
    # v1 = 0.125 stays the largest; corrected by 1 - 0.5²
    "Adam, amsgrad": (
        lambda: Adam(0.01, beta_2=0.5, amsgrad=True),
        [0.99, 0.99 - 0.01 * (0.02 / 0.19) / math.sqrt(0.125 / 0.75)],
    ),
    # s1 = 0.025, s2 = 0.02875; Δ = √(u + ε) / √(s + ε) g with u1 = 0.1 Δ1²
    "Adadelta": (
        lambda: Adadelta(epsilon=0.01),
        [
            1 - (DELTA := 0.1 / math.sqrt(0.035) * 0.5),
            1 - DELTA + math.sqrt(0.1 * DELTA**2 + 0.01) / math.sqrt(0.03875) * 0.25,
        ],
    ),
    # u1 = 0.5, u2 = 0.999 * 0.5
    "Adamax": (lambda: Adamax(0.01), [0.99, 0.99 - 0.01 / 0.19 * 0.02 / 0.4995]),
    # μ = 0.45, so that the products are 0.45, 0.2025 and 0.091125
    "NAdam": (
        lambda: NAdam(0.01, momentum_decay=0.0),
        [
            1 - (STEP := 0.01 * (0.45 / (1 - 0.2025) * 0.05 + 0.5) / 0.5),
            1
            - STEP
            - 0.01
            * (0.45 / (1 - 0.091125) * 0.02 - 0.55 / (1 - 0.2025) * 0.25)
            / math.sqrt(0.00031225 / 0.001999),
        ],
    ),
    # no correction in the first updates: α m̂
    "RAdam": (lambda: RAdam(0.01), [0.995, 0.995 - 0.01 * 0.02 / 0.19]),
    # 0.9 * 0.005 - 0.1 * 0.25 is below 0
    "Lion": (lambda: Lion(0.1, weight_decay=0.5), [0.85, 0.85 * 0.95 + 0.1]),
    # the sign changes: no second step
    "Rprop": (lambda: Rprop(0.1), [0.9, 0.9]),
    # s1 = 0.25; s2 = 0.3125
    "Adagrad": (lambda: Adagrad(0.1), [0.9, 0.9 + 0.025 / math.sqrt(0.3125)]),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_updates_are_those_worked_by_hand(name, backend):
    make, expected = BY_HAND[name]
    tolerance = 1e-6 if backend.dtype == "float64" else 1e-5
    np.testing.assert_allclose(two_steps(make(), backend), expected, rtol=tolerance)


def test_every_optimizer_of_the_library_was_worked_by_hand():
    assert set(BY_RULES) == {type(make()) for make, _ in BY_HAND.values()}


@pytest.mark.parametrize("name", BY_HAND)
def test_update_keeps_its_arguments_and_types(name, backend):
    optimizer = BY_HAND[name][0]()
    w, g = backend.zeros((2, 3)) + 1.0, backend.zeros((2, 3)) + 0.5
    new = optimizer.update(w, g)
    assert new.shape == w.shape
    assert new.dtype == backend.float_dtype
    assert backend.owns(new)
    assert np.all(to_host(w) == 1.0)
    assert np.all(to_host(g) == 0.5)
    for state in optimizer.state_names:
        assert getattr(optimizer, state).dtype == backend.float_dtype


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(0.01),
        SGD(0.02, nesterov=True),
        SGD(0.1, dampening=0.9),
        RMSProp(0.01),
        Adam(0.05),
        AdamW(0.05, weight_decay=1e-6),
        Adagrad(1.0),
        RMSProp(0.01, momentum=0.5, centered=True),
        Adam(0.05, amsgrad=True),
        Adadelta(10.0),
        Adamax(0.05),
        NAdam(0.05),
        RAdam(0.05),
        Lion(LinearDecay(0.01, 0.0)),
        Rprop(0.1),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_finds_the_minimum_of_a_stretched_parabola(optimizer):
    stretch, minimum = np.array([1.0, 10.0]), np.array([3.0, -2.0])
    optimizer, w = copy.deepcopy(optimizer), np.zeros(2)
    for k in range(2000):
        optimizer.begin_epoch(k, 2000)
        w = optimizer.update(w, stretch * (w - minimum))
    np.testing.assert_allclose(w, minimum, atol=0.02)


def test_retained_gradient_is_the_velocity():
    optimizer = SGD(0.1, momentum=0.9)
    assert optimizer.retained_gradient is None
    two_steps(optimizer)
    np.testing.assert_allclose(optimizer.retained_gradient, [0.2])


def test_one_optimizer_serves_one_array():
    optimizer = SGD()
    optimizer.update(np.zeros(3), np.ones(3))
    with pytest.raises(ValueError, match=r"has state for weights of shape \(3,\), but got"):
        optimizer.update(np.zeros(4), np.ones(4))


class TestClipping:
    def step(self, gradient, backend, **clip):
        g = backend.asarray(gradient, backend.dtype)
        return -to_host(SGD(1.0, 0.0, **clip).update(backend.zeros(g.shape), g))

    def test_a_long_gradient_is_shortened_to_the_norm(self, backend):
        np.testing.assert_allclose(
            self.step([3.0, 4.0], backend, clip_norm=1.0), [0.6, 0.8], rtol=1e-6
        )

    def test_a_short_one_is_left_alone(self, backend):
        np.testing.assert_array_equal(
            self.step([0.3, 0.4], backend, clip_norm=1.0),
            np.asarray([0.3, 0.4], dtype=backend.dtype),
        )

    def test_a_zero_gradient_stays_zero(self, backend):
        np.testing.assert_array_equal(self.step([0.0, 0.0], backend, clip_norm=1.0), [0.0, 0.0])

    def test_by_value(self, backend):
        np.testing.assert_allclose(
            self.step([3.0, -4.0, 0.1], backend, clip_value=0.5), [0.5, -0.5, 0.1], rtol=1e-6
        )

    def test_value_before_norm(self, backend):
        got = self.step([3.0, -40.0], backend, clip_value=3.0, clip_norm=math.sqrt(18) / 2)
        np.testing.assert_allclose(got, [1.5, -1.5], rtol=1e-6)

    @pytest.mark.parametrize("argument", ["clip_norm", "clip_value"])
    def test_refuses_a_limit_of_0(self, argument):
        with pytest.raises(ValueError, match=f"{argument}=0: expected a finite number above 0"):
            SGD(**{argument: 0})


@pytest.mark.parametrize("cls", BY_RULES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("rate", [0, -0.1, float("nan"), float("inf"), "fast", None])
def test_refuses_a_learning_rate_that_is_not_above_0(cls, rate):
    with pytest.raises(ValueError, match=r"learning_rate=.*: expected a finite number above 0"):
        cls(rate)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(momentum=1.0), r"momentum=1.0: expected a number in \[0, 1\)"),
        (lambda: SGD(momentum=-0.1), r"momentum=-0.1: expected a number in \[0, 1\)"),
        (lambda: SGD(dampening=1), r"dampening=1: expected a number in \[0, 1\)"),
        (lambda: SGD(momentum=0, nesterov=True), "nesterov=True with momentum=0 "),
        (lambda: RMSProp(rho=1), "rho=1"),
        (lambda: Adam(beta_1=1), "beta_1=1"),
        (lambda: Adam(beta_2=-1), "beta_2=-1"),
        (lambda: Adam(epsilon=0), "epsilon=0"),
        (lambda: AdamW(weight_decay=-1), "weight_decay=-1"),
        (lambda: RMSProp(momentum=1), "momentum=1"),
        (lambda: Adadelta(rho=1), "rho=1"),
        (lambda: Adamax(beta_2=1), "beta_2=1"),
        (lambda: NAdam(momentum_decay=-1), "momentum_decay=-1"),
        (lambda: RAdam(epsilon=0), "epsilon=0"),
        (lambda: Lion(weight_decay=-1), "weight_decay=-1"),
        (lambda: Rprop(eta_minus=0), "eta_minus=0 .*: expected 0 < eta_minus < 1 < eta_plus"),
        (lambda: Rprop(eta_plus=1), "eta_plus=1: expected 0 < eta_minus < 1 < eta_plus"),
        (lambda: Rprop(step_min=1, step_max=0.1), "step_min=1 is above step_max=0.1"),
    ],
)
def test_refuses_arguments_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# schedule -> learning rates of the first epochs of five, worked by hand
SCHEDULES = {
    "constant": (ConstantLearningRate(0.1), [0.1] * 5),
    # 0.1 - (0.1 - 0.02) t / 4
    "linear": (LinearDecay(0.1, 0.02), [0.1, 0.08, 0.06, 0.04, 0.02]),
    # 0.16 (0.01 / 0.16)^(t/4), a factor 1/2 each
    "exponential": (ExponentialDecay(0.16, 0.01), [0.16, 0.08, 0.04, 0.02, 0.01]),
    "linear over fewer": (LinearDecay(0.1, 0.02, epochs=3), [0.1, 0.06, 0.02, 0.02, 0.02]),
    "step": (StepDecay(0.8, factor=0.5, every=2), [0.8, 0.8, 0.4, 0.4, 0.2]),
    # cos(0), cos(45°), cos(90°), cos(135°), cos(180°)
    "cosine": (
        CosineDecay(1.0),
        [1.0, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125), 0.0],
    ),
    # 2 of 2 steps up to 0.8, and then the decay's three epochs
    "warm-up": (WarmUp(LinearDecay(0.8, 0.0), 2), [0.4, 0.8, 0.8, 0.4, 0.0]),
    "warm-up to one rate": (WarmUp(0.9, 3), [0.3, 0.6, 0.9, 0.9, 0.9]),
    # (1 - t / 4)²
    "polynomial": (PolynomialDecay(1.6, power=2.0), [1.6, 0.9, 0.4, 0.1, 0.0]),
    # up to t / 4 = 1/2, and down
    "one cycle": (
        OneCycle(1.0, 0.2, 0.0, 0.5, "linear", by_step=False),
        [0.2, 0.6, 1.0, 0.5, 0.0],
    ),
    # periods of 1, 2 and 4 epochs
    "restarts": (
        CosineRestarts(1.0, period=1),
        [1.0, 1.0, 0.5, 1.0, 0.5 + math.sqrt(0.125)],
    ),
    "scaled": (ScaledSchedule(LinearDecay(0.8, 0.0), 0.5, 0.15), [0.4, 0.3, 0.2, 0.15, 0.0]),
    "function": (FunctionSchedule(lambda t, n: t / n), [0.0, 0.2, 0.4, 0.6, 0.8]),
    "cosine to 0.2": (CosineDecay(1.0, 0.2, epochs=3), [1.0, 0.6, 0.2, 0.2, 0.2]),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_those_worked_by_hand(name):
    schedule, expected = SCHEDULES[name]
    got = [schedule.learning_rate(epoch, 5) for epoch in range(5)]
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


def test_every_schedule_of_the_library_was_worked_by_hand():
    known = {kind for kind in vars(schedules).values() if isinstance(kind, type)} - {Schedule}
    assert known - {ReduceOnPlateau} == {type(schedule) for schedule, _ in SCHEDULES.values()}


@pytest.mark.parametrize("cls", [LinearDecay, ExponentialDecay, CosineDecay])
def test_a_single_epoch_has_the_first_learning_rate(cls):
    assert cls(0.1, 0.01).learning_rate(0, 1) == 0.1


class TestReduceOnPlateau:
    def rates(self, losses, **arguments):
        schedule, rates = ReduceOnPlateau(1.0, factor=0.5, **arguments), []
        for loss in losses:
            rates.append(schedule.learning_rate(0, 1))
            schedule.observe(loss)
        return rates

    def test_waits_out_its_patience_then_reduces(self):
        got = self.rates([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], patience=2)
        assert got == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]
        for patience in (0, 1):
            assert self.rates([1.0, 1.0, 1.0], patience=patience) == [1.0, 1.0, 0.5]

    def test_an_improvement_starts_the_count_anew(self):
        assert self.rates([1.0, 1.0, 0.9, 0.9, 0.9], patience=2) == [1.0, 1.0, 1.0, 1.0, 1.0]

    def test_a_gain_below_min_delta_is_none(self):
        got = self.rates([1.0, 0.999, 0.998, 0.997], patience=2, min_delta=0.01)
        assert got == [1.0, 1.0, 1.0, 0.5]

    def test_never_falls_below_the_final_rate(self):
        assert self.rates([1.0] * 4, patience=0, final=0.4) == [1.0, 1.0, 0.5, 0.4]


def test_an_optimizer_follows_its_schedule():
    optimizer = SGD(LinearDecay(0.1, 0.02))
    assert optimizer.learning_rate == 0.1
    optimizer.begin_epoch(2, 5)
    assert optimizer.learning_rate == pytest.approx(0.06)


def test_a_users_optimizer_is_a_few_lines(backend):
    class SignSGD(Optimizer):
        def update(self, w, grad_loss_w):
            return w - self.learning_rate * backend.xp.sign(grad_loss_w)

    got = two_steps(SignSGD(0.25), backend)
    assert got == [0.75, 1.0]


def test_clipping_by_norm_does_not_overflow():
    g = np.array([3e20, 4e20], dtype=np.float32)
    step = SGD(1.0, 0.0, clip_norm=1.0).update(np.zeros(2, np.float32), g)
    np.testing.assert_allclose(step, [-0.6, -0.8], rtol=1e-6)


@pytest.mark.parametrize("cls", BY_RULES)
def test_an_update_that_is_refused_changes_nothing(cls):
    optimizer, w = cls(0.1), np.ones(4)
    optimizer.update(np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="has state for weights of shape"):
        optimizer.update(w, np.ones(4), out=w)
    assert optimizer.n_updates == 1
    np.testing.assert_array_equal(w, np.ones(4))


def test_warming_up_lets_the_schedule_behind_it_watch_its_own_epochs_alone():
    inner = ReduceOnPlateau(1.0, factor=0.5, patience=0)
    schedule, rates = WarmUp(inner, 2), []
    for epoch in range(6):
        rates.append(schedule.learning_rate(epoch, 6))
        schedule.observe(1.0)  # the loss never improves
    assert rates == [0.5, 1.0, 1.0, 1.0, 0.5, 0.25]
    assert schedule.state_names == inner.state_names
    assert schedule.current == inner.current
    schedule.current = 7.0
    assert inner.current == 7.0
    again = copy.deepcopy(schedule)
    assert (again.current, again.schedule is inner) == (7.0, False)
    with pytest.raises(AttributeError, match="WarmUp has no 'nothing'"):
        _ = schedule.nothing


def test_a_network_that_warms_up_goes_on_from_a_file(tmp_path):
    from xpnet import DenseLayer, NeuralNetwork, load

    def make():
        schedule = WarmUp(ReduceOnPlateau(0.1, factor=0.5, patience=0), 2)
        net = NeuralNetwork(epochs=6, batch_size=4, optimizer=SGD(schedule), seed=0)
        return net.add(DenseLayer(1, (2,)))

    rng = np.random.default_rng(0)
    data = rng.standard_normal((20, 2)), rng.standard_normal(20)
    whole, first = make().fit(data), make().fit(data, epochs=4)
    first.save(tmp_path / "net")
    rest = load(tmp_path / "net").fit(data, epochs=2)
    assert rest.history["learning_rate"] == whole.history["learning_rate"]
    np.testing.assert_array_equal(rest.parameters.copy(), whole.parameters.copy())
