"""Texts as labels: names of classes, and numbers that were read as text."""

import copy
import pickle
import re

import numpy as np
import pytest

import xpnet
from xpnet import Dataset, DenseLayer, NeuralNetwork, train_test_split

pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
LEVELS = ["1", "2", "3", "none"]


def features(y):
    return np.linspace(-1.0, 1.0, 2 * len(y)).reshape(-1, 2)


def network(n_outputs, loss="softmax_cross_entropy", metric="accuracy"):
    net = NeuralNetwork(epochs=2, loss=loss, metric=metric, seed=0)
    return net.add(DenseLayer(n_outputs, input_shape=(2,)))


def forms(y):
    """Return texts as all kinds of data that may hold them."""
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    return {
        "list": list(y),
        "tuple": tuple(y),
        "array": np.array(y),
        "objects": np.array(y, object),
        "strings": np.array(y, np.dtypes.StringDType()),
        "column": np.array(y)[:, None],
        "pandas": pd.Series(y),
        "pandas objects": pd.Series(y, dtype=object),
        "pandas strings": pd.Series(y, dtype="string"),
        "frame of one column": pd.DataFrame({"y": y}),
        "polars": pl.Series(y),
        "arrow": pa.array(y),
        "arrow chunks": pa.chunked_array([y[:1], y[1:]]),
    }


def table(y, folder, form):
    """Return a data set whose label is a column of a table."""
    frame = pd.DataFrame({"a": np.arange(float(len(y))), "y": y})
    if form == "csv":
        frame.to_csv(folder / "table.csv", index=False)
        return Dataset.from_csv(folder / "table.csv", label="y")
    if form == "parquet":
        frame.to_parquet(folder / "table.parquet")
        return Dataset.from_parquet(folder / "table.parquet", label="y")
    if form == "polars":
        frame = pytest.importorskip("polars").from_pandas(frame)
    return Dataset.from_frame(frame, label="y")


# ---- texts that are numbers


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (["2,500", "1,000", "3,000", "1,250"], r"'2,500' in row 0, among strings .* separators"),
        (["$5", "$6", "$7"], r"'\$5' in row 0, among strings that look like numbers"),
        (["5 kg", "6 kg"], "'5 kg' in row 0, among strings that look like numbers"),
        (["10%", "20%", "30%"], "'10%' in row 0"),
        (["2.5", "3.5", "4.5"], r"'2.5' in row 0, a number written as text: .*astype\(float\)"),
        (["1.0", "0.0", "1.0"], "'1.0' in row 0, a number written as text"),
        (["1e3", "2e3"], "'1e3' in row 0, a number written as text"),
        (["1", "2", "3", "4", "5", "NA"], "'NA' in row 5, which stands for a missing value"),
        (["1", "2", "3", "?"], r"'\?' in row 3, which stands for a missing value among numbers"),
        (["1", "2", "3", "x"], "'x' in row 3, among strings that look like numbers"),
        (["1", "2", "3,000", "x"], "'3,000' in row 2, among strings"),
        (["12:30", "13:45"], "'12:30' in row 0, a date or a time: give dates as numbers"),
    ],
)
def test_texts_that_are_numbers_are_no_classes(y, words, tmp_path):
    """As in tables, which say so in other words."""
    for given in forms(y).values():
        for call in (
            lambda given=given: Dataset(features(y), given),
            lambda given=given: network(len(y)).fit(features(y), given),
            lambda given=given: network(1, "mse", "r2").fit(features(y), given),
            lambda given=given: network(len(y)).fit(batches=[(features(y), given)]),
        ):
            with pytest.raises(ValueError, match=words):
                call()
        for call in (
            lambda given=given: trained().score(features(y), given),
            lambda given=given: trained().evaluate((features(y), given)),
            lambda given=given: trained(validation=(features(y), given)),
            lambda given=given: trained().fit(features(y), given),
            lambda given=given: trained().input_gradient(features(y), y=given),
            lambda given=given: next(trained().get_mini_batches(features(y), given)),
        ):
            with pytest.raises(ValueError, match=rf"class '{re.escape(y[0])}' in row 0, .* among"):
                call()
    with pytest.raises((ValueError, TypeError)):
        table(y, tmp_path, "frame")


def trained(**given):
    """Return a network that was trained on classes named "a" and "b"."""
    return network(2).fit(features("abab"), ["a", "b", "a", "b"], **given)


def test_targets_of_heads_are_no_numbers_as_text_either():
    net = NeuralNetwork(epochs=1, loss={"kind": ("softmax_cross_entropy", 3)}, seed=0, metric=None)
    net.add(DenseLayer(3, input_shape=(2,)))
    with pytest.raises(ValueError, match=r"the head 'kind': y has '2,500' in row 0"):
        net.fit(features("abc"), {"kind": ["2,500", "1,000", "1"]})
    net.fit(features("abc"), {"kind": ["1", "x", "y"]})
    assert net.evaluate((features("ab"), {"kind": ["1", "1"]}))["loss"] > 0


def test_whole_numbers_alone_are_classes():
    y = [str(k) for k in RNG.permutation(np.repeat(np.arange(10), 3))]
    for given in forms(y).values():
        data = Dataset(features(y), given)
        assert data.class_names == list("0123456789")
        np.testing.assert_array_equal(data.y, np.array(y).astype(int))
    assert Dataset(features("abc"), ["-1", "+1", "-1"]).class_names == ["+1", "-1"]
    assert network(10).fit(features(y), y).class_names == list("0123456789")


def test_some_numbers_among_names_are_classes_as_in_tables(tmp_path):
    y = ["1", "a", "b", "c", "1"]
    for form in ("frame", "polars", "csv", "parquet"):
        read = table(y, tmp_path, form)
        for given in forms(y).values():
            data = Dataset(features(y), given)
            assert data.class_names == read.class_names == ["1", "a", "b", "c"]
            np.testing.assert_array_equal(data.y, read.y)


@pytest.mark.parametrize("by", ["class_names", "category"])
def test_names_that_look_like_numbers_can_be_given_as_names(by, tmp_path):
    y = LEVELS * 3
    given = Dataset(features(y), y, class_names=LEVELS)
    if by == "category":
        given = Dataset(features(y), pd.Series(y, dtype="category"))
    assert given.class_names == LEVELS
    net = network(4).fit(given)
    net.save(tmp_path / "net")
    X, some = features("abcd"), ["1", "3", "3", "none"]
    for again in (
        net, xpnet.load(tmp_path / "net"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)
    ):  # fmt: skip
        expected = again.score(Dataset(X, [0, 2, 2, 3], class_names=LEVELS))
        for texts in forms(some).values():  # known names need not be given again
            assert again.score(X, texts) == expected
        with pytest.raises(ValueError, match="'4' in row 0, which is not among"):
            again.score(X, ["4", "1", "2", "none"])
    named = Dataset(X, some, class_names=LEVELS)
    expected = copy.deepcopy(net).fit(named, validation=named).history["val_loss"]
    found = copy.deepcopy(net).fit(X, some, validation=(X, some)).history["val_loss"]
    assert found[-2:] == expected[-2:]
    in_batches = copy.deepcopy(net).fit(batches=[(X, some), (X[:2], ["none", "2"])])
    assert in_batches.class_names == LEVELS
    ((_, batch),) = net.get_mini_batches(X, some, shuffle=False)
    np.testing.assert_array_equal(batch, [0, 2, 2, 3])
    coded = net.input_gradient(X, y=pd.Series(pd.Categorical(some, LEVELS)))
    np.testing.assert_array_equal(net.input_gradient(X, y=some), coded)


def test_numbers_after_text_are_refused_in_all_batches_of_further_training():
    net = trained()
    with pytest.raises(ValueError, match="training targets were text"):
        net.fit(batches=[(features("ab"), ["a", "b"]), (features("ab"), [1, 0])])


def test_splits_may_be_stratified_by_any_text():
    y = ["5 kg", "6 kg", "NA", "12:30"] * 4
    _, test = train_test_split(np.arange(16), test_size=4, stratify=y, random_state=0)
    assert sorted(np.array(y)[test]) == sorted(y[:4])


# ---- one meaning of labels


def test_a_categorical_type_of_numbers_is_one_of_classes(tmp_path):
    y = pd.Series(pd.Categorical([10, 30, 20, 10]))
    read = table(y, tmp_path, "frame")
    data = Dataset(features(y), y)
    arrow = pytest.importorskip("pyarrow").array([10, 30, 20, 10]).dictionary_encode()
    assert data.class_names == read.class_names == ["10", "20", "30"]
    np.testing.assert_array_equal(data.y, read.y)
    np.testing.assert_array_equal(data.y, [0, 2, 1, 0])
    by_arrow = Dataset(features(y), arrow)
    np.testing.assert_array_equal(np.array(by_arrow.class_names)[by_arrow.y].astype(int), y)
    net = network(3).fit(features(y), y)
    assert set(net.predict_classes(features(y))) <= {"10", "20", "30"}
    assert net.score(features(y), y) == net.score(data)
    flags = Dataset(features(y), pd.Series(pd.Categorical([True, False, True, True])))
    assert flags.class_names == ["False", "True"]
    with pytest.raises(ValueError, match="1 missing value"):
        Dataset(features(y), pd.Series(pd.Categorical([10, None, 20, 10])))


# ---- estimators


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_regressor_converts_texts_that_are_numbers_as_scikit_learn_does():
    pytest.importorskip("sklearn")
    from xpnet.estimators import MLPClassifier, MLPRegressor

    y = ["0", "1.5", "-2", "3e-1"] * 5
    X = features(y)

    def predicted(y):
        return MLPRegressor(max_iter=3, random_state=0).fit(X, y).predict(X)

    expected = predicted(np.array(y, float))
    texts = forms(y)
    for form in ("list", "array", "objects", "pandas", "pandas strings"):
        np.testing.assert_array_equal(predicted(texts[form]), expected)
    two = np.array([y, y]).T
    np.testing.assert_array_equal(predicted(two), predicted(two.astype(float)))
    for wrong in ("2,5", "1_000", "a", ""):
        with pytest.raises(ValueError, match=rf"y has '{wrong}' in row 3: expected numbers"):
            predicted(np.array([*y[:3], wrong, *y[4:]]))
    with pytest.raises(ValueError, match="could not convert string to float: '2,5'"):
        predicted(np.array([*y[1:], "2,5"], object))
    for kind in (object, str):
        with pytest.raises(ValueError, match="NaN"):
            predicted(np.array(["nan", *y[1:]], kind))
    with pytest.raises(ValueError, match="row 1: expected numbers"):
        MLPRegressor(max_iter=3).fit(X, y, validation_data=(X[:2], ["1", "x"]))
    classes = [str(k % 2) for k in range(20)]
    assert MLPClassifier(max_iter=3).fit(X, classes).classes_.tolist() == ["0", "1"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["yes", "no", "NA", "yes"], r"y, row 2: 'NA' in 1 cell\(s\): such a text often stands"),
        (["3.5k", "4.5k", "4.5k"], "y, row 0: values such as '3.5k' and '4.5k' have become"),
    ],
)
def test_doubtful_names_of_classes_are_warned_of(labels, message):
    X = np.zeros((len(labels), 1))
    with pytest.warns(UserWarning, match=message):
        dataset = Dataset(X, labels)
    assert dataset.class_names == sorted(set(labels))
    assert Dataset(X, labels, class_names=dataset.class_names).class_names == dataset.class_names
