"""Parquet files are read in pieces: reading takes little memory besides the numbers."""

import subprocess
import sys

import numpy as np
import pytest

from xpnet import Dataset
from xpnet.data.tables.typed import streams

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ENGINES = ("pyarrow", "polars")
_POOLS = []


def write(path, n, n_columns, **options):
    """Write a table of float64 with a label."""
    rng = np.random.default_rng(0)
    columns = {f"c{k}": rng.normal(size=n).round(2) for k in range(n_columns)}
    pq.write_table(pa.table(columns | {"y": rng.integers(0, 2, n)}), path, **options)


@pytest.fixture
def counted():
    """A function that returns a memory pool, which counts what pyarrow takes from then on."""
    before = pa.default_memory_pool()

    def start():
        _POOLS.append(pa.proxy_memory_pool(before))  # a pool must outlive its arrays
        pa.set_memory_pool(_POOLS[-1])
        return _POOLS[-1]

    yield start
    pa.set_memory_pool(before)


@pytest.mark.parametrize("n_columns", [2, 20, 100])
@pytest.mark.parametrize("n_groups", [1, 8])
def test_pyarrow_holds_a_small_part_of_the_rows_at_a_time(tmp_path, counted, n_columns, n_groups):
    n = 4_000_000 // n_columns
    path = tmp_path / "t.parquet"
    # Of small pages, since pyarrow holds at least one of each column.
    write(path, n, n_columns, row_group_size=n // n_groups, data_page_size=1 << 12,
          use_dictionary=False)  # fmt: skip
    pool = counted()
    data = Dataset.from_parquet(path, engine="pyarrow", exclude=["y"])  # labels stay in the pool
    assert data.X.shape == (n, n_columns)
    assert 1_000_000 < pool.max_memory() < data.X.nbytes / 2


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n_columns", [1, 7, 60])
def test_pieces_have_about_as_many_numbers_whatever_the_number_of_columns(
    tmp_path, monkeypatch, engine, n_columns
):
    pytest.importorskip(engine)
    name = "_NUMBERS" if engine == "pyarrow" else "_POLARS_NUMBERS"
    least = "_MIN_ROWS" if engine == "pyarrow" else "_POLARS_MIN_ROWS"
    monkeypatch.setattr(streams, name, 2100)
    monkeypatch.setattr(streams, least, 40)
    sizes, inner = [], streams.read_batches

    def read_batches(first, batches, *arguments, **options):
        def counted():
            for batch in batches:
                sizes.append(len(batch))
                yield batch

        return inner(first, counted(), *arguments, **options)

    monkeypatch.setattr(streams, "read_batches", read_batches)
    path = tmp_path / "t.parquet"
    write(path, 1000, n_columns)
    Dataset.from_parquet(path, engine=engine, exclude=["y"])
    assert sum(sizes) == 1000
    assert max(sizes) == min(max(2100 // n_columns, 40), 1000)


_PEAK = """
import sys
from xpnet import Dataset

def peak():
    with open("/proc/self/status") as lines:
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

small, large, engine = sys.argv[1:]
Dataset.from_parquet(small, "y", engine=engine)
before = peak()
data = Dataset.from_parquet(large, "y", engine=engine)
print((peak() - before) / data.X.nbytes)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize("engine", ENGINES)
def test_the_peak_of_a_process_is_below_2_5_times_the_numbers(tmp_path, engine):
    pytest.importorskip(engine)
    small, large = tmp_path / "small.parquet", tmp_path / "large.parquet"
    write(small, 200, 12)
    write(large, 600_000, 12)
    command = [sys.executable, "-c", _PEAK, str(small), str(large), engine]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 2.5
