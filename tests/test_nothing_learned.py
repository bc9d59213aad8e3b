"""Training that cannot learn anything is refused or warned of, with every kind of step."""

import _thread
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xpnet import (
    L2,
    BatchNormalization,
    BinaryCrossEntropy,
    DenseLayer,
    DivergedError,
    LinearActivation,
    LogSoftmaxActivation,
    MeanSquaredError,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
    SoftmaxActivation,
    SoftmaxCrossEntropy,
)
from xpnet.backends import to_host
from xpnet.losses import LOSSES, ClassLoss
from xpnet.metrics import METRICS, ProbabilityMetric, TopKAccuracy

N, N_INPUTS = 40, 3


def elsewhere(request):
    """Return a network's options for PyTorch, or for captured steps."""
    if request.param == "torch":
        pytest.importorskip("torch")
        return {"backend": "torch"}
    request.getfixturevalue("cuda")
    return {"device": "cuda"}


@pytest.fixture(
    params=["formulas", "compiled", "torch", pytest.param("captured", marks=pytest.mark.cuda)]
)
def steps(request, monkeypatch):
    """Options of a network for each kind of steps; captured ones need a GPU or its stand-in."""
    if request.param in ("torch", "captured"):
        return elsewhere(request)
    if request.param == "compiled":
        pytest.importorskip("numba")
    monkeypatch.setenv("XPNET_STEPS", {"captured": "auto"}.get(request.param, request.param))
    return {}


def network(loss="softmax_cross_entropy", n_outputs=3, **options):
    arguments = {"epochs": 2, "batch_size": 8, "seed": 1, "learning_rate": 0.1} | options
    net = NeuralNetwork(loss=loss, **arguments)
    return net.add(DenseLayer(4, (N_INPUTS,))).add(ReLUActivation()).add(DenseLayer(n_outputs))


def samples(n=N, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, N_INPUTS)), rng.integers(0, 3, n)


def assert_refused(net, data, message, **options):
    before, epochs = net.parameters.copy(), net.history.epochs
    with pytest.raises(ValueError, match=message):
        net.fit(data, **options)
    assert np.array_equal(to_host(net.parameters.copy()), to_host(before))
    assert net.history.epochs == epochs


# ---- weights of nothing

X, Y = samples()
NOTHING = {
    "class weights of 0 for the classes that are there": (
        lambda: SoftmaxCrossEntropy([0.0, 0.0, 1.0]),
        (X, Y % 2),
        r"each has a weight of 0 in class_weight=\[0.0, 0.0, 1.0\] or in the sample weights",
    ),
    "classes left that the samples' weights leave out": (
        lambda: SoftmaxCrossEntropy({0: 0}),
        (X, Y, (Y == 0).astype(float)),
        "no sample of the training data counts",
    ),
    "yes or no, of which the other weighs": (
        lambda: BinaryCrossEntropy(True, class_weight={1: 0}),
        (X, np.ones(N)),
        "no sample of the training data counts: each has a weight of 0 in class_weight",
    ),
    "all labels ignored": (
        lambda: SoftmaxCrossEntropy(ignore_index=-1),
        (X, np.full(N, -1)),
        "all have the label -1, which ignore_index=-1 leaves out",
    ),
    "all labels ignored that weigh something": (
        lambda: SoftmaxCrossEntropy(ignore_index=2),
        (X, Y, (Y == 2).astype(float)),
        "no sample of the training data counts: SoftmaxCrossEntropy gives each",
    ),
    "weights that vanish": (
        SoftmaxCrossEntropy,
        (X, Y, np.full(N, 1e-300)),
        "the largest is 1e-300: in float32 .* Divide the weights by their mean",
    ),
    "weights that vanish in single precision": (
        SoftmaxCrossEntropy,
        (X, Y, np.full(N, 1e-50)),
        "the largest is 1e-50: in float32",
    ),
    "a weight among others that vanishes": (
        SoftmaxCrossEntropy,
        (X, Y, np.r_[1e-42, np.ones(N - 1)]),
        "1 sample.* weights above 0 that are too small for float32, down to 1e-42",
    ),
    "weights that overflow when they are summed": (
        SoftmaxCrossEntropy,
        (X, Y, np.full(N, 1e38)),
        r"sum to 4e\+39, and the largest is 1e\+38",
    ),
    "weights that overflow with those of their class": (
        lambda: SoftmaxCrossEntropy({0: 1e200, 1: 1e200, 2: 1e200}),
        (X, Y, np.full(N, 1e200)),
        "sum to inf",
    ),
}


@pytest.mark.parametrize("case", NOTHING)
def test_data_in_which_no_sample_counts_are_refused(case, steps):
    loss, data, message = NOTHING[case]
    n_outputs = 1 if isinstance(loss(), BinaryCrossEntropy) else 3
    assert_refused(network(loss(), n_outputs, **steps), data, message)


@pytest.mark.parametrize("case", [case for case in NOTHING if "overflow with" not in case])
def test_such_validation_data_are_refused_too(case):
    loss, data, message = NOTHING[case]
    n_outputs = 1 if isinstance(loss(), BinaryCrossEntropy) else 3
    good = (X, Y % 2) if n_outputs == 1 else (X, Y)
    message = message.replace("training data", "validation data")
    assert_refused(network(loss(), n_outputs), good, message, validation=data)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, each in METRICS.items()
        if each.one_class_per_sample or issubclass(each, ProbabilityMetric)
    ],
)
def test_a_metric_of_no_samples_is_refused(name):
    name = TopKAccuracy(2) if name == "top_k_accuracy" else name
    net = network(SoftmaxCrossEntropy(ignore_index=2), metric=name).fit((X, Y))
    with pytest.raises(ValueError, match="no sample of the data set counts: all have the label 2"):
        net.score((X, np.full(N, 2)))
    with pytest.raises(ValueError, match="no sample of the data set counts"):
        net.score((X, np.full(N, 2)), metric=net.loss)


def test_metrics_do_not_use_class_weights():
    net = network(SoftmaxCrossEntropy([1.0, 1.0, 0.0]), metric="accuracy").fit((X, Y))
    some = (X, np.full(N, 2))
    assert 0 <= net.score(some) <= 1
    with pytest.raises(
        ValueError, match="no sample of the data set counts: each has a weight of 0 in class_weight"
    ):
        net.score(some, metric=net.loss)
    with pytest.raises(
        ValueError, match="no sample of the data set counts: each has a weight of 0 in class_weight"
    ):
        net.inspect(some)


def _trained(factor, dtype, loss="softmax_cross_entropy", n_outputs=3, metric="accuracy"):
    y = Y if n_outputs > 1 else np.sin(np.arange(N))
    weight = np.linspace(0.0, 2.0, N) * factor
    net = network(loss, n_outputs, dtype=dtype, metric=metric)
    net.fit((X, y, weight), validation=(X, y, weight))
    rows = [net.history[name] for name in ("loss", metric, "val_loss", f"val_{metric}")]
    return np.concatenate([*rows, to_host(net.parameters.copy())])


@pytest.mark.parametrize("kernels", ["formulas", "compiled"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "task", [(), ("mse", 1, "rmse"), ("mse", 1, "r2")], ids=["classes", "rmse", "r2"]
)
def test_weights_times_any_factor_train_alike_or_are_refused(kernels, dtype, task, monkeypatch):
    if kernels == "compiled":
        pytest.importorskip("numba")
    monkeypatch.setenv("XPNET_STEPS", kernels)
    expected = _trained(1.0, dtype, *task)
    refused = []

    @settings(max_examples=12, deadline=None, derandomize=True)
    @given(st.floats(-310.0, 300.0) | st.floats(-25.0, 25.0))
    def check(exponent):
        try:
            found = _trained(10.0**exponent, dtype, *task)
        except ValueError as error:
            if "weights" not in str(error):
                raise
            refused.append(exponent)
            return
        tolerance = 1e-3 if dtype == "float32" else 1e-9
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)

    check()
    usual = 15 if dtype == "float32" else 100
    assert all(abs(exponent) > usual for exponent in refused)


@pytest.mark.parametrize(
    "cls",
    [cls for cls in dict.fromkeys(LOSSES.values()) if issubclass(cls, ClassLoss)],
    ids=lambda cls: cls.__name__,
)
def test_some_weights_of_0_are_fine(cls):
    net = network(cls([0.0, 1.0, 2.0], ignore_index=-1))
    end = {"distribution": SoftmaxActivation, "log-distribution": LogSoftmaxActivation}
    if (last := end.get(next(iter(cls.accepts)))) is not None:
        net.add(last())
    y = np.where(np.arange(N) % 2, Y, -1)
    assert net.fit((X, y)).history["loss"][-1] > 0


# ---- losses and weights that are not finite


class Weighty(MeanSquaredError):
    """A loss whose total weight overflows."""

    def total_weight(self, y_true, y_pred, sample_weight=None):
        return math.inf


def test_the_error_names_a_weight_that_is_not_finite():
    net = network(Weighty(), 1)
    with pytest.raises(DivergedError, match="weight of a batch became infinite in epoch 1, step 1"):
        net.fit((X, Y))
    assert net.history.epochs == 0


def test_a_penalty_that_overflows_diverges(steps):
    net = NeuralNetwork(
        2, 8, "sgd", 1e-30, loss="softmax_cross_entropy", regularizer=L2(1e-9), seed=1, **steps
    )
    net.add(DenseLayer(3, (N_INPUTS,), initializer=lambda shape, rng: np.full(shape, 1e20)))
    before = to_host(net.parameters.copy())
    with np.errstate(over="ignore"), pytest.raises(DivergedError, match="the loss became infinite"):
        net.fit((1e-20 * X, Y))
    assert np.array_equal(to_host(net.parameters.copy()), before)


# ---- layers that learn nothing


def normalizing(batch_size, **options):
    options = {"epochs": 2, "loss": "softmax_cross_entropy", "seed": 1} | options
    net = NeuralNetwork(batch_size=batch_size, **options)
    net.add(DenseLayer(4, (N_INPUTS,))).add(BatchNormalization()).add(ReLUActivation())
    return net.add(DenseLayer(3))


@pytest.fixture(params=["numpy", "torch", pytest.param("captured", marks=pytest.mark.cuda)])
def norm_steps(request):
    """Options of a network for the kinds of steps that normalise batches."""
    return {} if request.param == "numpy" else elsewhere(request)


def test_batches_of_one_are_refused_with_batch_normalization(norm_steps):
    message = r"BatchNormalization learns nothing from batches of 1 sample.*batch_size=2 or more"
    assert_refused(normalizing(1, **norm_steps), (X, Y), message)


@pytest.mark.parametrize(
    ("n", "batch_size", "warns"),
    [
        (40, 13, True),
        (33, 32, True),
        (40, 8, False),
        (34, 32, False),
        (40, 39, True),
        (2, 8, False),
    ],
)
def test_a_last_batch_of_one_sample_gives_a_warning(n, batch_size, warns, norm_steps):
    net = normalizing(batch_size, **norm_steps)
    if not warns:
        net.fit(samples(n))
    else:
        with pytest.warns(UserWarning, match="the last batch of each epoch has 1") as caught:
            net.fit(samples(n))
        assert [each.filename for each in caught] == [__file__]  # once, by the line that fits
    assert net.history.epochs == 2


def test_pieces_of_batches_are_not_of_one_sample():
    """With little memory a batch is split, but not further than batch normalisation can take."""
    whole = normalizing(7).memory_plan(7, 14).total
    plans = []
    for limit in range(whole // 2, whole + 2000, 150):
        net = normalizing(7, memory_limit=limit + 1)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                net.fit(samples(14))
        except MemoryError:
            continue
        plan = net.last_plan
        assert plan.rows >= 2
        assert not caught
        plans.append(plan.rows)
    assert min(plans) == 4  # of pieces of 3 or 2, the last one of 7 would have 1


class Interrupting(LinearActivation):
    """Presses Ctrl-C during the first batch; compiled steps do not support it."""

    def forward_propagation(self, input, training=True):
        _thread.interrupt_main()
        return super().forward_propagation(input, training)


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("regularizer", [None, "l2"])
@pytest.mark.parametrize("metric", [None, "accuracy"])
def test_an_epoch_that_ended_before_anything_counted_has_no_loss(
    counts, metric, regularizer, ctrl_c
):
    options = {"metric": metric, "regularizer": regularizer, "shuffle": False}
    net = NeuralNetwork(2, 8, loss="softmax_cross_entropy", seed=0, **options)
    net.add(DenseLayer(3, (N_INPUTS,))).add(Interrupting())
    weight = np.ones(N)
    weight[: 8 - counts] = 0.0
    with pytest.raises(KeyboardInterrupt):
        net.fit((X, Y, weight))
    assert net.history.epochs == 1
    for name in {"loss", "accuracy"} & set(net.history):
        assert math.isnan(net.history[name][0]) != counts


class Pairs(LinearActivation):
    """A user's layer that compares the samples of a batch."""

    min_samples = 3


def test_a_layer_says_itself_how_many_samples_it_needs():
    net = NeuralNetwork(1, 2).add(DenseLayer(2, (N_INPUTS,))).add(Pairs())
    with pytest.raises(ValueError, match=r"Pairs learns nothing from batches of 2 .* batch_size=3"):
        net.fit((X, X[:, :2]))


def test_a_network_without_parameters_says_that_nothing_is_trained(steps):
    net = NeuralNetwork(2, 8, loss="softmax_cross_entropy", **steps)
    net.add(Normalization.adapt(X)).add(ReLUActivation())
    with pytest.warns(UserWarning, match="no layer of the network has parameters"):
        net.fit((X, Y))
    assert net.history["loss"][0] == pytest.approx(net.history["loss"][1], rel=1e-6)


# ---- batches that are larger than the data


@pytest.mark.parametrize("batch_size", [N + 1, 128, 10**9])
def test_a_batch_is_at_most_the_data(batch_size, steps):
    net, same = (network(batch_size=size, **steps) for size in (batch_size, N))
    for each in (net, same):
        each.fit((X, Y), validation=(X[:5], Y[:5]), epochs=20)
    assert net.history["loss"] == same.history["loss"]
    assert np.array_equal(to_host(net.parameters.copy()), to_host(same.parameters.copy()))
    assert net.last_plan == same.last_plan
    assert net.last_plan.batch_size == net.last_plan.rows == N
    assert net.memory_plan(n_samples=N) == same.memory_plan(n_samples=N)
    assert net.batch_size == batch_size  # for larger data, later
    assert net.fit(samples(3 * N)).last_plan.batch_size == min(batch_size, 3 * N)


def test_the_usual_batch_size_takes_a_few_samples():
    net = NeuralNetwork(2, loss="softmax_cross_entropy", seed=1).add(DenseLayer(3, (N_INPUTS,)))
    assert net.fit(samples(100)).last_plan.batch_size == 100
    assert net.memory_plan().batch_size == 128


def test_a_batch_is_at_most_what_is_stored(tmp_path):
    np.save(tmp_path / "X.npy", X)
    stored = np.load(tmp_path / "X.npy", mmap_mode="r")
    net, same = network(batch_size=1000).fit((stored, Y)), network(batch_size=N).fit((stored, Y))
    assert net.last_plan == same.last_plan
    np.testing.assert_array_equal(net.parameters.copy(), same.parameters.copy())
