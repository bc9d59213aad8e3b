"""Schedules: their values, by step in all ways of taking steps, rates that are set by hand."""

import copy
import math
import pickle

import numpy as np
import pytest

import xpnet
from xpnet import (
    SGD,
    Adam,
    ConstantLearningRate,
    CosineDecay,
    CosineRestarts,
    DenseLayer,
    ExponentialDecay,
    FunctionSchedule,
    LambdaCallback,
    LinearDecay,
    NeuralNetwork,
    OneCycle,
    PolynomialDecay,
    ReduceLROnPlateau,
    ReduceOnPlateau,
    Schedule,
    StepDecay,
    TanhActivation,
    WarmUp,
    load,
)
from xpnet.backends import to_host
from xpnet.schedules import ScaledSchedule

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((75, 6)), RNG.integers(0, 3, 75)
BATCH, N_STEPS = 16, 5  # the last batch is short

BY_STEP = {
    "linear": LinearDecay(0.1, 0.02, by_step=True),
    "exponential": ExponentialDecay(0.1, 0.02, by_step=True),
    "cosine over fewer epochs": CosineDecay(0.1, epochs=2, by_step=True),
    "polynomial": PolynomialDecay(0.1, 0.01, 2.0, by_step=True),
    "one cycle": OneCycle(0.1),
    "one cycle, linear": OneCycle(0.1, 0.05, 0.0, 0.5, "linear"),
    "restarts": CosineRestarts(0.1, 0.01, 1, 2.0, by_step=True),
    "warm-up by step": WarmUp(0.1, 2, by_step=True),
    "warm-up by step, before one by epoch": WarmUp(StepDecay(0.1, 0.5, 1), 1, by_step=True),
    "warm-up by epoch, before one by step": WarmUp(CosineDecay(0.1, by_step=True), 1),
    "scaled": ScaledSchedule(LinearDecay(0.1, 0.02, by_step=True), 0.5),
    "function": FunctionSchedule(lambda epoch, epochs: 0.1 - 0.1 * epoch / epochs, by_step=True),
}


def network(steps="formulas", layers=(), **arguments):
    arguments = {"epochs": 3, "batch_size": BATCH, "dtype": "float64", "seed": 0} | arguments
    net = NeuralNetwork(**{"loss": "softmax_cross_entropy", "steps": steps} | arguments)
    return net.add(DenseLayer(7, (6,))).add(TanhActivation()).add(DenseLayer(3))


def parameters(net):
    return to_host(net.parameters.copy())


def by_hand(schedule, epochs, **arguments):
    """Train step by step, with the rate of each step from the schedule; return the network."""
    net = network(epochs=epochs, learning_rate=1.0, **arguments)
    for epoch in range(epochs):
        order = net.orders.samples(len(X), epoch)
        for k in range(N_STEPS):
            rows = order[k * BATCH : (k + 1) * BATCH]
            net.optimizer.learning_rate = schedule.at(epoch + k / N_STEPS, epochs)
            net.loss_and_gradient(X[rows], Y[rows])
            net.update_parameters()
    return net


@pytest.mark.parametrize("name", BY_STEP)
def test_each_step_has_the_rate_of_its_schedule(name, steps):
    schedule = BY_STEP[name]
    expected = by_hand(copy.deepcopy(schedule), 3)
    net = network(steps, learning_rate=schedule).fit((X, Y))
    np.testing.assert_allclose(parameters(net), parameters(expected), rtol=1e-9, atol=1e-12)
    last = [schedule.at(epoch + (N_STEPS - 1) / N_STEPS, 3) for epoch in range(3)]
    np.testing.assert_allclose(net.history["learning_rate"], last, rtol=1e-12)
    one = network(steps, learning_rate=schedule.at(0, 3) or 0.05).fit((X, Y))
    assert np.abs(parameters(one) - parameters(net)).max() > 1e-4  # the rates make a difference


def test_chunks_and_pieces_leave_the_rates_of_steps_as_they_are(monkeypatch):
    monkeypatch.setattr("xpnet.training.memory.CHUNK_BYTES", 2 * BATCH * 6 * 8)
    rates = []
    note = LambdaCallback(on_batch_end=lambda n, s, loss: rates.append(n.optimizer.learning_rate))
    schedule = LinearDecay(0.1, 0.0, by_step=True)
    net = network(learning_rate=schedule, memory_limit=1 << 30)
    data = xpnet.Dataset(X, Y)
    net.fit(data, callbacks=note)
    np.testing.assert_allclose(rates, 0.1 * (1 - np.arange(15) / 15), rtol=1e-12)


def test_a_user_schedule_by_step_gets_fractions(steps):
    class Own(Schedule):
        by_step = True

        def __init__(self):
            self.seen = []

        def learning_rate(self, epoch, epochs):
            self.seen.append(epoch)
            return 0.1

    net = network(steps, learning_rate=Own()).fit((X, Y), epochs=2)
    seen = set(net.optimizer.schedule.seen)
    assert seen == {0, *(epoch + k / N_STEPS for epoch in range(2) for k in range(N_STEPS))}


def batches():
    for start in range(0, 75, BATCH):
        yield X[start : start + BATCH], Y[start : start + BATCH]


def test_batches_whose_number_is_unknown_have_no_rates_by_step(steps):
    net = network(steps, learning_rate=OneCycle(0.1))
    before = parameters(net)
    with pytest.raises(ValueError, match=r"OneCycle.*give fit steps_per_epoch, or .*by_step=False"):
        net.fit(batches=batches)
    np.testing.assert_array_equal(parameters(net), before)
    net.fit(batches=batches, steps_per_epoch=N_STEPS)
    schedule = OneCycle(0.1)
    expected = [schedule.learning_rate(epoch + 0.8, 3) for epoch in range(3)]
    np.testing.assert_allclose(net.history["learning_rate"], expected, rtol=1e-12)
    by_epoch = network(steps, learning_rate=OneCycle(0.1, by_step=False)).fit(batches=batches)
    expected = [OneCycle(0.1, by_step=False).learning_rate(epoch, 3) for epoch in range(3)]
    np.testing.assert_allclose(by_epoch.history["learning_rate"], expected, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:OneCycle.*spans the network's epochs=4, but after this fit 1")
def test_what_is_left_of_a_cycle_goes_on_in_the_next_fit_and_from_a_file(tmp_path, steps):
    def make():
        return network(steps, epochs=4, learning_rate=OneCycle(0.1), optimizer=Adam)

    whole = make().fit((X, Y))
    parts = make().fit((X, Y), epochs=1)
    parts.save(tmp_path / "net")
    again = load(tmp_path / "net").fit((X, Y), epochs=3)
    parts.fit((X, Y), epochs=3)
    for net in (parts, again):
        np.testing.assert_array_equal(parameters(net), parameters(whole))
        assert net.history["learning_rate"] == whole.history["learning_rate"]


# ---- values


def test_cosine_restarts_are_those_of_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for period, growth, n in ((3, 2, 30), (4, 1, 13), (1, 3, 30)):
        weight = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([weight], lr=0.1)
        theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
            optimizer, period, growth, eta_min=0.01
        )
        schedule = CosineRestarts(0.1, 0.01, period, growth, by_step=True)
        for k in range(n):
            t = k / 2  # two steps an epoch
            theirs.step(t)
            expected = optimizer.param_groups[0]["lr"]
            assert schedule.learning_rate(t, n) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", ["cosine", "linear"])
def test_one_cycle_is_that_of_pytorch(shape):
    """PyTorch's last step has the last rate; with one more step in ours, both are alike."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    n, rising = 40, 0.25  # rising * n is a step
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    anneal = {"cosine": "cos", "linear": "linear"}[shape]
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.1, total_steps=n + 1, pct_start=(rising * n + 1) / (n + 1),
        anneal_strategy=anneal, cycle_momentum=False,
    )  # fmt: skip
    schedule = OneCycle(0.1, rising=rising, shape=shape)
    for k in range(n):
        expected = optimizer.param_groups[0]["lr"]
        assert schedule.learning_rate(k / n, 1) == pytest.approx(expected, rel=1e-9)
        optimizer.step()
        theirs.step()


def test_one_cycle_rises_to_its_highest_rate_and_falls():
    schedule = OneCycle(1.0, rising=0.5)
    assert (schedule.initial, schedule.final) == (1 / 25, 1 / 250_000)
    assert schedule.learning_rate(0.0, 8) == pytest.approx(1 / 25)
    assert schedule.learning_rate(2.0, 8) == pytest.approx((1 + 1 / 25) / 2)
    assert schedule.learning_rate(4.0, 8) == 1.0
    assert schedule.learning_rate(8.0, 8) == pytest.approx(1 / 250_000)
    assert schedule.learning_rate(11.0, 8) == pytest.approx(1 / 250_000)


def test_by_step_a_decay_ends_with_training():
    by_epoch, by_step = LinearDecay(1.0, 0.0), LinearDecay(1.0, 0.0, by_step=True)
    rates = [by_epoch.at(t, 4) for t in (0, 0.5, 1, 3, 3.5)]
    assert rates == pytest.approx([1, 1, 2 / 3, 0, 0])
    assert [by_step.at(t, 4) for t in (0, 0.5, 1, 3, 3.5, 5)] == [1, 0.875, 0.75, 0.25, 0.125, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OneCycle(0.1, 0.2), "initial below highest"),
        (lambda: OneCycle(-1.0), "highest=-1.0"),
        (lambda: OneCycle(0.1, rising=0.0), "rising"),
        (lambda: OneCycle(0.1, rising=1.0), "rising"),
        (lambda: OneCycle(0.1, shape="sine"), "unknown shape 'sine'.*'linear'|cosine"),
        (lambda: CosineRestarts(0.1, period=0), "period=0"),
        (lambda: CosineRestarts(0.1, growth=0.5), "growth=0.5: expected .* 1 or more"),
        (lambda: CosineRestarts(0.1, growth=math.inf), "growth=inf"),
        (lambda: PolynomialDecay(0.1, power=0.0), "power=0.0"),
        (lambda: ScaledSchedule(0.1, -1.0), "factor=-1.0"),
    ],
)
def test_settings_out_of_their_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("cls", [LinearDecay, CosineDecay, WarmUp, CosineRestarts, OneCycle])
def test_by_step_is_true_or_false(cls):
    with pytest.raises(TypeError, match="by_step='yes'"):
        cls(0.1, *([0.01] if cls is LinearDecay else []), by_step="yes")


# ---- functions


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda epoch: 0.1 * 0.9**epoch, [0.1, 0.09, 0.081]),
        (lambda epoch, epochs: 0.1 * (1 - epoch / epochs), [0.1, 0.2 / 3, 0.1 / 3]),
        (lambda epoch, rate=0.2: rate / (epoch + 1), [0.2, 0.1, 0.2 / 3]),
        (lambda *given: given[1] / 10, [0.3, 0.3, 0.3]),
    ],
    ids=["epoch", "both", "with a default", "any"],
)
def test_a_function_is_a_schedule(function, expected):
    for net in (
        network(learning_rate=function),
        network(optimizer=SGD(function)),
        network(optimizer="adam", learning_rate=function),
    ):
        np.testing.assert_allclose(net.fit((X, Y)).history["learning_rate"], expected)
        assert not isinstance(net.optimizer.schedule, ConstantLearningRate)
    net = network()
    net.optimizer.schedule = function
    np.testing.assert_allclose(net.fit((X, Y)).history["learning_rate"], expected)


def halved(epoch):
    return 0.1 * 0.5**epoch


def test_a_network_with_a_function_as_its_schedule_is_copied_but_not_saved(tmp_path):
    net = network(learning_rate=halved).fit((X, Y))
    with pytest.raises(TypeError, match=r"plain function 'halved' .*: write a subclass"):
        net.save(tmp_path / "net")
    assert not list(tmp_path.iterdir())
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert again.fit((X, Y)).history["learning_rate"] == [0.1 * 0.5**k for k in range(6)]
    assert repr(SGD(halved)) == "SGD(learning_rate=halved)"


@pytest.mark.parametrize("given", [math.nan, -1.0, math.inf, "0.1", None, True])
def test_a_function_that_returns_no_rate_is_refused(given):
    net = network(learning_rate=0.1)
    net.optimizer.schedule = lambda epoch: 0.1 if epoch == 0 else given
    with pytest.raises(ValueError, match=r"the schedule <lambda> returned .* for epoch 1"):
        net.fit((X, Y))
    assert net.history.epochs == 1


@pytest.mark.parametrize("function", [lambda: 0.1, lambda a, b, c: 0.1, lambda *, epoch: 0.1])
def test_functions_of_other_arguments_are_refused(function):
    with pytest.raises(TypeError, match=r"expected a function of \(epoch\) or of \(epoch, epochs"):
        SGD(function)


def test_what_is_no_schedule_is_refused():
    with pytest.raises(ValueError, match="learning_rate='fast'"):
        SGD("fast")
    with pytest.raises(TypeError, match=r"schedule=0.1: expected a schedule"):
        SGD().schedule = 0.1
    with pytest.raises(ValueError, match="Rprop, which adapts"):
        xpnet.Rprop(lambda epoch: 0.1)
    with pytest.raises(TypeError, match="function of the epoch"):
        FunctionSchedule(0.1)


# ---- rates set by hand


def test_a_rate_that_is_set_between_two_fits_replaces_the_schedule(steps):
    net = network(steps, learning_rate=ExponentialDecay(0.1, 0.01)).fit((X, Y))
    net.optimizer.learning_rate = 0.5
    assert net.fit((X, Y)).history["learning_rate"][3:] == [0.5] * 3
    assert repr(net.optimizer.schedule) == "ConstantLearningRate(0.5)"
    net.optimizer.learning_rate = 0.0
    before = parameters(net)
    np.testing.assert_array_equal(parameters(net.fit((X, Y), epochs=1)), before)
    assert net.reset().fit((X, Y)).history["learning_rate"][0] == 0.1


def test_a_rate_that_is_set_before_the_first_fit_has_an_effect(tmp_path):
    net = NeuralNetwork(batch_size=BATCH, loss="softmax_cross_entropy", learning_rate=0.1, seed=0)
    net.optimizer.learning_rate = 0.5
    net.add(DenseLayer(3, (6,)))
    net.save(tmp_path / "net")
    again = load(tmp_path / "net")
    for each in (net, again):
        assert each.fit((X, Y), epochs=2).history["learning_rate"] == [0.5, 0.5]
    other = network(learning_rate=0.5).fit((X, Y))
    assert network(learning_rate=0.5).fit((X, Y)).history["loss"] == other.history["loss"]


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        ("on_epoch_begin", [0.05, 0.025, 0.0125]),
        ("on_epoch_end", [0.1, 0.05, 0.025]),
        ("on_train_begin", [0.05, 0.05, 0.05]),
    ],
)
def test_a_rate_that_a_callback_sets_stays(hook, expected, steps):
    def halve(network, *arguments):
        network.optimizer.learning_rate /= 2

    net = network(steps, learning_rate=0.1)
    net.fit((X, Y), callbacks=LambdaCallback(**{hook: halve}))
    np.testing.assert_allclose(net.history["learning_rate"], expected)
    reference = network(learning_rate=lambda epoch: expected[epoch]).fit((X, Y))
    np.testing.assert_allclose(parameters(net), parameters(reference), rtol=1e-9, atol=1e-12)


def test_a_rate_that_is_set_after_a_batch_holds_from_the_next_on():
    rates = []

    def halve(network, step, loss):
        rates.append(network.optimizer.learning_rate)
        network.optimizer.learning_rate /= 2

    net = network(learning_rate=OneCycle(0.1, epochs=3))
    net.fit((X, Y), epochs=1, callbacks=LambdaCallback(on_batch_end=halve))
    np.testing.assert_allclose(rates, 0.1 / 25 * 0.5 ** np.arange(N_STEPS))


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf, "0.1", None])
def test_a_rate_that_is_no_number_is_refused_and_the_old_one_stays(wrong):
    optimizer = SGD(StepDecay(0.1))
    with pytest.raises(ValueError, match="learning_rate="):
        optimizer.learning_rate = wrong
    assert optimizer.learning_rate == 0.1
    assert isinstance(optimizer.schedule, StepDecay)


def test_a_diverged_epoch_gives_the_schedule_back():
    def explode(network, epoch):
        if epoch == 1:
            network.optimizer.learning_rate = 1e300

    net = network(learning_rate=StepDecay(0.1), dtype="float32")
    with pytest.raises(xpnet.DivergedError):
        net.fit((X, Y), callbacks=LambdaCallback(on_epoch_begin=explode))
    assert isinstance(net.optimizer.schedule, StepDecay)
    assert net.fit((X, Y)).history.epochs == 4


def test_a_schedule_and_its_state_go_on_from_a_file_after_many_changes(tmp_path):
    net = network(optimizer=SGD(ReduceOnPlateau(1e-9, 0.5, 1)))
    net.fit((X, Y), callbacks=ReduceLROnPlateau("loss", 0.5, 1, min_delta=1.0, min_lr=1e-12))
    schedule = net.optimizer.schedule
    assert isinstance(schedule, ScaledSchedule)
    net.save(tmp_path / "net")
    again = load(tmp_path / "net").optimizer
    assert repr(again.schedule) == repr(schedule)
    assert again.learning_rate == net.optimizer.learning_rate
    for name in schedule.state_names:
        assert getattr(again.schedule, name) == getattr(schedule, name)


@pytest.mark.parametrize("make", [OneCycle, CosineDecay, lambda rate: WarmUp(CosineDecay(rate))])
def test_fit_warns_if_a_schedule_spans_another_number_of_epochs(make):
    net = network(learning_rate=make(0.1), epochs=100)
    with pytest.warns(UserWarning, match=r"after this fit 5 epochs will .*\(epochs=5\)"):
        net.fit((X, Y), epochs=5)
    net.fit((X, Y), epochs=5)  # a part of the 100
    with pytest.warns(UserWarning, match="epochs=100, but after this fit 101 epochs will"):
        net.copy().fit((X, Y), epochs=91)
    net.fit((X, Y), epochs=90)
    with pytest.warns(UserWarning, match="after this fit 2 epochs will"):
        net.fit((X, Y), epochs=2, restart=True)


@pytest.mark.parametrize(
    "schedule",
    [0.1, OneCycle(0.1, epochs=5), StepDecay(0.1), WarmUp(0.1), CosineRestarts(0.1), lambda t: 0.1],
)
@pytest.mark.filterwarnings("ignore:the schedule .* has ended after")
def test_fit_does_not_warn_of_a_schedule_with_its_own_epochs_or_without_any(schedule):
    network(learning_rate=schedule, epochs=100).fit((X, Y), epochs=2)
    network(learning_rate=CosineDecay(0.1), epochs=3).fit((X, Y)).fit((X, Y)).fit((X, Y))
    network(learning_rate=CosineDecay(0.1), epochs=3).fit((X, Y), epochs=3)


@pytest.mark.parametrize(
    "inner", [0.1, ReduceOnPlateau(0.1, 0.5, 1), CosineDecay(0.1, epochs=5)], ids=repr
)
@pytest.mark.parametrize("by_step", [False, True])
@pytest.mark.filterwarnings("ignore:the schedule .* has ended after")
def test_a_warm_up_that_was_reduced_is_saved_and_resumed(inner, by_step, tmp_path):
    def fit(folder, ends=7):
        net = network(optimizer=SGD(WarmUp(inner, 2, by_step)), epochs=ends)
        plateau = ReduceLROnPlateau("loss", 0.5, 1, min_delta=100.0)
        checkpoint = xpnet.Checkpoint(tmp_path / folder)
        return net.fit((X, Y), callbacks=[plateau, checkpoint], resume=tmp_path / folder)

    whole, _ = fit("whole"), fit("parts", 4)
    rates = whole.history["learning_rate"].copy()
    assert fit("parts").history["learning_rate"] == rates
    whole.save(tmp_path / "net")
    again, copied = load(tmp_path / "net"), whole.copy()
    for net in (whole, again, copied):
        net.fit((X, Y), epochs=2)
    expected = whole.history["learning_rate"]
    assert expected[:7] == rates
    assert again.history["learning_rate"] == copied.history["learning_rate"] == expected


def test_two_reductions_make_one_factor():
    plateau = ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100.0)
    net = network(learning_rate=CosineDecay(0.1, by_step=True), epochs=4)
    net.fit((X, Y), callbacks=plateau)
    schedule = net.optimizer.schedule
    assert (type(schedule.schedule), schedule.factor) == (CosineDecay, 0.125)
    plain = network(learning_rate=CosineDecay(0.1, by_step=True), epochs=4).fit((X, Y))
    ratios = np.array(net.history["learning_rate"]) / plain.history["learning_rate"]
    np.testing.assert_allclose(ratios, [1, 1, 0.5, 0.25])
