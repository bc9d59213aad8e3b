"""Stored features of every byte order, type and layout train the same network as an array."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xpnet import Callback, Dataset, DenseLayer, NeuralNetwork, TanhActivation
from xpnet.backends import Memory, to_host
from xpnet.backends._numpy import NumpyBackend
from xpnet.data.chunks import chunk_sizes, mixed_chunks, rows_of
from xpnet.data.stored import is_stored, read_all, read_rows

N, K = 190, 4

STREAMED = 1 << 40
"""A limit that everything fits into; with any limit, stored data are streamed."""

TYPES = ["b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]
MODES = ["r", "r+", "c", "w+"]

LAYOUTS = {
    "whole": lambda X: X,
    "rows": lambda X: X[7:-3],
    "reversed": lambda X: X[::-1],
    "every second": lambda X: X[::2],
    "every tenth": lambda X: X[::10],
    "columns": lambda X: X[:, 1:3],
    "columns reversed": lambda X: X[:, ::-1],
    "one column": lambda X: X[:, 2:3],
    "transposed twice": lambda X: X.T[1:3].T,
}


def numbers(dtype, n=N):
    values = np.random.default_rng(0).integers(0, 100, (n, K))
    if np.dtype(dtype).kind in "if":
        values -= 50
    values[:1] = values[-1:] = 0  # which are the same bytes in either order
    return (values % 2 if np.dtype(dtype).kind == "b" else values).astype(dtype)


def labels(n):
    return np.random.default_rng(1).integers(0, 2, n).astype(np.float32)


def memory_map(X, folder, mode="r", order="C", offset=0):
    """Return numbers as a memory map that begins at ``offset`` in its file."""
    path = folder / f"x{len(list(folder.iterdir()))}.bin"
    path.write_bytes(b"\0" * (offset + X.nbytes))
    if mode == "w+":
        mapped = np.memmap(path, X.dtype, mode, offset, X.shape, order)
    else:
        np.memmap(path, X.dtype, "r+", offset, X.shape, order)[:] = X
        mapped = np.memmap(path, X.dtype, mode, offset, X.shape, order)
    if mode in ("w+", "c"):
        mapped[:] = X
    return mapped


def hdf5(X, folder, chunks):
    h5py = pytest.importorskip("h5py")
    file = h5py.File(folder / "x.h5", "w")
    return file.create_dataset("X", data=X, chunks=chunks, compression=chunks and "gzip")


def zarr(X, folder, chunks):
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(folder / "x.zarr", shape=X.shape, chunks=chunks, dtype=X.dtype)
    array[:] = X
    return array


class Sliced:
    """The minimum that can be streamed: a shape, a type, and slices of rows."""

    def __init__(self, X, dtype=None):
        self._X, self.shape, self.dtype, self.rows_read = X, X.shape, dtype or X.dtype, 0

    def __getitem__(self, rows):
        part = self._X[rows]
        self.rows_read += len(part)
        return part


def small_network(n_features, **arguments):
    arguments = {"epochs": 2, "batch_size": 16, "metric": "mae", "learning_rate": 1e-3} | arguments
    net = NeuralNetwork(seed=0, **arguments)
    net.add(DenseLayer(5, input_shape=(n_features,), initializer="glorot_normal"))
    return net.add(TanhActivation()).add(DenseLayer(1))


def parameters(net):
    return to_host(net.parameters.copy())


@contextlib.contextmanager
def small_chunks(size=2 * 16 * K * 2, kernels="formulas") -> Iterator[None]:
    """Stream in several chunks, and take the steps that take arrays of any layout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xpnet.training.memory.CHUNK_BYTES", size)
        patch.setattr("xpnet.training.memory.DECODED_BLOCKS", 1)
        patch.setenv("XPNET_STEPS", kernels)
        yield


def assert_same_network(data, array, limit, **arguments):
    """Compare fit, predict and score on stored data with those on the same numbers in memory."""
    y = labels(len(array))
    net = small_network(array.shape[1], memory_limit=limit, **arguments)
    net.fit((data, y), validation=(data, y))
    assert (net.last_plan.chunk is None) == (limit is None)
    expected = small_network(array.shape[1], **arguments).fit((array, y), validation=(array, y))
    np.testing.assert_array_equal(parameters(net), parameters(expected))
    for column in net.history.keys() - {"seconds"}:
        # Metrics are summed over the samples of a chunk, and rounded then.
        assert net.history[column] == pytest.approx(expected.history[column], rel=1e-6)
    np.testing.assert_array_equal(to_host(net.predict(data)), to_host(expected.predict(array)))
    assert net.score((data, y)) == expected.score((array, y))


# ---- every kind of stored data


@st.composite
def stored_kinds(draw):
    """Draw a way to store numbers: its name, and a function of the numbers and a folder."""
    kind = draw(st.sampled_from(["memmap", "memmap", "memmap", "hdf5", "zarr", "sliced", "array"]))
    if kind == "memmap":
        mode, order = draw(st.sampled_from(MODES)), draw(st.sampled_from("CF"))
        offset = draw(st.sampled_from([0, 3, 128]))
        layout = draw(st.just("whole") | st.sampled_from(sorted(LAYOUTS)))
        return f"memmap {mode} {order} {offset} {layout}", lambda X, folder: LAYOUTS[layout](
            memory_map(X, folder, mode, order, offset)
        )
    if kind == "hdf5":
        chunks = draw(st.sampled_from([None, (7, 3), (32, K)]))
        return f"hdf5 {chunks}", lambda X, folder: hdf5(X, folder, chunks)
    if kind == "zarr":
        return "zarr", lambda X, folder: zarr(X, folder, (10, K))
    if kind == "array":
        layout = draw(st.sampled_from(sorted(LAYOUTS)))
        return f"array {layout}", lambda X, folder: LAYOUTS[layout](X)
    return "sliced", lambda X, folder: Sliced(X)


def in_memory(data):
    """Return the same numbers as an array in native byte order."""
    values = np.asarray(data._X if isinstance(data, Sliced) else data[:])
    return np.array(values, values.dtype.newbyteorder("="), order="C")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    store=stored_kinds(),
    order=st.sampled_from("<>"),
    dtype=st.sampled_from(TYPES),
    limit=st.sampled_from([None, STREAMED]),
)
def test_stored_numbers_train_as_the_array_of_them(store, order, dtype, limit):
    with TemporaryDirectory() as folder, small_chunks():
        data = store[1](numbers(order + dtype), Path(folder))
        array = in_memory(data)
        assert is_stored(data) == (not store[0].startswith("array"))
        if not is_stored(data):
            limit = None
        assert_same_network(data, array, limit, shuffle=limit is None)
        if hasattr(data, "file"):
            data.file.close()


@pytest.mark.parametrize("limit", [None, STREAMED])
@pytest.mark.parametrize("dtype", TYPES)
def test_big_endian_memory_maps_train_as_the_array_of_them(dtype, limit, tmp_path):
    X = numbers(f">{dtype}")
    with small_chunks():
        data = memory_map(X, tmp_path)
        assert_same_network(data, in_memory(X), limit, shuffle=limit is None)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    store=stored_kinds(),
    order=st.sampled_from("<>"),
    dtype=st.sampled_from(TYPES),
    index=st.lists(st.integers(0, 18), max_size=8),
)
def test_stored_numbers_are_read_as_they_are(store, order, dtype, index):
    with TemporaryDirectory() as folder:
        data = store[1](numbers(order + dtype), Path(folder))
        array, index = in_memory(data), np.array(index, int)
        if is_stored(data):
            assert read_all(data).dtype == array.dtype
            np.testing.assert_array_equal(read_all(data), array)
            np.testing.assert_array_equal(read_rows(data, index), array[index])
        if hasattr(data, "file"):
            data.file.close()


@pytest.mark.parametrize("limit", [None, STREAMED])
@pytest.mark.parametrize("dtype", [">u2", ">f4", ">f8", "<i8"])
@pytest.mark.parametrize("kind", ["memmap", "hdf5", "zarr", "sliced"])
def test_compiled_steps_take_stored_numbers_too(kind, dtype, limit, tmp_path):
    X = numbers(dtype, 600)
    make = {
        "memmap": memory_map,
        "hdf5": lambda X, folder: hdf5(X, folder, (20, K)),
        "zarr": lambda X, folder: zarr(X, folder, (20, K)),
        "sliced": lambda X, folder: Sliced(X),
    }[kind]
    with small_chunks(128 * K * X.itemsize, kernels="compiled"):
        assert_same_network(make(X, tmp_path), in_memory(X), limit, shuffle=limit is None)


@pytest.mark.parametrize("dtype", [">u2", ">f4", ">f8", "<i8"])
def test_compiled_steps_take_arrays_of_other_byte_orders(dtype):
    X = numbers(dtype, 600)
    with small_chunks(kernels="compiled"):
        assert_same_network(X, in_memory(X), None)


def test_no_rows_at_all_are_predicted(tmp_path):
    net = small_network(K).fit((numbers("f4"), labels(N)))
    for data in (hdf5(numbers(">f4", 0), tmp_path, None), Sliced(numbers(">f4", 0))):
        assert net.predict(data).shape == (0, 1)


@pytest.mark.parametrize("limit", [None, STREAMED])
@pytest.mark.parametrize("dtype", [">u1", ">i2", ">i4", ">f4", ">f8"])
def test_other_libraries_take_stored_numbers_too(dtype, limit, backend, tmp_path):
    X = numbers(dtype)
    place = {"device": backend.device_name, "backend": backend.name}
    if backend.name == "array-api-strict":
        place["device"] = "cpu"
    with small_chunks():
        assert_same_network(
            memory_map(X, tmp_path), in_memory(X), limit, shuffle=limit is None, **place
        )


@pytest.mark.parametrize("dtype", TYPES)
def test_a_data_set_of_a_file_gives_rows_in_native_byte_order(dtype, tmp_path):
    X = numbers(f">{dtype}")
    index = np.array([80, 3, 3, 0, 189])
    for data in (memory_map(X, tmp_path), hdf5(X, tmp_path, (7, 3)), Sliced(X)):
        rows = Dataset(data, data[:, 0] if not isinstance(data, Sliced) else X[:, 0]).rows(index)
        assert rows.X.dtype.isnative
        np.testing.assert_array_equal(rows.X, X[index])
        np.testing.assert_array_equal(rows.y, X[index, 0])


def test_integers_that_the_type_of_the_data_does_not_hold_are_refused():
    X = numbers("i4") + 300
    for limit in (None, STREAMED):
        net = small_network(K, memory_limit=limit)
        with pytest.raises(ValueError, match=r"type int32 that do not fit in X\.dtype, uint8"):
            net.fit((Sliced(X, np.dtype("u1")), labels(N)))


# ---- memory maps that are in memory


@pytest.mark.parametrize(
    "make",
    [
        lambda M: M.astype("f8"),
        lambda M: M.copy(),
        lambda M: M[np.arange(N) % 2 == 0],
        lambda M: M[[5, 3, 60, *range(20)]],
        lambda M: M + 1,
        lambda M: np.sqrt(abs(M)),
    ],
    ids=["astype", "copy", "mask", "index", "sum", "ufunc"],
)
@pytest.mark.parametrize("order", "<>")
def test_what_is_computed_from_a_memory_map_is_an_array(make, order, tmp_path):
    data = make(memory_map(numbers(f"{order}f4"), tmp_path))
    assert not is_stored(data)
    dataset = Dataset(data)
    assert type(dataset.X) is np.ndarray
    assert "on cpu" in repr(dataset)
    net = small_network(K, memory_limit=STREAMED).fit((data, labels(len(data))))
    assert net.last_plan.chunk is None
    expected = small_network(K).fit((in_memory(data), labels(len(data))))
    np.testing.assert_array_equal(parameters(net), parameters(expected))


# ---- read at once where they fit


@pytest.fixture
def free(monkeypatch):
    """Return a function that sets how many bytes the host has free."""

    def set_free(size):
        answer = None if size is None else Memory(size, size)
        monkeypatch.setattr(NumpyBackend, "memory", lambda self: answer)

    monkeypatch.setenv("XPNET_STEPS", "formulas")  # whose plan is known from the beginning
    return set_free


def reading_counts(n, n_held_out, **arguments):
    """Return the plan of three epochs, and how often training and validation rows were read."""
    X, held_out = (Sliced(numbers("f4", count)) for count in (n, n_held_out))
    net = small_network(K, epochs=3, batch_size=64, **arguments)
    net.fit((X, labels(n)), validation=(held_out, labels(n_held_out)))
    return net.last_plan, X.rows_read / n, held_out.rows_read / n_held_out


def test_data_that_fit_are_read_once(free):
    plan, training, validation = reading_counts(900, 90)
    assert (plan.chunk, training, validation) == (None, 1, 1)
    assert plan.data >= 4 * K * 990
    assert "900 samples)" in str(plan)


def test_data_that_do_not_fit_are_streamed(free):
    needed = reading_counts(20_000, 20_000)[0].total
    for size, expected in (
        (needed / 0.74, (1, 1)),
        (needed / 0.76, (1, 3)),
        (needed * 0.5, (3, 3)),
    ):
        free(int(size))
        plan, training, validation = reading_counts(20_000, 20_000)
        assert (training, validation) == expected
        assert (plan.chunk is None) == (training == 1)


def test_a_limit_streams_what_would_fit():
    plan, training, validation = reading_counts(900, 90, memory_limit=STREAMED)
    assert plan.chunk is not None
    assert (training, validation) == (3, 3)


def test_only_small_data_are_read_at_once_if_the_free_memory_is_unknown(free, monkeypatch):
    free(None)
    assert reading_counts(900, 90)[0].chunk is None
    monkeypatch.setattr("xpnet.training.feeding.training_data._ASSUMED_FREE", 100_000)
    assert reading_counts(20_000, 90)[0].chunk is not None


def test_data_that_are_cast_while_being_read_must_fit_twice(free):
    X, y = numbers("f8", 20_000), labels(20_000)
    needed = small_network(K, batch_size=64).fit((Sliced(X), y), epochs=1).last_plan.total
    for there, fits in ((needed + 2 * X.nbytes, True), (needed + X.nbytes, False)):
        free(int(there / 0.75) + 1000 if fits else int(there))
        net = small_network(K, batch_size=64).fit((Sliced(X), y), epochs=1)
        assert (net.last_plan.chunk is None) == fits


def test_where_reading_at_once_runs_out_of_memory_the_data_are_streamed(monkeypatch):
    def full(X):
        raise MemoryError("none left")

    monkeypatch.setattr("xpnet.data.stored.read_all", full)
    plan, training, validation = reading_counts(900, 90)
    assert plan.chunk is not None
    assert (training, validation) == (3, 3)


def test_a_single_chunk_is_in_the_order_of_an_array(tmp_path):
    data = memory_map(numbers("f4"), tmp_path)
    assert_same_network(data, in_memory(data), STREAMED, shuffle=True)


# ---- a file that becomes shorter


class Truncates(Callback):
    """Makes a file shorter after an epoch."""

    def __init__(self, path):
        self.path = path

    def on_epoch_end(self, net, row):
        with open(self.path, "r+b") as file:
            file.truncate(20_000)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("mode", MODES)
def test_a_file_that_becomes_shorter_raises_an_error_without_ending_the_process(
    mode, order, layout, tmp_path
):
    X, y = numbers(">f4", 20_000), labels(20_000)
    whole = memory_map(X, tmp_path, mode, order)
    data = LAYOUTS[layout](whole)
    y = y[: len(data)]
    net = small_network(data.shape[1], memory_limit=STREAMED, batch_size=512)
    with pytest.raises(OSError, match=r"has become shorter: \d+ bytes are missing"):
        net.fit((data, y), callbacks=Truncates(whole.filename))
    assert net.history.epochs == 1
    for call in (
        lambda: small_network(data.shape[1]).fit((data, y)),
        lambda: net.predict(data),
        lambda: net.score((data, y)),
        lambda: Dataset(data).rows(np.arange(len(data))),
        lambda: Dataset(y, data[:, 0]),
    ):
        with pytest.raises((OSError, ValueError), match=r"has become shorter|give X\.reshape"):
            call()


def test_data_that_were_read_at_once_outlive_their_file(tmp_path):
    data = memory_map(numbers("f4", 20_000), tmp_path)
    net = small_network(K, batch_size=512)
    net.fit((data, labels(20_000)), callbacks=Truncates(data.filename))
    assert net.history.epochs == 2


# ---- what chunks are made of


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    n=st.integers(1, 2000),
    batch=st.integers(1, 70),
    batches=st.integers(1, 40),
    block=st.integers(1, 300),
    seed=st.integers(0, 9),
)
def test_chunks_have_every_row_once_and_whole_batches(n, batch, batches, block, seed):
    sizes = chunk_sizes(n, batch * batches, batch)
    assert sum(sizes) == n
    assert max(sizes) <= batch * batches
    assert all(size % batch == 0 and size > 0 for size in sizes[:-1])
    assert sizes[-1] > max(sizes) - 2 * batch
    chunks = list(mixed_chunks(sizes, block, np.random.default_rng(seed)))
    assert [len(rows_of(ranges)) for ranges in chunks] == sizes
    for ranges in chunks:
        assert (ranges[:, 0] < ranges[:, 1]).all()
        assert (ranges[1:, 0] > ranges[:-1, 1]).all()  # in order, and joined where they touch
    np.testing.assert_array_equal(
        np.sort(np.concatenate([rows_of(ranges) for ranges in chunks])), np.arange(n)
    )


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    n=st.integers(2000, 20_000),
    chunks=st.integers(1, 30),
    blocks=st.integers(16, 64),
    seed=st.integers(0, 9),
)
def test_each_chunk_has_its_share_of_every_part_of_the_data(n, chunks, blocks, seed):
    chunk = -(-n // chunks)
    block = max(chunk // blocks, 1)
    sizes = chunk_sizes(n, chunk, 1)
    for ranges in mixed_chunks(sizes, block, np.random.default_rng(seed)):
        rows = rows_of(ranges)
        shares = np.histogram(rows, np.linspace(0, n, 5))[0]
        assert np.abs(shares - len(rows) / 4).max() <= 6 * block


@pytest.mark.parametrize("block", [1, 7, 64])
def test_the_seed_fixes_chunks_that_differ_between_epochs(block):
    def orders(epoch, **arguments):
        net = small_network(K, **arguments)
        parts = net.orders.chunks(90, epoch, 32, 16, block)
        return [rows_of(ranges)[order].tolist() for ranges, order in parts]

    assert orders(0) == orders(0) != orders(1)
    assert [len(order) for order in orders(0)] == [32, 32, 26]
    in_order = orders(0, shuffle=False)
    assert [row for rows in in_order for row in rows] == list(range(90))
