"""Stored samples of several dimensions train as the rows of the same array in memory."""

import copy
import pickle

import numpy as np
import pytest

from tests.test_stored import STREAMED, Sliced, labels, parameters, small_chunks, small_network
from xpnet import Dataset, Normalization, train_test_split
from xpnet.data.features import DenseRows, StoredRows
from xpnet.data.flattened import Flattened
from xpnet.data.stored import read_rows

N, SHAPE = 190, (4, 3)


def images(shape=SHAPE, dtype="f4"):
    values = np.random.default_rng(0).integers(0, 100, (N, *shape))
    return values.astype(dtype)


def hdf5(X, folder):
    file = pytest.importorskip("h5py").File(folder / "x.h5", "w")
    return file.create_dataset(
        "X", data=X, chunks=(7, *X.shape[1:-1], min(2, X.shape[-1])), compression="gzip"
    )


def zarr(X, folder):
    array = pytest.importorskip("zarr").create_array(
        folder / "x.zarr",
        shape=X.shape,
        chunks=(7, *X.shape[1:-1], min(2, X.shape[-1])),
        dtype=X.dtype,
    )
    array[:] = X
    return array


def dask(X, folder):
    return pytest.importorskip("dask.array").from_array(
        X, chunks=(7, *X.shape[1:-1], min(2, X.shape[-1]))
    )


def memory_map(X, folder, order="C"):
    mapped = np.memmap(folder / "x.dat", X.dtype, "w+", 0, X.shape, order)
    mapped[:] = X
    mapped.flush()
    return np.memmap(folder / "x.dat", X.dtype, "r", 0, X.shape, order)


STORED = {
    "HDF5": hdf5,
    "Zarr": zarr,
    "Dask": dask,
    "slices": lambda X, folder: Sliced(X),
    "memory map": memory_map,
    "memory map in Fortran order": lambda X, folder: memory_map(X, folder, "F"),
    "every second of a map": lambda X, folder: memory_map(np.repeat(X, 2, axis=0), folder)[::2],
    "part of each image of a map": lambda X, folder: memory_map(np.repeat(X, 2, axis=1), folder)[
        :, ::2
    ],
}


@pytest.fixture(params=STORED)
def stored(request, tmp_path):
    """Make the same numbers stored in each way."""
    return lambda X: STORED[request.param](X, tmp_path)


@pytest.mark.parametrize("limit", [None, STREAMED])
@pytest.mark.parametrize("dtype", ["f4", ">f8", "u1"])
@pytest.mark.parametrize("kernels", ["formulas", "compiled"])
def test_stored_images_train_as_those_in_memory(stored, dtype, limit, kernels):
    X, y = images(dtype=dtype), labels(N)
    data = stored(X)
    rows = X.reshape(N, -1).astype(X.dtype.newbyteorder("="))
    shuffle = {"shuffle": limit is None}
    with small_chunks(16 * rows[0].nbytes * 3, kernels=kernels):
        net = small_network(rows.shape[1], memory_limit=limit, **shuffle)
        net.fit((data, y), validation=(data, y))
        expected = small_network(rows.shape[1], **shuffle).fit((rows, y), validation=(rows, y))
    assert (net.last_plan.chunk is None) == (limit is None)
    np.testing.assert_array_equal(parameters(net), parameters(expected))
    assert net.history["val_loss"] == pytest.approx(expected.history["val_loss"], rel=1e-6)
    np.testing.assert_array_equal(net.predict(data), expected.predict(rows))
    np.testing.assert_array_equal(net.predict(Dataset(data)), expected.predict(X))
    assert net.evaluate((data, y)) == expected.evaluate((rows, y))
    assert net.score((data, y)) == expected.score((rows, y))


def test_images_stay_stored(stored):
    X = images()
    data = Dataset(stored(X), labels(N))
    assert isinstance(data.features, StoredRows)
    assert (data.features.shape, data.X.dtype) == ((N, 12), X.dtype)
    chosen = data.rows([80, 3, 3, 0, 189])
    assert isinstance(chosen.features, DenseRows)
    np.testing.assert_array_equal(chosen.X, X.reshape(N, -1)[[80, 3, 3, 0, 189]])


@pytest.mark.parametrize("shape", [(1, 4, 3), (12, 1), (1, 1, 1), (2, 2, 3)])
def test_images_of_any_shape_become_rows_in_c_order(stored, shape):
    X = images(shape)
    data = Dataset(stored(X))
    np.testing.assert_array_equal(data.features.read().X, X.reshape(N, -1))


def test_a_split_and_a_normalization_take_stored_images(stored):
    X, y = images(), labels(N)
    data = stored(X)
    parts = train_test_split(Dataset(data, y), random_state=0)
    expected = train_test_split(Dataset(X, y), random_state=0)
    for part, same in zip(parts, expected, strict=True):
        order, other = (np.lexsort(np.asarray(each.X).T) for each in (part, same))
        np.testing.assert_array_equal(part.X[order], same.X[other])  # a file is read in its order
        np.testing.assert_array_equal(part.y[order], same.y[other])
    found, other = Normalization.adapt(data), Normalization.adapt(X)
    np.testing.assert_allclose(found.mean, other.mean, rtol=1e-6)


def test_images_without_pixels_are_refused_and_none_at_all_are_predicted(tmp_path):
    with pytest.raises(ValueError, match=r"X has shape \(190, 0, 3\)"):
        Dataset(Sliced(np.zeros((N, 0, 3), "f4")))
    net = small_network(12).fit((images(), labels(N)))
    assert net.predict(Sliced(images()[:0])).shape == (0, 1)
    assert net.predict(hdf5(images()[:7], tmp_path)[:0]).shape == (0, 1)


def test_a_view_of_stored_samples_as_rows(tmp_path):
    X = images()
    rows, data = X.reshape(N, -1), Flattened(hdf5(X, tmp_path))
    assert (len(data), data.shape, data.ndim, data.chunks) == (N, (N, 12), 2, (7,))
    np.testing.assert_array_equal(data, rows)
    np.testing.assert_array_equal(data[5:50:3, 2:4], rows[5:50:3, 2:4])
    np.testing.assert_array_equal(data[-1], rows[-1])
    assert data[3, 5] == rows[3, 5]
    np.testing.assert_array_equal(data[[7, 2, 2]], rows[[7, 2, 2]])
    np.testing.assert_array_equal(read_rows(data, np.array([189, 0])), rows[[189, 0]])
    wide = np.zeros((10, 24), X.dtype)
    data.read_direct(wide[:, ::2], slice(20, 30))
    np.testing.assert_array_equal(wide[:, ::2], rows[20:30])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data)), rows)
    assert copy.deepcopy(data) is data
    assert repr(data).startswith("Flattened(<HDF5 dataset")
    with pytest.raises(ValueError, match="so copy=False is impossible"):
        np.asarray(data, copy=False)


def test_a_memory_map_stays_one_where_its_layout_allows(tmp_path):
    X = images()
    assert isinstance(Dataset(memory_map(X, tmp_path)).X, np.memmap)
    assert isinstance(Dataset(memory_map(X, tmp_path)[::2]).X, np.memmap)
    assert isinstance(Dataset(memory_map(X, tmp_path, "F")).X, Flattened)


@pytest.mark.parametrize(
    "rows",
    [slice(1, None, 2), slice(None, None, -1), -1, [3, 0, -2], np.arange(6) % 2 == 0],
    ids=["step", "backwards", "negative", "list", "mask"],
)
def test_rows_are_chosen_as_in_numpy(rows):
    stored = np.arange(24.0).reshape(6, 2, 2)
    np.testing.assert_array_equal(Flattened(stored)[rows], stored.reshape(6, 4)[rows])
    with pytest.raises(IndexError):
        Flattened(stored)[6]
