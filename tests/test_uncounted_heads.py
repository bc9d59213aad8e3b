"""Heads of which no sample counts: their loss and metrics are NaN, or the data are refused."""

import warnings

import numpy as np
import pytest

from xpnet import (
    Callback,
    Dataset,
    DenseLayer,
    EarlyStopping,
    Heads,
    NeuralNetwork,
    SoftmaxCrossEntropy,
)
from xpnet.backends import to_host

N = 60
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, 4))
KIND = RNG.integers(0, 3, N)
SIZE = X[:, 0].copy()
NONE = np.full(N, np.nan)
NO_TEXT = np.array([None] * N, dtype=object)
METRICS = {
    "size": ["r2", "rmse", "max_error", "explained_variance", "neg_mean_absolute_error"],
    "kind": ["accuracy", "log_loss", "f1", "roc_auc", "cohen_kappa"],
}


def network(kind="softmax_cross_entropy", metric=METRICS, **settings):
    loss = Heads({"size": ("mse", 1), "kind": (kind, 3)}, ignore_missing=True)
    settings = {"epochs": 1, "seed": 0} | settings
    net = NeuralNetwork(loss=loss, metric=metric, **settings)
    return net.add(DenseLayer(4, input_shape=(4,)))


def of_head(row, name):
    return np.array([value for column, value in row.items() if column.startswith(f"{name}_")])


@pytest.mark.parametrize(
    ("size", "kind", "lacking", "other"),
    [
        (NONE, KIND, "size", "kind"),
        (SIZE, NONE, "kind", "size"),
        (SIZE, NO_TEXT, "kind", "size"),
    ],
)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_head_without_targets_in_an_epoch_has_nan(size, kind, lacking, other, accumulate):
    data, net = (X, {"size": size, "kind": kind}), network(accumulate=accumulate)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = net.fit(batches=[data, data]).history.last
    assert np.isnan(of_head(row, lacking)).all()
    assert np.isfinite(of_head(row, other)).all()
    assert row["loss"] == pytest.approx(row[f"{other}_loss"], rel=1e-6)
    row = net.fit(batches=[(X, {"size": SIZE, "kind": KIND}), data]).history.last
    assert np.isfinite([*row.values()]).all()


def test_a_head_whose_samples_have_the_weight_0_in_an_epoch_has_nan():
    size = np.where(np.arange(N) < 30, SIZE, np.nan)
    data = (X, {"size": size, "kind": KIND}, np.repeat([0.0, 1.0], 30))
    row = network().fit(batches=[data]).history.last
    assert np.isnan(of_head(row, "size")).all()
    assert np.isfinite(of_head(row, "kind")).all()
    for given in ({"validation": data}, {}):
        message = "the head 'size': no sample of the training data counts: .* the sample weight 0"
        with pytest.raises(ValueError, match=message):
            network().fit(data, **given)
    net = network().fit(X, {"size": SIZE, "kind": KIND})
    with pytest.raises(ValueError, match="validation data counts"):
        net.fit(X, {"size": SIZE, "kind": KIND}, validation=data)
    for given in (data, Dataset(X, np.column_stack([size, KIND]), sample_weight=data[2])):
        found = net.evaluate(given)
        assert np.isnan(of_head(found, "size")).all()
        assert np.isfinite(of_head(found, "kind")).all()
        assert net.score(given, metric="kind_accuracy") == found["kind_accuracy"]
        with pytest.raises(ValueError, match="the head 'size': no sample of the data set counts"):
            net.score(given)


@pytest.mark.parametrize(
    ("loss", "reason", "has_metrics"),
    [
        (SoftmaxCrossEntropy(ignore_index=1), "ignore_index=1 leaves out", False),
        (
            SoftmaxCrossEntropy(class_weight={1: 0.0}),
            "each has a weight of 0 in class_weight=",
            True,
        ),
    ],
)
def test_a_head_whose_labels_do_not_count(loss, reason, has_metrics):
    net = network(loss).fit(X, {"size": SIZE, "kind": KIND})
    only = (X[KIND == 1], {"size": SIZE[KIND == 1], "kind": KIND[KIND == 1]})
    with pytest.raises(ValueError, match=f"the head 'kind': no sample of the .*{reason}"):
        net.fit(only)
    found = net.evaluate(only)
    assert np.isnan(found["kind_loss"])
    assert found["size_rmse"] == np.sqrt(
        np.mean((net.predict(only[0])[:, 0] - only[1]["size"]) ** 2)
    )
    assert net.score(only) == found["size_r2"]
    row = network(loss).fit(batches=[only]).history.last
    assert np.isnan(row["kind_loss"])
    assert np.isnan(row["kind_accuracy"]) != has_metrics  # these do not use class weights
    assert np.isfinite(of_head(row, "size")).all()


@pytest.mark.parametrize("unit", [None, {"size": (1.0, 2.0)}])
def test_data_without_a_target_of_one_head_are_evaluated_for_the_others(unit):
    net = network(target_unit=unit).fit(X, {"size": SIZE, "kind": KIND})
    whole, found = (
        net.evaluate(X, {"size": SIZE, "kind": KIND}),
        net.evaluate(X, {"size": SIZE, "kind": NONE}),
    )
    assert np.isnan(of_head(found, "kind")).all()
    np.testing.assert_equal(of_head(found, "size"), of_head(whole, "size"))
    assert found["loss"] == pytest.approx(found["size_loss"])
    assert net.score(X, {"size": SIZE, "kind": NONE}) == whole["size_r2"]
    with pytest.raises(ValueError, match="the head 'kind': no sample of the data set has a target"):
        net.score(X, {"size": SIZE, "kind": NONE}, metric="kind_accuracy")
    for call in (net.evaluate, net.score):
        with pytest.raises(ValueError, match=r"the head 'size': no sample .* has a target"):
            call(X, {"size": NONE, "kind": NONE})


@pytest.mark.parametrize("regularizer", [None, "l2"])
def test_an_epoch_without_any_target_is_refused(regularizer):
    nothing = (X, {"size": NONE, "kind": NONE})
    net = network(regularizer=regularizer)
    with pytest.raises(ValueError, match=r"epoch 1 counts: .* targets are missing"):
        net.fit(batches=[nothing])
    assert not net.history.epochs
    assert np.isfinite(
        net.fit(batches=[nothing, (X, {"size": SIZE, "kind": KIND})]).history.last["loss"]
    )


def test_nan_is_never_the_best_epoch():
    class Targets(Callback):
        def on_epoch_begin(self, network, epoch):
            targets["size"] = SIZE if epoch == 1 else NONE

    targets = {"size": NONE, "kind": KIND}

    def batches():
        yield X, {**targets}

    for monitor in ("size_rmse", "size_r2"):
        stop = EarlyStopping(monitor, patience=9)
        net = network(epochs=4).fit(batches=batches, callbacks=[Targets(), stop])
        assert np.flatnonzero(np.isfinite(net.history[monitor])).tolist() == [1]
        assert abs(stop.best) == pytest.approx(abs(net.history[monitor][1]))


def test_the_loss_of_a_head_is_nan_on_every_library(float64_backend):
    loss = Heads({"size": ("mse", 1), "kind": ("softmax_cross_entropy", 3)}, ignore_missing=True)
    y = float64_backend.asarray(np.column_stack([NONE, KIND]))
    p = float64_backend.asarray(RNG.standard_normal((N, 4)))
    found = [to_host(each.result(each.statistics(y, p))) for each in loss.metrics()]
    assert np.isnan(found[0])
    assert np.isfinite(found[1])
    # Missing samples count in the divisor, as in the weighted sum that is trained.
    y = float64_backend.asarray(np.column_stack([np.where(KIND == 0, SIZE, np.nan), KIND]))
    each, errors = loss.metrics()[0], (SIZE - to_host(p)[:, 0]) ** 2
    found = to_host(each.result(each.statistics(y, p)))
    assert float(found) == pytest.approx(errors[KIND == 0].sum() / N)
