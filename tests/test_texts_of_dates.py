"""Which texts are dates, times or durations, which may be, and what to do with columns of them."""

import datetime
import itertools
import re

import numpy as np
import pandas as pd
import pytest

from xpnet import Dataset, train_test_split
from xpnet.data.tables.dates import advice_for_time, is_time, may_be_time

pl = pytest.importorskip("polars")

CERTAIN = {
    "a word for the month": [
        "Jan 2020", "5 January 2020", "5th January 2020", "05-Jan-2020", "05-JAN-20", "Jan-20",
        "January 5, 2020", "January 5th, 2020", "Sept. 5, 2020", "2020 Jan", "2020-Jan-05",
    ],
    "a day of the week": [
        "Mon Jan 5 2020", "Monday, January 5, 2020", "Mon, 05 Jan 2020", "Montag, 5. Januar 2020",
        "lundi 5 janvier 2020", "lunes, 5 de enero de 2020", "domenica 5 aprile 2020",
        "segunda-feira, 5 de janeiro de 2020",
    ],
    "a time of day": [
        "Jan 5 12:30:00 2020", "Mon Jan  5 12:30:00 2020", "Mon Jan 5 12:30:00 CET 2020",
        "Mon, 05 Jan 2020 12:30:00 +0000", "5 January 2020 at 12:30", "January 5, 2020 12:30 PM",
        "2020-01-31 12:30", "2020-01-31T12:00:00Z", "20200101T120000", "20200101T1200Z",
    ],
    "German": ["1. Februar 2020", "5. März 2020", "Dez 2020", "1. Jänner 2020", "3. Mai 20"],
    "French": ["1er janvier 2020", "février 2020", "août 2020", "14 juil. 2020", "2 déc 2020"],
    "Spanish": ["5 de enero de 2020", "enero de 2020", "3 dic 2020"],
    "Italian": ["1º gennaio 2020", "5 settembre 2020", "5 mag 2020"],
    "Portuguese": ["5 de março de 2020", "outubro de 2020", "5 fev 2020", "1º de dezembro de 2020"],
    "numbers": ["2020-01", "01/2020", "31.1.20", "1/31/20", "31.12.2026", "2020/1/31"],
    "parts of a year": ["2020Q1", "Q1 2020", "2020-W05", "2020-W05-1", "2020W051"],
    "times": [
        "12:30", "12:30:15.25", "12:30 pm", "12:30 p.m.", "12:30+02:00", "12:30 Z", "12:30-0500",
        "12:30 UTC", "12:30:15 -03:30",
    ],
    "durations": ["1:02:03:04", "2 days 01:02:03", "-1 days +23:00:00"],
}  # fmt: skip
PERHAPS = [
    ["Jan 5", "Feb 6"], ["5 Jan", "6 Feb"], ["Fri Jan 5", "Sat Jan 6"], ["5. Februar", "1. Mai"],
    ["5 de enero", "6 de mayo"], ["May 5th", "May 6th"], ["01-2020", "02-2020"],
    ["2020-1", "2020-10"], ["P3D", "P10D"], ["PT2H30M", "PT5M"], ["P1Y6M", "P1W"],
    ["Jan 5", "12:30"], ["12h30", "12h30min"], ["1H20", "2H30"], ["P2M", "P3M"],
    ["set 2020", "5-ago-2020"], ["SET-2001", "SET-2002"], ["Mars 2020", "Mars 2022"],
    ["5 mars", "6 mars"], ["5 May 1820", "6 May 1820"], ["July 4, 1776", "July 5, 1776"],
    ["1 set 20", "2 set 20"],
]  # fmt: skip
NAMES = [
    "May", "Q1", "January", "Mars", "Set 1", "Set 12", "Gen 5", "out 10", "ago 3", "Mon 5", "1st",
    "A-2026-01", "2019-20", "13-2020", "P", "PT", "P3", "P5X", "Pier 5", "Juno 5", "décor 5",
    "Section 5 2020", "Version 5 2020", "Marathon 2020", "May Smith 2020", "01:02:03:04:05:06",
    "16:9", "12h", "12h75", "5-2", "1/2", "2020W60", "Q5 2020", "20200101T", "x 12:30",
    "12:30 left", "", "2020", "SET-1001", "OUT-1000", "Gen 1000",
    "Marco 10", "Mars 12", "3:16-18", "13:16-18", "3:16-18:00", "09:00-17:00", "1500-1", "2101-01",
]  # fmt: skip
LABELS = pytest.mark.parametrize("label", [None, "c"], ids=["feature", "label"])
ADVICE = r"give (?:dates and times|durations) as numbers, e\.g\. (?:seconds|days)"


def read(cells, folder, label=None, kind="frame"):
    frame = pd.DataFrame({"a": range(len(cells)), "c": cells})
    if kind == "csv":
        frame.to_csv(folder / "t.csv", index=False)
        return Dataset.from_csv(folder / "t.csv", label)
    return Dataset.from_frame(frame, label)


@pytest.mark.parametrize("text", [*itertools.chain(*CERTAIN.values())])
def test_texts_that_are_certainly_times(text):
    for each in (text, text.upper(), text.lower(), f" {text} "):
        assert is_time(each)
        assert may_be_time(each)


@pytest.mark.parametrize("text", sorted({*itertools.chain(*PERHAPS)} - {"12:30", "2020-10"}))
def test_texts_that_may_be_times(text):
    assert may_be_time(text)
    assert not is_time(text)


@pytest.mark.parametrize("text", NAMES)
def test_texts_that_are_no_times(text):
    assert not may_be_time(text)


@LABELS
@pytest.mark.parametrize("kind", ["frame", "csv"])
@pytest.mark.parametrize("cells", [*CERTAIN.values()], ids=str)
def test_columns_of_times_are_refused(cells, kind, label, tmp_path):
    with pytest.raises(ValueError, match=ADVICE):
        read(cells, tmp_path, label, kind)


@LABELS
@pytest.mark.parametrize("cells", PERHAPS, ids=str)
def test_columns_of_what_may_be_times_are_refused_where_a_type_can_say_that_they_are_names(
    cells, label, tmp_path
):
    with pytest.raises(ValueError, match=rf"{ADVICE}.*, give them a categorical type"):
        read(cells, tmp_path, label)
    names = sorted(cells)
    data = read(pd.Series(cells, dtype="category"), tmp_path, label)
    assert (data.class_names if label else data.categories["c"]) == names
    with pytest.warns(UserWarning, match=f"line [23], column 'c': .* have become .*{ADVICE}"):
        data = read(cells, tmp_path, label, "csv")
    assert (data.class_names if label else data.categories["c"]) == names


@LABELS
@pytest.mark.parametrize("kind", ["frame", "csv"])
@pytest.mark.parametrize(
    "cells",
    [
        ["SET-1001", "SET-1002"], ["OUT-2000", "OUT-1000"], ["Gen 1000", "Gen 2000"],
        ["Marco 10", "Marco 12"], ["3:16-18", "4:15-17"], ["1500-1", "1500-2"],
    ],
    ids=str,
)  # fmt: skip
def test_codes_and_names_are_names(cells, kind, label, tmp_path):
    data = read(cells, tmp_path, label, kind)
    assert (data.class_names if label else data.categories["c"]) == sorted(cells)


@LABELS
@pytest.mark.parametrize("cells", PERHAPS, ids=str)
def test_what_may_be_a_name_is_one_beside_a_name(cells, label, tmp_path):
    data = read([cells[0], "red"], tmp_path, label)
    assert (data.class_names if label else data.categories["c"]) == sorted([cells[0], "red"])


def test_what_may_be_a_name_can_be_given_as_one(tmp_path):
    with pytest.raises(ValueError, match="or, if these are names, give them a categorical type"):
        read(["P3D", "P10D"], tmp_path)
    cells = pd.Series(["P3D", "P10D"], dtype="category")
    assert read(cells, tmp_path).categories == {"c": ["P10D", "P3D"]}
    with pytest.raises(ValueError, match=r"'P3D' in row 0, a date or a time.*class_names="):
        Dataset([[0], [1]], ["P3D", "P10D"])
    assert Dataset([[0], [1]], ["P3D", "P10D"], class_names=["P3D", "P10D"]).y.tolist() == [0, 1]


# ---- labels: full and short dates follow one rule

FORMS = {
    "list": list,
    "array": np.array,
    "objects": lambda texts: np.array(texts, object),
    "pandas": pd.Series,
    "polars": pl.Series,
    "arrow": lambda texts: pytest.importorskip("pyarrow").array(texts),
}


@pytest.mark.parametrize("date", ["2020-01-01", "1.2.2020", "2020-01", "Jan 2020", "12:30"])
@pytest.mark.parametrize("form", FORMS)
def test_the_order_of_rows_does_not_matter(form, date):
    make, X = FORMS[form], np.zeros((4, 1))
    for place in range(4):
        labels = ["a", "b", "c"]
        labels.insert(place, date)
        data = Dataset(X, make(labels))
        assert data.class_names == sorted(labels)
        assert Dataset(X, make(labels), class_names=labels).y.tolist() == [0, 1, 2, 3]
        _, test = train_test_split(np.arange(8), stratify=make(labels * 2), test_size=4)
        assert sorted(test % 4) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match=r"a date or a time: .*class_names=\[\.\.\.\]"):
        Dataset(X, make([date] * 4))
    assert Dataset(X, make([date] * 4), class_names=["a", date]).y.tolist() == [1] * 4


# ---- the way out works


def test_the_advice_for_dates_in_columns_works(tmp_path):
    texts = ["2020-01-01", "2020-01-03"]
    for kind in ("frame", "csv"):
        with pytest.raises(ValueError, match=r"dates = pd\.to_datetime\(column\)") as caught:
            read(texts, tmp_path, kind=kind)
        expression = re.search(r"\(column\): (.*\.dt\.total_seconds\(\))", str(caught.value))[1]
        for rows in (texts, texts[1:], [f"{each} 00:00Z" for each in texts]):
            # The same day is the same number in every table, also among other rows.
            found = eval(expression, {"dates": pd.to_datetime(pd.Series(rows)), "pd": pd})
            assert found.tolist() == [0, 172800][-len(rows) :]
    assert "read the file with pandas or polars, and give Dataset.from_frame" in str(caught.value)


@pytest.mark.parametrize("text", sorted({*itertools.chain(*CERTAIN.values(), *PERHAPS)}))
@pytest.mark.filterwarnings("ignore:Could not infer format", "ignore:Parsing dates in")
def test_code_in_the_advice_reads_the_text(text):
    advice, column = advice_for_time(text), pd.Series([text])
    if (code := re.search(r"pd\.to_\w+\(column\)", advice)) is not None:
        assert eval(code[0], {"pd": pd, "column": column}).notna().all()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("P3D", 259200), ("-P1W", -604800), ("PT2H30M", 9000), ("3 days 02:00:00", 266400)],
)
def test_the_advice_for_durations_works(text, seconds, tmp_path):
    with pytest.raises(ValueError, match=r"give durations as .*in pandas") as caught:
        read([text, text], tmp_path)
    code = re.search(r"in pandas, (pd.*seconds\(\))", str(caught.value))[1]
    assert eval(code, {"pd": pd, "column": pd.Series([text])}).tolist() == [seconds]


@pytest.mark.parametrize("text", ["Q1 2020", "2020-W05", "1:02:03:04", "P2M", "5 mai 2020"])
def test_no_code_is_given_for_what_pandas_does_not_read(text):
    assert "pandas" not in advice_for_time(text)


@pytest.mark.parametrize("type_", [pl.Date, pl.Datetime("us"), pl.Datetime("ms", "UTC")])
def test_the_advice_for_dates_of_polars_works(type_):
    dates = pl.Series([datetime.date(2020, 1, 1), datetime.date(2020, 1, 3)]).cast(type_)
    for call in (
        lambda: Dataset(pl.DataFrame({"a": dates})),
        lambda: Dataset.from_frame(pl.DataFrame({"a": [1, 2], "b": dates}), label="b"),
        lambda: Dataset([[0], [1]], dates),
    ):
        with pytest.raises(TypeError, match="in polars") as caught:
            call()
        expression = re.search(r"in polars (dates\.dt\.epoch\(.*?\))", str(caught.value))[1]
        start = 1_577_836_800  # seconds from 1970 to 2020
        assert eval(expression, {"dates": dates}).to_list() == [start, start + 172800]
    with pytest.raises(TypeError, match=r"in polars durations\.dt\.total_seconds\(\)"):
        Dataset(pl.DataFrame({"a": dates - dates.min()}))


@LABELS
@pytest.mark.parametrize("kind", ["frame", "csv"])
def test_the_advice_for_prices_works(kind, label, tmp_path):
    cells = ["$1,200", "$950"]
    with pytest.raises(ValueError, match=r"In pandas, (column\.str.*astype\(float\))") as caught:
        read(cells, tmp_path, label, kind)
    expression = re.search(r"In pandas, (column\.str.*astype\(float\))", str(caught.value))[1]
    assert eval(expression, {"column": pd.Series(cells)}).tolist() == [1200, 950]
    assert ("Dataset.from_frame(frame)" in str(caught.value)) is (kind == "csv")


def test_how_to_leave_out_rows_with_missing_cells_is_said(tmp_path):
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": ["x", None]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    for call in (
        lambda: Dataset.from_frame(frame, missing="drop"),
        lambda: Dataset.from_csv(tmp_path / "t.csv", missing="drop"),
    ):
        with pytest.raises(ValueError, match=r"data\.drop_missing\(\)"):
            call()
    assert len(Dataset.from_frame(frame, missing="keep").drop_missing()) == 1
    assert len(Dataset.from_frame(pl.from_pandas(frame), missing="keep").drop_missing()) == 1
