"""A column of categories without any value, which a table gives as numbers that are all NaN."""

import copy

import numpy as np
import pytest

from xpnet import CategoricalEmbeddings, Dataset, DenseLayer, NeuralNetwork
from xpnet.backends import to_host

pd = pytest.importorskip("pandas")

FRAME = pd.DataFrame({"c": ["x", "y", None, "x"] * 3, "a": np.arange(12.0)})
Y = np.linspace(0.0, 1.0, 12)
KEPT = {"c": ["x", "y", None]}
LOST = FRAME.iloc[[2, 6]]
CODED = np.array([[2.0, 2.0], [2.0, 6.0]])
IN_COLUMNS = np.array([[0.0, 0.0, 1.0, 2.0], [0.0, 0.0, 1.0, 6.0]])


def embedded(data, **options):
    layers = CategoricalEmbeddings.adapt(data, {"c": 2}, **options), DenseLayer(1)
    return trained(data, *layers)


def one_hot(data):
    data = data.one_hot()
    return trained(data, DenseLayer(1, input_shape=(data.n_features,)))


def trained(data, *layers):
    data.y = Y[: len(data)]
    net = NeuralNetwork(epochs=2, batch_size=4, seed=0, learning_rate=0.01)
    for layer in layers:
        net.add(layer)
    return net.fit(data)


MADE = {
    "embedded": embedded,
    "with unknown": lambda data: embedded(data, unknown=True),
    "one-hot": one_hot,
}
TABLES = ["object", "str", "category", "polars", "polars null", "pyarrow", "csv", "stored csv"]


def table(kind, frame, folder):
    """Return a frame as a data set in which missing cells are kept."""
    if "csv" in kind:
        frame.to_csv(folder / "x.csv", index=False)
        limit = 1 if kind == "stored csv" else None
        return Dataset.from_csv(folder / "x.csv", missing="keep", memory_limit=limit)
    if kind == "category":
        frame = frame.astype({"c": "category"})
    elif kind == "str":
        frame = frame.astype({"c": "string"})
    elif kind == "polars":
        pl = pytest.importorskip("polars")
        frame = pl.from_pandas(frame).with_columns(pl.col("c").cast(pl.String))
    elif kind == "polars null":
        frame = pytest.importorskip("polars").from_pandas(frame)
    elif kind == "pyarrow":
        frame = pytest.importorskip("pyarrow").Table.from_pandas(frame, preserve_index=False)
    return Dataset.from_frame(frame, missing="keep")


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("kind", TABLES)
def test_rows_that_all_lack_the_category_are_predicted(kind, made, tmp_path):
    net = MADE[made](table(kind, FRAME, tmp_path))
    assert net.categories == KEPT
    lost = table(kind, LOST, tmp_path)
    expected = net.predict(IN_COLUMNS if made == "one-hot" else CODED)
    assert not np.array_equal(expected[0], net.predict(table(kind, FRAME, tmp_path))[0])
    np.testing.assert_array_equal(net.predict(lost), expected)
    np.testing.assert_array_equal(net.predict(lost[:1]), expected[:1])
    labelled = copy.copy(lost)
    labelled.y = Y[:2]
    assert net.evaluate(labelled)["loss"] == pytest.approx(
        np.mean((expected[:, 0] - Y[:2]) ** 2), rel=1e-5
    )
    assert net.fit(labelled, validation=labelled, epochs=1).categories == KEPT


@pytest.mark.parametrize("kind", TABLES)
def test_where_training_had_no_missing_cells_they_are_refused_as_such(kind, tmp_path):
    for made in MADE.values():
        net = made(table(kind, FRAME.dropna(), tmp_path))
        with pytest.raises(ValueError, match=r"row 0, column 'c': the cell is missing, and None"):
            net.predict(table(kind, LOST, tmp_path))


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("kind", ["object", "category", "polars", "pyarrow"])
def test_frames_without_rows_give_no_predictions(kind, made, tmp_path):
    net = MADE[made](table(kind, FRAME.dropna(), tmp_path))
    frame = FRAME.iloc[:0]
    if kind == "category":
        frame = frame.astype({"c": "category"})
    elif kind != "object":
        module = pytest.importorskip(kind)
        frame = module.from_pandas(frame) if kind == "polars" else module.table(frame)
    assert net.predict(frame).shape == (0, 1)
    with pytest.raises(ValueError, match=r"lacks 1 of the .* columns"):
        net.predict(frame[["a"]] if kind != "pyarrow" else frame.select(["a"]))


def test_data_sets_are_coded_by_hand_too(backend):
    X = backend.asarray(np.array([[np.nan, 2.0], [np.nan, 6.0]], np.float32))
    lost = Dataset(X, feature_names=["c", "a"])
    coded, columns = lost.with_codes_of(KEPT), lost.one_hot(KEPT)
    assert backend.owns(coded.X)
    assert backend.owns(columns.X)
    assert to_host(coded.X).tolist() == CODED.tolist()
    assert to_host(columns.X).tolist() == IN_COLUMNS.tolist()
    assert (coded.categories, columns.encoded) == (KEPT, KEPT)
    assert np.isnan(to_host(X)[:, 0]).all()
    assert lost.categories == {}


def test_a_column_with_some_numbers_is_no_column_of_missing_cells():
    some = Dataset([[np.nan, 2.0], [1.0, 6.0]], feature_names=["c", "a"])
    for call in (some.one_hot, some.with_codes_of):
        with pytest.raises(ValueError, match="'c' is a column of numbers here"):
            call(KEPT)
    for made in MADE.values():
        net = made(Dataset.from_frame(FRAME, missing="keep"))
        with pytest.raises(ValueError, match="'c' is a column of numbers here"):
            net.predict(some)
