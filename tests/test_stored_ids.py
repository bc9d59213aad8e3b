"""Ids of tables that exceed a memory limit: kept in temporary files, and read in parts."""

import copy
import gc
import pickle
import tempfile

import numpy as np
import pytest

from xpnet import Dataset
from xpnet.data.tables.texts import StoredTexts, TextCollector

TEXTS = ["a", "", "ÿé", "名前", "x" * 300, "with,comma", "\udcff", "end\0", "7"] * 40


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()


def files(tmp_path):
    gc.collect()
    return list((tmp_path / "temporary").iterdir())


def collected(limit, texts=TEXTS, step=50):
    with TextCollector(limit) as gathered:
        for start in range(0, len(texts), step):
            gathered.add(texts[start : start + step])
        return gathered.finish()


@pytest.mark.parametrize("limit", [0, 1, 10_000, np.inf])
def test_texts_are_the_same_in_memory_and_in_files(limit, tmp_path):
    found = collected(limit)
    assert isinstance(found, StoredTexts) == (limit < np.inf)
    assert len(files(tmp_path)) == (2 if limit < np.inf else 0)
    assert (len(found), found.tolist(), list(found)) == (len(TEXTS), TEXTS, TEXTS)
    assert np.asarray(found).tolist() == TEXTS
    array = np.array(TEXTS, object)
    mask = np.arange(len(TEXTS)) % 3 == 0
    for rows in (slice(5, 100, 7), slice(None, None, -1), [3, 1, 3, -1], [], mask):
        rows = np.array(rows, np.int64) if isinstance(rows, list) else rows
        assert found[rows].tolist() == array[rows].tolist()
    assert (found[3], found[-1]) == (TEXTS[3], TEXTS[-1])
    with pytest.raises(IndexError):
        found[len(TEXTS)]
    assert pickle.loads(pickle.dumps(found)).tolist() == TEXTS
    assert copy.deepcopy(found).tolist() == TEXTS
    del found
    assert not files(tmp_path)


@pytest.mark.parametrize("limit", [0, np.inf])
def test_texts_without_characters(limit):
    assert collected(limit, ["", "", ""]).tolist() == ["", "", ""]


def test_files_are_deleted_if_reading_fails(tmp_path):
    path = tmp_path / "d.csv"
    rows = [f"row{k},{k}" for k in range(500)]
    path.write_text("\n".join(["name,a", *rows, "last,one,more"]))
    with pytest.raises(ValueError, match="line 502"):
        Dataset.from_csv(path, id="name", memory_limit=100)
    assert not files(tmp_path)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("ids", ["texts", "integers", "large"])
def test_ids_of_a_table_beyond_the_limit_are_selected_with_its_rows(kind, ids, tmp_path):
    n, path = 5_000, tmp_path / f"d.{kind}"
    if kind == "csv":
        cells = [f"row {k}" for k in range(n)] if ids == "texts" else [str(k) for k in range(n)]
        path.write_text("\n".join(["name,a", *(f"{name},{k}" for k, name in enumerate(cells))]))
        read = Dataset.from_csv
    else:
        pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        import pyarrow.parquet as pq

        first = 2**63 + 5 if ids == "large" else -3
        cells = [f"row {k}" if ids == "texts" else first + k for k in range(n)]
        pq.write_table(pa.table({"name": np.array(cells), "a": np.arange(n)}), path)
        read = Dataset.from_parquet
    data, plain = read(path, id="name", memory_limit=1_000), read(path, id="name")
    assert isinstance(data.ids, StoredTexts | np.memmap)
    assert type(plain.ids) is np.ndarray
    assert data.ids.tolist() == plain.ids.tolist() == cells
    part = data[4_990:10:-3]
    assert part.ids.tolist() == cells[4_990:10:-3]
    assert type(part.ids) is np.ndarray
    index = np.random.default_rng(0).permutation(n)[:100]
    assert data.rows(index).ids.tolist() == [cells[k] for k in index]
    again = Dataset(np.zeros((n, 1)), ids=data.ids)
    assert again.rows([7]).ids.tolist() == [cells[7]]
    with pytest.raises(ValueError, match=r"ids has shape \(5000,\): expected \(1,\)"):
        Dataset(np.zeros((1, 1)), ids=data.ids)
    assert len(files(tmp_path)) > 1


def test_rows_that_are_left_after_dropping_stay_stored(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("\n".join(["name,a", *(f"row {k},{k if k % 3 else ''}" for k in range(900))]))
    data = Dataset.from_csv(path, id="name", missing="keep", memory_limit=1_000).drop_missing()
    assert type(data.features).__name__ == "StoredRows"
    assert data.ids[:2].tolist() == ["row 1", "row 2"]
    assert len(data) == 600
