"""Missing cells are filled with values that a network remembers, or dropped with their rows."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import xpnet
from xpnet import CategoricalEmbeddings, Dataset, DenseLayer, NeuralNetwork, train_test_split
from xpnet.backends import to_host
from xpnet.callbacks import Checkpoint
from xpnet.data import filling, missing
from xpnet.model_files.forms import ModelFileError
from xpnet.model_files.names import check_names
from xpnet.plots import plot_layer_outputs

pd = pytest.importorskip("pandas")

NAN = np.nan
FRAME = pd.DataFrame(
    {
        "size": [1.0, NAN, 3.0, 8.0, 2.0, 4.0],
        "hue": ["red", "blue", None, "blue", "green", "red"],
        "age": [4.0, 5.0, 6.0, NAN, 8.0, 9.0],
    }
)
PRICE = np.array([1.0, 2.0, 3.0, 5.0, 4.0, 2.0])
VALUES = {"size": 3.0, "hue": "blue", "age": 6.0}
FILLED = FRAME.fillna(VALUES)
NEW = pd.DataFrame({"size": [NAN, 2.5], "hue": ["green", None], "age": [NAN, 1.0]})
NEW_FILLED = NEW.fillna(VALUES)
BY_HAND = Dataset.from_frame(FILLED.assign(price=PRICE), label="price")
TABLES = ["pandas", "category", "polars", "pyarrow", "csv", "stored csv", "parquet"]


def table(kind, frame, folder, label=None):
    """Return a frame as a data set in which missing cells are kept."""
    given = {"label": label, "missing": "keep"}
    if "csv" in kind:
        frame.to_csv(folder / "t.csv", index=False)
        limit = 1 if kind == "stored csv" else None
        return Dataset.from_csv(folder / "t.csv", memory_limit=limit, **given)
    if kind == "parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(folder / "t.parquet")
        return Dataset.from_parquet(folder / "t.parquet", **given)
    if kind == "category":
        frame = frame.astype({"hue": "category"})
    elif kind == "polars":
        frame = pytest.importorskip("polars").from_pandas(frame)
    elif kind == "pyarrow":
        frame = pytest.importorskip("pyarrow").Table.from_pandas(frame, preserve_index=False)
    return Dataset.from_frame(frame, **given)


def data():
    return Dataset.from_frame(FRAME.assign(price=PRICE), label="price", missing="keep")


def one_hot(data, **given):
    data = data.one_hot()
    net = NeuralNetwork(epochs=3, learning_rate=0.01, seed=0, metric="mae")
    return net.add(DenseLayer(1, input_shape=(data.n_features,))).fit(data, **given)


def embedded(data, **given):
    net = NeuralNetwork(epochs=3, learning_rate=0.01, seed=0, metric="mae")
    net.add(CategoricalEmbeddings.adapt(data, {"hue": 2})).add(DenseLayer(1))
    return net.fit(data, **given)


def numeric(data, **given):
    """Train on a data set without categories."""
    net = NeuralNetwork(epochs=3, learning_rate=0.01, seed=0)
    return net.add(DenseLayer(1, input_shape=(data.n_features,))).fit(data, **given)


MADE = {"one-hot": one_hot, "embedded": embedded}


@pytest.mark.parametrize("kind", TABLES)
def test_medians_and_the_most_frequent_categories_are_filled_in(kind, tmp_path):
    read = table(kind, FRAME.assign(price=PRICE), tmp_path, "price")
    filled = read.fill_missing()
    expected = FRAME.fillna({"size": 3.0, "hue": "blue", "age": 6.0})
    assert filled.fill_values == {"size": 3.0, "hue": "blue", "age": 6.0}
    assert filled.categories == {"hue": ["blue", "green", "red"]}
    np.testing.assert_array_equal(to_host(filled.one_hot().X[:]), Dataset(expected).one_hot().X)
    np.testing.assert_array_equal(filled.y, PRICE)
    assert read.fill_values == {}
    assert None in read.categories["hue"]  # the original is as it was


def test_features_are_filled_on_their_device_and_in_their_type(backend):
    X = backend.asarray(np.array([[0.0, 5.0], [2.0, NAN], [1.0, 8.0], [1.0, 6.0]], np.float32))
    data = Dataset(X, None, ["hue", "size"], categories={"hue": ["blue", "red", None]})
    filled = data.fill_missing()
    assert backend.owns(filled.X)
    assert filled.X.dtype == X.dtype
    assert to_host(filled.X).tolist() == [[0, 5], [1, 6], [1, 8], [1, 6]]
    assert filled.fill_values == {"hue": "red", "size": 6.0}
    assert np.isnan(to_host(data.X)[1, 1])
    assert data.is_complete().tolist() == [True, False, True, True]
    dropped = data.drop_missing()
    assert backend.owns(dropped.X)
    assert to_host(dropped.X).tolist() == [[0, 5], [1, 8], [1, 6]]
    assert dropped.categories == filled.categories == {"hue": ["blue", "red"]}


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_integers_stay_integers(dtype):
    X = np.array([[0, 1], [1, 0], [1, 0], [0, 1]], dtype)
    filled = Dataset(X).fill_missing()
    assert filled.X is X
    assert filled.fill_values == {0: 0.5, 1: 0.5}
    coded = Dataset(X.astype(int), None, ["a", "b"], categories={"a": ["x", None]}).fill_missing()
    assert (coded.X.dtype, coded.categories) == (np.int64, {"a": ["x"]})
    assert coded.X[:, 0].tolist() == [0, 0, 0, 0]


def test_features_without_names_are_filled_by_position():
    train = Dataset([[1.0, NAN], [3.0, 4.0]]).fill_missing()
    assert train.fill_values == {0: 2.0, 1: 4.0}
    assert train.X.tolist() == [[1, 4], [3, 4]]
    assert Dataset([[NAN, NAN]]).fill_missing(train.fill_values).X.tolist() == [[2, 4]]
    assert Dataset([[NAN, NAN]]).fill_missing({np.int64(0): 7, 1: 8}).X.tolist() == [[7, 8]]


def test_the_first_of_equally_frequent_categories_is_taken():
    frame = pd.DataFrame({"hue": ["red", "blue", None, "red", "blue"]})
    assert Dataset(frame, missing="keep").fill_missing().fill_values == {"hue": "blue"}


def test_columns_without_missing_cells_have_a_value_too():
    assert BY_HAND.fill_missing().fill_values.keys() == VALUES.keys()
    assert BY_HAND.fill_missing().X is BY_HAND.X


def test_given_values_are_used_instead():
    test = Dataset(NEW, missing="keep")
    filled = test.fill_missing({"size": 7, "hue": "green", "age": 0.5})
    assert filled.X[:, [0, 2]].tolist() == [[7, 0.5], [2.5, 1]]
    assert filled.categories == {"hue": ["green"]}
    assert filled.fill_values == {"size": 7.0, "hue": "green", "age": 0.5}
    other = test.fill_missing({"size": 7, "hue": "unknown", "age": 0.5})
    assert other.categories == {"hue": ["green", "unknown"]}
    assert other.X[:, 1].tolist() == [0, 1]
    some = Dataset(NEW[["size"]], missing="keep").fill_missing({"size": 1})
    assert some.fill_values == {"size": 1.0}


def test_a_name_that_no_cell_needs_does_not_become_a_category():
    assert BY_HAND.fill_missing({"hue": "unknown"}).categories == BY_HAND.categories


def test_a_lost_column_of_categories_gets_its_value():
    one = Dataset(pd.DataFrame({"size": [1.0], "hue": [None], "age": [2.0]}), missing="keep")
    assert one.categories == {}
    filled = one.fill_missing(VALUES)
    assert (filled.X.tolist(), filled.categories) == ([[1, 0, 2]], {"hue": ["blue"]})


def test_a_part_of_filled_data_keeps_the_values():
    filled = data().fill_missing()
    train, test = train_test_split(filled, random_state=0)
    for part in (train, test, filled[:2], filled[:2].fill_missing()):
        assert part.fill_values == VALUES
    with pytest.raises(ValueError, match=r"'age' are filled with 1\.0 here, and with 6\.0 in an"):
        filled.fill_missing({**VALUES, "age": 1})
    assert filled.fill_missing(VALUES).fill_values == VALUES


def test_the_middle_of_large_numbers_and_of_the_smallest_is_exact():
    X = np.array([[1e308, 5e-324], [1.5e308, 5e-324]])
    assert Dataset(X).fill_missing().fill_values == {0: 1.25e308, 1: 5e-324}


def test_the_value_is_one_of_the_features_type():
    X = np.array([[1.0], [1.0009765625], [NAN]], np.float16)
    filled = Dataset(X).fill_missing()
    assert filled.X[2, 0] == filled.fill_values[0]


@pytest.mark.parametrize("stored", ["map", "selected", "h5", "zarr"])
def test_stored_features_are_filled_in_pieces(stored, tmp_path, rng, monkeypatch):
    X = rng.normal(size=(50, 7)).astype(np.float32)
    X[rng.random(X.shape) < 0.2] = NAN
    X[:, 3] = rng.integers(3, size=50)
    np.save(tmp_path / "x.npy", X)
    kept = np.load(tmp_path / "x.npy", mmap_mode="r")
    if stored in ("h5", "zarr"):
        module = pytest.importorskip("h5py" if stored == "h5" else "zarr")
        if stored == "h5":
            kept = module.File(tmp_path / "x.h5", "w").create_dataset("x", data=X, chunks=(8, 7))
        else:
            kept = module.array(X, chunks=(8, 7))
    names = [f"c{k}" for k in range(7)]
    read = Dataset(kept, None, names, categories={"c3": ["x", "y", None]})
    if stored == "selected":
        read = read.rows(np.arange(50), keep_stored=True)
    monkeypatch.setattr(missing, "_NUMBERS", 21)
    monkeypatch.setattr(filling, "_BYTES", 8 * 50 * 2)  # two columns at a time
    in_memory = Dataset(X, None, names, categories=read.categories)
    expected = in_memory.fill_missing()
    for limit, kind in ((np.inf, np.ndarray), (100, np.memmap)):
        monkeypatch.setattr(filling, "feature_memory_limit", lambda limit=limit: limit)
        filled = read.fill_missing()
        assert type(filled.X) is kind
        assert filled.fill_values == expected.fill_values
        assert filled.categories == {"c3": ["x", "y"]}
        np.testing.assert_array_equal(np.asarray(filled.X), expected.X)
    np.testing.assert_array_equal(read.is_complete(), in_memory.is_complete())
    np.testing.assert_array_equal(read.drop_missing().X[:], in_memory.drop_missing().X)
    assert type(filled.fill_missing().X) is np.memmap  # nothing is left to fill


def test_complete_stored_features_stay_where_they_are(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(3, 2))
    kept = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert Dataset(kept).fill_missing().X is kept
    assert Dataset(kept).drop_missing().X is kept


def test_rows_with_missing_cells_are_dropped_with_all_that_belongs_to_them():
    frame = FRAME.assign(price=["a", "b", "a", "b", None, "b"], name=list("uvwxyz"))
    read = Dataset.from_frame(frame, label="price", id="name", missing="keep")
    read.sample_weight = np.arange(1.0, 7.0)
    assert read.is_complete().tolist() == [True, False, False, False, False, True]
    dropped = read.drop_missing()
    assert dropped.ids.tolist() == ["u", "z"]
    assert dropped.sample_weight.tolist() == [1, 6]
    assert dropped.y.tolist() == [0, 1]
    assert dropped.class_names == ["a", "b"]
    assert dropped.categories == {"hue": ["blue", "green", "red"]}
    assert dropped.drop_missing().X is dropped.X
    assert read.categories == {"hue": ["blue", "green", "red", None]}


def test_training_further_on_complete_rows_remembers_that_rows_were_dropped(tmp_path):
    frame = FRAME[["size", "age"]]
    dropped = Dataset(frame, PRICE, missing="keep").drop_missing()
    complete, filled_in = Dataset(frame.fillna(3.0), PRICE), Dataset(frame, PRICE, missing="keep")

    def trained(*, restart=False, further=complete):
        network = NeuralNetwork(epochs=1, seed=0).add(DenseLayer(1, input_shape=(2,)))
        return network.fit(dropped).fit(further, restart=restart)

    network = trained()
    assert network.drops_missing
    network.save(tmp_path / "net")
    assert xpnet.load(tmp_path / "net").fit(complete).drops_missing
    assert not trained(restart=True).drops_missing
    assert not trained(further=filled_in.fill_missing()).drops_missing


def test_sparse_rows_are_dropped_but_not_filled():
    X = sp.csr_array(np.array([[0.0, 1.0], [NAN, 0.0], [2.0, 0.0], [NAN, NAN]]))
    assert Dataset(X).is_complete().tolist() == [True, False, True, False]
    assert Dataset(X).drop_missing().X.toarray().tolist() == [[0, 1], [2, 0]]
    with pytest.raises(ValueError, match="X is sparse"):
        Dataset(X).fill_missing()


def test_if_no_row_is_complete_the_emptiest_column_is_named():
    frame = pd.DataFrame({"a": [NAN, 1.0, 2.0], "b": [1.0, NAN, NAN]})
    with pytest.raises(ValueError, match=r"all 3 row\(s\) lack .* in 'b', 2 of them: .* exclude="):
        Dataset(frame, missing="keep").drop_missing()
    with pytest.raises(ValueError, match=r"most are missing in column 1, 1 of them"):
        Dataset([[1.0, NAN]]).drop_missing()
    with pytest.raises(ValueError, match=r"most are missing in the label, 1 of them"):
        Dataset([[1.0]], [NAN]).drop_missing()
    assert len(Dataset(np.zeros((0, 2))).drop_missing()) == 0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: data().one_hot().fill_missing(), ValueError, r"fill_missing\(\)\.one_hot\(\)"),
        (lambda: Dataset([[1.0, NAN]]).fill_missing(), ValueError, "value in column 1, .*exclude="),
        (
            lambda: Dataset(FRAME.iloc[[2]], missing="keep").fill_missing(),
            ValueError,
            "no row has a value in 'hue'",
        ),
        (
            lambda: data()[np.array([2])].fill_missing(),
            ValueError,
            "no row has a value in 'hue'",
        ),
        (lambda: data()[:0].fill_missing(), ValueError, "no rows"),
        (lambda: Dataset([[NAN]], [NAN]).fill_missing(), ValueError, r"y has 1 .*drop_missing\(\)"),
        (lambda: Dataset([[np.inf]]).fill_missing(), ValueError, "median of column 0 is inf"),
        (lambda: data().fill_missing({"size": 1}), ValueError, "missing cells in 'hue', 'age'"),
        (lambda: data().fill_missing({"hues": "red"}), ValueError, "did you mean 'hue'"),
        (lambda: data().fill_missing({0: 1}), TypeError, "expected names of features"),
        (lambda: data().fill_missing([1]), TypeError, "expected a dict with a number"),
        (lambda: data().fill_missing({"size": NAN}), TypeError, "expected a finite number"),
        (lambda: data().fill_missing({"size": True}), TypeError, "expected a finite number"),
        (lambda: data().fill_missing({"size": None}), TypeError, "expected a finite number"),
        (lambda: data().fill_missing({"size": "3"}), TypeError, "'size' is a column of numbers"),
        (lambda: data().fill_missing({"hue": 1}), TypeError, "'hue' has strings here"),
        (lambda: data().fill_missing({**VALUES, "hue": " red"}), ValueError, "only in spaces"),
        (lambda: Dataset([[1.0]]).fill_missing({"a": 1}), TypeError, "features have no names"),
        (lambda: Dataset([[1.0]]).fill_missing({1: 1}), TypeError, "expected positions, 0 to 0"),
        (lambda: Dataset([[1.0]]).fill_missing({True: 1}), TypeError, "expected positions"),
        (lambda: Dataset([[1.0]]).fill_missing({0: "a"}), TypeError, "expected a number"),
        (
            lambda: Dataset(np.array([[NAN]], np.float16)).fill_missing({0: 1e9}),
            ValueError,
            "does not fit in float16",
        ),
        (lambda: Dataset(FRAME, missing="drop"), ValueError, "expected 'error' or 'keep'"),
        (lambda: data().fill_missing(strategy="mean"), TypeError, "medians and the most frequent"),
        (lambda: data().fillna(0), AttributeError, r"write fill_missing\(\)"),
        (lambda: data().dropna(), AttributeError, r"write drop_missing\(\)"),
        (lambda: NeuralNetwork().fit(data(), imputer=1), TypeError, r"dataset\.fill_missing\(\)"),
        (lambda: Dataset.from_frame(FRAME, dropna=True), TypeError, r"drop_missing\(\)"),
        (lambda: Dataset.from_frame(FRAME, fillna=0), TypeError, r"fill_missing\(\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_filled_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_several_targets_keep_their_missing_labels():
    y = {"a": [1.0, NAN], "b": [2.0, 3.0]}
    filled = Dataset([[NAN], [1.0]], y).fill_missing()
    assert filled.X.tolist() == [[1], [1]]
    assert np.isnan(filled.y[1, 0])
    assert Dataset([[2.0], [1.0]], y).is_complete().tolist() == [True, False]


# The network remembers.


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("kind", TABLES)
def test_a_network_fills_new_data_as_its_training_data(kind, made, tmp_path):
    net = MADE[made](table(kind, FRAME.assign(price=PRICE), tmp_path, "price").fill_missing())
    by_hand = MADE[made](BY_HAND)
    assert net.fill_values == VALUES
    assert by_hand.fill_values == {}
    new = table(kind, NEW, tmp_path)
    expected = by_hand.predict(Dataset(NEW_FILLED))
    np.testing.assert_array_equal(net.predict(new), expected)
    np.testing.assert_array_equal(net.predict(new.fill_missing(net.fill_values)), expected)
    np.testing.assert_array_equal(net.predict(NEW), expected)
    np.testing.assert_array_equal(net.predict(Dataset(NEW_FILLED)), expected)
    with pytest.raises(ValueError, match=r"fill_missing\(\)"):
        by_hand.predict(NEW)


@pytest.mark.parametrize("made", MADE)
def test_every_method_fills(made):
    net, price = MADE[made](data().fill_missing()), [1.0, 2.0]
    assert net.score(NEW, price) == net.score(NEW_FILLED, price)
    assert net.evaluate(NEW, price) == net.evaluate(NEW_FILLED, price)
    assert net.evaluate(Dataset(NEW, price, missing="keep")) == net.evaluate(NEW_FILLED, price)
    assert str(net.inspect((NEW, price))) == str(net.inspect((NEW_FILLED, price)))
    for kwargs in ({}, {"y": np.array(price)}):
        if made == "one-hot":
            found, expected = (net.input_gradient(X, **kwargs) for X in (NEW, NEW_FILLED))
            np.testing.assert_array_equal(found, expected)
    first, second = (next(iter(net.get_mini_batches(X, price))) for X in (NEW, NEW_FILLED))
    np.testing.assert_array_equal(first[0], second[0])
    assert plot_layer_outputs(net, NEW) is not None


def test_classes_and_their_probabilities_are_predicted():
    train = Dataset(FRAME, list("abaabb"), missing="keep").fill_missing().one_hot()
    net = NeuralNetwork(epochs=2, seed=0, loss="softmax_cross_entropy", metric="accuracy")
    net.add(DenseLayer(2, input_shape=(5,))).fit(train)
    np.testing.assert_array_equal(net.predict_proba(NEW), net.predict_proba(NEW_FILLED))
    assert list(net.predict_classes(NEW)) == list(net.predict_classes(NEW_FILLED))
    assert net.score(NEW, ["a", "b"]) == net.score(NEW_FILLED, ["a", "b"])


@pytest.mark.parametrize("made", MADE)
def test_validation_data_are_filled_by_the_training_datas_values(made):
    found = MADE[made](data().fill_missing(), validation=(NEW, [1.0, 2.0]))
    expected = MADE[made](BY_HAND, validation=(NEW_FILLED, [1.0, 2.0]))
    assert found.history["val_loss"] == expected.history["val_loss"]


def test_arrays_without_names_are_filled_too(backend):
    X = backend.asarray(np.array([[1.0, NAN], [3.0, 4.0], [2.0, 6.0]], np.float32))
    net = numeric(Dataset(X, np.array([1.0, 2.0, 3.0])).fill_missing())
    assert net.fill_values == {0: 2.0, 1: 5.0}
    rows = np.array([[NAN, NAN], [2.0, 5.0]], np.float32)
    new, whole = (backend.asarray(row[None, :]) for row in rows)
    np.testing.assert_array_equal(to_host(net.predict(new)), to_host(net.predict(whole)))
    assert np.isnan(to_host(new)).all()  # the user's array is as it was


@pytest.mark.parametrize("made", MADE)
def test_a_named_network_fills_arrays_in_its_columns(made):
    net = MADE[made](data().fill_missing())
    rows = {
        "one-hot": ([NAN, 0, 1, 0, NAN], [3, 0, 1, 0, 6]),
        "embedded": ([NAN, NAN, NAN], [3, 0, 6]),
    }
    new, whole = (np.array([row]) for row in rows[made])
    np.testing.assert_array_equal(net.predict(new), net.predict(whole))
    frame = pd.DataFrame(whole, columns=net.feature_names).assign(size=NAN)
    if made == "one-hot":
        np.testing.assert_array_equal(net.predict(frame), net.predict(whole))
        with pytest.raises(ValueError, match="missing cells in 'hue=blue'"):
            net.predict(np.full((1, 5), NAN))


def test_a_network_trained_without_names_fills_frames_by_position():
    net = numeric(Dataset([[1.0, NAN], [3.0, 4.0]], [1.0, 2.0]).fill_missing())
    frame = pd.DataFrame({"a": [NAN], "b": [NAN]})
    np.testing.assert_array_equal(net.predict(frame), net.predict([[2.0, 4.0]]))


def test_stored_data_are_filled(tmp_path):
    net = numeric(Dataset([[1.0, NAN], [3.0, 4.0]], [1.0, 2.0]).fill_missing())
    np.save(tmp_path / "x.npy", np.array([[NAN, 1.0], [5.0, NAN]]))
    kept = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(net.predict(kept), net.predict([[2.0, 1.0], [5.0, 4.0]]))


def test_sparse_data_with_nan_are_refused_as_before():
    net = numeric(Dataset([[1.0, NAN], [3.0, 4.0]], [1.0, 2.0]).fill_missing())
    assert net.predict(sp.csr_array([[0.0, 1.0]])).shape == (1, 1)
    with pytest.raises(ValueError, match="not finite"):
        net.predict(sp.csr_array([[NAN, 1.0]]))


@pytest.mark.parametrize("made", MADE)
def test_data_that_were_filled_otherwise_are_refused(made):
    net = MADE[made](data().fill_missing())
    other = Dataset(FRAME.iloc[:4], PRICE[:4], missing="keep").fill_missing()
    assert other.fill_values != VALUES
    calls = [
        lambda: net.predict(other),
        lambda: net.score(other),
        lambda: net.fit(other),
        lambda: net.fit(data().fill_missing(), validation=other),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"'age' are filled.*fill_missing\(net\.fill_values\)"):
            call()
    with pytest.raises(ValueError, match=r"fit\(restart=True\)"):
        net.fit(other)
    assert net.fill_values == VALUES


def test_values_by_position_and_by_name_are_compared():
    named, unnamed = (
        Dataset([[1.0, NAN], [3.0, 4.0]], [1.0, 2.0], names) for names in (["a", "b"], None)
    )
    other = np.array([[2.0, 9.0], [NAN, 4.0]])
    for train, test in ((named, Dataset(other)), (unnamed, Dataset(other, None, ["a", "b"]))):
        net = numeric(train.fill_missing())
        assert net.predict(test).shape == (2, 1)
        with pytest.raises(ValueError, match=r"are filled with 6\.5 here, and with 4\.0 in the tr"):
            net.predict(test.fill_missing())
    net.fit(named)  # after training without names
    assert (net.feature_names, net.fill_values) == (["a", "b"], {"a": 2.0, "b": 4.0})


def test_training_goes_on_with_the_first_values():
    net = one_hot(data().fill_missing())
    net.fit(FRAME, PRICE)
    assert (net.fill_values, net.history.epochs) == (VALUES, 6)
    expected = one_hot(BY_HAND).fit(FILLED, PRICE)
    np.testing.assert_array_equal(net.predict(NEW_FILLED), expected.predict(NEW_FILLED))
    net.fit(BY_HAND.one_hot(), restart=True)
    assert net.fill_values == {}
    net.fit(data().fill_missing().one_hot())
    assert net.fill_values == VALUES


def test_batches_are_filled_by_the_values_of_the_first():
    first = data().fill_missing().one_hot()
    net = NeuralNetwork(epochs=1, seed=0).add(DenseLayer(1, input_shape=(5,)))
    net.fit(batches=[first, (NEW, np.array([1.0, 2.0]))])
    assert net.fill_values == VALUES


@pytest.mark.parametrize("made", MADE)
def test_files_copies_and_pickles_keep_the_values(made, tmp_path):
    net = MADE[made](data().fill_missing())
    net.save(tmp_path / "net")
    for again in (
        xpnet.load(tmp_path / "net"),
        pickle.loads(pickle.dumps(net)),
        copy.deepcopy(net),
        net[:],
    ):
        assert again.fill_values == VALUES
        np.testing.assert_array_equal(again.predict(NEW), net.predict(NEW))
    assert net[:1].fill_values == VALUES
    assert net[1:].fill_values == {}


def test_values_by_position_are_saved(tmp_path):
    net = numeric(Dataset([[1.0, NAN], [3.0, 4.0]], [1.0, 2.0]).fill_missing())
    net.save(tmp_path / "net")
    assert xpnet.load(tmp_path / "net").fill_values == {0: 2.0, 1: 4.0}


@pytest.mark.parametrize("wrong", [["red"], {"a": None}, {"a": [1]}, {-1: 1.0}, {"a": NAN}, None])
def test_a_file_with_other_values_is_refused(wrong):
    names = {"_is_fitted": True, "feature_names": None, "label_name": None, "class_names": None}
    check_names({**names, "fill_values": {"a": 1.0, 0: "red"}}, (5,))
    check_names(names, (5,))  # of an older file
    with pytest.raises(ModelFileError, match=r"network\.fill_values"):
        check_names({**names, "fill_values": wrong}, (5,))


def test_a_training_is_resumed_with_the_same_values_only(tmp_path):
    def fit(train, epochs):
        net = NeuralNetwork(seed=0, learning_rate=0.01).add(DenseLayer(1, input_shape=(5,)))
        saved = Checkpoint(tmp_path)
        return net.fit(train.one_hot(), epochs=epochs, callbacks=saved, resume=tmp_path)

    fit(data().fill_missing(), 2)
    again = fit(data().fill_missing(), 3)
    assert (again.fill_values, again.history.epochs) == (VALUES, 3)
    with pytest.raises(ValueError, match="fill_values"):
        fit(data().fill_missing({**VALUES, "size": 0}), 4)


def test_a_failed_fit_leaves_the_values_as_they_were():
    net = one_hot(data().fill_missing())
    with pytest.raises(ValueError, match=r"X has 6 value\(s\) that are not finite"):
        net.fit(FRAME.assign(size=np.inf), PRICE)
    assert net.fill_values == VALUES


def test_a_network_without_layers_forgets_the_values():
    net = numeric(Dataset([[1.0, NAN], [3.0, 4.0]], [1.0, 2.0]).fill_missing())
    net.layers.pop()
    net.add(DenseLayer(1, input_shape=(2,)))
    assert net.fill_values == {}


@pytest.mark.parametrize("X", [[[NAN, 1.0]], pd.DataFrame({"a": [NAN], "b": [1.0]})])
def test_what_to_do_is_said_where_a_network_has_no_values(X):
    net = numeric(Dataset([[1.0, 2.0], [3.0, 4.0]], [1.0, 2.0]))
    with pytest.raises(ValueError, match=r"fill_missing\(.*drop_missing\(\)"):
        net.predict(X)


CELLS = st.one_of(st.none(), st.floats(-2, 2, width=32))
ROWS = st.lists(
    st.tuples(CELLS, st.sampled_from([None, "red", "blue", "green"]), CELLS), min_size=1, max_size=9
)


@given(train=ROWS, new=ROWS, made=st.sampled_from([*MADE]))
@settings(max_examples=30, deadline=None)
def test_filling_by_itself_is_filling_by_hand(train, new, made):
    train = [*train, (1.0, "red", 0.5), (2.0, "blue", -1.0), (0.5, "green", 1.5)]
    train, new = (pd.DataFrame(rows, columns=list(FRAME)).astype({"size": float, "age": float})
                  for rows in (train, new))  # fmt: skip
    data = Dataset(train, np.arange(len(train), dtype=float), missing="keep").fill_missing()
    values = {name: pytest.approx(train[name].median()) for name in ("size", "age")}
    assert data.fill_values == {**values, "hue": train["hue"].mode().min()}
    net = MADE[made](data)
    filled = new.fillna(data.fill_values)
    expected = net.predict(Dataset(filled))
    np.testing.assert_array_equal(net.predict(new), expected)
    np.testing.assert_array_equal(net.predict(Dataset(new, missing="keep")), expected)
