"""Labels in arrays and indexes of pandas and pyarrow are read as those of a Series."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from xpnet import Dataset, DenseLayer, NeuralNetwork, train_test_split
from xpnet.losses import Heads

pa, pl = pytest.importorskip("pyarrow"), pytest.importorskip("polars")

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
    "array of pyarrow": pa.array,
    "chunks of pyarrow": lambda names: pa.chunked_array([names[:5], names[5:]]),
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


# ---- arrays of pyarrow

DAY = datetime.datetime(2020, 1, 1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, False, True], [True, False, True]),
        ([1, 2, 3], [1, 2, 3]),
        ([1.5, 2.5, 3.5], [1.5, 2.5, 3.5]),
        ([decimal.Decimal("1.5"), decimal.Decimal("2"), decimal.Decimal("3")], [1.5, 2, 3]),
    ],
    ids=["booleans", "integers", "floats", "decimals"],
)
@pytest.mark.parametrize("form", [pa.array, lambda values: pa.chunked_array([values])])
def test_numbers_of_pyarrow_are_labels_weights_and_targets(form, values, expected):
    for read in (
        lambda column: Dataset(X[:3], column).y,
        lambda column: Dataset(X[:3], sample_weight=column).sample_weight,
        lambda column: Dataset(X[:3], {"a": column}).y[:, 0],
    ):
        assert read(form(values)).tolist() == expected
    with pytest.raises(ValueError, match=r"for one feature give np.reshape\(X, \(3, 1\)\)"):
        Dataset(form(values))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([True, None, False], "1 missing value.* the first in row 1"),
        ([1, None, 2], "1 missing value.* the first in row 1"),
        ([None] * 3, "3 missing value.* the first in row 0"),
        ([DAY.date()] * 3, "give dates as numbers"),
        ([DAY] * 3, "give dates as numbers"),
        ([DAY.time()] * 3, "give dates as numbers"),
        ([datetime.timedelta(1)] * 3, "give durations as numbers"),
        ([[1.0], [2.0], [3.0]], "not a number"),
        ([{"a": 1}] * 3, "not a number"),
        ([b"a"] * 3, "bytes"),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", [pa.array, lambda values: pa.chunked_array([pa.array(values)])])
def test_other_values_of_pyarrow_are_refused_with_what_to_do(form, values, words):
    for call in (
        lambda: Dataset(X[:3], form(values)),
        lambda: Dataset(form(values)),
        lambda: Dataset(X[:3], sample_weight=form(values)),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            call()


# ---- lists of objects that NumPy would take apart


@pytest.mark.parametrize(
    "values",
    [
        list(pa.array(["ab", "cd"])),
        list(pa.array(["ab", "cde"])),
        list(pa.array(["ab", "cd"], pa.large_string())),
        list(pa.array([b"ab", b"cd"])),
        list(pa.array([1.0, 2.0])),
        list(pa.array([["ab"], ["cd"]])),
        list(pa.array(["ab", "cd"]).dictionary_encode()),
        [bytearray(b"ab"), bytearray(b"cd")],
    ],
    ids=lambda values: f"{type(values[0]).__name__} {values[1]}",
)
def test_lists_of_scalars_of_pyarrow_and_of_bytes_are_refused(values):
    words = r"(y|X|sample_weight) has .* in a list: .*such as (each.as_py|list)\("
    for call in (
        lambda: Dataset(X[:2], values),
        lambda: Dataset(X[:2], tuple(values)),
        lambda: Dataset(X[:2], {"a": values}),
        lambda: Dataset(values),
        lambda: Dataset([[each] for each in values]),
        lambda: Dataset(X[:2], sample_weight=values),
        lambda: network().fit(X[:2], values),
    ):
        with pytest.raises(TypeError, match=words):
            call()


def test_the_advice_for_scalars_of_pyarrow_works():
    texts = [each.as_py() for each in pa.array(["ab", "cd"])]
    assert Dataset(X[:2], texts).class_names == ["ab", "cd"]
    assert Dataset([list(each) for each in [bytearray(b"ab")] * 2]).X.tolist() == [[97, 98]] * 2


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
def test_lists_of_small_numbers_are_numbers(kind):
    assert Dataset([np.array([1, 2], kind)] * 2, [kind(1), kind(0)]).y.tolist() == [1, 0]


# ---- splitting

COLUMNS = FORMS | {
    "dictionary": lambda names: pa.array(names).dictionary_encode(),
    "polars": pl.Series,
    "MultiIndex": lambda names: pd.MultiIndex.from_arrays([names, names]),
    "record batch": lambda names: pa.record_batch({"a": names}),
    "table": lambda names: pa.table({"a": names}),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_all_kinds_of_columns_are_split_into_their_own_kind(kind):
    column, order = COLUMNS[kind](NAMES), np.arange(12)
    split = train_test_split(order, column, {"a": {"b": column}}, test_size=4, random_state=0)
    for rows, part, parts in (split[::2], split[1::2]):
        assert type(part) is type(column)
        for each in (part, parts["a"]["b"]):
            cells = each.column(0) if hasattr(each, "column_names") else each
            texts = [str(cell[0] if kind == "MultiIndex" else cell) for cell in cells]
            assert texts == [NAMES[row] for row in rows]


def test_labels_that_a_data_set_takes_are_split(form):
    X_train, X_test, y_train, y_test = train_test_split(X, form(NAMES), test_size=4, random_state=0)
    net = network().fit(X_train, y_train)
    assert net.score(X_test, y_test) == net.score(Dataset(X_test, y_test))
    train, _ = train_test_split((X, form(NAMES)), test_size=4, random_state=0)
    np.testing.assert_array_equal(train.X, X_train)
    assert train.class_names == SORTED
