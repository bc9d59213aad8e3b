"""Losses: value, derivative, weights and shapes, on every backend."""

import inspect

import numpy as np
import pytest

from xpnet import (
    BinaryCrossEntropy,
    BinaryFocalLoss,
    CategoricalCrossEntropy,
    DenseLayer,
    FocalLoss,
    GammaLoss,
    GaussianNLL,
    Heads,
    HingeLoss,
    HuberLoss,
    KLDivergence,
    LogCoshLoss,
    MeanAbsoluteError,
    MeanSquaredError,
    NegativeLogLikelihood,
    NeuralNetwork,
    PoissonLoss,
    QuantileLoss,
    SigmoidActivation,
    SoftmaxActivation,
    SoftmaxCrossEntropy,
    SquaredHingeLoss,
    TweedieLoss,
)
from xpnet.backends import ops, to_host
from xpnet.losses import FunctionLoss, LossFunction
from xpnet.testing import check_loss

K = 4


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def values(n, rng):
    return rng.standard_normal((n, K)), rng.standard_normal((n, K))


def probabilities(n, rng):
    return rng.uniform(0, 1, (n, K)), rng.uniform(0.05, 0.95, (n, K))


def bits_and_logits(n, rng):
    return rng.integers(0, 2, (n, K)).astype(float), 3 * rng.standard_normal((n, K))


def one_hot_and_distribution(n, rng):
    return np.eye(K)[rng.integers(0, K, n)], softmax(rng.standard_normal((n, K)))


def counts_and_log_rates(n, rng):
    return rng.poisson(2.0, (n, K)).astype(float), rng.standard_normal((n, K))


def labels_and_logits(n, rng):
    return rng.integers(0, K, n), 3 * rng.standard_normal((n, K))


def labels_and_log_distribution(n, rng):
    return rng.integers(0, K, n), np.log(softmax(rng.standard_normal((n, K))))


def _binary(y, p):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(axis=1)


def _poisson(y, z):
    """Half of the deviance; 0 log 0 is 0."""
    return (y * np.log(np.maximum(y, 1)) - y * z - y + np.exp(z)).mean(axis=1)


def columns_and_quantiles(n, rng):
    return rng.standard_normal((n, 1)), rng.standard_normal((n, K))


def positives_and_log_means(n, rng):
    return rng.gamma(2.0, size=(n, K)), rng.standard_normal((n, K))


def claims_and_log_means(n, rng):
    """Numbers of which some are 0."""
    return rng.gamma(2.0, size=(n, K)) * rng.integers(0, 2, (n, K)), rng.standard_normal((n, K))


def bits_and_scores(n, rng):
    """Scores whose margin is not near 1, where the hinge loss has a kink."""
    y, z = bits_and_logits(n, rng)
    margin = (2 * y - 1) * z
    return y, np.where(np.abs(margin - 1) < 0.01, z + 0.5, z)


def distributions(n, rng):
    y, p = softmax(rng.standard_normal((n, K))), softmax(rng.standard_normal((n, K)))
    y[::2, 0] = 0.0
    return y / y.sum(axis=1, keepdims=True), p


def values_and_normals(n, rng):
    """Two targets, and two means and two log-variances."""
    return rng.standard_normal((n, 2)), rng.standard_normal((n, 4))


def _normal(y, p):
    v = np.exp(p[:, 2:]) + 1e-6
    return (np.log(2 * np.pi * v) / 2 + (y - p[:, :2]) ** 2 / (2 * v)).mean(axis=1)


POSITIVE = np.array([0.5, 1.0, 2.0, 7.0])


def _weighted_binary(y, p, w):
    return -(w * y * np.log(p) + (1 - y) * np.log(1 - p)).mean(axis=1)


def values_labels_and_outputs(n, rng):
    """One target that is a value, and one that is one of three classes."""
    y = np.column_stack([rng.standard_normal(n), rng.integers(0, 3, n)])
    return y, rng.standard_normal((n, 4))


def _two_heads(y, p):
    of_classes = -np.log(softmax(p[:, 1:]))[np.arange(len(y)), y[:, 1].astype(int)]
    return (p[:, 0] - y[:, 0]) ** 2 + 0.5 * of_classes


def _pinball(y, p, tau):
    return np.where(y > p, tau * (y - p), (1 - tau) * (p - y)).mean(axis=1)


def _tweedie(y, z, p):
    mean = np.exp(z)
    of_target = y ** (2 - p) / ((1 - p) * (2 - p))
    return (of_target - y * mean ** (1 - p) / (1 - p) + mean ** (2 - p) / (2 - p)).mean(axis=1)


def _binary_focal(y, z, gamma, alpha):
    q = 1 / (1 + np.exp(-(2 * y - 1) * z))
    weight = np.where(y == 1, alpha, 1 - alpha)
    return -(weight * (1 - q) ** gamma * np.log(q)).mean(axis=1)


def _focal(y, z, gamma):
    s = softmax(z)[np.arange(len(y)), y]
    return -((1 - s) ** gamma) * np.log(s)


QUANTILES = [0.9, 0.1, 0.5, 0.25]

# name -> (loss, random targets and outputs, loss of each sample in plain NumPy)
CASES = {
    "MeanSquaredError": (MeanSquaredError(), values, lambda y, p: ((p - y) ** 2).mean(axis=1)),
    "BinaryCrossEntropy": (BinaryCrossEntropy(), probabilities, _binary),
    "BinaryCrossEntropy, logits": (
        BinaryCrossEntropy(from_logits=True),
        bits_and_logits,
        lambda y, z: _binary(y, 1 / (1 + np.exp(-z))),
    ),
    "BinaryCrossEntropy, positive weight": (
        BinaryCrossEntropy(positive_weight=3.0),
        probabilities,
        lambda y, p: _weighted_binary(y, p, 3.0),
    ),
    "BinaryCrossEntropy, logits and positive weights": (
        BinaryCrossEntropy(from_logits=True, positive_weight=POSITIVE),
        bits_and_logits,
        lambda y, z: _weighted_binary(y, 1 / (1 + np.exp(-z)), POSITIVE),
    ),
    "Heads": (
        Heads({"size": ("mse", 1), "kind": ("softmax_cross_entropy", 3, 0.5)}),
        values_labels_and_outputs,
        _two_heads,
    ),
    "GaussianNLL": (GaussianNLL(), values_and_normals, _normal),
    "CategoricalCrossEntropy": (
        CategoricalCrossEntropy(),
        one_hot_and_distribution,
        lambda y, p: -(y * np.log(p)).sum(axis=1),
    ),
    "PoissonLoss": (PoissonLoss(), counts_and_log_rates, _poisson),
    "MeanAbsoluteError": (MeanAbsoluteError(), values, lambda y, p: np.abs(p - y).mean(axis=1)),
    "HuberLoss": (
        HuberLoss(0.8),
        values,
        lambda y, p: np.where(
            np.abs(p - y) <= 0.8, (p - y) ** 2 / 2, 0.8 * (np.abs(p - y) - 0.4)
        ).mean(axis=1),
    ),
    "LogCoshLoss": (LogCoshLoss(), values, lambda y, p: np.log(np.cosh(p - y)).mean(axis=1)),
    "QuantileLoss": (QuantileLoss(0.8), values, lambda y, p: _pinball(y, p, 0.8)),
    "QuantileLoss, several": (
        QuantileLoss(QUANTILES),
        columns_and_quantiles,
        lambda y, p: _pinball(y, p, np.array(QUANTILES)),
    ),
    "FunctionLoss": (
        FunctionLoss(lambda y, p: (p - y) ** 4),
        values,
        lambda y, p: ((p - y) ** 4).mean(axis=1),
    ),
    "GammaLoss": (
        GammaLoss(),
        positives_and_log_means,
        lambda y, z: (z - np.log(y) + y / np.exp(z) - 1).mean(axis=1),
    ),
    "TweedieLoss": (TweedieLoss(1.3), claims_and_log_means, lambda y, z: _tweedie(y, z, 1.3)),
    "TweedieLoss, 1": (TweedieLoss(1), counts_and_log_rates, _poisson),
    "TweedieLoss, 3": (TweedieLoss(3), positives_and_log_means, lambda y, z: _tweedie(y, z, 3)),
    "HingeLoss": (
        HingeLoss(),
        bits_and_scores,
        lambda y, z: np.maximum(1 - (2 * y - 1) * z, 0).mean(axis=1),
    ),
    "SquaredHingeLoss": (
        SquaredHingeLoss(),
        bits_and_logits,
        lambda y, z: (np.maximum(1 - (2 * y - 1) * z, 0) ** 2).mean(axis=1),
    ),
    "BinaryFocalLoss": (
        BinaryFocalLoss(1.5, alpha=0.25),
        bits_and_logits,
        lambda y, z: _binary_focal(y, z, 1.5, 0.25),
    ),
    "FocalLoss": (FocalLoss(gamma=1.5), labels_and_logits, lambda y, z: _focal(y, z, 1.5)),
    "KLDivergence": (
        KLDivergence(),
        distributions,
        lambda y, p: (y * np.log(np.where(y > 0, y, 1) / p)).sum(axis=1),
    ),
    "SoftmaxCrossEntropy": (
        SoftmaxCrossEntropy(),
        labels_and_logits,
        lambda y, z: -np.log(softmax(z))[np.arange(len(y)), y],
    ),
    "NegativeLogLikelihood": (
        NegativeLogLikelihood(),
        labels_and_log_distribution,
        lambda y, log_p: -log_p[np.arange(len(y)), y],
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def on(backend, y, p):
    y = backend.asarray(y) if y.dtype.kind == "i" else backend.asarray(y, backend.dtype)
    return y, backend.asarray(p, backend.dtype)


def _subclasses(cls):
    for subclass in cls.__subclasses__():
        if subclass.__module__.startswith("xpnet."):
            yield subclass
            yield from _subclasses(subclass)


def test_every_loss_of_the_library_is_in_the_table():
    concrete = {cls for cls in _subclasses(LossFunction) if not inspect.isabstract(cls)}
    assert concrete == {type(case[0]) for case in CASES.values()}


@pytest.mark.parametrize("n", [0, 1, 5])
def test_value_shape_and_type(case, n, backend, rng):
    loss, make, formula = case
    y, p = make(n, rng)
    got = loss.loss(*on(backend, y, p))
    assert got.shape == ()
    assert got.dtype == backend.float_dtype
    expected = formula(y, p).mean() if n else 0.0
    np.testing.assert_allclose(to_host(got), expected, rtol=2e-5, atol=1e-6)
    derivative = loss.derivative(*on(backend, y, p))
    assert derivative.shape == p.shape
    assert derivative.dtype == backend.float_dtype
    assert backend.owns(derivative)


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("weighted", [False, True])
def test_derivative_agrees_with_finite_differences(case, n, weighted, float64_backend, rng):
    loss, make, _ = case
    y, p = on(float64_backend, *make(n, rng))
    weight = float64_backend.asarray(rng.uniform(0, 2, n)) if weighted else None
    for seed in range(3):
        check_loss(loss, y, p, weight, seed=seed)


def test_both_at_once_are_the_two_by_themselves(case, backend, rng):
    loss, make, _ = case
    y, p = on(backend, *make(5, rng))
    weight = backend.asarray(rng.uniform(0, 2, 5), backend.dtype)
    tolerance = 1e-12 if backend.dtype == "float64" else 1e-5
    for arguments in ((y, p), (y, p, weight)):
        value, derivative = loss.loss_and_derivative(*arguments)
        np.testing.assert_allclose(to_host(value), to_host(loss.loss(*arguments)), rtol=tolerance)
        expected = to_host(loss.derivative(*arguments))
        np.testing.assert_allclose(to_host(derivative), expected, rtol=tolerance, atol=tolerance)


def test_derivative_in_float32_agrees_with_that_in_float64(case, backend, rng):
    loss, make, _ = case
    y, p = make(5, rng)
    narrow = backend.with_dtype("float32")
    got = to_host(loss.derivative(*on(narrow, y, p)))
    np.testing.assert_allclose(got, loss.derivative(y, p), rtol=2e-4, atol=2e-6)


def test_sample_weights_make_the_weighted_mean(case, backend, rng):
    loss, make, formula = case
    y, p = make(5, rng)
    weight = np.array([0.5, 0.0, 2.0, 1.0, 3.0])
    got = loss.loss(*on(backend, y, p), backend.asarray(weight, backend.dtype))
    expected = (weight * formula(y, p)).sum() / weight.sum()
    np.testing.assert_allclose(to_host(got), expected, rtol=2e-5)
    total = loss.total_weight(*on(backend, y, p), backend.asarray(weight, backend.dtype))
    assert to_host(total) == 6.5
    assert loss.total_weight(*on(backend, y, p)) == 5.0


def test_a_batch_without_weight_has_loss_and_derivative_0(case, backend, rng):
    loss, make, _ = case
    y, p = on(backend, *make(3, rng))
    zero = backend.zeros((3,))
    assert to_host(loss.loss(y, p, zero)) == 0
    assert not np.any(to_host(loss.derivative(y, p, zero)))


def test_whole_number_weights_are_repetitions(case, rng):
    loss, make, _ = case
    y, p = make(4, rng)
    times = np.array([1, 3, 0, 2])
    repeated = loss.loss(np.repeat(y, times, axis=0), np.repeat(p, times, axis=0))
    np.testing.assert_allclose(loss.loss(y, p, times.astype(float)), repeated, rtol=1e-12)


@pytest.mark.parametrize(
    "loss", [SoftmaxCrossEntropy(), NegativeLogLikelihood()], ids=lambda loss: type(loss).__name__
)
def test_labels_may_be_indices_a_column_or_one_hot(loss, backend, rng):
    labels, z = labels_and_logits(5, rng)
    log_p = backend.asarray(np.log(softmax(z)), backend.dtype)
    forms = [labels, labels[:, None], np.eye(K)[labels]]
    got = [to_host(loss.derivative(backend.asarray(y, None), log_p)) for y in forms[:2]]
    got.append(to_host(loss.derivative(backend.asarray(forms[2], backend.dtype), log_p)))
    np.testing.assert_array_equal(got[0], got[1])
    np.testing.assert_array_equal(got[0], got[2])


def test_soft_targets_are_distributions(rng):
    y, z = softmax(rng.standard_normal((5, K))), rng.standard_normal((5, K))
    loss = SoftmaxCrossEntropy()
    np.testing.assert_allclose(loss(y, z), -(y * np.log(softmax(z))).sum(axis=1).mean(), rtol=1e-12)
    check_loss(loss, 2.5 * y, z)  # even where rows do not sum to 1


def test_softmax_cross_entropy_is_softmax_then_categorical(float64_backend, rng):
    y, z = labels_and_logits(5, rng)
    y, z = float64_backend.asarray(y), float64_backend.asarray(z)
    together = SoftmaxCrossEntropy().loss(y, z)
    apart = CategoricalCrossEntropy().loss(y, ops.softmax(z))
    np.testing.assert_allclose(to_host(together), to_host(apart), rtol=1e-12)


@pytest.mark.parametrize("size", [100.0, 1e4])
def test_losses_from_logits_are_exact_and_finite_far_out(size, backend):
    y = backend.asarray([[1.0, 0.0]], backend.dtype)
    wrong = backend.asarray([[-size, size]], backend.dtype)
    binary = BinaryCrossEntropy(from_logits=True)
    assert to_host(binary.loss(y, wrong)) == size
    np.testing.assert_array_equal(to_host(binary.derivative(y, wrong)), [[-0.5, 0.5]])
    assert to_host(SoftmaxCrossEntropy().loss(y, wrong)) == 2 * size
    np.testing.assert_array_equal(to_host(SoftmaxCrossEntropy().derivative(y, wrong)), [[-1, 1]])


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), CategoricalCrossEntropy()])
def test_losses_from_probabilities_are_finite_and_differentiable_at_0_and_1(loss, float64_backend):
    y = float64_backend.asarray([[1.0, 0.0]])
    certain = float64_backend.asarray([[0.0, 1.0]])
    least = np.finfo(float).eps ** 2
    assert np.isfinite(to_host(loss.loss(y, certain)))
    at = float64_backend.asarray([[0.3 * least, 1 - 0.5]])
    slope = to_host(loss.derivative(y, at))[0, 0]
    step = 0.01 * least
    up, down = (
        float64_backend.scalar(loss.loss(y, float64_backend.asarray([[0.3 * least + d, 0.5]])))
        for d in (step, -step)
    )
    assert slope == pytest.approx((up - down) / (2 * step), rel=1e-3)


def _through(activation, loss, z, y):
    """Return the derivative with respect to an activation's input."""
    activation.set_input_shape(z.shape[1:])
    p = activation.forward_propagation(z)
    return activation.backward_propagation(loss.derivative(y, p))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_derivative_is_exact_for_a_target_with_a_tiny_probability(dtype):
    """A p far below the spacing of numbers at 1 keeps all its digits."""
    z = np.linspace(-30 if dtype == "float32" else -70, 20, 200, dtype=dtype)[:, None]
    tolerance = 100 * np.finfo(dtype).eps
    p = 1 / (1 + np.exp(-z.astype(float)))
    found = _through(SigmoidActivation(), BinaryCrossEntropy(), z, np.ones_like(z)) * len(z)
    np.testing.assert_allclose(found, p - 1, rtol=tolerance, atol=tolerance)
    rows, y = np.concatenate([z, 0 * z], axis=1), np.zeros(len(z), int)
    found = _through(SoftmaxActivation(), CategoricalCrossEntropy(), rows, y) * len(z)
    expected = np.concatenate([p - 1, 1 - p], axis=1)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    # 1 - p has fewer digits, and finally none, but its sign and size are right.
    found = _through(SigmoidActivation(), BinaryCrossEntropy(), 2 * z, np.zeros_like(z)) * len(z)
    assert ((found >= 0) & (found < 2)).all()
    p = 1 / (1 + np.exp(-2 * z.astype(float)))
    np.testing.assert_array_less(abs(found - p) * (1 - p), 2 * np.finfo(dtype).eps)


class TestNegativeLogLikelihood:
    def test_class_weights_weigh_sum_and_mean(self, backend, rng):
        y, log_p = labels_and_log_distribution(6, rng)
        c = np.array([0.5, 1.0, 2.0, 3.0])
        got = NegativeLogLikelihood(class_weight=c).loss(*on(backend, y, log_p))
        expected = -(c[y] * log_p[np.arange(6), y]).sum() / c[y].sum()
        np.testing.assert_allclose(to_host(got), expected, rtol=1e-5)

    def test_derivative_with_class_weights_and_ignored_labels(self, float64_backend, rng):
        y, log_p = labels_and_log_distribution(8, rng)
        y[[1, 4]] = -1
        loss = NegativeLogLikelihood([0.5, 1.0, 2.0, 3.0], ignore_index=-1)
        weight = float64_backend.asarray(rng.uniform(0, 1, 8))
        check_loss(loss, *on(float64_backend, y, log_p), weight)

    @pytest.mark.parametrize("ignored", [-1, 2])
    def test_ignored_labels_count_for_nothing(self, ignored, backend, rng):
        y, log_p = labels_and_log_distribution(8, rng)
        y = np.where(y == 2, 1, y)
        y[[0, 5]] = ignored
        kept = y != ignored
        loss = NegativeLogLikelihood(ignore_index=ignored)
        got = loss.loss(*on(backend, y, log_p))
        expected = NegativeLogLikelihood().loss(y[kept], log_p[kept])
        np.testing.assert_allclose(to_host(got), expected, rtol=1e-5)
        assert to_host(loss.total_weight(*on(backend, y, log_p))) == kept.sum()
        assert not np.any(to_host(loss.derivative(*on(backend, y, log_p)))[~kept])

    @pytest.mark.parametrize("weights", [[], [1.0, -1.0], [1.0, float("nan")]])
    def test_refuses_class_weights_that_are_none(self, weights):
        with pytest.raises(ValueError, match=r"class_weight=.*: expected a finite number"):
            NegativeLogLikelihood(class_weight=weights)

    def test_refuses_class_weights_of_another_number(self, rng):
        with pytest.raises(ValueError, match="class_weight has 3 weights for 4 classes"):
            NegativeLogLikelihood([1, 1, 1]).loss(*labels_and_log_distribution(5, rng))


FACTORS = {
    "MeanSquaredError": (MeanSquaredError(), MeanSquaredError(factor=2.5)),
    "BinaryCrossEntropy": (BinaryCrossEntropy(), BinaryCrossEntropy(factor=2.5)),
    "BinaryCrossEntropy, logits": (
        BinaryCrossEntropy(from_logits=True),
        BinaryCrossEntropy(from_logits=True, factor=2.5),
    ),
    "PoissonLoss": (PoissonLoss(), PoissonLoss(factor=2.5)),
    "GammaLoss": (GammaLoss(), GammaLoss(factor=2.5)),
    "TweedieLoss": (TweedieLoss(1.3), TweedieLoss(1.3, factor=2.5)),
}


@pytest.mark.parametrize("name", FACTORS)
def test_a_factor_multiplies_loss_and_derivative(name, backend, rng):
    plain, scaled = FACTORS[name]
    y, p = on(backend, *CASES[name][1](5, rng))
    tolerance = 1e-12 if backend.dtype == "float64" else 1e-5
    for method in ("loss", "derivative"):
        expected = 2.5 * to_host(getattr(plain, method)(y, p))
        np.testing.assert_allclose(
            to_host(getattr(scaled, method)(y, p)), expected, rtol=tolerance, atol=tolerance
        )
    check_loss(scaled, *CASES[name][1](5, rng))


@pytest.mark.parametrize(
    ("plain", "limited"),
    [
        (SoftmaxCrossEntropy(), SoftmaxCrossEntropy(max_reported=0.5)),
        (
            BinaryCrossEntropy(from_logits=True),
            BinaryCrossEntropy(from_logits=True, max_reported=0.5),
        ),
    ],
    ids=["classes", "logits"],
)
def test_the_most_of_a_loss_is_of_each_output_and_leaves_its_derivative(
    plain, limited, backend, rng
):
    classes = isinstance(plain, SoftmaxCrossEntropy)
    y, z = (labels_and_logits if classes else bits_and_logits)(20, rng)
    if classes:
        expected = np.minimum(-np.log(softmax(z))[np.arange(20), y], 0.5).mean()
    else:
        p = 1 / (1 + np.exp(-z))
        expected = np.minimum(-np.log(np.where(y == 1, p, 1 - p)), 0.5).mean()
    y, z = on(backend, y, z)
    np.testing.assert_allclose(to_host(limited.loss(y, z)), expected, rtol=1e-5)
    np.testing.assert_array_equal(
        to_host(limited.derivative(y, z)), to_host(plain.derivative(y, z))
    )


def test_counts_below_0_are_refused():
    net = NeuralNetwork(epochs=1, batch_size=2, loss="poisson").add(DenseLayer(1, (2,)))
    with pytest.raises(ValueError, match=r"y has the number -1\.0: PoissonLoss expects counts"):
        net.fit((np.ones((3, 2)), np.array([1.0, -1.0, 2.0])))


def test_counts_and_their_rate_cost_nothing_where_they_agree(backend):
    y = backend.asarray([[1.0], [4.0]], backend.dtype)
    z = backend.asarray(np.log([[1.0], [4.0]]), backend.dtype)
    assert to_host(PoissonLoss().loss(y, z)) == pytest.approx(0.0, abs=1e-6)
    none = backend.asarray([[0.0]], backend.dtype)
    assert to_host(PoissonLoss().loss(none, none)) == pytest.approx(1.0)  # μ = 1 for no count


def test_a_column_and_a_vector_of_targets_are_the_same(backend):
    y = backend.asarray([1.0, 2.0, 3.0], backend.dtype)
    p = backend.asarray([[1.0], [2.0], [5.0]], backend.dtype)
    loss = to_host(MeanSquaredError().loss(y, p))
    np.testing.assert_allclose(loss, 4 / 3, rtol=1e-6)
    assert MeanSquaredError().derivative(y, p).shape == (3, 1)


@pytest.mark.parametrize(
    ("loss", "y", "p", "message"),
    [
        (MeanSquaredError(), (3, 2), (3, 4), r"shape \(3, 2\) for outputs of shape \(3, 4\)"),
        (MeanSquaredError(), (4,), (3, 1), r"expected \(3,\) or \(3, 1\)"),
        (MeanSquaredError(), (3,), (3, 3), r"expected \(3, 3\)"),
        (SoftmaxCrossEntropy(), (4,), (3, 2), r"\(3,\), class indices, or \(3, 2\), one-hot rows"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_and_never_broadcast(loss, y, p, message):
    with pytest.raises(ValueError, match=message):
        loss.loss(np.zeros(y), np.ones(p))
    with pytest.raises(ValueError, match=message):
        loss.derivative(np.zeros(y), np.ones(p))


def test_weights_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"sample_weight has shape \(2,\): expected \(3,\)"):
        MeanSquaredError().loss(np.zeros(3), np.zeros((3, 1)), np.ones(2))


def test_negative_log_likelihood_takes_soft_targets_too(float64_backend, rng):
    y, log_p = softmax(rng.standard_normal((5, K))), np.log(softmax(rng.standard_normal((5, K))))
    y, log_p = on(float64_backend, y, log_p)
    for loss in (NegativeLogLikelihood(), NegativeLogLikelihood([0.5, 1.0, 2.0, 3.0])):
        check_loss(loss, y, log_p)
    got = to_host(NegativeLogLikelihood().loss(y, log_p))
    np.testing.assert_allclose(got, -(to_host(y) * to_host(log_p)).sum(axis=1).mean(), rtol=1e-12)


def test_a_class_that_cannot_be_costs_nothing_where_it_is_not_the_target():
    log_p = np.array([[0.0, -np.inf]])
    assert NegativeLogLikelihood()(np.array([0]), log_p) == 0.0


def test_an_ignore_index_that_is_no_whole_number_is_refused():
    with pytest.raises(TypeError, match="'x': expected a whole number"):
        NegativeLogLikelihood(ignore_index="x")


# ---- what all losses of classes have: smoothing, class weights, a label to ignore


# Not both: PyTorch weighs each class's part of a smoothed label by itself.
@pytest.mark.parametrize(
    ("smoothing", "weighted"), [(0.0, False), (0.0, True), (0.1, False), (0.5, False)]
)
@pytest.mark.parametrize("ignored", [None, -1, 2])
def test_softmax_cross_entropy_is_pytorchs(smoothing, ignored, weighted, rng):
    torch = pytest.importorskip("torch")
    weight = rng.uniform(0.1, 2, K) if weighted else None
    labels, z = rng.integers(0, K, 30), 3 * rng.standard_normal((30, K))
    labels[:5] = labels[0] if ignored is None else ignored
    ours = SoftmaxCrossEntropy(weight, ignored, smoothing)
    logits = torch.tensor(z, requires_grad=True)
    theirs = torch.nn.functional.cross_entropy(
        logits,
        torch.tensor(labels),
        weight=None if weight is None else torch.tensor(weight),
        ignore_index=-100 if ignored is None else ignored,
        label_smoothing=smoothing,
    )
    theirs.backward()
    value, derivative = ours.loss_and_derivative(labels, z)
    assert float(value) == pytest.approx(theirs.item(), rel=1e-12)
    np.testing.assert_allclose(derivative, logits.grad.numpy(), rtol=1e-10, atol=1e-14)
    assert float(ours.loss(labels, z)) == pytest.approx(theirs.item(), rel=1e-12)
    np.testing.assert_allclose(ours.derivative(labels, z), derivative, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    "cls", [SoftmaxCrossEntropy, CategoricalCrossEntropy, NegativeLogLikelihood]
)
def test_losses_of_classes_are_one_loss(cls, rng):
    """From logits, from their softmax and from its logarithm: the same number."""
    labels, z = rng.integers(0, K, 30), rng.standard_normal((30, K))
    p = softmax(z)
    outputs = {SoftmaxCrossEntropy: z, CategoricalCrossEntropy: p, NegativeLogLikelihood: np.log(p)}
    arguments = {"class_weight": rng.uniform(0.1, 2, K), "ignore_index": 1, "label_smoothing": 0.2}
    expected = SoftmaxCrossEntropy(**arguments).loss(labels, z)
    assert float(cls(**arguments).loss(labels, outputs[cls])) == pytest.approx(float(expected))
    rows = np.eye(K)[labels]
    plain = {**arguments, "ignore_index": None}
    found = cls(**plain).loss(rows, outputs[cls])
    assert float(found) == pytest.approx(float(cls(**plain).loss(labels, outputs[cls])))


@pytest.mark.parametrize("bad", [-0.1, 1.0, "some"])
def test_smoothing_that_is_no_part_is_refused(bad):
    with pytest.raises(ValueError, match="label_smoothing="):
        SoftmaxCrossEntropy(label_smoothing=bad)
