"""Texts in tables that are dates or quantities, or may be, and texts that may mean "missing"."""

import warnings

import pandas as pd
import pytest

from xpnet import Dataset

pa = pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")


def csv(engine):
    def read(cells, folder, label, **options):
        path = folder / "t.csv"
        pd.DataFrame({"a": range(len(cells)), "c": cells}).to_csv(path, index=False)
        return Dataset.from_csv(path, label, engine=engine, **options)

    return read


def parquet(engine):
    def read(cells, folder, label, **options):
        pd.DataFrame({"a": range(len(cells)), "c": cells}).to_parquet(folder / "t.parquet")
        return Dataset.from_parquet(folder / "t.parquet", label, engine=engine, **options)

    return read


def frame(convert):
    def read(cells, folder, label, **options):
        made = convert(pd.DataFrame({"a": range(len(cells)), "c": cells}))
        return Dataset.from_frame(made, label, **options)

    return read


def stream(cells, folder, label, **options):
    table = pa.table({"a": range(len(cells)), "c": cells})
    return Dataset.from_arrow(table.to_reader(max_chunksize=2), label, **options)


READERS = {
    **{f"csv by {engine}": csv(engine) for engine in ("csv", "pyarrow", "polars", "pandas")},
    **{f"parquet by {engine}": parquet(engine) for engine in ("pyarrow", "polars")},
    "pandas": frame(lambda table: table),
    "polars": frame(pl.from_pandas),
    "pyarrow": frame(pa.Table.from_pandas),
    "stream": stream,
}


@pytest.fixture(params=READERS)
def read(request, tmp_path):
    """A function that reads a column of text, as a feature or as the label."""

    def reads(cells, label=None, **options):
        return READERS[request.param](cells, tmp_path, label, **options)

    return reads


@pytest.fixture
def frames(tmp_path):
    """The same by pandas alone, for what is decided about the texts themselves."""
    return lambda cells, label=None: READERS["pandas"](cells, tmp_path, label)


def names(data, label):
    return data.class_names if label else data.categories["c"]


LABELS = pytest.mark.parametrize("label", [None, "c"], ids=["feature", "label"])

TIMES = [
    ["2020-01", "2020-02"], ["01/02/20", "12/31/99"], ["1.2.20", "31.12.21"],
    ["1-Jan-2020", "2-Feb-2020"], ["Jan 2020", "Feb 2020"], ["1 January 2020", "2 May 2020"],
    ["January 5, 2020", "May 6, 2020"], ["Jan-20", "Sep-20"], ["2020Q1", "2020Q2"],
    ["Q1 2020", "Q2 2020"], ["2020-W05", "2020-W06"], ["0 days 00:00:01", "1 days 00:00:00"],
    ["2020-01-31 12:00", "unknown", "2020-02-01 13:00"],
]  # fmt: skip
QUANTITIES = [
    ["5 pcs", "6 pcs"], ["5 years", "1 year", "3 months"], ["12 hours", "3 hours"],
    ["5 sqft", "6 sqft"], ["5 m2", "6 m2"], ["5 kr", "6 kr"], ["5 zł", "6 zł"], ["<3", ">5"],
    ["<3", "<4", "<=5"], ["~5", "~3"], ["≥ 5", "≤ 3"], ["< 5 kg", "6 kg"], ["1e3 pcs", "5 pcs"],
]  # fmt: skip
CURRENCIES = [
    ["R$5", "R$6"], ["₽5", "₽6"], ["5 ₽", "6 ₽"], ["A$5", "C$6"], ["₩5,000", "₩6,000"],
    ["5m²", "6m²"], ["5 PLN", "6 PLN"],
]  # fmt: skip
LIKELY = [["3.5k", "4k"], ["1.5M", "2M"], ["3.5k", "1.5M"], ["5m", "6m"], ["10A", "12A"],
          ["5kr", "6kr"], ["5'", "6'"], ["5\u2033", "6\u2033"]]  # fmt: skip
NAMES = [
    ["A1", "B2"], ["Q1", "Q2"], ["1st", "2nd"], ["4th", "5th"], ["3B", "4C"], ["May", "June"],
    ["<18", ">=18"], ["<=50K", ">50K"], ["NO", "<30", ">30"], ["5-10", "10-20"], ["7 Up", "Cola"],
    ["2019-20", "2020-21"], ["A-2020-01", "B-2020-02"], ["12 Main Street", "7 High Street"],
    ["1/2", "3/4"], ["3B", "red"], ["3B", "3B"],
]  # fmt: skip


@LABELS
@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["x", "Jan 2020", "Feb 2020"], "'Jan 2020' is not a number: give dates and times as"),
        (["5 pcs", "6 pcs"], "'5 pcs' is not a number: write the numbers alone"),
        (["R$5", "R$6"], "'R.5' is not a number: write numbers"),
    ],
)
def test_what_is_certain_is_refused_with_its_place(read, cells, words, label):
    with pytest.raises(ValueError, match=rf"column 'c'.*{words}|line [23], column 'c': {words}"):
        read(cells, label)


@LABELS
@pytest.mark.parametrize(
    ("cells", "words"),
    [
        *((cells, "give (dates and times|durations) as numbers") for cells in TIMES),
        *((cells, "write the numbers alone") for cells in QUANTITIES),
        *((cells, "without separators and units") for cells in CURRENCIES),
    ],
    ids=str,
)
def test_dates_and_quantities_are_refused(frames, cells, words, label):
    with pytest.raises(ValueError, match=words):
        frames(cells, label)


@LABELS
def test_what_is_likely_is_read_with_one_warning(read, label):
    kind = "classes" if label else "categories"
    with pytest.warns(UserWarning, match="have become") as caught:
        data = read(["3.5k", "4k", "3.5k"], label)
    (warning,) = caught
    for part in ("column 'c'", f"'3.5k' and '4k' have become {kind}", "write the numbers alone"):
        assert part in str(warning.message)
    assert warning.filename == __file__
    assert names(data, label) == ["3.5k", "4k"]


@LABELS
@pytest.mark.parametrize("cells", LIKELY, ids=str)
def test_texts_that_are_likely_quantities(frames, cells, label):
    with pytest.warns(UserWarning, match="if they are quantities"):
        assert names(frames(cells, label), label) == sorted(cells)


@LABELS
@pytest.mark.parametrize("cells", NAMES, ids=str)
def test_names_stay_names_without_a_warning(frames, cells, label):
    assert names(frames(cells, label), label) == sorted(set(cells))


@LABELS
def test_categorical_types_are_left_alone(label):
    cells = ["2020-01", "5 pcs", "3.5k", "NA", "?"]
    for given in (cells, cells[:1], cells[1:2], [*cells[2:3], "4k"]):
        table = pd.DataFrame({"a": range(len(given)), "c": pd.Categorical(given)})
        for convert in (lambda x: x, pl.from_pandas, pa.Table.from_pandas):
            data = Dataset.from_frame(convert(table), label)
            assert names(data, label) == sorted(given)


@LABELS
@pytest.mark.parametrize("missing", ["error", "keep"])
@pytest.mark.parametrize("text", ["NA", "N/A", "n/a", "None", "?", "-"])
def test_texts_that_often_mean_missing_are_names_with_one_warning(read, text, missing, label):
    kind = "classes" if label else "categories"
    with pytest.warns(UserWarning, match="often stands for a missing value") as caught:
        data = read(["red", text, "blue", text], label, missing=missing)
    (warning,) = caught
    message = str(warning.message)
    assert f"{text!r} in 2 cell(s): such a text often" in message
    assert f"has become one of the {kind}. If values are missing" in message
    assert "column 'c', row 1:" in message or "t.csv, line 3, column 'c':" in message
    assert names(data, label) == sorted(["red", "blue", text])


def test_all_such_texts_of_a_column_are_in_one_warning(frames):
    with pytest.warns(UserWarning, match=r"row 1: '\?' in 1 cell\(s\), 'NA' in 2 cell\(s\): such"):
        frames(["red", "?", "NA", "blue", "NA"])


@LABELS
@pytest.mark.parametrize("text", ["", " ", "nan", "NaN", "null", "NULL", "<NA>"])
@pytest.mark.parametrize("dtype", [object, "category"])
@pytest.mark.parametrize("convert", [lambda x: x, pl.from_pandas, pa.Table.from_pandas])
def test_texts_for_missing_categories_are_missing_in_every_type(convert, dtype, text, label):
    cells = pd.Series(["red", text, "blue"]).astype(dtype)
    table = convert(pd.DataFrame({"a": range(3), "c": cells}))
    with pytest.raises(ValueError, match=r"column 'c'.* row 1.*missing='keep'"):
        Dataset.from_frame(table, label)
    data = Dataset.from_frame(table, label, missing="keep")
    if label:
        assert (data.class_names, data.y.tolist()[::2]) == (["blue", "red"], [1, 0])
        assert data.y[1] != data.y[1]
    else:
        assert data.categories == {"c": ["blue", "red", None]}
        assert data.X[:, 1].tolist() == [1, 2, 0]


def test_predictions_from_tables_with_such_texts_warn_in_the_same_way():
    table = pd.DataFrame({"c": ["NA", "DE"]})
    with pytest.warns(UserWarning, match="'NA' in 1"):
        data = Dataset(table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same = Dataset(table.astype("category"))
    assert data.categories == same.categories == {"c": ["DE", "NA"]}
