"""Labels in pandas's arrays and indexes are read as those of a Series; bytes are refused."""

import numpy as np
import pandas as pd
import pytest

from xpnet import Dataset, DenseLayer, NeuralNetwork, train_test_split
from xpnet.losses import Heads

rng = np.random.default_rng(0)
X = rng.normal(size=(12, 2))
NAMES = ["zero", "one", "two"] * 4
SORTED = ["one", "two", "zero"]

FORMS = {
    "array of a Series of texts": lambda names: pd.Series(names).values,
    "Series.array": lambda names: pd.Series(names).array,
    "array of type string": lambda names: pd.array(names, dtype="string"),
    "Index": pd.Index,
    "CategoricalIndex": pd.CategoricalIndex,
    "Categorical": pd.Categorical,
    "array of a categorical Series": lambda names: pd.Series(names).astype("category").values,
}


def network(loss="softmax_cross_entropy", n_units=3):
    metric = "accuracy" if isinstance(loss, str) else None
    net = NeuralNetwork(epochs=1, loss=loss, metric=metric, seed=0)
    return net.add(DenseLayer(n_units, input_shape=(2,)))


HEADS = {"kind": ("softmax_cross_entropy", 3), "size": ("mse", 1)}


@pytest.fixture(params=FORMS)
def form(request):
    return FORMS[request.param]


def test_texts_are_the_classes_of_a_data_set(form):
    dataset, of_series = Dataset(X, form(NAMES)), Dataset(X, pd.Series(NAMES))
    assert dataset.class_names == of_series.class_names == SORTED
    assert dataset.has_text_labels
    np.testing.assert_array_equal(dataset.y, of_series.y)


def test_texts_train_score_and_validate_a_network(form):
    labels = form(NAMES)
    net = network().fit(X, labels, validation=(X, labels))
    assert net.class_names == SORTED
    assert net.history.last["val_loss"] == pytest.approx(net.evaluate(X, NAMES)["loss"])
    assert net.score(X, labels) == net.score(X, NAMES)
    assert net.evaluate(X, labels) == net.evaluate(X, NAMES)


def test_texts_are_the_targets_of_a_head(form):
    net = network(HEADS, 4).fit(X, {"kind": form(NAMES), "size": X[:, 0]})
    assert net.class_names == {"kind": SORTED}


def test_missing_texts_are_refused_by_row(form):
    with pytest.raises(ValueError, match=r"y has 1 missing value.*the first in row 4"):
        Dataset(X, form([*NAMES[:4], None, *NAMES[5:]]))


def test_missing_texts_of_a_head_may_be_ignored(form):
    net = network(Heads(HEADS, ignore_missing=True), 4)
    names = form([*NAMES[:4], None, *NAMES[5:]])
    assert net.fit(X, {"kind": names, "size": X[:, 0]}).class_names == {"kind": SORTED}


def test_texts_are_what_a_split_keeps_the_proportions_of(form):
    _, test = train_test_split(Dataset(X, form(NAMES)), test_size=3, stratify=form(NAMES))
    assert sorted(test.y.tolist()) == [0, 1, 2]


def test_a_categorical_array_keeps_the_order_of_its_categories():
    dataset = Dataset(X, pd.Categorical(NAMES, categories=["zero", "one", "two"]))
    assert dataset.class_names == ["zero", "one", "two"]
    assert dataset.y.tolist() == [0, 1, 2] * 4


@pytest.mark.parametrize("form", [pd.array, pd.Index])
def test_numbers_in_arrays_of_pandas_stay_numbers(form):
    dataset = Dataset(X, form([0, 1, 2] * 4))
    assert dataset.y.tolist() == [0, 1, 2] * 4
    assert dataset.class_names is None


@pytest.mark.parametrize(
    "labels",
    [np.array(NAMES, "S4"), np.array(NAMES, "S4").tolist(), np.array(NAMES, "S4").astype(object)],
    ids=["array", "list", "objects"],
)
def test_bytes_are_refused_with_advice_that_works(labels):
    with pytest.raises(TypeError, match=r"y has b'zero' \(bytes\) in row 0.*label\.decode\(\)"):
        Dataset(X, labels)
    assert Dataset(X, [label.decode() for label in labels]).class_names == SORTED


@pytest.mark.parametrize("values", [pd.Series(X[:, 0]).array, pd.array(X[:, 0], dtype="Float64")])
def test_the_advice_for_an_array_of_one_feature_works(values):
    with pytest.raises(ValueError, match=r"give X\.reshape\(\(12, 1\)\)"):
        Dataset(values)
    assert Dataset(values.reshape((12, 1))).shape == (12, 1)
