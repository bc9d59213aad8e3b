"""Losses beyond squares and cross-entropies: others' values, limits, targets, trainings."""

import warnings

import numpy as np
import pytest

from xpnet import (
    Adam,
    BinaryCrossEntropy,
    BinaryFocalLoss,
    DenseLayer,
    FocalLoss,
    GammaLoss,
    HingeLoss,
    HuberLoss,
    KLDivergence,
    LogCoshLoss,
    MeanAbsoluteError,
    NeuralNetwork,
    PoissonLoss,
    QuantileLoss,
    SoftmaxActivation,
    SoftmaxCrossEntropy,
    SquaredHingeLoss,
    TweedieLoss,
)
from xpnet.backends.formula import UntraceableError
from xpnet.common.traceable import derivative_of
from xpnet.losses import LOSSES, ElementwiseLoss

INF, K = np.inf, 4


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# ---- values and gradients of others


def pytorch(y, p, function):
    torch = pytest.importorskip("torch")
    given = torch.tensor(p, requires_grad=True)
    value = function(torch, torch.tensor(y), given)
    value.backward()
    return value.item(), given.grad.numpy()


def focal_of_torchvision(torch, y, z, gamma, alpha):
    """``torchvision.ops.sigmoid_focal_loss``, which is not installed everywhere."""
    s = torch.sigmoid(z)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="none")
    loss = entropy * (1 - (s * y + (1 - s) * (1 - y))) ** gamma
    if alpha is not None:
        loss = loss * (alpha * y + (1 - alpha) * (1 - y))
    return loss.mean()


def focal_of_classes(torch, y, z, gamma, weight):
    log_s = torch.log_softmax(z, dim=1)[torch.arange(len(y)), y]
    losses = -((1 - torch.exp(log_s)) ** gamma) * log_s
    weights = torch.ones(K, dtype=torch.float64) if weight is None else torch.tensor(weight)
    return (losses * weights[y]).sum() / weights[y].sum()


VALUES, BITS, LABELS, ROWS = "values", "bits", "labels", "rows"
PYTORCHS = {
    "MeanAbsoluteError": (
        MeanAbsoluteError(), VALUES, lambda t, y, p: t.nn.functional.l1_loss(p, y)
    ),
    "HuberLoss": (
        HuberLoss(0.7), VALUES, lambda t, y, p: t.nn.functional.huber_loss(p, y, delta=0.7)
    ),
    "KLDivergence": (
        KLDivergence(),
        ROWS,
        lambda t, y, p: t.nn.functional.kl_div(t.log(p), y, reduction="batchmean"),
    ),
    "BinaryFocalLoss": (
        BinaryFocalLoss(), BITS, lambda t, y, z: focal_of_torchvision(t, y, z, 2.0, None)
    ),
    "BinaryFocalLoss, alpha": (
        BinaryFocalLoss(0.5, 0.25), BITS, lambda t, y, z: focal_of_torchvision(t, y, z, 0.5, 0.25)
    ),
    "BinaryFocalLoss, gamma 0": (
        BinaryFocalLoss(0), BITS, lambda t, y, z: focal_of_torchvision(t, y, z, 0.0, None)
    ),
    "FocalLoss": (FocalLoss(), LABELS, lambda t, y, z: focal_of_classes(t, y, z, 2.0, None)),
    "FocalLoss, weights": (
        FocalLoss([0.5, 1.0, 2.0, 3.0], gamma=0.5),
        LABELS,
        lambda t, y, z: focal_of_classes(t, y, z, 0.5, [0.5, 1.0, 2.0, 3.0]),
    ),
}  # fmt: skip


def batch(kind, rng, n=40):
    if kind == LABELS:
        return rng.integers(0, K, n), 4 * rng.standard_normal((n, K))
    if kind == ROWS:
        return softmax(rng.standard_normal((n, K))), softmax(rng.standard_normal((n, K)))
    p = 3 * rng.standard_normal((n, K))
    return (rng.integers(0, 2, (n, K)) * 1.0 if kind == BITS else rng.standard_normal((n, K))), p


@pytest.mark.parametrize("name", PYTORCHS)
def test_values_and_gradients_are_pytorchs(name, rng):
    loss, kind, function = PYTORCHS[name]
    y, p = batch(kind, rng)
    value, gradient = pytorch(y, p, function)
    np.testing.assert_allclose(loss(y, p), value, rtol=1e-9)
    np.testing.assert_allclose(loss.derivative(y, p), gradient, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("power", [1, 1.01, 1.5, 1.9, 2, 2.5, 3])
def test_deviances_are_half_of_scikit_learns(power, rng):
    metrics = pytest.importorskip("sklearn.metrics")
    y, z, weight = rng.gamma(2.0, size=50), rng.standard_normal(50), rng.uniform(0.1, 2, 50)
    if power < 2:
        y[::5] = 0.0
    theirs = metrics.mean_tweedie_deviance(y, np.exp(z), sample_weight=weight, power=power)
    np.testing.assert_allclose(TweedieLoss(power)(y, z[:, None], weight), theirs / 2, rtol=1e-9)
    np.testing.assert_allclose(
        TweedieLoss(power, factor=2)(y, z[:, None], weight), theirs, rtol=1e-9
    )
    same = {1: PoissonLoss(), 2: GammaLoss()}.get(power)
    if same is not None:
        np.testing.assert_allclose(same(y, z[:, None], weight), theirs / 2, rtol=1e-9)


@pytest.mark.parametrize("power", [1, 1.5, 2, 3])
def test_gradients_of_deviances_are_scikit_learns(power, rng):
    module = pytest.importorskip("sklearn._loss.loss")
    y, z = rng.gamma(2.0, size=50), rng.standard_normal(50)
    theirs = module.HalfTweedieLoss(power=power).gradient(y_true=y, raw_prediction=z)
    np.testing.assert_allclose(
        TweedieLoss(power).derivative(y, z[:, None])[:, 0] * 50, theirs, rtol=1e-9, atol=1e-13
    )


def test_quantile_loss_is_scikit_learns(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    y, p, taus = rng.standard_normal(50), rng.standard_normal((50, 3)), [0.1, 0.5, 0.8]
    each = [metrics.mean_pinball_loss(y, p[:, k], alpha=tau) for k, tau in enumerate(taus)]
    for k, tau in enumerate(taus):
        np.testing.assert_allclose(QuantileLoss(tau)(y, p[:, k : k + 1]), each[k], rtol=1e-12)
    np.testing.assert_allclose(QuantileLoss(taus)(y, p), np.mean(each), rtol=1e-12)
    np.testing.assert_allclose(QuantileLoss(taus)(y[:, None], p), np.mean(each), rtol=1e-12)


def test_hinge_losses_are_scikit_learns_and_the_formula(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    y, z = rng.integers(0, 2, 50), 2 * rng.standard_normal((50, 1))
    theirs = metrics.hinge_loss(2 * y - 1, z[:, 0])
    np.testing.assert_allclose(HingeLoss()(y, z), theirs, rtol=1e-12)
    squares = np.maximum(1 - (2 * y - 1) * z[:, 0], 0) ** 2
    np.testing.assert_allclose(SquaredHingeLoss()(y, z), squares.mean(), rtol=1e-12)


def test_focal_losses_without_focus_are_cross_entropies(rng):
    y, z = batch(LABELS, rng)
    for arguments in (
        {},
        {"class_weight": [1, 2, 3, 4]},
        {"ignore_index": 2, "label_smoothing": 0.2},
    ):
        ours, theirs = FocalLoss(gamma=0, **arguments), SoftmaxCrossEntropy(**arguments)
        np.testing.assert_allclose(ours(y, z), theirs(y, z), rtol=1e-12)
        np.testing.assert_allclose(ours.derivative(y, z), theirs.derivative(y, z), atol=1e-15)
    y, z = batch(BITS, rng)
    theirs = BinaryCrossEntropy(from_logits=True)
    np.testing.assert_allclose(BinaryFocalLoss(0)(y, z), theirs(y, z), rtol=1e-12)


def test_log_cosh_is_exact_for_small_and_large_errors():
    d = np.array([[1e-8, 1e-3, 0.5, 0.999999, 1.0, 30.0, 1e4]])
    expected = [0.5e-16, 4.999999166666889e-07, 0.12011450695827752, None, None, None, None]
    got = np.array([float(LogCoshLoss()(np.zeros((1, 1)), d[:, k : k + 1])) for k in range(7)])
    np.testing.assert_allclose(got[:3], expected[:3], rtol=1e-14)
    np.testing.assert_allclose(got[3:6], np.log(np.cosh(d[0, 3:6])), rtol=1e-14)
    assert got[6] == pytest.approx(1e4 - np.log(2.0), rel=1e-15)


# ---- limits

# name -> (loss, targets, (loss at -∞, at ∞), (derivative at -∞, at ∞)) with one target each
LIMITS = {
    "MeanAbsoluteError": (MeanAbsoluteError(), 2.0, (INF, INF), (-1, 1)),
    "HuberLoss": (HuberLoss(0.5), 2.0, (INF, INF), (-0.5, 0.5)),
    "LogCoshLoss": (LogCoshLoss(), 2.0, (INF, INF), (-1, 1)),
    "QuantileLoss": (QuantileLoss(0.2), 2.0, (INF, INF), (-0.2, 0.8)),
    "HingeLoss, no": (HingeLoss(), 0.0, (0, INF), (0, 1)),
    "HingeLoss, yes": (HingeLoss(), 1.0, (INF, 0), (-1, 0)),
    "SquaredHingeLoss, no": (SquaredHingeLoss(), 0.0, (0, INF), (0, INF)),
    "SquaredHingeLoss, yes": (SquaredHingeLoss(), 1.0, (INF, 0), (-INF, 0)),
    "BinaryFocalLoss, no": (BinaryFocalLoss(1.5), 0.0, (0, INF), (0, 1)),
    "BinaryFocalLoss, yes": (BinaryFocalLoss(0.5, 0.25), 1.0, (INF, 0), (-0.25, 0)),
    "PoissonLoss": (PoissonLoss(), 2.0, (INF, INF), (-2, INF)),
    "PoissonLoss, none": (PoissonLoss(), 0.0, (0, INF), (0, INF)),
    "GammaLoss": (GammaLoss(), 2.0, (INF, INF), (-INF, 1)),
    "TweedieLoss": (TweedieLoss(1.5), 2.0, (INF, INF), (-INF, INF)),
    "TweedieLoss, none": (TweedieLoss(1.5), 0.0, (0, INF), (0, INF)),
    "TweedieLoss, 3": (TweedieLoss(3), 2.0, (INF, 0.25), (-INF, 0)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LIMITS)
def test_limits_are_right_far_out(name, dtype):
    loss, target, limits, slopes = LIMITS[name]
    p = np.array([[-INF], [-1e4], [1e4], [INF]], dtype)
    y = np.full_like(p, target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of exponentials that overflow
        value, derivative = loss.element_loss(y, p), loss.element_derivative(y, p)
    for got, (low, high) in ((value, limits), (derivative, slopes)):
        for each, limit in zip(got[:, 0], (low, low, high, high), strict=True):
            if np.isfinite(limit):
                assert each == pytest.approx(limit, abs=1e-6)
            else:
                assert np.sign(each) == np.sign(limit)
                assert abs(each) > 1e3


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_focal_loss_of_classes_is_finite_far_out(size):
    z = np.array([[size, -size, 0.0, 0.0]])
    for label, expected in ((0, 0.0), (1, 2 * size), (2, size)):
        y = np.array([label])
        assert FocalLoss(gamma=1.5)(y, z) == pytest.approx(expected)
        slopes = np.zeros((1, K))
        slopes[0, 0] += label > 0
        slopes[0, label] -= label > 0
        np.testing.assert_allclose(FocalLoss(gamma=0.5).derivative(y, z), slopes, atol=1e-12)


@pytest.mark.parametrize("name", LIMITS)
def test_a_loss_of_nan_is_nan(name):
    loss, target, *_ = LIMITS[name]
    y, p = np.full((1, 1), target), np.full((1, 1), np.nan)
    assert np.isnan(loss(y, p))


def test_derivatives_by_hand_are_those_that_are_derived(rng):
    for name, (loss, target, *_) in LIMITS.items():
        p = 2 * rng.standard_normal((200, 1))
        y = np.full_like(p, target)
        kink = np.abs(np.abs(p - y) - 0.5) < 1e-3
        p[kink] += 0.1
        derived = derivative_of(loss, "element_loss", (y, p), by=1)
        np.testing.assert_allclose(
            loss.element_derivative(y, p), derived, rtol=1e-12, atol=1e-12, err_msg=name
        )


# ---- targets


def network(loss, n_outputs=1, **more):
    given = {"epochs": 2, "batch_size": 5, "seed": 0, "optimizer": "adam"}
    return NeuralNetwork(loss=loss, **given | more).add(DenseLayer(n_outputs, (2,)))


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        ("hinge", [-1, 1, 1], r"y has the number -1: HingeLoss expects 0 \(no\) and 1 \(yes\)\. To "
         r"make these of -1 and 1, write \(y \+ 1\) / 2"),
        ("squared_hinge", [0, 1, 2], r"y has the number 2: SquaredHingeLoss expects 0 \(no\)"),
        ("binary_focal", [0, 1, 0.5], r"y has the number 0\.5: BinaryFocalLoss expects 0 \(no\)"),
        ("gamma", [1, 2, 0], r"y has the number 0: GammaLoss expects numbers above 0"),
        ("tweedie", [1, 2, -1], r"y has the number -1: TweedieLoss expects counts, 0 or more"),
        (TweedieLoss(3), [1, 2, 0], r"y has the number 0: TweedieLoss expects numbers above 0"),
    ],
)  # fmt: skip
def test_targets_that_a_loss_is_not_for_are_refused(loss, y, message, rng):
    with pytest.raises(ValueError, match=message):
        network(loss).fit((rng.standard_normal((3, 2)), np.array(y)))


def test_rows_that_are_no_distributions_are_refused(rng):
    net = network("kl_divergence", 3).add(SoftmaxActivation())
    X = rng.standard_normal((3, 2))
    with pytest.raises(ValueError, match="rows that do not sum to 1: KLDivergence expects distr"):
        net.fit((X, np.full((3, 3), 0.5)))
    with pytest.raises(ValueError, match=r"y has shape \(3,\), .*: KLDivergence"):
        net.fit((X, np.array([0, 1, 2])))
    assert net.fit((X, softmax(X @ np.ones((2, 3))))).history["loss"][-1] >= 0


def test_a_distribution_over_one_output_is_refused(rng):
    with pytest.raises(ValueError, match="KLDivergence needs a distribution over two or more"):
        network("kl_divergence").add(SoftmaxActivation()).fit((np.ones((4, 2)), np.ones(4)))


@pytest.mark.parametrize("loss", ["hinge", "gamma", "focal", "binary_focal", "tweedie"])
def test_outputs_of_another_kind_are_refused(loss, rng):
    net = network(loss, 2).add(SoftmaxActivation())
    with pytest.raises(ValueError, match="does not fit an output of SoftmaxActivation: got a dist"):
        net.fit((np.ones((4, 2)), np.ones((4, 2))))


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "binary_focal"])
def test_yes_and_no_are_told_apart(loss, rng):
    X = rng.standard_normal((200, 2))
    y = (X @ [1.0, -2.0] > 0.3).astype(int)
    net = network(loss, epochs=60, optimizer=Adam(0.05), metric="accuracy").fit((X, y))
    assert net.history["accuracy"][-1] > 0.95
    assert net.score((X, y), metric="accuracy") == pytest.approx(
        ((net.predict(X)[:, 0] > 0) == y).mean()
    )


def test_one_class_of_several_yes_and_no_is_refused(rng):
    with pytest.raises(ValueError, match="as separate yes-or-no answers: use metric='binary_acc"):
        network("hinge", 2, metric="accuracy").fit((np.ones((4, 2)), np.ones((4, 2))))


def test_focal_loss_tells_classes_apart(rng):
    X = rng.standard_normal((200, 2))
    y = np.digitize(X @ [1.0, -2.0], [-1.0, 0.5])
    net = network(FocalLoss(class_weight="balanced"), 3, epochs=60, optimizer=Adam(0.05))
    assert net.fit((X, y)).score((X, y), metric="accuracy") > 0.8
    assert len(net.loss.balanced_weight) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HuberLoss(0), "delta=0: expected a finite number above 0"),
        (lambda: setattr(HuberLoss(), "delta", -1), "delta=-1: expected a finite number above 0"),
        (lambda: QuantileLoss(1), "quantiles=1: expected a number between 0 and 1, or several"),
        (lambda: QuantileLoss([]), r"quantiles=\[\]: expected a number between 0 and 1"),
        (lambda: QuantileLoss([0.5, 0.5]), r"quantiles=\[0.5, 0.5\]: .* several different ones"),
        (lambda: QuantileLoss("0.5"), "quantiles='0.5': expected a number between 0 and 1"),
        (lambda: TweedieLoss(0.5), r"power=0\.5: expected a finite number, 1 or more"),
        (lambda: TweedieLoss(INF), "power=inf: expected a finite number, 1 or more"),
        (lambda: GammaLoss(-1), "factor=-1: expected a finite number above 0"),
        (lambda: BinaryFocalLoss(-1), "gamma=-1: expected a finite number, 0 or more"),
        (lambda: BinaryFocalLoss(alpha=1.5), r"alpha=1\.5: expected a number between 0 and 1"),
        (lambda: FocalLoss(gamma=-1), "gamma=-1: expected a finite number, 0 or more"),
    ],
)
def test_settings_that_make_no_loss_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- quantiles


def test_several_quantiles_are_learned_at_once(rng):
    X, taus = rng.uniform(-1, 1, (2000, 2)), [0.1, 0.5, 0.9]
    y = X[:, 0] + (2 + X[:, 1]) * rng.standard_normal(2000)
    data = X[:1500], y[:1500]
    net = network(QuantileLoss(taus), 3, epochs=60, batch_size=50, optimizer=Adam(0.01))
    net.fit(data, validation=(X[1500:], y[1500:]))
    below = (y[:, None] < net.predict(X)).mean(axis=0)
    np.testing.assert_allclose(below, taus, atol=0.03)
    y_, p = y[1500:], net.predict(X[1500:])
    expected = np.mean([QuantileLoss(tau)(y_, p[:, k : k + 1]) for k, tau in enumerate(taus)])
    assert net.history["val_loss"][-1] == pytest.approx(float(expected), rel=1e-5)
    error = np.abs(y - net.predict(X)[:, 1]).mean()  # of the median
    assert net.score((X, y), metric="mae") == pytest.approx(error, rel=1e-5)
    column = network(QuantileLoss(taus), 3, epochs=2).fit((X, y[:, None]))
    plain = network(QuantileLoss(taus), 3, epochs=2).fit((X, y))
    np.testing.assert_array_equal(column.predict(X), plain.predict(X))


def test_quantiles_of_targets_with_a_unit(rng):
    X = rng.uniform(-1, 1, (1000, 2))
    y = 1e6 + 1e3 * rng.standard_normal(1000)
    unit = (y.mean(), y.std())
    net = network(
        QuantileLoss([0.2, 0.8]),
        2,
        epochs=60,
        batch_size=50,
        optimizer=Adam(0.01),
        target_unit=unit,
    )
    below = (y[:, None] < net.fit((X, y)).predict(X)).mean(axis=0)
    np.testing.assert_allclose(below, [0.2, 0.8], atol=0.05)


def test_another_number_of_outputs_than_quantiles_is_refused():
    message = "QuantileLoss has 2 quantiles, but there are 3 outputs: expected one output per"
    with pytest.raises(ValueError, match=message):
        network(QuantileLoss([0.2, 0.8]), 3).fit((np.ones((4, 2)), np.ones(4)))
    with pytest.raises(ValueError, match=message):
        QuantileLoss([0.2, 0.8])(np.ones(4), np.ones((4, 3)))


def test_columns_of_targets_for_quantiles_that_share_one_are_refused():
    message = r"y has shape \(4, 2\): QuantileLoss expects one column of targets, which all 2"
    with pytest.raises(ValueError, match=message):
        network(QuantileLoss([0.2, 0.8]), 2).fit((np.ones((4, 2)), np.ones((4, 2))))


def test_several_quantiles_train_by_formulas_and_explain_steps_says_why(rng):
    data = rng.standard_normal((200, 2)), rng.standard_normal(200)
    net = network(QuantileLoss([0.2, 0.8]), 2, epochs=20)
    assert "several quantiles" in str(net.explain_steps(data))
    with pytest.raises(UntraceableError, match="several quantiles"):
        derivative_of(
            QuantileLoss([0.2, 0.8]), "element_loss", (np.ones((4, 2)), np.ones((4, 2))), by=1
        )


def test_all_names_are_of_losses_that_need_no_argument():
    for name, kind in LOSSES.items():
        assert name == name.lower()
        assert kind().decision_threshold in (0.0, 0.5)
    elementwise = {kind.__name__ for kind in LOSSES.values() if issubclass(kind, ElementwiseLoss)}
    rows = {kind.__name__ for kind in LOSSES.values()} - elementwise
    assert rows == {
        "CategoricalCrossEntropy", "SoftmaxCrossEntropy", "NegativeLogLikelihood", "FocalLoss",
        "GaussianNLL",
    }  # fmt: skip
