"""Data that are read while the network trains: stored in files, or larger than a limit."""

import _thread
import gc
import threading
import tracemalloc

import numpy as np
import pytest

from xpnet import Dataset, DenseLayer, NeuralNetwork, ReLUActivation
from xpnet.backends import to_host
from xpnet.data.chunks import rows_of
from xpnet.data.stored import read_rows

N, K = 1030, 12

STREAMED = 1 << 40
"""A limit that everything fits into; with any limit, stored data are streamed."""


def samples(n=N, dtype="float32"):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 200, (n, K)).astype(dtype)
    return X, (X[:, 0] > X[:, 1]).astype(np.int64)


def network(**arguments):
    arguments = {
        "epochs": 3,
        "batch_size": 32,
        "loss": "softmax_cross_entropy",
        "metric": "accuracy",
        "learning_rate": 1e-4,
        "seed": 0,
    } | arguments
    net = NeuralNetwork(**arguments)
    net.add(DenseLayer(16, input_shape=(K,))).add(ReLUActivation())
    return net.add(DenseLayer(2))


def parameters(net):
    return to_host(net.parameters.copy())


def stored(kind, X, folder):
    """Return the same numbers in a file of some kind."""
    if kind == "memmap":
        np.save(folder / "x.npy", X)
        return np.load(folder / "x.npy", mmap_mode="r")
    if kind == "hdf5":
        h5py = pytest.importorskip("h5py")
        h5py.File(folder / "x.h5", "w").create_dataset("X", data=X, chunks=(100, K))
        return h5py.File(folder / "x.h5")["X"]
    if kind == "zarr":
        zarr = pytest.importorskip("zarr")
        array = zarr.create_array(folder / "x.zarr", shape=X.shape, chunks=(100, K), dtype=X.dtype)
        array[:] = X
        return zarr.open_array(folder / "x.zarr", mode="r")
    return Sliced(X)


class Sliced:
    """The least that can be streamed: a shape, a type, and slices of rows."""

    def __init__(self, X):
        self._X, self.shape, self.dtype = X, X.shape, X.dtype
        self.threads = set()

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        self.threads.add(threading.current_thread().name)
        return self._X[rows].tolist()


KINDS = ["memmap", "hdf5", "zarr", "sliced"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "uint8", "float64"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_streamed_is_resident_in_the_same_order(kind, dtype, shuffle, tmp_path, monkeypatch):
    X, y = samples(dtype=dtype)
    data = stored(kind, X, tmp_path)
    monkeypatch.setattr("xpnet.training.memory.CHUNK_BYTES", 200 * K * X.itemsize)
    net = network(shuffle=shuffle, memory_limit=STREAMED).fit((data, y))
    assert net.last_plan.chunk in (192, 224)  # six batches, or seven of a quarter of the file
    expected = network()
    expected.orders.samples = lambda n, epoch: whole_order(net, n, epoch)
    expected.fit((X, y))
    np.testing.assert_array_equal(parameters(net), parameters(expected))
    assert net.history["loss"] == expected.history["loss"]
    assert net.history["accuracy"] == expected.history["accuracy"]
    np.testing.assert_array_equal(net.predict(data), expected.predict(X))
    assert net.score((data, y)) == expected.score((X, y))


def whole_order(net, n, epoch):
    """The places of the samples in the order in which a stream gives them."""
    plan = net.last_plan
    parts = net.orders.chunks(n, epoch, plan.chunk, plan.batch_size, plan.block)
    return np.concatenate([rows_of(ranges)[order] for ranges, order in parts])


def test_ten_epochs_are_four_and_six(tmp_path, monkeypatch):
    X, y = samples()
    data = stored("memmap", X, tmp_path)
    monkeypatch.setattr("xpnet.training.memory.CHUNK_BYTES", 200 * K * 4)
    once = network(epochs=10, memory_limit=STREAMED).fit((data, y))
    twice = network(epochs=10, memory_limit=STREAMED)
    twice.fit((data, y), epochs=4).fit((data, y), epochs=6)
    np.testing.assert_array_equal(parameters(once), parameters(twice))


def test_memory_stays_within_a_limit_of_a_twentieth_of_the_data(tmp_path):
    rng = np.random.default_rng(0)
    n, k = 100_000, 100
    X = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (n, k))
    for start in range(0, n, 10_000):
        X[start : start + 10_000] = rng.standard_normal((10_000, k), dtype=np.float32)
    y = rng.integers(0, 2, n).astype(np.float32)
    net = NeuralNetwork(epochs=2, batch_size=64, seed=0, memory_limit=n * k * 4 // 20)
    net.add(DenseLayer(20, input_shape=(k,))).add(ReLUActivation()).add(DenseLayer(1))
    # What a process keeps after its first such training is not counted: modules, and the answers
    # that abstract classes remember for each of their subclasses, of which the tests make many.
    net.fit((X, y))
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        net.fit((X, y))
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert net.last_plan.chunk is not None
    assert peak <= net.last_plan.total <= net.memory_limit


def test_data_in_memory_that_do_not_fit_the_limit_are_streamed(backend):
    X, y = samples(20_000)
    net = network(memory_limit=1_000_000, epochs=1)
    net.fit((backend.asarray(X), backend.asarray(y)))
    assert net.last_plan.chunk is not None
    assert net.last_plan.total <= 1_000_000


def test_reading_is_done_in_a_thread_that_ends():
    X, y = samples()
    data = Sliced(X)
    network(memory_limit=STREAMED).fit((data, y))
    assert all(name.startswith("xpnet-reader") for name in data.threads)
    assert not readers()


def readers():
    return [t.name for t in threading.enumerate() if t.name.startswith("xpnet-reader")]


@pytest.mark.parametrize("limit", [None, STREAMED])
def test_what_reading_raises_reaches_the_caller_with_its_traceback(limit, monkeypatch):
    class Broken(Sliced):
        def __getitem__(self, rows):
            if rows.stop > 600:
                raise OSError("the disk is gone")
            return super().__getitem__(rows)

    X, y = samples()
    monkeypatch.setattr("xpnet.training.memory.CHUNK_BYTES", 200 * K * 4)
    net = network(memory_limit=limit)
    before = parameters(net)
    with pytest.raises(OSError, match="the disk is gone") as caught:
        net.fit((Broken(X), y))
    assert "__getitem__" in [entry.name for entry in caught.traceback]
    np.testing.assert_array_equal(parameters(net), before)
    assert not readers()


@pytest.mark.parametrize("limit", [None, STREAMED])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_numbers_that_are_not_finite_are_refused_by_row_and_column(
    bad, limit, tmp_path, monkeypatch
):
    X, y = samples(dtype="float64")
    X[777, 3] = bad
    monkeypatch.setattr("xpnet.training.memory.CHUNK_BYTES", 200 * K * 8)
    with pytest.raises(ValueError, match="row 777, column 3"):
        network(memory_limit=limit).fit((stored("memmap", X, tmp_path), y))
    assert not readers()


def test_an_interrupted_stream_ends_its_thread_and_keeps_what_was_learned(monkeypatch, ctrl_c):
    X, y = samples()
    monkeypatch.setattr("xpnet.training.memory.CHUNK_BYTES", 200 * K * 4)
    net = network(epochs=50, memory_limit=STREAMED)
    update, steps = net.update_parameters, []

    def interrupted():
        steps.append(1)
        if len(steps) == 50:  # in the second epoch of 33 steps
            _thread.interrupt_main()
        update()

    net.update_parameters = interrupted
    with pytest.raises(KeyboardInterrupt, match="epoch 2"):
        net.fit((Sliced(X), y))
    assert len(steps) == 50
    assert net.history.epochs == 2
    assert len(net.history["loss"]) == len(net.history["accuracy"]) == 2
    assert net.predict(X).shape == (N, 2)
    assert not readers()


def test_ctrl_c_in_memory_ends_after_the_step(ctrl_c):
    X, y = samples()
    net = network(epochs=50)
    update, steps = net.update_parameters, []

    def interrupted():
        steps.append(1)
        if len(steps) == 40:
            _thread.interrupt_main()
        update()

    net.update_parameters = interrupted
    with pytest.raises(KeyboardInterrupt, match="epoch 2"):
        net.fit((X, y), validation=(X, y))
    assert len(steps) == 40
    assert net.history.epochs == len(net.history["val_loss"]) == 2
    net.update_parameters = update
    assert net.fit((X, y), epochs=2).history.epochs == 4


def test_a_handler_of_somebody_elses_is_left_alone():
    import signal

    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        X, y = samples()
        net = network(epochs=2)
        update = net.update_parameters
        net.update_parameters = lambda: (update(), seen or _thread.interrupt_main())
        net.fit((X, y))
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(seen) == 1
    assert net.history.epochs == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_training_in_another_thread_needs_no_signals():
    X, y = samples()
    net = network(epochs=1)
    thread = threading.Thread(target=net.fit, args=((X, y),))
    thread.start()
    thread.join()
    assert net.history.epochs == 1


# ---- data sets of stored features


@pytest.mark.parametrize("kind", KINDS)
def test_a_data_set_leaves_its_features_where_they_are(kind, tmp_path):
    X, y = samples()
    data = Dataset(stored(kind, X, tmp_path), y, sample_weight=np.ones(N))
    assert "stored" in repr(data)
    assert data.shape == (N, K)
    rows = data.rows([700, 3, 3, 1029])
    np.testing.assert_array_equal(rows.X, X[[700, 3, 3, 1029]])
    np.testing.assert_array_equal(rows.y, y[[700, 3, 3, 1029]])


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
@pytest.mark.parametrize(
    "kind", ["npy", "raw", "rows", "columns", "reversed", "fortran", "written"]
)
def test_whatever_part_of_a_memory_map_is_read_as_it_is(kind, mode, tmp_path):
    X, y = samples()
    path = tmp_path / "x"
    if kind == "raw":
        path.write_bytes(b"12345" + X.tobytes())
        mapped = np.memmap(path, X.dtype, mode, offset=5, shape=X.shape)
    else:
        np.save(f"{path}.npy", np.asfortranarray(X) if kind == "fortran" else X)
        mapped = np.load(f"{path}.npy", mmap_mode=mode)
    expected = X
    if kind == "rows":
        mapped, expected, y = mapped[100:], X[100:], y[100:]
    elif kind == "columns":
        mapped, expected = mapped[:, 2:5], X[:, 2:5]
    elif kind == "reversed":
        mapped, expected, y = mapped[::-1], X[::-1], y[::-1]
    elif kind == "written" and mode != "r":
        mapped[7] = 99.0
        expected = X.copy()
        expected[7] = 99.0
    batches = network().get_mini_batches(mapped, y, shuffle=False)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), expected)


def test_a_file_that_has_become_shorter_is_noticed(tmp_path):
    X, y = samples()
    data = stored("memmap", X, tmp_path)
    with open(tmp_path / "x.npy", "r+b") as file:
        file.truncate(20_000)
    with pytest.raises(OSError, match="has become shorter"):
        network().fit((data, y))


def test_stored_labels_are_read(tmp_path):
    X, y = samples()
    np.save(tmp_path / "y.npy", y)
    data = Dataset(X, np.load(tmp_path / "y.npy", mmap_mode="r"))
    assert type(data.y) is np.ndarray


def test_stored_text_is_refused(tmp_path):
    class Words(Sliced):
        pass

    words = Words(np.zeros((3, 2)))
    words.dtype = np.dtype("U3")
    with pytest.raises(TypeError, match="X has the type <U3"):
        Dataset(words)


def test_mini_batches_of_stored_data(tmp_path):
    X, y = samples()
    data = stored("memmap", X, tmp_path)
    batches = list(network().get_mini_batches(data, y, shuffle=False))
    np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), X)
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), y)
    with pytest.raises(TypeError, match="give shuffle=False"):
        next(iter(network().get_mini_batches(data, y)))


def test_validation_may_be_stored_too(tmp_path):
    X, y = samples()
    data = stored("memmap", X, tmp_path)
    net = network(epochs=1).fit((X, y), validation=(data, y))
    expected = network(epochs=1).fit((X, y), validation=(X, y))
    assert net.history["val_loss"] == pytest.approx(expected.history["val_loss"])


# ---- what a reader may do wrong


def test_the_thread_ends_when_predicting_fails(tmp_path, monkeypatch):
    X, y = samples(9000)
    data = stored("memmap", X, tmp_path)
    net = network().fit((X, y), epochs=1)
    calls = []

    def failing(X, training=True):
        calls.append(1)
        if len(calls) == 2:
            raise OSError("the second batch")
        return forward(X, training)

    forward = net.forward_propagation
    monkeypatch.setattr(net, "forward_propagation", failing)
    for call in (lambda: net.predict(data), lambda: net.score((data, y))):
        calls.clear()
        try:
            call()
        except OSError as error:
            held = error  # as a notebook holds the last one
        assert "second" in str(held)
        assert not [t for t in threading.enumerate() if t.name.startswith("xpnet-reader")]


class Answers(Sliced):
    """Something stored that does not answer as it should."""

    def __init__(self, X, answer, dtype=None):
        super().__init__(X)
        self.answer, self.dtype = answer, np.dtype(dtype or X.dtype)

    def __getitem__(self, rows):
        return self.answer(self._X[rows])


@pytest.mark.parametrize(
    ("answer", "dtype", "message"),
    [
        (lambda rows: rows[:1], None, r"X\[\d+:1030\] has shape \(1, 12\): expected \(\d+, 12\)"),
        (lambda rows: rows[0], None, "has shape"),
        (lambda rows: 1.0, None, "has shape"),
        (lambda rows: rows[:-1], None, "has shape"),
        (lambda rows: rows.astype(str), None, "has the type <U"),
        (lambda rows: rows + 0.5, "uint8", "do not fit in X.dtype, uint8"),
        (lambda rows: rows * np.nan, "int32", "do not fit in X.dtype, int32"),
        (lambda rows: rows + 300, "uint8", "do not fit in X.dtype, uint8"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_refused(answer, dtype, message):
    X, y = samples()
    with pytest.raises((TypeError, ValueError), match=message):
        network().fit((Answers(X, answer, dtype), y))


def test_a_map_is_read_even_when_its_file_has_gone_or_another_has_its_name(tmp_path):
    X, y = samples()
    expected = parameters(network().fit((stored("memmap", X, tmp_path), y)))
    for happens in ("deleted", "replaced"):
        data = stored("memmap", X, tmp_path)
        (tmp_path / "x.npy").unlink()
        if happens == "replaced":
            np.save(tmp_path / "x.npy", X[::-1])
        np.testing.assert_array_equal(parameters(network().fit((data, y))), expected)


def test_a_few_rows_far_apart_are_read_alone():
    class Counting(Sliced):
        read = 0

        def __getitem__(self, rows):
            Counting.read += rows.stop - rows.start
            return super().__getitem__(rows)

    X = samples(100_000)[0]
    index = np.array([99_999, 0, 5, 50_000, 5])
    np.testing.assert_array_equal(read_rows(Counting(X), index), X[index])
    assert Counting.read < 20
    np.testing.assert_array_equal(read_rows(Sliced(X), index[:0]), X[:0])
    every = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_array_equal(read_rows(Sliced(X), every), X[every])


# ---- an epoch that fails behind its last step


@pytest.mark.parametrize("fails", ["validation", "metric", "second ctrl-c"])
def test_an_epoch_that_fails_late_is_undone(fails, tmp_path, ctrl_c):
    X, y = samples()
    expected = network(epochs=2).fit((X, y))
    net = network(epochs=1).fit((X, y))
    validation, metric = None, net.metric
    if fails == "validation":
        bad = X.copy()
        bad[700, 3] = np.nan
        validation = stored("memmap", bad, tmp_path), y
    else:

        def late(*arguments):
            if fails == "metric":
                raise RuntimeError("no such metric")
            _thread.interrupt_main()
            for _ in range(1000):  # until the signal's handler has run
                pass
            _thread.interrupt_main()

        net.metric, validation = late, (X[:50], y[:50])
    before = parameters(net)
    with pytest.raises((ValueError, RuntimeError, KeyboardInterrupt)):
        net.fit((X, y), validation=validation)
    np.testing.assert_array_equal(parameters(net), before)
    assert net.history.epochs == 1
    net.metric = metric
    np.testing.assert_array_equal(parameters(net.fit((X, y))), parameters(expected))


def test_ctrl_c_behind_the_last_look_is_not_lost(ctrl_c):
    import signal

    from xpnet.training.interruption import Interruption

    with pytest.raises(KeyboardInterrupt), Interruption():
        signal.raise_signal(signal.SIGINT)
    interruption = Interruption()
    interruption.asked = True
    with pytest.raises(ValueError, match="mine"), interruption:
        raise ValueError("mine")


# ---- sorted files


def classes(n, k=10, n_features=50):
    """Return samples that are sorted by class, and others that are not."""
    rng = np.random.default_rng(0)
    centers = 0.5 * rng.standard_normal((k, n_features))
    y, held_out = np.repeat(np.arange(k), n // k), rng.integers(0, k, 8000)
    X, X_held_out = (
        (centers[c] + rng.standard_normal((len(c), n_features))).astype(np.float32)
        for c in (y, held_out)
    )
    return (X, y), (X_held_out, held_out)


def learner(**arguments):
    arguments = {"epochs": 4, "batch_size": 64, "learning_rate": 0.02, "seed": 0} | arguments
    net = NeuralNetwork(loss="softmax_cross_entropy", metric="accuracy", **arguments)
    net.add(DenseLayer(64, input_shape=(50,), initializer="he_normal")).add(ReLUActivation())
    return net.add(DenseLayer(10))


@pytest.mark.parametrize(("chunks", "rows"), [(2, None), (30, None), (4, 100)])
def test_a_file_sorted_by_class_trains_as_its_shuffled_copy(chunks, rows, tmp_path, monkeypatch):
    (X, y), held_out = classes(12_000)
    monkeypatch.setattr("xpnet.training.memory.CHUNK_BYTES", X.nbytes // chunks)
    order = np.random.default_rng(1).permutation(len(X))
    accuracy = []
    for name, some in (("sorted", slice(None)), ("shuffled", order)):
        if rows is None:
            np.save(tmp_path / f"{name}.npy", X[some])
            data = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
        else:
            h5py = pytest.importorskip("h5py")
            with h5py.File(tmp_path / f"{name}.h5", "w") as file:
                file.create_dataset("X", data=X[some], chunks=(rows, 50), compression="gzip")
            data = h5py.File(tmp_path / f"{name}.h5")["X"]
        net = learner(memory_limit=STREAMED).fit((data, y[some]), validation=held_out)
        assert len(X) / net.last_plan.chunk > chunks - 1
        accuracy.append(net.history["val_accuracy"][-1])
    assert accuracy[0] == pytest.approx(accuracy[1], abs=0.01)
    assert min(accuracy) > 0.92


@pytest.mark.parametrize("kernels", ["formulas", "auto"])
def test_sorted_arrays_beyond_the_limit_are_mixed_as_well(kernels, monkeypatch):
    monkeypatch.setenv("XPNET_STEPS", kernels)
    data, held_out = classes(12_000)
    whole = learner(epochs=2).fit(data, validation=held_out)
    net = learner(epochs=2, memory_limit=2_900_000).fit(data, validation=held_out)
    assert net.last_plan.chunk < len(data[1]) / 5
    expected = whole.history["val_accuracy"][-1]
    assert net.history["val_accuracy"][-1] == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("row", "decoded", "chunk", "expected"),
    [
        (4000, 1, 8192, 16),  # 64 KiB
        (4000, 1, 512, 1),
        (1 << 20, 1, 64, 1),
        (400, 10, 51_200, 100),  # whole pieces that the file decodes, of about as much
        (400, 1000, 51_200, 1000),
        (400, 1000, 8000, 500),  # a chunk has 16 blocks at least: even parts of a piece
        (400, 100_000, 1600, 100),
    ],
)
def test_blocks_are_near_64_kib_or_what_the_file_decodes(row, decoded, chunk, expected):
    from xpnet.training import memory
    from xpnet.training.purpose import sizes_of

    sizes = memory.DataSizes(4, row, 4, row, decoded)
    assert memory.plan(sizes_of(network()), sizes, 10**6, 32, chunk=chunk).block == expected


def test_chunks_grow_with_the_data_and_with_what_the_file_decodes():
    from xpnet.training import memory
    from xpnet.training.purpose import request_of

    def chunk(n, decoded=1, available=float("inf")):
        sizes = memory.DataSizes(4, 1024, 4, 1024, decoded)
        return memory.choose(request_of(network()), sizes, n, available, streamed=True).chunk * 1024

    assert chunk(10**5) == pytest.approx(memory.CHUNK_BYTES, rel=0.3)
    assert chunk(10**7) == pytest.approx(1024 * 10**7 / 64, rel=0.02)
    assert chunk(10**9) == pytest.approx(memory.LARGEST_CHUNK, rel=0.02)
    assert chunk(10**7, 2000) == pytest.approx(128 * 2000 * 1024, rel=0.05)
    assert chunk(10**7, 2000, 10**8) < 10**8 / 2
