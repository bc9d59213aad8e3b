"""Class weights: accepted forms, resulting weights, and equal results with every kind of step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xpnet
from xpnet import (
    BinaryCrossEntropy,
    DenseLayer,
    LogSoftmaxActivation,
    NegativeLogLikelihood,
    NeuralNetwork,
    SigmoidActivation,
    SoftmaxActivation,
    SoftmaxCrossEntropy,
    TanhActivation,
)
from xpnet.backends import to_host
from xpnet.losses import LOSSES, ClassLoss, ClassWeightedLoss
from xpnet.search import find_learning_rate

WEIGHTED = [cls for cls in dict.fromkeys(LOSSES.values()) if issubclass(cls, ClassWeightedLoss)]
ENDS = {
    "real": None,
    "probability": SigmoidActivation,
    "distribution": SoftmaxActivation,
    "log-distribution": LogSoftmaxActivation,
}
examples = settings(max_examples=25, deadline=None, derandomize=True)


@pytest.fixture(params=WEIGHTED, ids=lambda cls: cls.__name__)
def cls(request):
    """Each loss of the library that has class weights."""
    return request.param


def n_classes_of(cls, n_classes=3):
    return n_classes if issubclass(cls, ClassLoss) else 2


def outputs_of(cls, z):
    """Return outputs of the kind that a loss takes, from real numbers of shape (n, n_classes)."""
    if not issubclass(cls, ClassLoss):
        return 1 / (1 + np.exp(-z[:, :1]))
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return {"real": z, "distribution": p, "log-distribution": np.log(p)}[next(iter(cls().accepts))]


def network(loss, n_outputs, **options):
    arguments = {"batch_size": 16, "epochs": 3, "seed": 1, "learning_rate": 0.3} | options
    net = NeuralNetwork(loss=loss, **arguments)
    net = net.add(DenseLayer(5, (4,))).add(TanhActivation()).add(DenseLayer(n_outputs))
    end = ENDS[next(iter(loss.accepts))]
    return net if end is None else net.add(end())


def network_of(cls, class_weight, n_classes=3, **options):
    n_outputs = n_classes if issubclass(cls, ClassLoss) else 1
    return network(cls(class_weight=class_weight), n_outputs, **options)


def samples(n_classes, n=60, seed=0):
    """Return samples with a different number in each class."""
    rng = np.random.default_rng(seed)
    y = np.minimum(rng.geometric(0.5, n) - 1, n_classes - 1)
    y[:n_classes] = np.arange(n_classes)
    return rng.standard_normal((n, 4)) + y[:, None], y


# ---- how they are given

FORMS = {
    "tuple": lambda w: tuple(w),
    "NumPy": lambda w: np.array(w),
    "float32": lambda w: np.array(w, "float32"),
    "NumPy's numbers": lambda w: [np.float64(x) for x in w],
    "PyTorch": lambda w: pytest.importorskip("torch").tensor(w),
    "Series": lambda w: pytest.importorskip("pandas").Series(w),
    "Series, in another order": lambda w: pytest.importorskip("pandas").Series(w)[::-1],
    "dict": lambda w: dict(enumerate(w)),
    "dict by NumPy's integers": lambda w: {np.int64(k): x for k, x in enumerate(w)},
    "dict by whole numbers": lambda w: {float(k): x for k, x in enumerate(w)},
    "dict, in another order": lambda w: dict(reversed(list(enumerate(w)))),
    "dict of those that are not 1": lambda w: {k: x for k, x in enumerate(w) if x != 1.0},
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_are_the_same_weights(cls, form, rng):
    weights = [0.5, 1.0, 4.0][: n_classes_of(cls)]
    y, p = rng.integers(0, len(weights), 9), outputs_of(cls, rng.standard_normal((9, len(weights))))
    expected = cls(class_weight=weights).loss(y, p)
    assert cls(class_weight=FORMS[form](weights)).loss(y, p) == expected
    assert expected != cls().loss(y, p)


WRONG = {
    "text": ("balance", ValueError, "'balance': expected a sequence .* 'balanced'"),
    "a number": (2.0, TypeError, "class_weight=2.0: expected a sequence"),
    "a boolean": (True, TypeError, "class_weight=True: expected a sequence"),
    "a set, which has no order": ({0.5, 2.0}, TypeError, "expected a sequence"),
    "bytes": (b"ab", TypeError, "expected a sequence"),
    "text for weights": (["1", "2"], TypeError, "has the weight '1'"),
    "booleans for weights": ([True, False], TypeError, "has the weight True"),
    "None among weights": ([None, 1.0], TypeError, "has the weight None"),
    "rows": ([[1.0, 2.0]], TypeError, "has the weight"),
    "a table": (np.ones((2, 2)), TypeError, "has the weight"),
    "none": ([], ValueError, "expected a finite number"),
    "an empty dict": ({}, ValueError, "names no class"),
    "negative": ([1.0, -1.0], ValueError, "expected a finite number, 0 or more"),
    "NaN": ([1.0, np.nan], ValueError, "expected a finite number, 0 or more"),
    "infinite": ({0: np.inf}, ValueError, "expected a finite number, 0 or more"),
    "all 0": ([0.0, 0.0], ValueError, "not all 0"),
    "keys of two kinds": ({"a": 1.0, 1: 2.0}, TypeError, "mixes class names and class indices"),
    "boolean keys": ({False: 2.0}, TypeError, "names the class False"),
    "NumPy's booleans as keys": ({np.False_: 2.0}, TypeError, "names the class"),
    "fractions as keys": ({0.5: 2.0}, TypeError, "names the class 0.5"),
    "NaN as a key": ({np.nan: 2.0}, TypeError, "names the class nan"),
    "None as a key": ({None: 2.0}, TypeError, "names the class None"),
    "a negative key": ({-1: 2.0}, ValueError, "names the class -1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_invalid_class_weights_are_refused(cls, case):
    wrong, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        cls(class_weight=wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([1.0], "class_weight has 1 weights for . classes"),
        ([1.0] * 4, "class_weight has 4 weights for . classes"),
        ({7: 2.0}, "class_weight names the class 7: expected 0 to "),
        (dict.fromkeys(range(3), 0.0), "not all 0|names the class 2"),
    ],
)
def test_weights_that_do_not_fit_the_network_are_refused_before_training(cls, wrong, message):
    net = network_of(cls, wrong)
    before = net.parameters.copy()
    with pytest.raises(ValueError, match=message):
        net.fit(samples(n_classes_of(cls)))
    np.testing.assert_array_equal(net.parameters.copy(), before)


def test_class_weights_are_refused_with_several_yes_or_no_outputs():
    net = network(BinaryCrossEntropy(class_weight=[1.0, 2.0]), 3)
    with pytest.raises(ValueError, match="for one output only, but there are 3"):
        net.fit((np.ones((20, 4)), np.ones((20, 3))))


# ---- what they come to


@examples
@given(st.data())
def test_a_class_weight_is_a_weight_of_each_of_its_samples(data):
    """Class indices, one-hot rows and distributions over classes."""
    cls = data.draw(st.sampled_from(WEIGHTED))
    n_classes = n_classes_of(cls, data.draw(st.integers(2, 5)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    c = data.draw(
        st.lists(
            st.sampled_from([0.0, 0.3, 1.0, 7.0]), min_size=n_classes, max_size=n_classes
        ).filter(any)
    )
    labels, p = rng.integers(0, n_classes, 8), outputs_of(cls, rng.standard_normal((8, n_classes)))
    parts = np.eye(n_classes)[labels]
    if data.draw(st.booleans()):  # soft
        parts = rng.dirichlet(np.ones(n_classes), 8)
    y = parts if issubclass(cls, ClassLoss) else parts[:, 1]
    weight = rng.uniform(0.1, 2, 8)
    given_, by_hand = cls(class_weight=c), weight * (parts @ np.array(c))
    for method in ("loss", "derivative"):
        got = getattr(given_, method)(y, p, weight)
        np.testing.assert_allclose(got, getattr(cls(), method)(y, p, by_hand), rtol=1e-12)
    assert given_.total_weight(y, p, weight) == pytest.approx(by_hand.sum())


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.data())
def test_balanced_weights_are_scikit_learns(data):
    compute = pytest.importorskip("sklearn.utils.class_weight").compute_class_weight
    cls = data.draw(st.sampled_from(WEIGHTED))
    n_classes = n_classes_of(cls, data.draw(st.integers(2, 4)))
    X, y = samples(n_classes, n=data.draw(st.integers(20, 50)), seed=data.draw(st.integers(0, 99)))
    times = np.random.default_rng(1).integers(1, 4, len(y))
    weighted = data.draw(st.booleans())
    counted = np.repeat(y, times) if weighted else y
    expected = compute("balanced", classes=np.arange(n_classes), y=counted)
    net = network_of(cls, "balanced", n_classes, epochs=1)
    given_ = net.loss
    net.fit((X, y, times) if weighted else (X, y), validation=(X[:1], y[:1]))
    np.testing.assert_allclose(net.loss.balanced_weight, expected, rtol=1e-12)
    assert given_.balanced_weight is None  # another network may have the same loss
    assert given_.class_weight == net.loss.class_weight == "balanced"


def test_balanced_weights_train_as_the_same_weights_do(cls):
    X, y = samples(n_classes_of(cls))
    found = network_of(cls, "balanced").fit((X, y), validation=(X[::2], y[::2]))
    same = network_of(cls, found.loss.balanced_weight).fit((X, y), validation=(X[::2], y[::2]))
    np.testing.assert_array_equal(found.parameters.copy(), same.parameters.copy())
    assert found.history["val_loss"] == same.history["val_loss"]
    plain = network_of(cls, None).fit((X, y))
    assert not np.allclose(found.parameters.copy(), plain.parameters.copy())


def test_each_fit_computes_balanced_weights_again(cls):
    X, y = samples(n_classes_of(cls))
    net = network_of(cls, "balanced").fit((X, y))
    first = net.loss.balanced_weight
    part = np.r_[np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:5], np.flatnonzero(y == 2)]
    net.fit((X[part], y[part]))
    assert net.loss.balanced_weight[1] > first[1]
    assert net.history.epochs == 6


@pytest.mark.parametrize("ignored", [-1, 2])
def test_balanced_weights_do_not_count_labels_to_ignore(ignored):
    X, y = samples(3)
    y[20:40] = ignored
    net = network(SoftmaxCrossEntropy("balanced", ignore_index=ignored), 3).fit((X, y))
    n = np.bincount(y[y != ignored], minlength=3)
    classes = n > 0
    expected = np.where(classes, n.sum() / (classes.sum() * np.maximum(n, 1)), 0.0)
    np.testing.assert_allclose(net.loss.balanced_weight, expected)


@pytest.mark.parametrize("weighs", [False, True])
def test_balanced_weights_need_each_class(cls, weighs):
    n_classes = n_classes_of(cls)
    X, y = samples(n_classes)
    weight = np.where(y == 1, 0.0, 1.0)
    data = (X, y, weight) if weighs else (X[y != 1], y[y != 1])
    net = network_of(cls, "balanced")
    before = net.parameters.copy()
    with pytest.raises(
        ValueError, match=r"'balanced' needs samples .* none with a weight above 0 of class 1"
    ):
        net.fit(data)
    np.testing.assert_array_equal(net.parameters.copy(), before)
    assert net.loss.balanced_weight is None


def test_a_balanced_loss_without_weights_says_where_to_find_one_with_weights(cls, rng):
    y, p = np.array([0, 1]), outputs_of(cls, rng.standard_normal((2, n_classes_of(cls))))
    for method in ("loss", "derivative", "loss_and_derivative", "total_weight", "__call__"):
        with pytest.raises(ValueError, match=r"from its training data.*net\.loss"):
            getattr(cls(class_weight="balanced"), method)(y, p)


def test_score_inspect_and_find_learning_rate_use_balanced_weights(cls):
    X, y = samples(n_classes_of(cls))
    other = samples(n_classes_of(cls), seed=5)
    net = network_of(cls, "balanced")
    untrained = net.inspect((X, y)).loss
    net.fit((X, y), validation=other)
    same = network_of(cls, net.loss.balanced_weight)
    assert untrained == same.inspect((X, y)).loss
    assert net.score(other, metric=net.loss) == pytest.approx(net.history["val_loss"][-1], rel=1e-6)
    assert net.inspect(other).loss == pytest.approx(net.history["val_loss"][-1], rel=1e-5)
    rates = [
        find_learning_rate(each, (X, y), n_steps=20).losses
        for each in (network_of(cls, "balanced"), network_of(cls, net.loss.balanced_weight))
    ]
    np.testing.assert_array_equal(*rates)


def test_find_learning_rate_uses_sample_weights():
    X, y = samples(3)
    weight = np.where(y == 1, 5.0, 1.0)
    by_class = find_learning_rate(network(SoftmaxCrossEntropy({1: 5.0}), 3), (X, y), n_steps=20)
    by_sample = find_learning_rate(network(SoftmaxCrossEntropy(), 3), (X, y, weight), n_steps=20)
    np.testing.assert_allclose(by_class.losses, by_sample.losses, rtol=1e-5)


@pytest.mark.parametrize("given_", [[0.5, 2.0], {1: 3.0}, "balanced", None], ids=str)
def test_class_weights_are_saved(cls, given_, tmp_path):
    pytest.importorskip("safetensors")
    if isinstance(given_, list):
        given_ = [1.0] * (n_classes_of(cls) - 2) + given_
    data = samples(n_classes_of(cls))
    net = network_of(cls, given_).fit(data)
    net.save(tmp_path / "net.safetensors")
    loaded = xpnet.load(tmp_path / "net.safetensors")
    assert loaded.loss.class_weight == given_
    assert loaded.loss.balanced_weight == net.loss.balanced_weight
    assert loaded.score(data, metric=loaded.loss) == net.score(data, metric=net.loss)
    loaded.fit(data)
    np.testing.assert_array_equal(loaded.parameters.copy(), net.fit(data).parameters.copy())


# ---- the same by every kind of step

KINDS = {
    "SoftmaxCrossEntropy": (lambda c: SoftmaxCrossEntropy(c), 3),
    "NegativeLogLikelihood": (lambda c: NegativeLogLikelihood(c), 3),
    "BinaryCrossEntropy": (lambda c: BinaryCrossEntropy(class_weight=c), 1),
    "BinaryCrossEntropy, logits": (lambda c: BinaryCrossEntropy(True, class_weight=c), 1),
}


def trained(kind, class_weight, soft=False, weighted=False, **options):
    make, n_outputs = KINDS[kind]
    X, y = samples(max(n_outputs, 2))
    if soft:
        rows = np.random.default_rng(3).dirichlet(np.ones(max(n_outputs, 2)), len(y))
        y = rows if n_outputs > 1 else rows[:, 1]
    data = (X, y, np.linspace(0, 2, len(y))) if weighted else (X, y)
    options = {"dtype": "float64", "epochs": 6} | options
    net = network(make(class_weight), n_outputs, **options).fit(data, validation=data)
    return net, np.concatenate([net.history["loss"], net.history["val_loss"]])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("class_weight", [{0: 3.0}, "balanced"], ids=str)
def test_all_steps_weigh_classes_alike(kind, soft, class_weight, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setenv("XPNET_STEPS", "formulas")
    reference, expected = trained(kind, class_weight, soft, weighted=True)
    monkeypatch.setenv("XPNET_STEPS", "compiled")
    compiled, found = trained(kind, class_weight, soft, weighted=True)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(
        compiled.parameters.copy(), reference.parameters.copy(), rtol=1e-9, atol=1e-12
    )
    pytest.importorskip("torch")
    monkeypatch.setenv("XPNET_STEPS", "auto")
    torchs, found = trained(kind, class_weight, soft, weighted=True, backend="torch")
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert torchs.loss.balanced_weight == reference.loss.balanced_weight


@pytest.mark.cuda
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("class_weight", [{0: 3.0}, "balanced"], ids=str)
def test_captured_steps_weigh_classes_as_formulas_do(kind, class_weight, cuda):
    reference, expected = trained(kind, class_weight, weighted=True)
    captured, found = trained(kind, class_weight, weighted=True, device="cuda", steps="captured")
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert captured.loss.balanced_weight == reference.loss.balanced_weight


def test_class_weights_on_every_library(cls, backend, rng):
    n_classes = n_classes_of(cls)
    y, p = rng.integers(0, n_classes, 7), outputs_of(cls, rng.standard_normal((7, n_classes)))
    loss = cls(class_weight={0: 2.5})
    there = backend.asarray(y), backend.asarray(p, backend.dtype)
    for method in ("loss", "derivative"):
        got = to_host(getattr(loss, method)(*there))
        np.testing.assert_allclose(got, getattr(loss, method)(y, p), rtol=2e-5, atol=1e-7)


def test_the_weighing_method_of_a_subclass_is_used():
    class Doubled(SoftmaxCrossEntropy):
        def sample_weight(self, y_true, y_pred, sample_weight=None):
            own = super().sample_weight(y_true, y_pred, sample_weight)
            return None if own is None else 0.0 * own

    data = samples(3)
    with pytest.raises(ValueError, match="no sample of the training data counts"):
        network(Doubled([1.0, 2.0, 3.0]), 3).fit(data)
