"""What the memory plan says is what training takes, and training stays within a limit."""

import re
import tracemalloc
import warnings

import numpy as np
import pytest

from xpnet import (
    SGD,
    BatchNormalization,
    Dataset,
    DenseLayer,
    Dropout,
    MemoryPlanError,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
    SigmoidActivation,
    TanhActivation,
)
from xpnet.backends import to_host

N = 2000


def network(sizes=(50, 200, 10), activation=ReLUActivation, extra=(), first=(), **arguments):
    arguments = {
        "epochs": 2,
        "batch_size": 128,
        "loss": "softmax_cross_entropy",
        "seed": 0,
    } | arguments
    net = NeuralNetwork(**arguments)
    for layer in first:
        net.add(layer())
    for k, n_units in enumerate(sizes[1:]):
        net.add(DenseLayer(n_units, input_shape=(sizes[0],) if not net.layers else None))
        if k < len(sizes) - 2:
            net.add(activation())
            for layer in extra:
                net.add(layer())
    return net


def images(sizes=(50, 200, 10), n=N, dtype="float32"):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (n, sizes[0]), np.uint8)
    return X if dtype == "uint8" else X.astype(dtype), rng.integers(0, sizes[-1], n)


def peak(run):
    """Return the most bytes that Python and NumPy held at a time, above those at the beginning."""
    run()  # what is imported and cached at the first time is not counted
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


CASES = {
    "small": {},
    "wide": {"sizes": (784, 1000, 100, 10), "optimizer": "adam"},
    "wide batch": {
        "sizes": (100, 1000, 1000, 10),
        "batch_size": 1000,
        "activation": TanhActivation,
    },
    "integers": {
        "sizes": (784, 89, 10),
        "dtype": "uint8",
        "first": [lambda: Normalization(0, 255, (784,))],
    },
    "features of float64": {
        "sizes": (784, 89, 10),
        "dtype": "float64",
        "first": [lambda: Normalization(0, 255, (784,))],
    },
    "norms": {"sizes": (100, 800, 10), "extra": [BatchNormalization, lambda: Dropout(0.3)]},
    "clipped": {"sizes": (500, 800, 10), "optimizer": "adamw", "clip": True},
    "float64": {"sizes": (200, 500, 10), "dtype": "float64", "net_dtype": "float64"},
    "pieces": {"sizes": (100, 2000, 10), "batch_size": 1000, "memory_limit": 12_000_000},
}


@pytest.mark.parametrize("name", CASES)
def test_the_plan_is_what_training_takes(name):
    case = dict(CASES[name])
    sizes, dtype = case.pop("sizes", (50, 200, 10)), case.pop("dtype", "float32")
    if case.pop("clip", False):
        from xpnet import AdamW

        case["optimizer"] = AdamW(clip_norm=1.0)
    if "net_dtype" in case:
        case["dtype"] = case.pop("net_dtype")
    plans = []

    def run():
        net = network(sizes, **case)
        net.fit(images(sizes, dtype=dtype))
        plans.append(net.last_plan)

    measured = peak(run)
    assert measured == pytest.approx(plans[-1].total, rel=0.1)
    if name != "pieces":
        assert plans[-1].rows == plans[-1].batch_size


def test_the_plan_asked_for_is_the_plan_of_the_training(monkeypatch):
    monkeypatch.setenv("XPNET_STEPS", "formulas")
    net = network((784, 100, 10), optimizer="adam")
    X, y = images((784, 100, 10), dtype="uint8")
    expected = net.memory_plan(128, N, dtype="uint8")
    assert net.fit((X, y)).last_plan == expected
    n = 784 * 100 + 100 + 100 * 10 + 10
    assert (expected.parameters, expected.gradients, expected.optimizer_state) == (
        4 * n,
        4 * n,
        8 * n,
    )
    assert expected.data == N * (784 + 8 + 8)
    for word in ("parameters", "optimizer state", f"{expected.total:,}", "2,000 samples", "MiB"):
        assert word in str(expected)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", SGD(clip_norm=0.1, clip_value=0.01)])
@pytest.mark.parametrize("extra", [(), (BatchNormalization, lambda: Dropout(0.2))])
@pytest.mark.parametrize("dtype", ["float32", "uint8", "float64"])
def test_after_the_first_step_nothing_large_is_allocated(optimizer, extra, dtype):
    sizes = (784, 300, 200, 10)
    net = network(
        sizes,
        SigmoidActivation,
        extra,
        optimizer=optimizer,
        batch_size=1000,
        metric="accuracy",
        epochs=1,
    )
    X, y = images(sizes, 1000 * 4, dtype)
    seen = []
    forward = net.forward_propagation

    def watched(X, training=True):
        tracemalloc.clear_traces()
        base = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        seen.append(base)
        return forward(X, training)

    largest = []
    original = net.update_parameters

    def update():
        original()
        largest.append(tracemalloc.get_traced_memory()[1])

    net.forward_propagation, net.update_parameters = watched, update
    tracemalloc.start()
    try:
        net.fit((X, y))
    finally:
        tracemalloc.stop()
    assert len(largest) == 4
    assert largest[0] > 1 << 16  # the first step makes the arrays
    # Some pieces of 64 KiB at a time, and no array of the batch, the least of which is larger.
    assert max(largest[1:]) <= 8 * (1 << 16) < 1000 * 200 * 4


# ---- batches in pieces


def weighted(rng, n=150):
    X = rng.standard_normal((n, 20)).astype(np.float32)
    return X, rng.integers(0, 4, n), rng.uniform(0, 2, n)


def parameters(net):
    return to_host(net.parameters.copy())


@pytest.mark.parametrize("with_weights", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_batch_in_pieces_makes_the_same_update(
    with_weights, optimizer, backend, rng, monkeypatch
):
    X, y, weight = weighted(rng)
    data = tuple(map(backend.asarray, (X, y, weight.astype(np.float32))))[: 2 + with_weights]

    def trained(rows):
        net = network(
            (20, 30, 4), TanhActivation, batch_size=64, optimizer=optimizer, metric="accuracy"
        )
        if rows is not None:
            in_pieces(monkeypatch, rows)
        return net.fit(data)

    whole, pieces = trained(None), trained(10)
    assert pieces.last_plan.rows == 10
    np.testing.assert_allclose(parameters(pieces), parameters(whole), rtol=1e-5, atol=1e-6)
    assert pieces.history["loss"] == pytest.approx(whole.history["loss"], rel=1e-6)
    assert pieces.history["accuracy"] == pytest.approx(whole.history["accuracy"], rel=1e-6)


def in_pieces(monkeypatch, rows):
    from dataclasses import replace

    from xpnet.training import memory

    choose = memory.choose
    monkeypatch.setattr(
        memory, "choose", lambda *args, **kw: replace(choose(*args, **kw), rows=rows)
    )


def test_one_update_in_pieces_is_that_of_the_batch_to_1e_6(rng, monkeypatch):
    X, y, weight = weighted(rng, 70)

    def trained():
        net = network((20, 30, 4), batch_size=64, epochs=1, learning_rate=0.1)
        return parameters(net.fit((X, y, weight)))

    whole = trained()
    in_pieces(monkeypatch, 9)
    np.testing.assert_allclose(trained(), whole, rtol=0, atol=1e-6)


def test_samples_without_weight_in_a_piece_of_their_own(rng, monkeypatch):
    X, y, weight = weighted(rng, 64)
    weight[:16] = 0.0
    whole = network((20, 30, 4), batch_size=64, shuffle=False).fit((X, y, weight))
    in_pieces(monkeypatch, 8)
    pieces = network((20, 30, 4), batch_size=64, shuffle=False).fit((X, y, weight))
    np.testing.assert_allclose(parameters(pieces), parameters(whole), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("with_weights", [False, True])
def test_out_of_memory_in_the_middle_leads_to_smaller_pieces(with_weights, rng, monkeypatch):
    data = weighted(rng)[: 2 + with_weights]

    def make():
        return network((20, 30, 4), TanhActivation, batch_size=64, metric="accuracy", epochs=3)

    expected, net = make().fit(data), make()
    forward, calls = net.forward_propagation, []

    def limited(X, training=True):
        calls.append(len(X))
        if training and len(calls) > 5 and len(X) > 20:
            raise MemoryError("no room for these rows")
        return forward(X, training)

    monkeypatch.setattr(net, "forward_propagation", limited)
    with pytest.warns(RuntimeWarning, match="out of memory in epoch 2 .*no room") as seen:
        net.fit(data)
    assert [str(each.message).count("micro-batches of 32") for each in seen] == [1, 0]
    assert net.last_plan.rows == 16
    assert net.last_plan.gradients == 2 * net.last_plan.parameters
    np.testing.assert_allclose(parameters(net), parameters(expected), rtol=1e-5, atol=1e-6)
    assert net.history["loss"] == pytest.approx(expected.history["loss"], rel=1e-6)


def test_out_of_memory_for_a_single_sample_is_an_error(rng, monkeypatch):
    net = network((20, 30, 4), batch_size=2, epochs=1)
    before = parameters(net)

    def never(X, training=True):
        raise MemoryError("none at all")

    monkeypatch.setattr(net, "forward_propagation", never)
    with (
        pytest.warns(RuntimeWarning, match="micro-batches of 1"),
        pytest.raises(MemoryError, match="none"),
    ):
        net.fit(weighted(rng))
    np.testing.assert_array_equal(parameters(net), before)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ((), r"samples\. The updates stay the same\. Give memory_limit="),
        ((BatchNormalization,), r"differ, because BatchNormalization takes the moments of each"),
        ((lambda: Dropout(0.5),), r"differ, because Dropout draws a mask for each micro-batch\."),
    ],
)
def test_out_of_memory_says_what_pieces_change(extra, message, rng, monkeypatch):
    net = network((20, 30, 4), batch_size=64, extra=extra)
    limited_to(monkeypatch, net, 40)
    with pytest.warns(RuntimeWarning, match=message):
        net.fit(weighted(rng))


def limited_to(monkeypatch, net, most):
    """Let a network run out of memory where more samples go through it at a time."""
    forward, seen = net.forward_propagation, []

    def limited(X, training=True):
        if training and len(X) > most:
            raise MemoryError("no room for these rows")
        seen.append(len(X))
        return forward(X, training)

    monkeypatch.setattr(net, "forward_propagation", limited)
    return seen


@pytest.mark.parametrize("n", [24, 34, 35, 46, 47, 60])
@pytest.mark.parametrize("batch_size", [12, 13, 22, 23])
def test_no_piece_of_a_batch_is_too_small_for_a_layer(n, batch_size, rng, monkeypatch):
    """Neither a plan nor a MemoryError in an epoch makes pieces of one sample."""
    for most in range(1, batch_size):
        net = network((20, 30, 4), batch_size=batch_size, extra=(BatchNormalization,))
        seen = limited_to(monkeypatch, net, most)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pieces, and of a last batch of one sample
            try:
                net.fit(weighted(rng, n))
            except MemoryError:
                assert most < 7
        if n % batch_size != 1:
            assert 1 not in seen
        else:
            assert seen.count(1) <= 2 * 5  # that last batch, once each time that an epoch begins


# ---- choosing


def test_a_batch_that_does_not_fit_is_split_and_one_that_fits_is_not():
    sizes = (20, 3000, 10)
    net = network(sizes, batch_size=512)
    whole = net.memory_plan(512, 600)
    X, y = images(sizes, 600)
    net.memory_limit = whole.total
    assert net.fit((X, y), epochs=1).last_plan == whole
    net.memory_limit = int(whole.total * 0.6)
    assert net.fit((X, y), epochs=1).last_plan.rows < 512
    assert net.last_plan.total <= net.memory_limit


def test_what_fits_in_no_way_is_refused_with_the_plan():
    net = network((784, 500, 10), memory_limit=1_000_000)
    before = parameters(net)
    with pytest.raises(
        MemoryPlanError, match=r"(?s)does not fit into 976.6 KiB.*parameters .*total"
    ):
        net.fit(images((784, 500, 10)))
    np.testing.assert_array_equal(parameters(net), before)


@pytest.mark.parametrize(("limit", "expected"), [(None, 512), (512, 512), (256, 256), (64, 64)])
def test_the_automatic_batch_is_the_largest_that_fits(limit, expected):
    sizes = (50, 2000, 10)
    net = network(sizes, batch_size="auto")
    if limit is not None:
        net.memory_limit = net.memory_plan(limit, N).total
    net.fit(images(sizes), epochs=1)
    assert net.last_plan.batch_size == net.last_plan.rows == expected


def test_the_automatic_batch_of_few_samples_is_all_of_them():
    net = network(batch_size="auto").fit(images(n=40))
    assert net.last_plan.batch_size == 40


@pytest.mark.parametrize("bad", [0, -1, 1.5, "large", True])
def test_a_limit_that_is_no_number_of_bytes_is_refused(bad):
    with pytest.raises(ValueError, match="memory_limit="):
        NeuralNetwork(memory_limit=bad)


def test_another_word_than_auto_is_refused():
    with pytest.raises(ValueError, match="batch_size='automatic'"):
        NeuralNetwork(batch_size="automatic")


# ---- sparse rows


def sparse_rows(rng, n=3000, k=5000):
    sparse = pytest.importorskip("scipy.sparse")
    X = sparse.random_array((n, k), density=0.01, rng=rng, dtype=np.float32, format="csr")
    return X, (np.asarray(X[:, :100].sum(axis=1)).ravel() > 0.5).astype(np.int64)


def test_sparse_rows_are_never_made_dense(rng, monkeypatch):
    X, y = sparse_rows(rng)
    for cls in (type(X), type(X.T)):
        monkeypatch.setattr(cls, "toarray", None)
        monkeypatch.setattr(cls, "todense", None)
    plans = []

    def run():
        net = network((5000, 16, 2), optimizer="rmsprop", metric="accuracy")
        net.fit((X, y), validation=(X, y)).predict(X)
        plans.append(net.last_plan)

    held = 12 * X.nnz  # the rows were there before
    dense = 4 * X.shape[0] * X.shape[1]
    # SciPy's products are new arrays: one of the size of the gradient is there besides the plan's.
    assert peak(run) < plans[-1].total + plans[-1].gradients < dense / 8
    assert held < plans[-1].data < 2 * held


def test_sparse_rows_learn_as_dense_ones_do(rng):
    X, y = sparse_rows(rng, 300, 200)

    def trained(features):
        net = network((200, 8, 2), TanhActivation, dtype="float64", batch_size=64, epochs=5)
        return net.fit((features, y))

    sparse, dense = trained(X), trained(X.toarray())
    np.testing.assert_allclose(parameters(sparse), parameters(dense), rtol=1e-9, atol=1e-12)
    assert sparse.history["loss"] == pytest.approx(dense.history["loss"], rel=1e-9)


def test_a_first_layer_that_needs_dense_rows_gets_them(rng):
    X, y = sparse_rows(rng, 100, 50)

    class Doubled(DenseLayer):
        def forward_propagation(self, input, training=True):
            seen.append(type(input))
            return super().forward_propagation(np.abs(input) * 2.0, training)

    seen = []
    net = NeuralNetwork(epochs=1, batch_size=50, loss="softmax_cross_entropy", seed=0)
    net.add(Doubled(2, input_shape=(50,))).fit((X, y))
    assert set(seen) == {np.ndarray}


def test_images_stay_integers_on_the_device(backend, rng):
    from xpnet.training.feeding.intake import Intake
    from xpnet.training.feeding.placing import place

    X = rng.integers(0, 256, (20, 30), np.uint8)
    placed = place(Dataset(X), Intake(backend))
    assert str(placed.X.dtype).endswith("uint8")
    assert next(placed.batches(5)).X.dtype == backend.float_dtype


# ---- what is easily forgotten


@pytest.mark.parametrize(
    ("sizes", "arguments"),
    [
        ((784, 64, 784), {"loss": "mse"}),
        ((100, 50, 1000), {}),
        ((784, 2000, 10), {"memory_limit": 60_000_000}),
    ],
    ids=["wide outputs", "many classes", "pieces"],
)
def test_wide_outputs_and_pieces_allocate_no_more_either(sizes, arguments):
    X, y = images(sizes, 4000)
    if "loss" in arguments:
        y = X / 255
    net = network(sizes, batch_size=1000, epochs=1, **arguments)
    largest, original = [], net.update_parameters

    def update():
        original()
        largest.append(tracemalloc.get_traced_memory()[1] - tracemalloc.get_traced_memory()[0])
        tracemalloc.clear_traces()
        tracemalloc.reset_peak()

    net.update_parameters = update
    tracemalloc.start()
    try:
        net.fit((X, y))
    finally:
        tracemalloc.stop()
    assert len(largest) == 4
    assert net.last_plan.rows == (1000 if "memory_limit" not in arguments else 250)
    assert max(largest[1:]) <= 12 * (1 << 16)


def mean_error(y_true, y_pred):
    return abs(y_true - y_pred).mean()


@pytest.mark.parametrize(
    "case",
    [
        {"X": "float64", "limit": 4_000_000},
        {"X": "float16", "limit": 4_000_000, "sizes": (400, 64, 10)},
        {"n": 200_000, "sizes": (4, 16, 2), "stored": True, "limit": 1 << 40},
        {"n": 200_000, "sizes": (4, 16, 2), "stored": True},
        {"n": 5_000, "sizes": (20, 8, 2), "batch_size": 1},
        {"sizes": (50, 20, 100), "loss": "mse", "metric": mean_error},
        {"sizes": (20, 10, 500), "validate": True},
    ],
    ids=["converted", "converted up", "narrow", "read at once", "single", "function", "validation"],
)
@pytest.mark.parametrize("kernels", ["formulas", "auto"])
def test_the_plan_counts_that_too(case, kernels, tmp_path, monkeypatch):
    monkeypatch.setenv("XPNET_STEPS", kernels)
    case = dict(case)
    sizes, n = case.pop("sizes", (100, 64, 10)), case.pop("n", 20_000)
    kind, limit = case.pop("X", "float32"), case.pop("limit", None)
    is_stored, validate = case.pop("stored", False), case.pop("validate", False)
    X, y = images(sizes, n, kind)
    if case.get("loss") == "mse":
        y = np.random.default_rng(0).random((n, sizes[-1]))
    if is_stored:
        np.save(tmp_path / "x.npy", X)
    plans = []

    def run():
        net = network(sizes, epochs=1, memory_limit=limit, **case)
        data = np.load(tmp_path / "x.npy", mmap_mode="r") if is_stored else X
        net.fit((data, y), validation=(X[:3000], y[:3000]) if validate else None)
        plans.append(net.last_plan)

    # A tenth more, and what Python itself makes of threads and files.
    assert peak(run) <= 1.1 * plans[-1].total + 100_000
    if limit is not None:
        assert plans[-1].chunk is not None
        assert plans[-1].total <= limit


@pytest.mark.parametrize("kind", ["float64", "one-hot"])
def test_the_plan_asked_for_holds_whatever_the_type_of_the_targets(kind, monkeypatch):
    X, y = images((100, 64, 30), 4000, "float64")
    y = np.random.default_rng(0).random((4000, 30)) if kind == "float64" else np.eye(30)[y]
    monkeypatch.setenv("XPNET_STEPS", "formulas")
    net = network((100, 64, 30), epochs=1, loss="mse")
    expected = net.memory_plan(128, 4000, dtype="float64")
    net.memory_limit = expected.total
    assert net.fit((X, y)).last_plan == expected


def test_gradients_of_a_batch_that_failed_are_forgotten(backend, rng):
    X = rng.standard_normal((64, 20)).astype(np.float32)
    data = backend.asarray(X), backend.asarray(rng.integers(0, 4, 64))

    def make():
        return network((20, 30, 4), batch_size=32, epochs=1)

    def fitted(net, monkeypatch):
        in_pieces(monkeypatch, 8)
        return parameters(net.fit(data))

    with pytest.MonkeyPatch.context() as patch:
        expected = fitted(make(), patch)
    net = make()
    loss, calls = net.loss.loss_and_derivative, []

    def failing(*arguments, **more):
        calls.append(1)
        if len(calls) == 3:
            raise OSError("the third piece")
        return loss(*arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(net.loss, "loss_and_derivative", failing)
        with pytest.raises(OSError, match="third"):
            fitted(net, patch)
    with pytest.MonkeyPatch.context() as patch:
        np.testing.assert_array_equal(fitted(net, patch), expected)


def test_a_pickle_has_no_batch_in_it():
    import pickle

    net = network((100, 500, 10), batch_size=1000)
    before = len(pickle.dumps(net))
    net.fit(images((100, 500, 10)), epochs=1)
    assert len(pickle.dumps(net)) < before + 2 * net.last_plan.parameters
    np.testing.assert_array_equal(
        parameters(pickle.loads(pickle.dumps(net))),
        parameters(net),
    )


@pytest.mark.parametrize("bad", [{"batch_size": 0}, {"batch_size": 1.5}, {"n_samples": -5}])
def test_a_plan_of_impossible_numbers_is_refused(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))}="):
        network().memory_plan(**bad)


def test_a_limit_that_is_the_devices_is_not_called_the_users(monkeypatch):

    net = network()
    monkeypatch.setattr("xpnet.training.feeding.training_data._available", lambda *_: 1000)
    with pytest.raises(MemoryPlanError, match="a device with more memory"):
        net.fit(images())


def test_validation_data_that_leave_no_room_are_named():
    X, y = images()
    validation = np.tile(X, (10, 1)), np.tile(y, 10)
    net = network(memory_limit=2_000_000)
    with pytest.raises(MemoryPlanError, match=r"Use fewer validation samples \(they take 4\.0 MiB"):
        net.fit((X, y), validation=validation)
    net = network((50, 50_000, 10), memory_limit=2_000_000)
    with pytest.raises(MemoryPlanError, match=r"\nUse fewer or smaller layers"):
        net.fit((X, y), validation=(X[:10], y[:10]))


LEAST = {
    "in memory": {},
    "of many steps": {"sizes": (40, 3), "n": 5000, "batch_size": 64},
    "of wide layers": {"sizes": (40, 3000, 3), "batch_size": 500},
    "stored": {"sizes": (40, 3), "n": 5000, "batch_size": 64, "stored": True},
    "stored, of wide layers": {"sizes": (40, 2000, 3), "batch_size": 500, "stored": True},
    "the automatic batch": {"sizes": (40, 500, 3), "batch_size": "auto"},
    "with batch normalization": {"sizes": (40, 500, 3), "extra": [BatchNormalization]},
}


@pytest.mark.parametrize("name", LEAST)
@pytest.mark.parametrize("options", [{}, {"validation_split": 0.2}])
def test_the_least_that_is_named_is_enough(name, options, tmp_path):
    case = dict(LEAST[name])
    sizes, n = case.pop("sizes", (50, 200, 10)), case.pop("n", N)
    X, y = images(sizes, n)
    if case.pop("stored", False):
        np.save(tmp_path / "x.npy", X)
        X = np.load(tmp_path / "x.npy", mmap_mode="r")
    net = network(sizes, memory_limit=1000, epochs=1, **case)
    with pytest.raises(MemoryPlanError) as refused:
        net.fit((X, y), **options)
    (line,) = re.findall(r"^total\s+([\d,]+)", str(refused.value), re.MULTILINE)
    net.memory_limit = int(line.replace(",", ""))
    assert net.fit((X, y), **options).last_plan.total <= net.memory_limit
    net.memory_limit -= 1
    with pytest.raises(MemoryPlanError, match=f"total  .*{line}"):
        net.fit((X, y), **options)
