"""Chosen rows of stored data stay stored if they are too large for memory, and train a network."""

import copy
import pickle

import numpy as np
import pytest

from tests.test_stored import Sliced, memory_map, parameters, small_chunks, small_network
from xpnet import Dataset, DenseLayer, NeuralNetwork, Normalization, train_test_split
from xpnet.backends import Memory
from xpnet.backends._numpy import NumpyBackend
from xpnet.data.features import DenseRows, StoredRows
from xpnet.data.selected import Selected
from xpnet.data.stored import is_stored, read_rows
from xpnet.inspection import inspect
from xpnet.plots import plot_layer_outputs

N, K = 300, 4


def samples(dtype="f4"):
    """Return features whose rows are all different, sorted by label, as files often are."""
    X = np.random.default_rng(0).integers(-50, 50, (N, K)).astype(dtype)
    X[:, 0] = np.arange(N) % 128
    return X, np.repeat([0.0, 1.0, 2.0], N // 3).astype(np.float32)


def hdf5(X, folder):
    file = pytest.importorskip("h5py").File(folder / "x.h5", "w")
    return file.create_dataset("X", data=X, chunks=(7, X.shape[1]), compression="gzip")


def zarr(X, folder):
    array = pytest.importorskip("zarr").create_array(
        folder / "x.zarr", shape=X.shape, chunks=(7, X.shape[1]), dtype=X.dtype
    )
    array[:] = X
    return array


STORED = {
    "memory map": memory_map,
    "big-endian map": lambda X, folder: memory_map(X.astype(X.dtype.newbyteorder(">")), folder),
    "HDF5": hdf5,
    "Zarr": zarr,
    "slices": lambda X, folder: Sliced(X),
}


@pytest.fixture(params=STORED)
def stored(request, tmp_path):
    """Make the same numbers stored in each way."""
    return lambda X: STORED[request.param](X, tmp_path)


@pytest.fixture
def little_memory(monkeypatch):
    """Have so little free memory that a selection of 5 rows or more stays stored."""
    memory = Memory(free=10 * 4 * K * 4, total=1 << 40)
    monkeypatch.setattr(NumpyBackend, "memory", lambda self: memory)
    return monkeypatch


# ---- what stays stored


def test_a_selection_stays_stored_if_it_takes_much_of_the_free_memory(stored, little_memory):
    X, y = samples()
    data = Dataset(stored(X), y, sample_weight=y + 1, ids=np.arange(N))
    index = np.array([250, 3, 3, 0, 299, 120])
    few, many = data.rows(index[:4]), data.rows(index)
    assert (type(few.features), type(many.features)) == (DenseRows, StoredRows)
    assert is_stored(many.X)
    assert (
        repr(many)
        == "Dataset(6 samples, 4 features of float32 stored, labels of float32, weights, ids)"
    )
    for part, places in ((few, index[:4]), (many, index)):
        assert part.shape == (len(places), K)
        np.testing.assert_array_equal(part.X, X[places])
        np.testing.assert_array_equal(part.y, y[places])
        np.testing.assert_array_equal(part.sample_weight, y[places] + 1)
        np.testing.assert_array_equal(part.ids, places)


def test_with_enough_memory_it_is_read(stored):
    X, y = samples()
    assert type(Dataset(stored(X), y).rows(np.arange(N)).features) is DenseRows


def test_where_the_memory_is_not_known_it_is_read(monkeypatch, stored):
    monkeypatch.setattr(NumpyBackend, "memory", lambda self: None)
    assert type(Dataset(stored(samples()[0])).rows(np.arange(N)).features) is DenseRows


def test_a_selection_of_a_selection_reads_the_data_themselves(stored, little_memory):
    X, _ = samples()
    first = Dataset(stored(X)).rows(np.arange(0, N, 2)[::-1])
    second = first.rows(np.arange(100))
    assert second.X.stored is first.X.stored
    assert not isinstance(second.X.stored, Selected)
    np.testing.assert_array_equal(second.X, X[::2][::-1][:100])


def test_slices_of_a_selection(stored):
    X, _ = samples()
    index = np.array([200, 3, 3, 150, 0, 299])
    chosen, expected = Selected(stored(X), index), X[index]
    assert (chosen.shape, chosen.dtype, chosen.ndim, len(chosen)) == ((6, K), "f4", 2, 6)
    for key in (np.s_[:], np.s_[2:4], np.s_[::-2], np.s_[4:1], 3, np.s_[1:3, 2], np.s_[2, 1],
                np.s_[:, [0, 3]], np.array([5, 0]), ..., np.arange(6) > 3):  # fmt: skip
        np.testing.assert_array_equal(chosen[key], expected[key], strict=True)
        assert not isinstance(chosen[key], np.memmap)
    np.testing.assert_array_equal(np.asarray(chosen, "f8"), expected)
    with pytest.raises(ValueError, match="so copy=False is impossible"):
        np.asarray(chosen, copy=False)
    for key in (6, np.array([0, 6]), np.array([[0]])):
        with pytest.raises(IndexError):
            chosen[key]
    assert repr(chosen) == "Selected(6 of 300 stored rows, float32)"


def test_a_selection_of_a_memory_map_can_be_pickled(tmp_path):
    X, _ = samples()
    chosen = pickle.loads(pickle.dumps(Selected(memory_map(X, tmp_path), np.array([5, 2]))))
    np.testing.assert_array_equal(chosen[:], X[[5, 2]])


# ---- splitting


@pytest.mark.parametrize("stratify", [False, True])
def test_a_split_has_the_same_samples_whether_it_fits_in_memory_or_not(
    stratify, stored, monkeypatch
):
    X, y = samples()
    ids = np.arange(N)
    in_memory = train_test_split(
        Dataset(X, y, ids=ids), test_size=0.3, stratify=stratify, random_state=3
    )
    data = Dataset(stored(X), y, ids=ids)
    read = train_test_split(data, test_size=0.3, stratify=stratify, random_state=3)
    monkeypatch.setattr("xpnet.data.features.fits_in_memory", lambda n_bytes: False)
    kept = train_test_split(data, test_size=0.3, stratify=stratify, random_state=3)
    for whole, now, later in zip(in_memory, read, kept, strict=True):
        assert (type(now.features), type(later.features)) == (DenseRows, StoredRows)
        order = np.sort(whole.ids)
        for part in (now, later):
            np.testing.assert_array_equal(part.ids, order)
            np.testing.assert_array_equal(part.X, X[order])
            np.testing.assert_array_equal(part.y, y[order])


@pytest.mark.parametrize("limit", [None, 1 << 40])
def test_a_split_that_stays_stored_trains_the_network_of_one_that_was_read(
    limit, stored, monkeypatch
):
    """With shuffle=False the streamed samples come in the same order as those in memory."""
    X, y = samples()
    data = Dataset(stored(X), y)
    nets, parts = [], []
    for fits in (True, False):
        monkeypatch.setattr("xpnet.data.features.fits_in_memory", lambda n_bytes, fits=fits: fits)
        train, test = train_test_split(data, test_size=0.3, stratify=True, random_state=3)
        net = small_network(K, shuffle=False, memory_limit=None if fits else limit)
        with small_chunks():
            net.fit(train, validation=test)
        nets.append(net)
        parts.append((train, test))
    (expected, net), (_, (_, test)) = nets, parts
    assert (net.last_plan.chunk is None) == (limit is None)
    assert isinstance(test.X, Selected)
    np.testing.assert_array_equal(parameters(net), parameters(expected))
    np.testing.assert_array_equal(net.predict(test), expected.predict(parts[0][1]))
    assert net.score(test) == expected.score(parts[0][1])


def test_a_split_larger_than_memory_is_streamed_and_learns(stored, monkeypatch):
    X, y = samples()
    # A selection may take 500 bytes, where the smallest part takes 1,440.
    monkeypatch.setattr("xpnet.data.selected._FRACTION", 500 / (1 << 30))
    monkeypatch.setattr(NumpyBackend, "memory", lambda self: Memory(1 << 30, 1 << 40))
    train, test = train_test_split(
        Dataset(stored(X), y), test_size=0.3, stratify=True, random_state=3
    )
    assert isinstance(train.X, Selected)
    assert isinstance(test.X, Selected)
    net = small_network(K, epochs=30, learning_rate=0.01, memory_limit=1 << 30)
    with small_chunks(3 * 16 * K * 4):
        net.fit(train, validation=test)
    assert net.last_plan.chunk < len(train)
    assert net.history["loss"][-1] < 0.5 * net.history["loss"][0]
    assert net.predict(test).shape == (90, 1)
    output = net.predict(X[test.X.index])[:, 0]
    assert net.score(test) == pytest.approx(np.mean(abs(output - test.y)), rel=1e-6)


def test_a_shuffled_epoch_mixes_all_of_a_selection(monkeypatch, tmp_path):
    """Each batch of a stream over data sorted by label has samples of each label."""
    X, y = samples()
    X[:, 0] = y
    monkeypatch.setattr("xpnet.data.features.fits_in_memory", lambda n_bytes: False)
    train, _ = train_test_split(Dataset(memory_map(X, tmp_path), y), test_size=0.2, random_state=0)
    seen = []

    class Recorded(Normalization):
        def forward_propagation(self, input, training=True):
            if training:
                seen.append(np.array(input[:, 0]))
            return super().forward_propagation(input, training)

    net = NeuralNetwork(epochs=1, batch_size=60, memory_limit=1 << 40, seed=0)
    net.add(Recorded(input_shape=(K,))).add(DenseLayer(1))
    with small_chunks(2 * 60 * K * 4):
        net.fit(train)
    assert net.last_plan.chunk < len(train)
    assert np.array_equal(np.sort(np.concatenate(seen)), np.sort(train.y))
    for batch in seen:
        assert set(batch) == {0.0, 1.0, 2.0}


# ---- everything else that takes rows of a data set


def test_adapt_inspect_and_plots_take_a_selection(monkeypatch, stored):
    X, y = samples()
    monkeypatch.setattr("xpnet.data.features.fits_in_memory", lambda n_bytes: False)
    data = Dataset(stored(X), y).rows(np.arange(0, N, 2))
    assert isinstance(data.X, Selected)
    layer = Normalization.adapt(data)
    np.testing.assert_allclose(layer.mean, X[::2].mean(axis=0, dtype=np.float64))
    net = small_network(K).fit((X, y))
    assert inspect(net, data).loss == inspect(net, (X[::2], y[::2])).loss
    pytest.importorskip("matplotlib")
    drawn = [plot_layer_outputs(net, each) for each in (data.X, X[::2])]
    heights = [[patch.get_data().values for patch in ax.patches] for ax in drawn]
    for got, expected in zip(*heights, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_plot_shows_all_rows_of_a_selection_larger_than_a_batch(monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    X = np.random.default_rng(0).standard_normal((3000, K)).astype("f4")
    X[2000:] += 100
    monkeypatch.setattr("xpnet.data.features.fits_in_memory", lambda n_bytes: False)
    chosen = Dataset(memory_map(X, tmp_path)).rows(np.arange(3000)).X
    net = small_network(K).fit((X[:100], X[:100, 0]))
    got, expected = plot_layer_outputs(net, chosen), plot_layer_outputs(net, X)
    assert len(got.patches) == 3
    for one, other in zip(got.patches, expected.patches, strict=True):
        np.testing.assert_array_equal(one.get_data().values, other.get_data().values)


def test_a_selection_with_a_number_that_is_not_finite_is_refused_in_training(stored, monkeypatch):
    X, y = samples()
    X[4, 2] = np.nan
    monkeypatch.setattr("xpnet.data.features.fits_in_memory", lambda n_bytes: False)
    data = Dataset(stored(X), y).rows(np.arange(2, 200))
    with pytest.raises(ValueError, match="in row 2, column 2"):
        small_network(K).fit(data)


# ---- reading in few and small pieces


def test_rows_are_read_in_pieces_of_about_a_megabyte():
    class Counting(Sliced):
        largest = total = 0

        def __getitem__(self, rows):
            Counting.largest = max(Counting.largest, rows.stop - rows.start)
            Counting.total += rows.stop - rows.start
            return super().__getitem__(rows)

    X = np.zeros((200_000, 16))  # 8,192 rows are 1 MiB
    X[:, 0] = np.arange(len(X))
    index = np.arange(0, len(X), 50)
    np.testing.assert_array_equal(read_rows(Counting(X), index), X[index])
    assert Counting.largest <= 8192
    assert Counting.total <= len(X)


def test_each_chunk_of_a_file_is_decoded_once():
    class Chunked(Sliced):
        chunks = (10_000, 16)
        decoded = ()

        def __getitem__(self, rows):
            chunks = range(rows.start // 10_000, (rows.stop - 1) // 10_000 + 1)
            self.decoded = (*self.decoded, *chunks)
            return super().__getitem__(rows)

    X = np.zeros((60_000, 16))
    X[:, 0] = np.arange(len(X))
    index = np.random.default_rng(0).permutation(len(X))[:300]
    data = Chunked(X)
    np.testing.assert_array_equal(read_rows(data, index), X[index])
    assert data.decoded == tuple(range(6))
    assert Selected(data, index).chunks == (50,)
    assert Selected(Sliced(X), index).chunks == (1,)


def test_a_file_that_has_become_shorter_is_an_error(monkeypatch, tmp_path):
    X, y = samples()
    mapped = memory_map(np.tile(X, (100, 1)), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("xpnet.data.features.fits_in_memory", lambda n_bytes: False)
        data = Dataset(mapped, np.tile(y, 100)).rows(np.arange(0, 30_000, 2))
    with open(mapped.filename, "r+b") as file:
        file.truncate(4096)
    net = small_network(K)
    for call in (lambda: data.X[:], lambda: data.rows([14_999]), lambda: net.fit(data)):
        with pytest.raises(OSError, match=r"has become shorter: \d+ bytes are missing"):
            call()


def test_a_pickled_selection_has_the_chosen_rows_alone(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(40_000.0).reshape(-1, 4))
    chosen = Selected(np.load(tmp_path / "x.npy", mmap_mode="r"), np.array([3, 1, 9_999]))
    content = pickle.dumps(chosen)
    assert len(content) < 1000
    assert pickle.loads(content).tolist() == chosen[:].tolist()
    assert copy.deepcopy(chosen) is chosen
