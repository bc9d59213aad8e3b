"""Tables whose columns have types: data frames, Arrow data, Parquet files; one behaviour."""

import datetime
from decimal import Decimal

import numpy as np
import pytest

from xpnet import Dataset, DenseLayer, NeuralNetwork
from xpnet.data import as_dataset
from xpnet.data.tables.typed import categories, streams

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def reader(table):
    """Return a stream of batches of 2 rows."""
    return table.to_reader(max_chunksize=2)


def parquet(folder, table):
    """Return the path of a file with groups of 2 rows."""
    path = folder / "table.parquet"
    pq.write_table(table, path, row_group_size=2)
    return path


def from_parquet(engine):
    return lambda folder, table, *given, **named: Dataset.from_parquet(
        parquet(folder, table), *given, engine=engine, **named
    )


def from_frame(convert):
    return lambda _, table, *given, **named: Dataset.from_frame(convert(table), *given, **named)


def from_arrow(convert):
    return lambda _, table, *given, **named: Dataset.from_arrow(convert(table), *given, **named)


FRAMES = {
    "pandas": from_frame(lambda table: table.to_pandas()),
    "pandas objects": from_frame(lambda table: table.to_pandas().astype(object)),
    "pandas of pyarrow": from_frame(lambda table: table.to_pandas(types_mapper=pd.ArrowDtype)),
    "polars": from_frame(pl.from_arrow),
    "pyarrow": from_frame(lambda table: table),
    "record batch": from_frame(
        lambda table: pa.record_batch(
            [column.combine_chunks() for column in table.columns], schema=table.schema
        )
    ),
}
STREAMS = {
    "arrow, a reader": from_arrow(reader),
    "arrow, pandas": from_arrow(lambda table: table.to_pandas()),
    "arrow, polars": from_arrow(pl.from_arrow),
    "arrow, pyarrow": from_arrow(lambda table: table),
    "parquet, pyarrow": from_parquet("pyarrow"),
    "parquet, polars": from_parquet("polars"),
}
SOURCES = FRAMES | STREAMS
LOSSY = "pandas", "pandas objects"
"""Whose integers pyarrow makes floats, if some are missing."""


@pytest.fixture(params=SOURCES)
def read(request, tmp_path, monkeypatch):
    """Return a function that reads a pyarrow table by one of all ways, in pieces of 2 rows."""
    monkeypatch.setattr("xpnet.data.tables.typed.frames._PIECE", 2)
    monkeypatch.setattr(streams, "_MAX_ROWS", 2)
    for name in ("_POLARS_NUMBERS", "_POLARS_MIN_ROWS"):
        monkeypatch.setattr(streams, name, 2)
    return lambda table, *given, **named: SOURCES[request.param](tmp_path, table, *given, **named)


def columns(**of):
    return pa.table(of)


# Numbers ---------------------------------------------------------------------------------------


def test_numbers_stay_numbers_with_their_names(read):
    data = read(columns(age=[1, 2, 3], height=[1.5, 2.5, 3.5], member=[True, False, True]))
    assert data.X.tolist() == [[1, 1.5, 1], [2, 2.5, 0], [3, 3.5, 1]]
    assert data.X.dtype == np.float64
    assert data.feature_names == ["age", "height", "member"]
    assert (data.y, data.categories, data.ids) == (None, {}, None)


def test_integers_stay_exact(read):
    large = 2**62 + 1
    data = read(columns(a=[large, 1, 2], b=[True, False, True]))
    assert data.X.dtype == np.int64
    assert data.X.tolist() == [[large, 1], [1, 0], [2, 1]]


def test_integers_that_floats_cannot_hold_are_refused_by_row_and_column(read):
    with pytest.raises(
        ValueError, match=rf"column 'a' has {2**53 + 1} in row 2.*float64 cannot.*id="
    ):
        read(columns(a=[2**53, 1, 2**53 + 1], b=[0.5, 1.5, 2.5]))


@pytest.mark.parametrize("kind", ["int8", "uint8", "uint16", "int32", "uint64", "float32"])
@pytest.mark.parametrize("source", ["pandas", "polars", "pyarrow", "arrow, a reader"])
def test_one_type_of_numbers_is_kept(source, kind, tmp_path):
    table = columns(a=pa.array([1, 2, 3], getattr(pa, kind)()))
    data = SOURCES[source](tmp_path, table)
    assert data.X.dtype == kind
    assert data.X.tolist() == [[1], [2], [3]]


def test_decimals_are_numbers(read):
    cells = [Decimal("0.10"), Decimal("2.50"), Decimal("3.00")]
    assert read(columns(a=cells)).X.tolist() == [[0.1], [2.5], [3.0]]


def test_long_decimals_without_a_point_are_refused(read):
    with pytest.raises(ValueError, match=r"column 'a' has 90071992547409930001 in row 1"):
        read(columns(a=[Decimal(1), Decimal("90071992547409930001")]))


def test_unsigned_and_signed_integers_have_no_common_type(read):
    with pytest.raises(TypeError, match="uint64 and of signed integers"):
        read(columns(a=pa.array([1, 2**63], pa.uint64()), b=[-1, 1]))


def test_huge_integers_of_polars():
    frame = pl.DataFrame({"a": [1, 2**62 + 1]}, schema={"a": pl.Int128})
    assert Dataset.from_frame(frame).X.tolist() == [[1], [2**62 + 1]]
    frame = pl.DataFrame({"a": [1, 2**100]}, schema={"a": pl.Int128})
    with pytest.raises(ValueError, match=rf"column 'a' has {2**100} in row 1"):
        Dataset.from_frame(frame)


def test_mixed_python_numbers_lose_no_digits():
    for cells in ([2**53 + 1, 0.5], [2**63, -1], [2**64, 1]):
        with pytest.raises(ValueError, match=rf"column 'a' has {cells[0]} in row 0"):
            Dataset.from_frame(pd.DataFrame({"a": pd.Series(cells, dtype=object)}))


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean", "UInt8", "int64[pyarrow]"])
def test_nullable_types_of_pandas(dtype):
    frame = pd.DataFrame({"a": pd.Series([1, 0], dtype=dtype)})
    assert Dataset.from_frame(frame).X.tolist() == [[1], [0]]
    frame = pd.DataFrame({"a": pd.Series([1, 0, None], dtype=dtype)})
    with pytest.raises(ValueError, match=r"column 'a' has 1 missing .* row 2"):
        Dataset.from_frame(frame)
    np.testing.assert_array_equal(Dataset.from_frame(frame, missing="keep").X, [[1], [0], [np.nan]])


def test_numbers_of_two_bytes(read):
    data = read(columns(a=pa.array(np.array([0.5, 1.5, 2], np.float16)), b=[1, 2, 3]))
    assert data.X.tolist() == [[0.5, 1], [1.5, 2], [2, 3]]


def test_sparse_columns_of_pandas():
    frame = pd.DataFrame({"a": pd.arrays.SparseArray([0.0, 1.5]), "b": [1, 2]})
    assert Dataset.from_frame(frame).X.tolist() == [[0, 1], [1.5, 2]]


# Texts and categories --------------------------------------------------------------------------


def test_texts_become_sorted_categories(read):
    data = read(columns(a=[1.0, 2.0, 3.0], hue=["red", "blue", "red"]))
    assert data.X.tolist() == [[1, 1], [2, 0], [3, 1]]
    assert data.categories == {"hue": ["blue", "red"]}


def test_texts_and_integers_are_integers(read):
    data = read(columns(a=[5, 6, 7], hue=["red", "blue", "green"]))
    assert data.X.dtype == np.int64
    assert data.X.tolist() == [[5, 2], [6, 0], [7, 1]]


def test_texts_that_come_late_are_sorted_among_the_others(read):
    data = read(columns(hue=["red", "red", "red", "blue", "green"]))
    assert data.X.ravel().tolist() == [2, 2, 2, 0, 1]
    assert data.X.dtype == np.int64


def test_numbers_written_as_text_are_refused(read):
    for cells in (["1", "2.5", "3"], ["7", None, "8"]):
        named = {} if None not in cells else {"missing": "keep"}
        with pytest.raises(TypeError, match=r"'a' has numbers written as text.*row 0.*astype\(fl"):
            read(columns(a=cells), **named)
    with pytest.raises(TypeError, match="column 'a' has numbers written as text"):
        read(columns(b=[1, 2], a=["1", "2"]), "a")


def test_numbers_among_texts_are_refused_by_row(read):
    with pytest.raises(ValueError, match=r"column 'a', row 2: '3' is a number among text"):
        read(columns(a=["red", "blue", "3"]))


def test_dates_as_text_are_refused(read):
    with pytest.raises(ValueError, match=r"column 'a', row 0: '2026-01-31'.*dates and times as"):
        read(columns(a=["2026-01-31", "2026-02-01"]))


def test_numbers_of_a_categorical_type_are_names(tmp_path):
    frame = pd.DataFrame({"a": pd.Series(["10", "9", "10"], dtype="category")})
    assert Dataset.from_frame(frame).categories == {"a": ["10", "9"]}
    frame = pd.DataFrame({"a": pd.Series([10, 9, 10], dtype="category")})
    data = Dataset.from_frame(frame)
    assert (data.categories, data.X.ravel().tolist()) == ({"a": ["9", "10"]}, [1, 0, 1])


def test_categories_of_one_name_are_refused():
    frame = pd.DataFrame({"a": pd.Categorical([1, "1"], categories=[1, "1"])})
    with pytest.raises(ValueError, match="column 'a' has two categories that are both written '1'"):
        Dataset.from_frame(frame)


SIZES = ["small", "large", "medium"]
CATEGORICAL = {
    "pandas": pd.Categorical(["large", "small"], SIZES),
    "pandas, ordered": pd.Categorical(["large", "small"], SIZES, ordered=True),
    "polars": pl.Series(["large", "small"], dtype=pl.Enum(SIZES)),
    "pyarrow": pa.DictionaryArray.from_arrays([1, 0], SIZES),
}


@pytest.mark.parametrize("make", [Dataset.from_frame, Dataset])
@pytest.mark.parametrize("source", CATEGORICAL)
def test_categorical_types_keep_their_order(source, make):
    library = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}
    frame = library[source.partition(",")[0]]({"size": CATEGORICAL[source]})
    data = make(frame)
    assert data.X.ravel().tolist() == [1, 0]
    assert data.categories == {"size": SIZES}


@pytest.mark.parametrize("source", STREAMS)
def test_streams_and_files_have_sorted_names_that_some_row_has(source, tmp_path):
    sizes = pa.DictionaryArray.from_arrays([1, 0, 1], SIZES)
    data = STREAMS[source](tmp_path, columns(size=sizes, y=sizes), "y")
    assert (data.X.ravel().tolist(), data.y.tolist()) == ([0, 1, 0], [0, 1, 0])
    assert data.categories == {"size": ["large", "small"]}
    assert data.class_names == ["large", "small"]


@pytest.mark.parametrize("limit", [None, 1])
def test_a_dictionary_longer_than_its_batches_is_not_read_again_for_each(limit, monkeypatch):
    read = []
    monkeypatch.setattr(categories, "_name", lambda what, value: read.append(value) or value)
    names = [f"name{k}" for k in range(1000)]
    table = columns(a=pa.DictionaryArray.from_arrays(np.arange(1000), names))
    data = Dataset.from_arrow(table.to_reader(max_chunksize=10), memory_limit=limit)
    assert data.categories == {"a": sorted(names)}
    assert len(read) == 1000


@pytest.mark.parametrize("make", [Dataset.from_frame, Dataset.from_arrow])
def test_numbers_in_dictionaries_that_are_missing_or_equal(make):
    halves = pa.DictionaryArray.from_arrays([0, 1, 2, 3], [0.5, float("nan"), 0.0, -0.0])
    frame = pa.concat_tables([columns(a=halves), columns(a=halves)])
    data = make(frame, missing="keep")
    assert sorted(data.categories["a"][:-1]) == ["0.0", "0.5"]
    names = [data.categories["a"][k] for k in data.X[:, 0]]
    assert names == 2 * ["0.5", None, "0.0", "0.0"]
    with pytest.raises(ValueError, match=r"column 'a' has .* missing value.* in row 1"):
        make(frame)


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8()])
def test_a_dictionary_as_long_as_its_codes_allow(kind):
    names = [f"{k:03}" for k in range(128 if kind == pa.int8() else 256)]
    codes = pa.array([1, None, len(names) - 1], kind)
    data = Dataset.from_frame(
        columns(a=pa.DictionaryArray.from_arrays(codes, names)), missing="keep"
    )
    assert data.X.ravel().tolist() == [1, len(names), len(names) - 1]


@pytest.mark.parametrize("engine", ["pyarrow", "polars"])
def test_binary_categories_are_refused(engine, tmp_path):
    table = columns(a=pa.DictionaryArray.from_arrays([0, 1], [b"x", b"y"]))
    for read in (from_parquet(engine), FRAMES["pandas"], FRAMES["pyarrow"]):
        with pytest.raises(TypeError, match="column 'a' has the "):
            read(tmp_path, table)


@pytest.mark.parametrize("source", CATEGORICAL)
def test_categorical_types_are_labels(source):
    library = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}
    frame = library[source.partition(",")[0]]({"a": [1, 2], "size": CATEGORICAL[source]})
    data = Dataset.from_frame(frame, "size")
    assert (data.y.tolist(), data.y.dtype, data.class_names) == ([1, 0], np.int64, SIZES)


def test_missing_categories_are_missing_labels():
    data = Dataset.from_frame(dictionaries(), "a", missing="keep")
    np.testing.assert_array_equal(data.y, [1, 2, np.nan, 1, 0, 2, np.nan])
    assert data.class_names == ["a", "b", "c"]


def test_categories_without_an_order_are_sorted():
    frame = pl.DataFrame({"size": pl.Series(["b", "a", "b"], dtype=pl.Categorical)})
    data = Dataset.from_frame(frame)
    assert (data.X.ravel().tolist(), data.categories) == ([1, 0, 1], {"size": ["a", "b"]})


def dictionaries():
    """Return a column whose chunks have dictionaries of different orders and contents."""
    chunks = [
        pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), ["b", "c"]),
        pa.DictionaryArray.from_arrays(pa.array([1, 0]), ["a", "b"]),
        pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["c", None])),
    ]
    return pa.table({"a": pa.chunked_array(chunks), "n": [1.0] * 7})


@pytest.mark.parametrize("make", [Dataset.from_frame, Dataset.from_arrow])
@pytest.mark.parametrize("as_reader", [False, True])
def test_dictionaries_that_differ_from_batch_to_batch(make, as_reader):
    table = dictionaries()
    if as_reader:
        make, table = Dataset.from_arrow, table.to_reader()
    data = make(table, missing="keep")
    assert data.X[:, 0].tolist() == [1, 2, 3, 1, 0, 2, 3]
    assert data.categories == {"a": ["a", "b", "c", None]}


def test_a_missing_entry_of_a_dictionary_is_refused():
    with pytest.raises(ValueError, match=r"column 'a' has 2 missing .* in row 2"):
        Dataset.from_frame(dictionaries())
    with pytest.raises(ValueError, match=r"column 'a' has a missing value .* in row 2"):
        Dataset.from_arrow(dictionaries().to_reader())


def test_categories_in_parquet_files(tmp_path):
    frame = pd.DataFrame({"a": pd.Categorical(["b", "a", None, "b"]), "y": [1, 2, 3, 4]})
    frame.to_parquet(tmp_path / "a.parquet", row_group_size=2)
    for engine in ("pyarrow", "polars"):
        data = Dataset.from_parquet(tmp_path / "a.parquet", "y", missing="keep", engine=engine)
        assert data.X.ravel().tolist() == [1, 0, 2, 1]
        assert data.categories == {"a": ["a", "b", None]}


# Missing cells ---------------------------------------------------------------------------------

MISSING = {
    "floats": [0.5, 1.5, None],
    "integers": [1, 2, None],
    "booleans": [True, False, None],
    "texts": ["red", "blue", None],
    "empty texts": ["red", "blue", ""],
}


@pytest.mark.parametrize("cells", MISSING.values(), ids=MISSING)
@pytest.mark.parametrize("label", [None, "b"])
def test_missing_cells_are_refused_by_row_and_column(read, cells, label):
    with pytest.raises(ValueError, match=r"column 'b' has .*row 2.*fill them in.*missing='keep'"):
        read(columns(a=[1, 2, 3], b=cells), label)


def test_missing_features_are_kept(read):
    table = columns(**MISSING)
    data = read(table, missing="keep")
    np.testing.assert_array_equal(
        data.X, [[0.5, 1, 1, 1, 1], [1.5, 2, 0, 0, 0], [np.nan, np.nan, np.nan, 2, 2]]
    )
    names = ["blue", "red", None]
    assert data.categories == {"texts": names, "empty texts": names}


@pytest.mark.parametrize("label", MISSING)
def test_missing_labels_are_kept(read, label):
    data = read(columns(a=[1.0, 2.0, 3.0], **{label: MISSING[label]}), label, missing="keep")
    expected = [1, 0, np.nan] if "texts" in label else [*map(float, MISSING[label][:2]), np.nan]
    np.testing.assert_array_equal(data.y, expected)
    assert data.y.dtype == np.float64
    names = {"texts": ["blue", "red"], "empty texts": ["blue", "red"]}
    assert data.class_names == names.get(label, ["False", "True"] if label == "booleans" else None)


def test_nan_is_missing(read):
    with pytest.raises(ValueError, match=r"column 'a' has .*missing.*row 1"):
        read(columns(a=[1.0, float("nan"), 2.0]))
    data = read(columns(a=[1.0, float("nan"), None]), missing="keep")
    np.testing.assert_array_equal(data.X, [[1], [np.nan], [np.nan]])


def test_a_column_without_values(read):
    table = columns(a=[1, 2], b=pa.nulls(2))
    with pytest.raises(ValueError, match=r"column 'b' has .*missing.*row 0"):
        read(table)
    np.testing.assert_array_equal(read(table, missing="keep").X, [[1, np.nan], [2, np.nan]])


def test_a_column_of_no_type_is_of_float64(read):
    data = read(columns(a=pa.nulls(3)), missing="keep")
    assert (data.X.dtype, np.isnan(data.X).all()) == (np.float64, True)


@pytest.mark.parametrize("source", [name for name in SOURCES if not name.endswith(LOSSY)])
def test_integers_beside_missing_ones_lose_no_digits(source, tmp_path):
    def read(*given, **named):
        return SOURCES[source](tmp_path, *given, **named)

    with pytest.raises(ValueError, match=rf"column 'a' has {2**53 + 1} in row 0"):
        read(columns(a=[2**53 + 1, 1, None]), missing="keep")
    assert read(columns(a=[2**53, 1, None]), missing="keep").X[0, 0] == 2**53


@pytest.mark.parametrize("missing", ["drop", None, True])
def test_other_ways_with_missing_cells_are_refused(read, missing):
    with pytest.raises(ValueError, match=r"missing=.*expected 'error' or 'keep'"):
        read(columns(a=[1]), missing=missing)


# What is refused -------------------------------------------------------------------------------

NOW = datetime.datetime(2026, 1, 31, 12)
REFUSED = {
    "dates": ([NOW.date()], "give dates as numbers"),
    "times": ([NOW], "give dates as numbers"),
    "of the day": ([NOW.time()], "give dates as numbers"),
    "zones": (pa.array([NOW], pa.timestamp("us", "UTC")), "give dates as numbers"),
    "durations": ([datetime.timedelta(1)], "give durations as numbers"),
    "lists": ([[1, 2]], "leave"),
    "structs": ([{"a": 1}], "leave"),
    "binary": ([b"a"], "leave"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_neither_number_nor_text_is_refused_by_column(read, kind):
    cells, words = REFUSED[kind]
    with pytest.raises(TypeError, match=f"column 'b' has .*{words}"):
        read(columns(a=[1.0], b=cells))
    assert read(columns(a=[1.0], b=cells), exclude=["b"]).X.tolist() == [[1.0]]


@pytest.mark.parametrize("make", [Dataset.from_frame, Dataset.from_arrow, Dataset])
@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([1, "red"], "has the text 'red' in row 1 and the number 1 in row 0: give the column"),
        (["red", None, 2.5], "has the text 'red' in row 0 and the number 2.5 in row 2"),
        ([*["red"] * 150, 3], "has the text 'red' in row 0 and the number 3 in row 150"),
        ([1, [2]], r"has \[2\] \(list\) in row 1"),
        ([1, 2j], r"has 2j \(complex\) in row 1.*imaginary parts"),
        ([None, NOW], r"has datetime.* in row 1.*give dates as numbers"),
        (pd.period_range("2026", periods=2, freq="D"), "in row 0.*give dates as numbers"),
        (pd.Series([1 + 1j]), "imaginary parts"),
        (pd.IntervalIndex.from_breaks([0, 1, 2]), "in row 0"),
    ],
)
def test_python_objects_that_are_not_all_numbers_or_texts(make, cells, words):
    series = pd.Series(cells, dtype=object) if isinstance(cells, list) else pd.Series(cells)
    with pytest.raises(TypeError, match=f"column 'a' .*{words}"):
        make(pd.DataFrame({"a": series}))


def test_frames_of_narwhals_themselves():
    nw = pytest.importorskip("narwhals")
    frame = nw.from_native(pl.DataFrame({"a": [1, 2], "hue": ["red", "blue"]}))
    for make in (Dataset, Dataset.from_frame, Dataset.from_arrow):
        assert make(frame).X.tolist() == [[1, 1], [2, 0]]


def test_a_lazy_frame_is_to_be_collected():
    lazy = pl.LazyFrame({"a": [1]})
    for make in (Dataset, Dataset.from_frame):
        with pytest.raises(TypeError, match=r"is a LazyFrame.*call collect\(\)"):
            make(lazy)
    assert Dataset.from_frame(lazy.collect()).X.tolist() == [[1]]


@pytest.mark.parametrize("data", [[[1, 2]], np.zeros((2, 2)), "table.parquet", 5, None])
def test_what_is_no_frame_is_refused(data):
    with pytest.raises(TypeError, match=r"frame is a .*expected a pandas or polars data frame"):
        Dataset.from_frame(data)
    with pytest.raises(TypeError, match=r"data is a .*expected an Arrow table or stream"):
        Dataset.from_arrow(data)


def test_a_stream_of_something_else_than_a_table_is_refused():
    with pytest.raises((TypeError, ValueError), match=r"^data "):
        Dataset.from_arrow(pa.chunked_array([[1, 2]]))


def test_tables_without_rows_are_refused_but_in_the_constructor(read):
    empty = pa.Table.from_batches([pa.record_batch({"a": pa.array([], pa.int64())})])
    with pytest.raises(ValueError, match="has no rows: expected a row for each sample"):
        read(empty)
    assert Dataset(empty).shape == (0, 1)


# Names -----------------------------------------------------------------------------------------


def table():
    return columns(
        code=["r1", "r2", "r3"],
        a=[1, 2, 3],
        when=[NOW] * 3,
        b=[0.5, 1.5, 2.5],
        hue=["red", "blue", "red"],
    )


def test_columns_have_one_purpose_each(read):
    data = read(table(), "hue", exclude=["when"], id="code")
    assert data.X.tolist() == [[1, 0.5], [2, 1.5], [3, 2.5]]
    assert (data.feature_names, data.label_name) == (["a", "b"], "hue")
    assert (data.y.tolist(), data.class_names) == ([1, 0, 1], ["blue", "red"])
    assert data.y.dtype == np.int64
    assert data.ids.tolist() == ["r1", "r2", "r3"]


def test_columns_come_in_the_order_that_is_given(read):
    data = read(table(), columns=["b", "a"], id="code")
    assert data.X.tolist() == [[0.5, 1], [1.5, 2], [2.5, 3]]
    assert data.feature_names == ["b", "a"]


def test_names_with_dots_and_spaces(read):
    data = read(columns(**{"a.b": [1, 2], "a": [3, 4], " c ": [5, 6]}), columns=[" c ", "a.b"])
    assert data.X.tolist() == [[5, 1], [6, 2]]


def test_a_column_that_is_not_there_is_refused(read):
    for named in ({"label": "hub"}, {"columns": ["hub"]}, {"exclude": ["hub"]}, {"id": "hub"}):
        with pytest.raises(ValueError, match="hub"):
            read(table(), **named)


def test_ids_are_texts_or_integers(read):
    data = read(columns(n=[2**62, 7, 9], a=[1.0, 2.0, 3.0]), id="n")
    assert data.ids.tolist() == [2**62, 7, 9]
    with pytest.raises(TypeError, match=r"id='x' has .*expected strings, or integers"):
        read(columns(x=[0.5, 1.5], a=[1.0, 2.0]), id="x")
    with pytest.raises(ValueError, match="id='x' is missing in row 2"):
        read(columns(x=["a", "b", None], a=[1.0, 2.0, 3.0]), id="x", missing="keep")


def test_ids_may_be_as_large_as_64_bits_allow(read):
    large = 2**64 - 1
    ids = read(columns(n=pa.array([large, 1, 3, 4], pa.uint64()), a=[1, 2, 3, 4]), id="n").ids
    assert (ids.tolist(), ids.dtype) == ([large, 1, 3, 4], np.uint64)
    ids = read(columns(n=pa.array([1, 3, 4, large], pa.uint64()), a=[1, 2, 3, 4]), id="n").ids
    assert (ids.tolist(), ids.dtype) == ([1, 3, 4, large], np.uint64)


def test_ids_keep_their_last_characters_and_take_little_room(read):
    names = ["a\0", "a", "b" * 100_000, "c"]
    ids = read(columns(n=names, a=[1, 2, 3, 4]), id="n").ids
    assert ids.tolist() == names
    assert ids.dtype == object


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([1, True], r"True \(bool\) in row 1: expected strings, or integers of at most 64"),
        ([1.0, 2.0], r"1.0 \(float\) in row 0: expected strings, or integers of at most 64"),
        ([1, 2**64], rf"{2**64} \(int\) in row 1: expected strings, or integers of at most 64"),
        ([-1, 2**63], "negative integers and integers above"),
        (["x", 1], "(the text|strings and integers)"),
    ],
)
@pytest.mark.parametrize("make", [Dataset.from_frame, Dataset.from_arrow])
def test_other_ids_of_python_objects_are_refused(make, cells, words, monkeypatch):
    monkeypatch.setattr("xpnet.data.tables.typed.frames._PIECE", 1)
    frame = pd.DataFrame({"n": pd.Series(cells, dtype=object), "a": [1.5, 2.5]})
    with pytest.raises(TypeError, match=f"id='n' has .*{words}"):
        make(frame, id="n")


def test_labels(read):
    whole = read(columns(a=[1, 2, 3], y=[1.0, 2.0, 3.0]), "y")
    assert (whole.y.dtype, whole.class_names) == (np.int64, None)
    assert read(columns(a=[1, 2, 3], y=[1.0, 2.0, 2.5]), "y").y.tolist() == [1, 2, 2.5]
    flags = read(columns(a=[1, 2, 3], y=[True, True, False]), "y")
    assert (flags.y.tolist(), flags.class_names) == ([1, 1, 0], ["False", "True"])
    assert flags.y.dtype == np.int64
    large = read(columns(a=[1, 2], y=[2**62 + 1, 1]), "y")
    assert large.y.tolist() == [2**62 + 1, 1]


@pytest.mark.parametrize("value", [np.inf, 1e300])
def test_labels_too_large_for_integers_stay_floats(read, value):
    data = read(columns(a=[1, 2], y=[value, 1.0]), "y")
    assert data.y.tolist() == [value, 1.0]
    assert data.y.dtype == np.float64


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_labels_of_two_bytes(make):
    def read(*labels):
        return Dataset.from_frame(make({"a": [1, 2], "y": np.array(labels, np.float16)}), "y").y

    assert (read(3, 4).tolist(), read(3, 4).dtype) == ([3, 4], np.int64)
    assert read(np.inf, 4).tolist() == [np.inf, 4]


def test_names_that_are_not_texts_become_texts():
    frame = pd.DataFrame({1: [1, 2], ("a", 2): [3, 4], None: [5, 6]})
    data = Dataset.from_frame(frame)
    assert data.feature_names == ["1", "('a', 2)", "None"]
    assert Dataset.from_frame(frame, label="1", columns=["None"]).y.tolist() == [1, 2]


@pytest.mark.parametrize("make", [Dataset.from_frame, Dataset.from_arrow, Dataset])
def test_a_name_that_occurs_twice_is_refused(make):
    doubled = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    for frame in (pd.DataFrame([[1, 2]], columns=["a", "a"]), doubled):
        with pytest.raises(ValueError, match="has columns a more than once: rename"):
            make(frame)
    with pytest.raises(ValueError, match="1 more than once"):
        make(pd.DataFrame([[1, 2]], columns=[1, "1"]))


def test_doubled_names_in_streams_and_files_are_refused(tmp_path):
    doubled = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    with pytest.raises(ValueError, match="a more than once"):
        Dataset.from_arrow(reader(doubled))
    with pytest.raises(ValueError, match=r"table\.parquet has columns a more than once"):
        Dataset.from_parquet(parquet(tmp_path, doubled))


def test_pandas_own_index_is_no_feature(tmp_path):
    frame = pd.DataFrame({"a": [1, 2, 3]}, index=[5, 3, 9])
    frame.to_parquet(tmp_path / "a.parquet")
    for engine in ("pyarrow", "polars"):
        data = Dataset.from_parquet(tmp_path / "a.parquet", engine=engine)
        assert data.feature_names == ["a"]
        data = Dataset.from_parquet(tmp_path / "a.parquet", id="__index_level_0__", engine=engine)
        assert data.ids.tolist() == [5, 3, 9]


# The constructor -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda t: t.to_pandas(), pl.from_arrow, lambda t: t])
def test_the_constructor_reads_frames_in_the_same_way(make):
    frame = make(columns(a=[1.0, 2.0], hue=["red", "blue"]))
    data = Dataset(frame, [0, 1])
    assert data.X.tolist() == [[1, 1], [2, 0]]
    assert data.feature_names == ["a", "hue"]
    assert data.categories == {"hue": ["blue", "red"]}
    with pytest.raises(TypeError, match=r"in 'hue'.*one_hot\(\)"):
        NeuralNetwork(1, 2).add(DenseLayer(1, (2,))).fit(data)
    NeuralNetwork(1, 2).add(DenseLayer(1, (3,))).fit(data.one_hot())


def test_given_names_win_over_those_of_a_frame():
    frame = pl.DataFrame({"a": [1.0, 2.0], "hue": ["red", "blue"]})
    data = Dataset(frame, feature_names=["b", "colour"])
    assert data.categories == {"colour": ["blue", "red"]}
    data = Dataset(frame, categories={"a": ["zero", "one", "two"]})
    assert data.categories == {"hue": ["blue", "red"], "a": ["zero", "one", "two"]}
    with pytest.raises(ValueError, match=r"X has strings or categories in 'hue'.*leave them out"):
        Dataset(frame, categories={"hue": ["red", "blue"]})


def test_other_features_have_the_same_categories():
    frame = pl.DataFrame({"a": [1.0, 2.0], "hue": ["red", "blue"]})
    data = Dataset(frame)
    data.X = frame[::-1]
    assert (data.X.tolist(), data.categories) == ([[2, 0], [1, 1]], {"hue": ["blue", "red"]})
    with pytest.raises(ValueError, match=r"categories in 'hue' that differ.*make a new Dataset"):
        data.X = pl.DataFrame({"a": [1.0, 2.0], "hue": ["red", "white"]})
    assert data.X.tolist() == [[2, 0], [1, 1]]
    for without in (Dataset([[1.0, 2.0]]), Dataset([[1.0, 2.0]], feature_names=["a", "hue"])):
        with pytest.raises(ValueError, match="make a new Dataset"):
            without.X = frame


@pytest.mark.parametrize("make", [Dataset, Dataset.from_frame, Dataset.from_arrow])
def test_later_changes_of_a_frame_change_no_data_set(make):
    frame = pd.DataFrame({"a": [1.5, 2.5], "y": [3.5, 4.5], "n": [5, 6]})
    if make is Dataset:
        data = Dataset(frame[["a"]], frame["y"], ids=frame["n"], sample_weight=frame["a"])
    else:
        data = make(frame, "y", id="n")
    frame.loc[0] = [10, 20, 30]
    assert (data.X.tolist(), data.y.tolist()) == ([[1.5], [2.5]], [3.5, 4.5])
    assert data.ids.tolist() == [5, 6]
    assert data.sample_weight is None or data.sample_weight.tolist() == [1.5, 2.5]


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_other_features_have_the_same_order(make):
    data = Dataset(make({"a": [1, 2], "b": [3, 4]}))
    with pytest.raises(ValueError, match=r"X has the columns \['b', 'a'\]: expected the order"):
        data.X = make({"b": [30, 40], "a": [10, 20]})
    assert data.X.tolist() == [[1, 3], [2, 4]]
    data.X = make({"a": [10, 20], "b": [30, 40]})
    assert data.X.tolist() == [[10, 30], [20, 40]]


@pytest.mark.parametrize("make", [lambda t: t.to_pandas(), pl.from_arrow, lambda t: t])
def test_the_constructor_says_what_to_do_about_missing_cells(make):
    frame = make(columns(a=[1.0, None, None]))
    words = r"X, column 'a' has 2 missing .* first in row 1: fill .*Dataset\.from_frame\(.*'keep'"
    with pytest.raises(ValueError, match=words):
        Dataset(frame)


def test_a_table_of_pyarrow_has_names_in_training_and_prediction():
    frame = columns(a=[1.0, 2.0, 3.0], b=[0.5, 1.5, 2.5])
    net = NeuralNetwork(1, 2).add(DenseLayer(1, (2,))).fit((frame, frame.select(["a"])))
    assert net.feature_names == ["a", "b"]
    assert net.predict(frame).shape == (3, 1)
    assert net.predict(frame.select(["b", "a"])).tolist() == net.predict(frame).tolist()
    with pytest.raises(ValueError, match=r"lacks 1 of the 2 columns .*: 'a'\. "):
        net.predict(frame.select(["b"]))


# Files and streams -----------------------------------------------------------------------------


@pytest.mark.parametrize("source", STREAMS)
def test_more_numbers_than_memory_may_hold_are_mapped_and_trained_on(source, tmp_path):
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal((5000, 2))
    given = columns(
        a=numbers[:, 0], b=numbers[:, 1], c=["xyz"[k % 3] for k in range(5000)], y=[0, 1] * 2500
    )
    data = STREAMS[source](tmp_path, given, "y", memory_limit=10_000)
    assert isinstance(data.X, np.memmap)
    assert data.X.dtype == np.float64
    np.testing.assert_array_equal(data.X[:, :2], numbers)
    assert data.X[:4, 2].tolist() == [0, 1, 2, 0]
    net = NeuralNetwork(1, 100).add(DenseLayer(1, (5,))).fit(data.one_hot())
    data = STREAMS[source](tmp_path, given, "y", exclude=["c"], memory_limit=10_000)
    net = NeuralNetwork(1, 100, memory_limit=420_000).add(DenseLayer(1, (2,))).fit(data)
    assert np.isfinite(net.history["loss"]).all()


def test_a_table_that_is_refused_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    given = columns(a=[1.0, 2.0, 3.0, None])
    with pytest.raises(ValueError, match="row 3"):
        Dataset.from_arrow(reader(given), memory_limit=1)
    assert not list(tmp_path.iterdir())
    data = Dataset.from_arrow(reader(given), missing="keep", memory_limit=1)
    assert len(list(tmp_path.iterdir())) == 1
    del data
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("memory_limit", [0, -1, 1.5, "1 GB"])
def test_memory_limits_that_are_none_are_refused(memory_limit):
    with pytest.raises((ValueError, TypeError), match="memory_limit="):
        Dataset.from_arrow(columns(a=[1]), memory_limit=memory_limit)


def test_data_sets_and_scanners_of_pyarrow():
    dataset = pytest.importorskip("pyarrow.dataset").dataset(table())
    for data in (dataset, dataset.scanner()):
        read = Dataset.from_arrow(data, "hue", columns=["a"])
        assert (read.X.ravel().tolist(), read.y.tolist()) == ([1, 2, 3], [1, 0, 1])


def test_a_column_that_the_schema_says_is_complete_stays_whole():
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    given = pa.table({"a": [2**62 + 1]}, schema=schema)
    assert Dataset.from_arrow(reader(given), missing="keep").X.tolist() == [[2**62 + 1]]


@pytest.mark.parametrize("cells", [[1, None], [True, None]], ids=str)
@pytest.mark.parametrize("label", [None, "a"])
def test_a_column_that_the_schema_wrongly_says_is_complete_is_refused(cells, label):
    schema = pa.schema([pa.field("a", pa.array(cells).type, nullable=False), ("b", pa.int8())])
    table = pa.Table.from_arrays([pa.array(cells), pa.array([1, 2], pa.int8())], schema=schema)
    with pytest.raises(ValueError, match="column 'a' has a missing value in row 1, but its schema"):
        Dataset.from_arrow(table.to_reader(), label, missing="keep")


def test_a_stream_that_fails_is_named():
    def batches():
        yield pa.record_batch({"a": [1]})
        raise OSError("the line is down")

    stream = pa.RecordBatchReader.from_batches(pa.schema({"a": pa.int64()}), batches())
    with pytest.raises(ValueError, match=r"^data cannot be read .*the line is down"):
        Dataset.from_arrow(stream)


ENGINES = ["pyarrow", "polars"]


@pytest.mark.parametrize("engine", ENGINES)
def test_several_files_follow_each_other(engine, tmp_path):
    for name, cells in (("b", [3]), ("a", [1, 2]), ("c", [4])):
        part = columns(a=cells, hue=[f"hue {cell}" for cell in cells])
        pq.write_table(part, tmp_path / f"{name}.parquet")
    (tmp_path / "notes.txt").write_text("no table")
    data = Dataset.from_parquet(tmp_path, engine=engine)
    assert data.X.tolist() == [[1, 0], [2, 1], [3, 2], [4, 3]]
    chosen = [str(tmp_path / "c.parquet"), tmp_path / "b.parquet"]
    assert Dataset.from_parquet(chosen, engine=engine).X.tolist() == [[4, 1], [3, 0]]


@pytest.mark.parametrize("engine", ENGINES)
def test_files_of_other_types_are_refused(engine, tmp_path):
    pq.write_table(columns(a=[1]), tmp_path / "a.parquet")
    others = {
        r"b\.parquet, column 'a' has the type Float64, but .*a\.parquet has Int64": [0.5],
        r"b\.parquet has no column 'a', which .*a\.parquet has": None,
    }
    for words, cells in others.items():
        other = columns(b=[1]) if cells is None else columns(a=cells)
        pq.write_table(other, tmp_path / "b.parquet")
        with pytest.raises(ValueError, match=words):
            Dataset.from_parquet(tmp_path, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_damaged_files_are_named(engine, tmp_path):
    path = parquet(tmp_path, columns(a=np.random.default_rng(0).random(10_000)))
    whole = path.read_bytes()
    for content in (b"", b"a,b\n1,2\n", whole[:-9], whole[:100] + bytes(50_000) + whole[50_100:]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"table\.parquet cannot be read"):
            Dataset.from_parquet(path, engine=engine)


def test_a_file_that_must_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    pd.DataFrame({"a": [1.0]}).to_parquet(tmp_path / "t.parquet")
    monkeypatch.setattr("pyarrow.parquet.ParquetFile", refuse)
    with pytest.raises(PermissionError, match="Permission denied"):
        Dataset.from_parquet(tmp_path / "t.parquet", engine="pyarrow")


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        Dataset.from_parquet(tmp_path / "a.parquet")
    with pytest.raises(FileNotFoundError, match=r"folder without \*\.parquet files"):
        Dataset.from_parquet(tmp_path)
    with pytest.raises(ValueError, match="path is an empty list"):
        Dataset.from_parquet([])
    with pytest.raises(TypeError, match="path=5"):
        Dataset.from_parquet(5)


def test_engines(tmp_path, monkeypatch):
    path = parquet(tmp_path, columns(a=[1]))
    with pytest.raises(ValueError, match=r"unknown engine 'pandas'.*auto, polars, pyarrow"):
        Dataset.from_parquet(path, engine="pandas")
    there = streams.find_spec
    monkeypatch.setattr(
        streams, "find_spec", lambda name: None if name == "pyarrow" else there(name)
    )
    assert Dataset.from_parquet(path).X.tolist() == [[1]]
    assert Dataset.from_arrow(reader(columns(a=[1, 2, 3]))).X.tolist() == [[1], [2], [3]]
    monkeypatch.setattr(streams, "find_spec", lambda name: None)
    for read in (Dataset.from_parquet, Dataset.from_arrow):
        given = path if read == Dataset.from_parquet else reader(columns(a=[1]))
        with pytest.raises(ImportError, match=r"pip install p(yarrow|olars)"):
            read(given)


def test_categories_of_files_and_streams_are_sorted_whichever_library_reads_them(tmp_path):
    path, kind = tmp_path / "t.parquet", pd.CategoricalDtype(["low", "high"], ordered=True)
    frame = pd.DataFrame({"a": pd.Series(["high", "low"], dtype=kind), "b": [1, 2]})
    frame.to_parquet(path)
    found = [Dataset.from_parquet(path, engine=engine) for engine in ("pyarrow", "polars")]
    found.append(Dataset.from_arrow(pa.Table.from_pandas(frame).to_reader()))
    for data in found:
        assert data.categories == {"a": ["high", "low"]}
        assert data.X.tolist() == [[0, 1], [1, 2]]
    assert Dataset.from_frame(frame).categories == {"a": ["low", "high"]}


@pytest.mark.parametrize("argument", ["label", "id"])
def test_a_column_in_place_of_its_name_is_refused(argument):
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    for given in (frame["b"], ["b"]):
        with pytest.raises(TypeError, match=rf"{argument}=.*expected the name of a column"):
            Dataset.from_frame(frame, **{argument: given})


@pytest.mark.parametrize("convert", [lambda frame: frame, pl.from_pandas, pa.Table.from_pandas])
def test_a_frame_in_place_of_data_is_told_how_to_name_its_label(convert):
    frame = pd.DataFrame({"a": [1, 2], "kind": ["x", "y"]})
    for refused in (
        lambda: as_dataset(convert(frame)),
        lambda: Dataset(convert(frame[["a"]]), "kind"),
    ):
        with pytest.raises(TypeError, match=r"Dataset\.from_frame\(frame, label=\.\.\.\)"):
            refused()


def test_the_names_of_a_frame_are_not_swapped():
    frame = pd.DataFrame({"b": [1], "a": [2]})
    with pytest.raises(ValueError, match="order"):
        Dataset(frame, feature_names=["a", "b"])
    assert Dataset(frame, feature_names=["c", "d"]).feature_names == ["c", "d"]
