"""Names of classes and categories are kept as they are given, also with spaces around them."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

import xpnet
from xpnet import (
    CategoricalEmbeddings,
    Dataset,
    DenseLayer,
    NeuralNetwork,
    SoftmaxCrossEntropy,
    train_test_split,
)
from xpnet.estimators import MLPClassifier
from xpnet.losses import Heads

pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")

X = np.random.default_rng(0).normal(size=(40, 2))
Y = np.where(X[:, 0] > 0, " >50K", " <=50K")
NAMES = [" <=50K", " >50K"]
TWICE = ["x", "y", "x ", "y"]

FORMS = {
    "list": list,
    "array": np.array,
    "objects": lambda texts: np.array(texts, object),
    "strings": lambda texts: np.array(texts, np.dtypes.StringDType()),
    "column": lambda texts: np.array(texts)[:, None],
    "pandas": pd.Series,
    "pandas strings": lambda texts: pd.Series(texts, dtype="string"),
    "pandas categories": lambda texts: pd.Series(texts, dtype="category"),
    "pandas categorical array": pd.Categorical,
    "pandas index": pd.Index,
    "frame of one column": lambda texts: pd.DataFrame({"y": texts}),
    "polars": pl.Series,
    "polars categories": lambda texts: pl.Series(texts, dtype=pl.Categorical),
    "polars enum": lambda texts: pl.Series(texts, dtype=pl.Enum(sorted({*texts}))),
    "arrow": pa.array,
    "arrow dictionary": lambda texts: pa.array(texts).dictionary_encode(),
}


@pytest.fixture(params=FORMS)
def form(request):
    return FORMS[request.param]


def network(loss="softmax_cross_entropy", n_outputs=2):
    metric = "accuracy" if isinstance(loss, str) else None
    net = NeuralNetwork(
        epochs=40, loss=loss, metric=metric, seed=0, optimizer="adam", learning_rate=0.1
    )
    return net.add(DenseLayer(n_outputs, (2,)))


# ---- what goes in comes out


def test_predicted_classes_are_the_given_ones(form, tmp_path):
    net = network().fit(X, form(Y.tolist()))
    assert sorted(net.class_names) == NAMES
    net.save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net")
    for each in (net, loaded, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert np.mean(each.predict_classes(X) == Y) > 0.9
        assert each.score(X, form(Y.tolist())) > 0.9


def test_the_estimator_predicts_the_given_classes():
    classifier = MLPClassifier(max_iter=200, random_state=0, learning_rate_init=0.05).fit(X, Y)
    assert classifier.score(X, Y) > 0.9
    assert classifier.network_.class_names == NAMES


def test_names_in_arguments_are_those_of_the_labels():
    loss = SoftmaxCrossEntropy(class_weight={" >50K": 2.0, " <=50K": 1.0})
    assert network(loss).fit(X, Y).loss.balanced_weight == [1.0, 2.0]
    heads = Heads({"pay": ("softmax_cross_entropy", 2)}, class_names={"pay": NAMES[::-1]})
    net = network(heads).fit(X, {"pay": Y})
    assert net.class_names == {"pay": NAMES[::-1]}
    assert np.mean(net.predict_classes(X)["pay"] == Y) > 0.9
    assert Dataset(X, Y, class_names=NAMES[::-1]).y.tolist() == np.equal(Y, NAMES[0]).tolist()


@pytest.mark.parametrize("convert", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize("type_", ["text", "categories"])
def test_categories_of_frames_are_those_given_by_name(convert, type_):
    cells = pd.Series([" a", "b ", " a", "b "], dtype=None if type_ == "text" else "category")
    frame = convert({"c": cells if convert is pd.DataFrame or type_ == "text" else list(cells)})
    data = Dataset(frame)
    assert data.categories == {"c": [" a", "b "]}
    assert data.one_hot().feature_names == ["c= a", "c=b "]
    net = NeuralNetwork(epochs=1, loss="mse", seed=0)
    net.add(CategoricalEmbeddings.adapt(data, {"c": 2})).add(DenseLayer(1)).fit(frame, [0, 1, 2, 3])
    by_hand = Dataset([[1], [0]], None, ["c"], categories={"c": ["b ", " a"]})
    np.testing.assert_array_equal(net.predict(by_hand), net.predict(data[:2]))


def test_columns_of_files_are_read_without_spaces_around_cells(tmp_path):
    (tmp_path / "t.csv").write_text("a,c,y\n1, x,p\n2,x , p\n3,y,q \n")
    for engine in ("csv", "pyarrow", "polars", "pandas"):
        data = Dataset.from_csv(tmp_path / "t.csv", label="y", engine=engine)
        assert data.categories == {"c": ["x", "y"]}
        assert data.class_names == ["p", "q"]


# ---- names that differ only in spaces are one, or a mistake

BOTH = "'x' and 'x ', which differ only in spaces around them: .*column.str.strip()"


def test_labels_that_differ_only_in_spaces_are_refused(form):
    labels, given = form(TWICE), np.zeros((4, 2))
    for call in (
        lambda: Dataset(given, labels),
        lambda: Dataset(given, {"a": labels}),
        lambda: network().fit(given, labels),
        lambda: network({"a": ("softmax_cross_entropy", 2)}).fit(given, {"a": labels}),
        lambda: train_test_split(given, stratify=labels),
    ):
        with pytest.raises(ValueError, match=BOTH):
            call()
    assert Dataset(given, pd.Series(TWICE).str.strip()).class_names == ["x", "y"]


@pytest.mark.parametrize("label", ["c", None])
@pytest.mark.parametrize("type_", ["str", "category"])
def test_columns_of_tables_that_differ_only_in_spaces_are_refused(label, type_, tmp_path):
    frame = pd.DataFrame({"a": range(4), "c": pd.Series(TWICE).astype(type_)})
    frame.to_parquet(tmp_path / "t.parquet")
    table = pa.Table.from_pandas(frame)
    for read in (
        lambda: Dataset.from_frame(frame, label),
        lambda: Dataset.from_frame(pl.from_pandas(frame), label),
        lambda: Dataset.from_frame(table, label),
        lambda: Dataset.from_arrow(table.to_reader(max_chunksize=2), label),
        lambda: Dataset.from_parquet(tmp_path / "t.parquet", label),
        lambda: Dataset.from_parquet(tmp_path / "t.parquet", label, engine="polars"),
    ):
        with pytest.raises(ValueError, match=rf"column 'c'.*{BOTH}"):
            read()


@pytest.mark.parametrize("unused", [["x "], [" x", "z", "z "]])
def test_unused_categories_that_differ_only_in_spaces_are_left_out(unused):
    column = pd.Categorical(["y", "x"] * 2, categories=[*unused, "y", "x"])
    names = [*(["z"] if "z" in unused else []), "y", "x"]
    data = Dataset(np.zeros((4, 2)), column)
    assert data.class_names == names
    assert [data.class_names[k] for k in data.y] == ["y", "x"] * 2
    frame = pd.DataFrame({"a": range(4), "c": column})
    for given in (frame, pa.Table.from_pandas(frame)):
        assert sorted(Dataset.from_frame(given, "c").class_names) == sorted(names)
        data = Dataset.from_frame(given)
        assert sorted(data.categories["c"]) == sorted(names)
        assert [data.categories["c"][int(k)] for k in data.X[:, 1]] == ["y", "x"] * 2


@pytest.mark.parametrize(
    "make",
    [
        lambda names: Dataset(X[:2], [0, 1], class_names=names),
        lambda names: Dataset(X[:2], class_names=names),
        lambda names: Dataset([[0.0], [1.0]], None, ["c"], categories={"c": names}),
        lambda names: Heads({"h": ("softmax_cross_entropy", 2)}, class_names={"h": names}),
        lambda names: Dataset(pd.DataFrame({"c": [names[0]]})).one_hot({"c": names}),
    ],
    ids=["of codes", "without labels", "categories", "heads", "one_hot"],
)
def test_given_names_that_differ_only_in_spaces_are_refused(make):
    with pytest.raises(ValueError, match=BOTH):
        make(["x", "x "])
    with pytest.raises(ValueError, match="x more than once"):
        make(["x", "x"])
    make(["x", "y "])


def test_a_name_with_other_spaces_than_in_training_is_refused_with_the_reason(form):
    net = network().fit(X, Y)
    with pytest.raises(ValueError, match=r"'>50K' in row 0, .* Spaces around names count: ' >50K'"):
        net.score(X[:2], form([">50K", ">50K"]))
    data = Dataset(pd.DataFrame({"c": ["a", "b"]}))
    with pytest.raises(ValueError, match=r"'a ' is not among .* Spaces around names count: 'a'"):
        Dataset(pd.DataFrame({"c": ["a ", "b"]})).one_hot(data.categories)


def test_names_of_columns_may_differ_only_in_spaces():
    frame = pd.DataFrame({"a": [1.0, 2.0], "a ": [3.0, 4.0]})
    assert Dataset(frame).feature_names == ["a", "a "]


# ---- texts that stand for missing values, in all types


@pytest.mark.parametrize("text", ["null", "", " ", "NaN", "#N/A"])
def test_a_missing_label_is_refused_in_every_form(text, form):
    with pytest.raises(ValueError, match=r"missing value|stands for a missing"):
        Dataset(np.zeros((4, 1)), form(["p", text, "q", "p"]))
