"""Classes whose names, loss and last layer do not go together are refused, or warned of."""

import warnings

import numpy as np
import pytest

from xpnet import (
    BinaryCrossEntropy,
    Dataset,
    DenseLayer,
    Dropout,
    ExponentialActivation,
    Heads,
    HingeLoss,
    LeakyReLUActivation,
    LogSigmoidActivation,
    MeanSquaredError,
    NeuralNetwork,
    ReLU6Activation,
    ReLUActivation,
    SigmoidActivation,
    SoftplusActivation,
    TanhActivation,
)

X = np.random.default_rng(0).normal(size=(24, 2))
TEXTS = np.array(["yes", "no"] * 12)
BITS = (TEXTS == "yes").astype(int)
THREE = np.arange(24) % 3


class OfTwenty(MeanSquaredError):
    """A user's loss, which may compare a part of the targets with the outputs."""

    def element_loss(self, y_true, y_pred):
        return (y_true / 20 - y_pred) ** 2

    def element_derivative(self, y_true, y_pred):
        return 2 * (y_pred - y_true / 20)


def network(loss, n_units, *after):
    net = NeuralNetwork(epochs=1, loss=loss, seed=0).add(DenseLayer(n_units, (2,)))
    for layer in after:
        net.add(layer)
    return net


@pytest.mark.parametrize("loss", ["mse", "huber", "poisson"])
def test_two_classes_given_as_text_are_refused_by_losses_for_numbers(loss):
    net = network(loss, 1)
    with pytest.raises(ValueError, match=r"2 named classes, \['no', 'yes'\], but .* is for"):
        net.fit(X, TEXTS)
    assert not net.is_fitted
    assert net.class_names is None


def test_text_validation_and_scores_are_refused_likewise():
    with pytest.raises(ValueError, match=r"validation: y has text, e\.g\. 'no'"):
        network("mse", 1).fit(X, BITS, validation=(X, TEXTS))


def test_one_class_given_as_text_is_refused_with_two_units():
    with pytest.raises(ValueError, match=r"1 named class, .* last layer of 2 units"):
        network("mse", 1).fit(X, ["no"] * 24)


def test_the_numbers_0_and_1_may_be_trained_on_as_numbers():
    assert network("mse", 1).fit(X, BITS).is_fitted
    named = network("mse", 1).fit(Dataset(X, BITS, class_names=["no", "yes"]))
    assert named.evaluate(X, TEXTS) == named.evaluate(X, BITS)


@pytest.mark.parametrize(
    "last",
    [
        ReLUActivation(),
        ReLU6Activation(),
        SoftplusActivation(),
        ExponentialActivation(),
        TanhActivation(),
    ],
)
def test_scores_of_classes_that_are_never_negative_are_warned_of(last):
    with pytest.warns(UserWarning, match=rf"the last layer is {last.layer_name()}, whose outputs"):
        network("softmax_cross_entropy", 5, last.copy()).fit(X, THREE)


LOGITS = BinaryCrossEntropy(from_logits=True)


@pytest.mark.parametrize("loss", [LOGITS, HingeLoss(), "binary_focal"])
def test_a_score_of_yes_that_is_never_negative_is_warned_of(loss):
    with pytest.warns(UserWarning, match="ReLUActivation, whose outputs are never below 0"):
        network(loss, 1, ReLUActivation(), Dropout(0.1)).fit(X, BITS)


def test_the_head_whose_scores_are_never_negative_is_named():
    heads = {"size": ("mse", 1), "kind": ("softmax_cross_entropy", 3)}
    with pytest.warns(UserWarning, match="the head 'kind': SoftmaxCrossEntropy takes any real"):
        network(heads, 4, ReLUActivation()).fit(X, {"size": abs(X[:, 0]), "kind": THREE})


@pytest.mark.parametrize(
    ("loss", "n_units", "after", "y"),
    [
        ("softmax_cross_entropy", 5, (), THREE),
        ("softmax_cross_entropy", 3, (LeakyReLUActivation(),), THREE),
        ("softmax_cross_entropy", 8, (ReLUActivation(), DenseLayer(3)), THREE),
        ("mse", 1, (ReLUActivation(),), abs(X[:, 0])),
        ("mse", 1, (SigmoidActivation(),), BITS),
        ("mse", 1, (TanhActivation(),), np.tanh(X[:, 0])),
        ("mse", 1, (), X[:, 0]),
        ("hinge", 1, (TanhActivation(),), BITS),
        ("squared_hinge", 1, (TanhActivation(),), BITS),
        (OfTwenty(), 1, (SigmoidActivation(),), 9 * X[:, 0]),
        ("poisson", 1, (ReLUActivation(),), THREE),
    ],
)
def test_other_last_layers_are_not_warned_of(loss, n_units, after, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network(loss, n_units, *(each.copy() for each in after)).fit(X, y)


RANGES = [
    (ReLUActivation(), -abs(X[:, 0]), "never below 0"),
    (SigmoidActivation(), 20 * BITS, "from 0 to 1"),
    (TanhActivation(), 1.1 - 2.2 * BITS, "from -1 to 1"),
    (LogSigmoidActivation(), abs(X[:, 0]), "never above 0"),
]


@pytest.mark.parametrize(
    ("loss", "last", "y", "words"),
    [("huber", *RANGES[0]), ("gaussian_nll", *RANGES[2]), *(("mse", *each) for each in RANGES)],
)
def test_targets_that_the_last_activation_cannot_reach_are_warned_of(loss, last, y, words):
    n_units = 2 if loss == "gaussian_nll" else 1
    found = (
        rf"targets go from {y.min():.4g} to {y.max():.4g}, but .* {words}: add a last DenseLayer"
    )
    with pytest.warns(UserWarning, match=found):
        network(loss, n_units, last.copy()).fit(X, y)


def test_targets_of_any_library_are_compared(backend):
    rows, y = (backend.asarray(each.astype(np.float32)) for each in (X, 20 * BITS))
    with pytest.warns(UserWarning, match="go from 0 to 20, but .* from 0 to 1"):
        network("mse", 1, SigmoidActivation()).fit(rows, y)
    heads = {"a": ("mse", 1)}
    with pytest.warns(UserWarning, match="the head 'a': .* go from 20 to 20"):
        network(heads, 1, SigmoidActivation()).fit(rows, {"a": y}, BITS)


def test_the_range_of_the_outputs_is_that_in_the_target_unit():
    net = network("mse", 1, SigmoidActivation())
    net.target_unit = (10.0, 20.0)
    with pytest.warns(UserWarning, match="outputs are from 10 to 30 with this target_unit"):
        net.fit(X, 9 + BITS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.fit(X, 10 + 20 * BITS)


def test_targets_without_a_weight_need_not_be_reached():
    y = np.where(BITS, 3.0, -1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network("mse", 1, ReLUActivation()).fit(X, y, BITS)
    with pytest.warns(UserWarning, match="go from -1 to 3"):
        network("mse", 1, ReLUActivation()).fit(X, y, 1 + BITS)


def test_the_head_whose_targets_cannot_be_reached_is_named():
    y = {"size": np.where(BITS, np.nan, 5.0), "low": -0.5 * BITS}
    heads = {name: ("mse", 1) for name in y}
    net = network(Heads(heads, ignore_missing=True), 2, TanhActivation())
    with pytest.warns(UserWarning, match="the head 'size': .* go from 5 to 5, but"):
        net.fit(X, y)


def test_a_sigmoid_before_a_loss_that_applies_one_is_refused_with_both_remedies():
    net = network(LOGITS, 1, SigmoidActivation())
    with pytest.raises(ValueError, match=r"applies the sigmoid itself: .* omit from_logits=True"):
        net.fit(X, BITS)
    assert net[:1].fit(X, BITS).is_fitted
    assert network("binary_cross_entropy", 1, SigmoidActivation()).fit(X, BITS).is_fitted
