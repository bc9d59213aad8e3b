"""A network that was trained on columns of 0 and 1 takes the categories that they stand for."""

import copy
import pickle

import numpy as np
import pytest

import xpnet
from xpnet import Dataset, DenseLayer, NeuralNetwork
from xpnet.model_files.forms import ModelFileError
from xpnet.model_files.names import check_names

pd = pytest.importorskip("pandas")

FRAME = pd.DataFrame(
    {"size": [1.0, 2.0, 3.0, 4.0], "hue": ["red", "blue", "red", "green"], "age": [4, 5, 6, 7]}
)
PRICE = np.array([1.0, 2.0, 3.0, 5.0])
NAMES = ["size", "hue=blue", "hue=green", "hue=red", "age"]
HUES = {"hue": ["blue", "green", "red"]}
SOME = FRAME.iloc[[2, 0]]  # "red" alone, whose code there is 0


def trained(**given):
    net = NeuralNetwork(epochs=3, learning_rate=0.01, seed=0, metric="mae")
    data = Dataset.from_frame(FRAME.assign(price=PRICE), label="price").one_hot()
    return net.add(DenseLayer(1, input_shape=(5,))).fit(data, **given)


def test_a_data_set_and_a_network_keep_the_categories():
    data = Dataset(FRAME).one_hot()
    assert (data.feature_names, data.categories, data.encoded) == (NAMES, {}, HUES)
    assert data[:2].encoded == HUES
    net = trained()
    assert (net.feature_names, net.categories) == (NAMES, HUES)
    assert NeuralNetwork().categories == {}


def test_predictions_and_scores_of_a_frame_encode_it_as_the_training_data():
    net = trained()
    expected = net.predict(Dataset(FRAME).one_hot().X)
    np.testing.assert_array_equal(net.predict(FRAME), expected)
    np.testing.assert_array_equal(net.predict(SOME), expected[[2, 0]])
    np.testing.assert_array_equal(net.predict(Dataset(SOME)), expected[[2, 0]])
    np.testing.assert_array_equal(net.predict(Dataset(SOME).one_hot(HUES)), expected[[2, 0]])
    assert net.score(SOME, PRICE[[2, 0]]) == pytest.approx(
        np.abs(expected[[2, 0], 0] - PRICE[[2, 0]]).mean(), rel=1e-6
    )


def test_validation_data_are_encoded_too():
    encoded = Dataset(Dataset(SOME).one_hot(HUES).X, PRICE[[2, 0]], NAMES)
    net = trained(validation=(SOME, PRICE[[2, 0]]))
    expected = trained(validation=encoded)
    assert net.history["val_loss"] == expected.history["val_loss"]


def test_unknown_categories_are_refused_by_name():
    net = trained()
    other = FRAME.assign(hue=["red", "pink", "red", "red"])
    for call in (
        lambda: net.predict(other),
        lambda: net.predict(Dataset(other)),
        lambda: net.score(other, PRICE),
        lambda: trained(validation=(other, PRICE)),
    ):
        with pytest.raises(ValueError, match=r"row 1, column 'hue': 'pink' is not among .*'green'"):
            call()


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (FRAME[["hue"]], r"lacks 2 of the 3 columns .*: 'size', 'age'\. It has .*\['hue'\]$"),
        (pd.concat([FRAME, FRAME[["hue"]]], axis=1), "columns hue more than once"),
        (pd.get_dummies(FRAME.replace("blue", "pink"), prefix_sep="="), "lacks 1 .*: 'hue=blue'"),
        (pd.get_dummies(FRAME, prefix_sep="=").assign(**{"hue=pink": 0}), r"\['hue=pink'\] for"),
        (FRAME.assign(hue=[0, 1, 0, 1]), "'hue' is a column of numbers here"),
        (FRAME.assign(size=list("abcd")), "lack 'size', which this data set has"),
        (FRAME[["size", "age"]], r"lacks 1 of the 3 columns .*: 'hue'\. "),
    ],
)
def test_other_columns_are_refused(frame, words):
    with pytest.raises((ValueError, TypeError), match=words):
        trained().predict(frame)


def as_stored(data, folder):
    np.save(folder / "x.npy", data.X)
    X = np.load(folder / "x.npy", mmap_mode="r")
    return Dataset(X, data.y, data.feature_names, categories=data.categories)


KINDS = {
    "pandas": lambda frame, folder: frame,
    "polars": lambda frame, folder: pytest.importorskip("polars").from_pandas(frame),
    "pyarrow": lambda frame, folder: pytest.importorskip("pyarrow").table(frame),
    "data set": lambda frame, folder: Dataset(frame),
    "stored": lambda frame, folder: as_stored(Dataset(frame), folder),
    "columns of 0 and 1": lambda frame, folder: Dataset(frame[["age", "hue", "size"]]).one_hot(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_columns_in_any_order_and_among_others_are_matched_by_name(kind, tmp_path):
    net = trained()
    assert (net.column_names, net.feature_names) == (["size", "hue", "age"], NAMES)
    expected = net.predict(FRAME)
    mixed = FRAME.assign(kind=["x", "y", "x", "y"], price=PRICE)
    X = KINDS[kind](mixed[["kind", "hue", "price", "age", "size"]], tmp_path)
    np.testing.assert_array_equal(net.predict(X), expected)
    data = X if isinstance(X, Dataset) else Dataset(X)
    data.y = PRICE
    assert net.evaluate(data) == net.evaluate(FRAME, PRICE)
    other = trained(validation=data)
    assert other.history["val_loss"] == trained(validation=(FRAME, PRICE)).history["val_loss"]
    gradients = net.input_gradient(X)
    np.testing.assert_array_equal(gradients, net.input_gradient(Dataset(FRAME).one_hot().X))
    more = net.fit(data).predict(FRAME)
    assert net.column_names == ["size", "hue", "age"]
    np.testing.assert_array_equal(more, trained().fit(FRAME, PRICE).predict(FRAME))


def test_a_network_trained_on_a_bare_array_has_no_column_names():
    net = NeuralNetwork(epochs=1, seed=0).add(DenseLayer(1, (2,))).fit(np.eye(2), [1.0, 2.0])
    assert net.column_names is None
    with pytest.raises(AttributeError):
        net.column_names = ["a", "b"]


def test_columns_named_by_numbers_are_matched_too():
    X = np.arange(12.0).reshape(4, 3)
    net = NeuralNetwork(epochs=1, seed=0).add(DenseLayer(1, (3,))).fit(pd.DataFrame(X), PRICE)
    np.testing.assert_array_equal(net.predict(pd.DataFrame(X)[[2, 0, 1]]), net.predict(X))


def test_values_for_missing_cells_of_further_columns_do_not_count():
    frame = FRAME.assign(weight=[1.0, np.nan, 2.0, 3.0])
    net = NeuralNetwork(epochs=1, seed=0).add(DenseLayer(1, (2,)))
    net.fit(Dataset(FRAME[["size", "age"]], PRICE).fill_missing())
    filled = Dataset(frame[["weight", "age", "size"]], missing="keep").fill_missing()
    assert "weight" in filled.fill_values
    np.testing.assert_array_equal(net.predict(filled), net.predict(FRAME))


def test_missing_categories_are_a_category_if_the_training_had_some():
    missing = FRAME.assign(hue=["red", None, "red", "green"])
    data = Dataset.from_frame(missing.assign(price=PRICE), label="price", missing="keep").one_hot()
    net = NeuralNetwork(epochs=1, seed=0).add(DenseLayer(1, input_shape=(5,))).fit(data)
    assert net.categories == {"hue": ["green", "red", None]}
    given = Dataset.from_frame(missing.iloc[1:3], missing="keep")
    np.testing.assert_array_equal(net.predict(given), net.predict(data.X[1:3]))
    with pytest.raises(ValueError, match="the cell is missing, and None is not among"):
        trained().predict(Dataset.from_frame(missing, missing="keep"))


def test_copies_and_files_keep_them(tmp_path):
    net = trained()
    net.save(tmp_path / "net")
    for again in (
        xpnet.load(tmp_path / "net"),
        pickle.loads(pickle.dumps(net)),
        copy.deepcopy(net),
    ):
        assert again.categories == HUES
        assert again.column_names == ["size", "hue", "age"]
        np.testing.assert_array_equal(again.predict(SOME), net.predict(SOME))


@pytest.mark.parametrize(
    "wrong", [["red"], {"hue": "red"}, {"hue": [1]}, {"hue": [None, "red"]}, {3: ["red"]}, None]
)
def test_a_file_with_other_things_is_refused(wrong):
    names = {"_is_fitted": True, "feature_names": None, "label_name": None, "class_names": None}
    check_names({**names, "categories": {"hue": ["red", None]}}, (5,))
    check_names(names, (5,))  # of an older file
    with pytest.raises(ModelFileError, match=r"network\.categories"):
        check_names({**names, "categories": wrong}, (5,))


def test_columns_of_the_same_categories_in_another_order_leave_the_network_its_own():
    other = Dataset(FRAME, PRICE).one_hot({"hue": ["red", "green", "blue"]})
    net = trained().fit(other)
    assert (net.categories, net.column_names) == (HUES, ["size", "hue", "age"])
    np.testing.assert_array_equal(net.predict(FRAME), net.predict(other))


def test_a_failed_fit_leaves_the_names_as_they_were():
    net = trained()
    with pytest.raises(ValueError, match="not finite"):
        net.fit(np.full((4, 5), np.nan), PRICE)
    assert net.categories == HUES
    assert net.fit(Dataset(FRAME).one_hot().X, PRICE).categories == HUES


def test_codes_by_other_names(backend):
    X = backend.asarray(np.array([[0.0, 5.0], [1.0, 6.0], [0.0, 7.0]], np.float32))
    data = Dataset(X, None, ["hue", "size"], categories={"hue": ["blue", "red"]})
    coded = data.with_codes_of({"hue": ["green", "red", "blue"]})
    assert backend.owns(coded.X)
    assert coded.categories == {"hue": ["green", "red", "blue"]}
    assert xpnet.backends.to_host(coded.X).tolist() == [[2.0, 5.0], [1.0, 6.0], [2.0, 7.0]]
    with pytest.raises(ValueError, match="row 1, column 'hue': 'red' is not among"):
        data.with_codes_of({"hue": ["blue"]})
    with pytest.raises(ValueError, match="categories lack 'hue'"):
        data.with_codes_of({})
