"""Layers that are frozen for a time: each parameter's updates are counted by themselves."""

import copy
import pickle

import numpy as np
import pytest

import xpnet
from xpnet import (
    SGD,
    Adam,
    Adamax,
    AdamW,
    Callback,
    Checkpoint,
    DenseLayer,
    EarlyStopping,
    NAdam,
    NeuralNetwork,
    Optimizer,
    RAdam,
    Rprop,
    TanhActivation,
)
from xpnet.backends import to_host
from xpnet.common.overrides import is_builtin

N, N_INPUTS = 12, 3

PLANS = {
    "thaw": ["001"] * 4 + ["011"] * 3 + ["111"] * 3,
    "pause": ["111"] * 2 + ["101"] * 3 + ["111"] * 3,
    "freeze": ["111"] * 2 + ["011"] * 2 + ["001"] * 2,
    "in turn": ["100", "010", "001", "110", "111", "011", "111"],
}
"""Which of the three dense layers are trained, by epochs."""

PAIRS = {
    "SGD": (lambda: SGD(0.05), ("SGD", {"lr": 0.05, "momentum": 0.9})),
    "Adam": (lambda: Adam(0.01), ("Adam", {"lr": 0.01})),
    "AdamW": (
        lambda: AdamW(0.01, weight_decay=0.1),
        ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ),
    "AMSGrad": (lambda: Adam(0.01, amsgrad=True), ("Adam", {"lr": 0.01, "amsgrad": True})),
    "Adamax": (lambda: Adamax(0.01), ("Adamax", {"lr": 0.01})),
    "NAdam": (lambda: NAdam(0.01), ("NAdam", {"lr": 0.01})),
    "RAdam": (lambda: RAdam(0.01), ("RAdam", {"lr": 0.01})),
    "Rprop": (lambda: Rprop(0.01), ("Rprop", {"lr": 0.01})),
}


@pytest.fixture
def data(rng):
    return rng.standard_normal((N, N_INPUTS)), rng.standard_normal((N, 1))


@pytest.fixture
def torch():
    """PyTorch, whose NAdam keeps the product of its momenta in the default type."""
    module = pytest.importorskip("torch", reason="PyTorch is not installed")
    module.set_default_dtype(module.float64)
    yield module
    module.set_default_dtype(module.float32)


class Plan(Callback):
    """Sets which layers are trained, at the beginning of each epoch."""

    def __init__(self, plan):
        self.plan = plan

    def on_epoch_begin(self, network, epoch):
        freeze(network, self.plan[epoch])


def network(optimizer, steps="formulas", epochs=1, **options):
    options = {"dtype": "float64", "seed": 5, "batch_size": 5, "shuffle": False} | options
    net = NeuralNetwork(epochs, optimizer=optimizer, steps=steps, **options)
    net.add(DenseLayer(4, (N_INPUTS,))).add(TanhActivation())
    return net.add(DenseLayer(3)).add(TanhActivation()).add(DenseLayer(1))


def dense(net):
    return [layer for layer in net if isinstance(layer, DenseLayer)]


def freeze(net, flags):
    for layer, flag in zip(dense(net), flags, strict=True):
        layer.trainable = flag == "1"


def weights(net):
    return [to_host(getattr(layer, name)).copy() for layer in dense(net) for name in NAMES]


NAMES = ("weights", "biases")


def by_fits(net, data, plan):
    for flags in plan:
        freeze(net, flags)
        net.fit(data, epochs=1)
    return net


def by_callback(net, data, plan):
    return net.fit(data, epochs=len(plan), callbacks=[Plan(plan)])


def by_torch(torch, net, data, plan, kind, arguments):
    """Return the weights after a plan by PyTorch's optimizer, which counts for each parameter."""
    X, y = map(torch.tensor, data)
    theirs = [torch.tensor(each, requires_grad=True) for each in weights(net)]
    optimizer = getattr(torch.optim, kind)(theirs, **arguments)
    for flags in plan:
        for start in range(0, N, net.batch_size):
            rows, output = slice(start, start + net.batch_size), X[start : start + net.batch_size]
            for k in (0, 2, 4):
                output = output @ theirs[k] + theirs[k + 1]
                output = torch.tanh(output) if k < 4 else output
            optimizer.zero_grad()
            ((output - y[rows]) ** 2).mean().backward()
            for k, weight in enumerate(theirs):
                if flags[k // 2] == "0":
                    weight.grad = None
            optimizer.step()
    return [each.detach().numpy() for each in theirs]


def assert_alike(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", PAIRS)
def test_steps_are_those_of_pytorch(name, plan, steps, data, torch):
    make, (kind, arguments) = PAIRS[name]
    expected = by_torch(torch, network(make()), data, PLANS[plan], kind, arguments)
    assert_alike(weights(by_callback(network(make(), steps), data, PLANS[plan])), expected)
    if plan in ("thaw", "in turn"):
        assert_alike(weights(by_fits(network(make(), steps), data, PLANS[plan])), expected)


@pytest.mark.parametrize("make", [Rprop, Adam, NAdam, Adamax])
def test_the_first_step_after_a_long_time_is_as_long_as_a_first_one(make, data):
    net = network(make(0.01), batch_size=N)
    freeze(net, "011")
    net.fit(data, epochs=200)
    freeze(net, "111")
    before = weights(net)[0]
    longest = abs(weights(net.fit(data, epochs=1))[0] - before).max()
    assert 0.9 < longest / 0.01 < 1.1


class Untraceable(Optimizer):
    """Adam's first moment, with its correction read from the count of updates."""

    state_names = ("mean",)

    def rule(self, w, g, mean, *, rate, t):
        assert t == self.n_updates + 1
        mean = 0.9 * mean + 0.1 * g
        return w - rate * mean / float(1 - 0.9 ** (int(self.n_updates) + 1)), mean


def test_a_users_rule_may_read_the_count(data):
    net = network(Untraceable(0.01), batch_size=N)
    assert not is_builtin(Untraceable)
    before = weights(by_fits(net, data, ["011"] * 5))[0]
    freeze(net, "111")
    gradient = net.loss_and_gradient(*data).gradient[:12].reshape(N_INPUTS, 4)
    net.update_parameters()
    np.testing.assert_allclose(weights(net)[0], before - 0.01 * gradient)
    assert net.optimizer.n_updates == 6


def test_a_rule_that_fails_leaves_the_count(data):
    class Failing(Untraceable):
        fails = False

        def rule(self, w, g, mean, *, rate, t):
            if self.fails:
                raise RuntimeError("no")
            return super().rule(w, g, mean, rate=rate, t=t)

    net = network(Failing(0.01))
    by_fits(net, data, ["011", "111"])
    assert net.optimizer.n_updates == 6
    net.loss_and_gradient(*data)
    net.optimizer.fails = True
    with pytest.raises(RuntimeError, match="no"):
        net.update_parameters()
    assert net.optimizer.n_updates == 6


# ---- what keeps the counts

BEFORE, AFTER = PLANS["in turn"][:4], PLANS["in turn"][4:]


def saved(net, folder):
    net.save(folder / "net.safetensors")
    return xpnet.load(folder / "net.safetensors")


def moved(net, folder):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    return net.to("torch").to("numpy")


@pytest.mark.parametrize(
    "way",
    [
        saved,
        moved,
        lambda net, folder: net.copy(),
        lambda net, folder: copy.deepcopy(net),
        lambda net, folder: pickle.loads(pickle.dumps(net)),
    ],
    ids=["saved", "moved", "copy", "deepcopy", "pickle"],
)
def test_counts_are_kept(way, data, tmp_path):
    straight = by_fits(network(Adam(0.01)), data, BEFORE)
    again = way(straight.copy(), tmp_path)
    assert again.optimizer.missed_updates == straight.optimizer.missed_updates
    assert any(straight.optimizer.missed_updates)
    for net in (straight, again):
        by_fits(net, data, AFTER)
    assert_alike(weights(again), weights(straight))


class Stop(Callback):
    """Interrupts training after some epochs."""

    def __init__(self, after):
        self.after = after

    def on_epoch_end(self, network, row):
        if network.history.epochs == self.after:
            raise RuntimeError("stop")


def test_a_resumed_training_keeps_them(steps, data, tmp_path):
    plan = PLANS["in turn"]
    straight = by_callback(network(Adam(0.01), steps), data, plan)
    net = network(Adam(0.01), steps)
    callbacks = [Plan(plan), Checkpoint(tmp_path), Stop(after=4)]
    with pytest.raises(RuntimeError, match="stop"):
        net.fit(data, epochs=len(plan), callbacks=callbacks, resume=tmp_path)
    again, callbacks[-1].after = network(Adam(0.01), steps), None
    again.fit(data, epochs=len(plan), callbacks=callbacks, resume=tmp_path)
    assert again.optimizer.missed_updates == straight.optimizer.missed_updates
    assert_alike(weights(again), weights(straight))


def test_a_file_has_no_counts_unless_updates_were_missed(data, tmp_path):
    path = tmp_path / "net.safetensors"
    for plan in (["111"], ["011"]):
        by_fits(network(Adam(0.01)), data, plan).save(path)
        assert (b"missed_updates" in path.read_bytes()) == (plan == ["011"])


@pytest.mark.parametrize("wrong", [(-1,), (1.5,), (True,), (4,), [1], None])
def test_counts_that_no_training_leaves_are_refused(wrong, data):
    net = by_fits(network(Adam(0.01)), data, ["111"])
    net.optimizer.missed_updates = wrong
    with pytest.raises((ValueError, TypeError), match="missed"):
        net.optimizer.check_state()


def test_a_snapshot_has_them(steps, data):
    net = by_fits(network(Adam(0.01), steps), data, ["011"])
    snapshot = net.snapshot()
    net.fit(data, epochs=2)
    assert net.optimizer.missed_updates == (9, 9, 0, 0, 0, 0)
    snapshot.restore()
    assert net.optimizer.missed_updates == (3, 3, 0, 0, 0, 0)


def test_the_best_epoch_is_restored_with_them(data):
    net = network(Adam(0.01))
    freeze(net, "011")
    stopping = EarlyStopping("loss", patience=2, min_delta=1e9)  # the first epoch is the best
    net.fit(data, epochs=6, callbacks=[stopping])
    assert (net.history.epochs, net.optimizer.n_updates) == (3, 3)
    assert net.optimizer.missed_updates == (3, 3, 0, 0, 0, 0)


def test_counts_begin_anew_with_the_optimizer(data):
    net = by_fits(network(Adam(0.01)), data, BEFORE)
    assert any(net.optimizer.missed_updates)
    assert net.copy().reset().optimizer.missed_updates == ()
    longer = net.copy().add(DenseLayer(1))
    assert longer.optimizer.missed_updates == ()
    shorter = net.copy()
    shorter.layers.pop()
    shorter._check_layers()
    assert shorter.optimizer.missed_updates == ()
    freeze(net, "111")
    net.fit(data, epochs=1, restart=True)
    assert net.optimizer.missed_updates == ()


def test_factors_and_missed_updates_divide_the_parameters_into_runs(data):
    net = by_fits(network(Adam(0.01)), data, ["011", "001"])
    freeze(net, "111")
    net._check_layers()
    assert net.parameters.parts_of(net.optimizer) == [
        (slice(0, 16), 1.0, 6),
        (slice(16, 31), 1.0, 3),
        (slice(31, 35), 1.0, 0),
    ]
    dense(net)[1].learning_rate_factor = 0.5
    net._check_layers()
    assert [each[1:] for each in net.parameters.parts_of(net.optimizer)] == [
        (1.0, 6), (0.5, 3), (1.0, 0),
    ]  # fmt: skip


class InTurn(Callback):
    """Trains one of the two dense layers in each epoch, or neither."""

    def __init__(self, plan, ends_after=None):
        self.plan, self.ends_after = plan, ends_after

    def on_epoch_begin(self, network, epoch):
        for layer, trains in zip((network[0], network[2]), self.plan[epoch], strict=True):
            layer.trainable = trains == "1"

    def on_epoch_end(self, network, row):
        if row["epoch"] == self.ends_after:
            raise KeyError("broken off")


@pytest.mark.filterwarnings("ignore:no layer of the network is trainable")
@pytest.mark.parametrize("steps", ["auto", "formulas"])
@pytest.mark.parametrize("ends_after", [1, 2, 3])
def test_a_training_that_begins_frozen_is_resumed_bit_for_bit(steps, ends_after, data, tmp_path):
    """Formula steps are taken while nothing is trained, and faster ones afterwards."""
    plan = ["00", "10", "00", "11"]

    def trained(folder, ends_after=None):
        net = NeuralNetwork(4, batch_size=3, seed=0, steps=steps, dtype="float64")
        net.add(DenseLayer(4, (N_INPUTS,))).add(TanhActivation()).add(DenseLayer(1))
        net[0].trainable = net[2].trainable = False
        callbacks = [InTurn(plan, ends_after), Checkpoint(folder)]
        try:
            net.fit(data, callbacks=callbacks, resume=folder if folder.exists() else None)
        except KeyError:
            return None
        return net

    whole = trained(tmp_path / "whole")
    assert trained(tmp_path / "parts", ends_after) is None
    resumed = trained(tmp_path / "parts")
    assert whole.history["loss"] == resumed.history["loss"]
    assert (whole.parameters.gather() == resumed.parameters.gather()).all()


@pytest.mark.filterwarnings("ignore:no layer of the network is trainable")
def test_a_network_that_is_thawed_takes_compiled_steps(data):
    pytest.importorskip("numba", reason="Numba is not installed")

    class Thaw(Callback):
        def on_epoch_begin(self, network, epoch):
            network[0].trainable = epoch > 0

    net = NeuralNetwork(2, batch_size=1, seed=0).add(DenseLayer(1, (N_INPUTS,)))
    net[0].trainable = False
    assert net.fit(data, callbacks=Thaw()).last_plan.compiled
