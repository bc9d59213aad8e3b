"""Training on batches that the user makes as training goes on."""

import _thread
import itertools
import threading

import numpy as np
import pytest

from xpnet import (
    BatchNormalization,
    Dataset,
    DenseLayer,
    DivergedError,
    Dropout,
    LambdaCallback,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
    SoftmaxCrossEntropy,
    config,
)
from xpnet.backends import to_host
from xpnet.training import trainer
from xpnet.training.memory import MemoryPlanError

N, K, SIZE = 250, 12, 32
"""The last batch is short: 26 samples."""

RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, K)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(np.int64)
WEIGHTS = np.linspace(0.1, 1.0, N)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("XPNET_STEPS", "auto")
    monkeypatch.setattr(config, "threads", 1)


@pytest.fixture(
    params=[
        "formulas",
        "compiled",
        "captured",
        pytest.param("formulas on cuda", marks=pytest.mark.cuda),
        pytest.param("captured on cuda", marks=pytest.mark.cuda),
    ]
)
def kind(request):
    """Each kind of steps, as the arguments of a network."""
    steps, *on_cuda = request.param.split(" on ")
    if steps == "compiled":
        pytest.importorskip("numba")
        pytest.importorskip("threadpoolctl")
    if on_cuda:
        request.getfixturevalue("cuda")
        return {"steps": steps, "device": "cuda"}
    if steps == "captured":
        request.getfixturevalue("emulated")
    return {"steps": steps}


@pytest.fixture
def made(monkeypatch):
    """The steps that were made."""
    found = []
    original = trainer.make_steps

    def noted(*arguments):
        found.append(original(*arguments))
        return found[-1]

    monkeypatch.setattr(trainer, "make_steps", noted)
    return found


def network(*layers, **arguments):
    arguments = {
        "epochs": 3,
        "batch_size": SIZE,
        "loss": "softmax_cross_entropy",
        "metric": "accuracy",
        "optimizer": "adam",
        "seed": 0,
        "shuffle": False,
    } | arguments
    net = NeuralNetwork(**arguments)
    for layer in layers:
        net.add(layer)
    net.add(DenseLayer(16, **({} if layers else {"input_shape": (K,)})))
    return net.add(ReLUActivation()).add(DenseLayer(2))


def regression(**arguments):
    return network(**({"loss": "mean_squared_error", "metric": "rmse"} | arguments))


def parts(*arrays, size=SIZE):
    """Return the batches of some arrays, in a list."""
    starts = range(0, arrays[0].shape[0], size)
    return [tuple(each[start : start + size] for each in arrays) for start in starts]


def weights(net):
    return to_host(net.parameters.copy())


def assert_same(net, expected, tolerance=0.0):
    """Assert that two networks have learned the same; bit for bit, if no tolerance is given."""
    np.testing.assert_allclose(weights(net), weights(expected), rtol=tolerance, atol=tolerance)
    losses = expected.history["loss"]
    assert net.history["loss"] == pytest.approx(losses, rel=tolerance, abs=tolerance)
    assert net.history["learning_rate"] == expected.history["learning_rate"]
    assert net.optimizer.n_updates == expected.optimizer.n_updates
    # A metric is summed in other portions.
    for name in expected.history.metrics:
        assert net.history[name] == pytest.approx(expected.history[name], rel=1e-6)


class Closed:
    """A function that returns generators, and notes how each of them ends."""

    def __init__(self, items):
        self.items, self.begun, self.ended, self.taken = items, 0, 0, []

    def __call__(self):
        self.begun += 1
        try:
            for k, item in enumerate(self.items):
                self.taken.append(k)
                yield item
        finally:
            self.ended += 1


# ---- the same training


def rounding(kind):
    """Return how far trainings on sparse rows may be apart.

    The formulas' products of sparse rows on CUDA are cuSPARSE's, which adds in no fixed order.
    """
    return 1e-5 if kind == {"steps": "formulas", "device": "cuda"} else 0.0


def sparse(X):
    return pytest.importorskip("scipy.sparse").csr_matrix(X * (abs(X) > 1))


DATA = {
    "float32": (X, Y),
    "float64": (X.astype(np.float64), Y),
    "integers": ((X * 20).astype(np.int16), Y),
    "bytes": ((X * 20 + 128).clip(0, 255).astype(np.uint8), Y),
    "booleans": (X > 0, Y),
    "columns first": (np.asfortranarray(X), Y),
    "weighted": (X, Y, WEIGHTS),
    "one-hot": (X, np.eye(2)[Y]),
}


@pytest.mark.parametrize("data", DATA)
def test_the_same_as_on_the_joined_data(data, kind):
    net = network(**kind).fit(batches=parts(*DATA[data]))
    whole = DATA[data]
    if data == "columns first":  # the joined data are not compiled
        whole = (np.ascontiguousarray(whole[0]), *whole[1:])
    assert_same(net, network(**kind).fit(whole))


def test_sparse_batches(kind, made):
    net = network(**kind).fit(batches=parts(sparse(X), Y))
    n_made = len(made)
    assert_same(net, network(**kind).fit((sparse(X), Y)), rounding(kind))
    assert n_made == 1


def test_sparse_batches_that_fill_up(kind, made):
    pytest.importorskip("scipy.sparse")
    rows = X * (abs(X) > np.linspace(3, 0, N)[:, None])  # ever more entries; at first none
    S = sparse(np.sign(rows) * 2)
    net = network(**kind).fit(batches=parts(S, Y))
    n_made = len(made)
    assert 1 < n_made < 8
    assert_same(net, network(**kind).fit((S, Y)), rounding(kind))


def test_sparse_batches_that_are_made_dense():
    S, norm = sparse(X), Normalization.adapt
    net = network(norm(X)).fit(batches=parts(S, Y))
    assert_same(net, network(norm(X)).fit((S, Y)))
    wide = network(norm(X)).fit(batches=parts(S.astype(np.float64), Y))
    assert_same(wide, network(norm(X)).fit((S.astype(np.float64), Y)))


def test_batches_made_from_predictions():
    def items():
        for x, y in parts(X, Y):
            outputs.append(net.predict(x))
            yield x, y

    outputs = []
    net = network(steps="formulas").fit((X, Y), epochs=1)
    expected = network(steps="formulas").fit((X, Y), epochs=1).fit((X, Y), epochs=2)
    net.fit(batches=items, epochs=2)
    assert_same(net, expected)
    firsts = outputs[0], outputs[8]
    assert not np.array_equal(*firsts)


LAYERS = {
    "dropout": lambda: [DenseLayer(8, input_shape=(K,)), ReLUActivation(), Dropout(0.3)],
    "batch norm": lambda: [DenseLayer(8, input_shape=(K,)), BatchNormalization()],
    "both": lambda: [DenseLayer(8, input_shape=(K,)), BatchNormalization(), Dropout(0.3)],
    "normalization": lambda: [Normalization.adapt(X)],
}


@pytest.mark.parametrize("layers", LAYERS)
def test_layers_with_a_state(layers, kind):
    if layers in ("batch norm", "both") and kind["steps"] == "compiled":
        pytest.skip("compiled steps do not support it")
    arguments = kind | {"regularizer": "l2"}
    net = network(*LAYERS[layers](), **arguments).fit(batches=parts(X, Y))
    assert_same(net, network(*LAYERS[layers](), **arguments).fit((X, Y)))


@pytest.mark.parametrize("steps", [1, 3, 7, 8])
def test_results_that_fill_the_room_for_them(steps, kind, monkeypatch):
    monkeypatch.setattr("xpnet.training.feeding.training_data._KEPT_STEPS", steps)
    layers = LAYERS["dropout" if kind["steps"] == "compiled" else "both"]
    net = network(*layers(), **kind).fit(batches=iter_of(parts(X, Y)))
    assert_same(net, network(*layers(), **kind).fit((X, Y)))


@pytest.mark.parametrize("metric", ["rmse", "r2", lambda y, p: abs(y - p).mean()])
def test_metrics(metric, kind, monkeypatch):
    monkeypatch.setattr("xpnet.training.feeding.training_data._KEPT_STEPS", 3)
    y = X[:, :2] * 0.3
    net = regression(**kind, metric=metric).fit(batches=parts(X, y))
    assert_same(net, regression(**kind, metric=metric).fit((X, y)))


def test_a_penalty_is_averaged_over_the_parts_of_an_epoch(kind, monkeypatch):
    monkeypatch.setattr("xpnet.training.feeding.training_data._KEPT_STEPS", 3)
    from xpnet.regularizers import L2

    def trained(**data):
        return network(**kind, regularizer=L2(0.01, per_sample=True), epochs=1).fit(**data)

    net, expected = trained(batches=parts(X, Y)), trained(X=(X, Y))
    np.testing.assert_array_equal(weights(net), weights(expected))
    # Captured steps take the last weights' penalty for that of each step.
    assert net.history["penalty"] == pytest.approx(expected.history["penalty"], rel=0.05)


def iter_of(items):
    """Return a function that makes iterators without a length."""
    return lambda: iter(items)


def test_on_each_backend(backend):
    arrays = [backend.asarray(each) for each in (X, Y)]
    arguments = {"steps": "formulas", "dtype": backend.dtype}
    items = [
        tuple(each[start : min(start + SIZE, N), ...] for each in arrays)
        for start in range(0, N, SIZE)
    ]
    net = network(**arguments).fit(batches=items)
    assert net.backend.name == backend.name
    assert_same(net, network(**arguments).fit(tuple(arrays)))


def test_arrays_of_another_device_are_moved(backend):
    items = [tuple(backend.asarray(each) for each in item) for item in parts(X, Y)]
    net = network(device="cpu", steps="formulas").fit(batches=items)
    assert net.backend.name == "numpy"
    assert net.history["loss"] == pytest.approx(
        network(steps="formulas").fit((X, Y)).history["loss"], rel=1e-6
    )


def test_forms_of_a_batch(tmp_path):
    expected = network(epochs=1, steps="formulas").fit((X, Y))
    np.save(tmp_path / "x.npy", X)
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    for items in (
        [list(each) for each in parts(X, Y)],
        [(each.tolist(), y.tolist()) for each, y in parts(X, Y)],
        [Dataset(*each) for each in parts(X, Y)],
        parts(stored, Y),
    ):
        assert_same(network(epochs=1, steps="formulas").fit(batches=items), expected)


def test_frames_give_their_names():
    pandas = pytest.importorskip("pandas")
    names = [f"x{k}" for k in range(K)]
    frame, label = pandas.DataFrame(X, columns=names), pandas.Series(Y, name="is")
    items = [(frame[s : s + SIZE], label[s : s + SIZE]) for s in range(0, N, SIZE)]
    net = network().fit(batches=items)
    assert (net.feature_names, net.label_name) == (names, "is")
    before = items[3]
    items[3] = (before[0][names[::-1]], before[1])
    assert_same(network().fit(batches=items), net)
    items[3] = (before[0][names[1:]], before[1])
    with pytest.raises(ValueError, match=r"^batches\[3\]: X lacks 1 of the .*: 'x0'"):
        net.fit(batches=items)


# ---- sizes and types


@pytest.mark.parametrize("as_rows", [np.asarray, sparse])
def test_batches_of_other_sizes(as_rows, kind, made):
    sizes = [16, 16, 5, 64, 1, 64, 32, 40]
    ends = np.cumsum(sizes)
    items = [(as_rows(X[e - s : e]), Y[e - s : e]) for s, e in zip(sizes, ends, strict=True)]
    net = network(*LAYERS["dropout"](), **kind, epochs=4)
    net.fit(batches=items, validation=(X, Y))
    assert len(made) <= 3  # the first, the largest, and perhaps one with more entries
    assert net.optimizer.n_updates == 4 * len(sizes)
    expected = network(*LAYERS["dropout"](), epochs=4, steps="formulas")
    expected.fit(batches=items, validation=(X, Y))
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert net.history[name] == pytest.approx(expected.history[name], rel=1e-4)
    by_hand = network(*LAYERS["dropout"](), epochs=4, steps="formulas")
    losses = []
    for x, y in items * 4:
        x = x.toarray() if hasattr(x, "toarray") else x
        losses.append(float(by_hand.loss_and_gradient(x, y).loss) * len(y))
        by_hand.update_parameters()
    np.testing.assert_allclose(weights(net), weights(by_hand), rtol=1e-3, atol=1e-5)
    assert net.history["loss"][-1] == pytest.approx(sum(losses[-8:]) / sum(sizes), rel=1e-4)


def test_steps_are_made_once(kind, made):
    network(**kind, epochs=5).fit(batches=parts(X, Y))
    assert len(made) == 1
    assert type(made[0]).__name__.lower().startswith(kind["steps"][:6])


def test_each_type_is_read_with_all_its_digits(kind, made):
    wide = X.astype(np.float64) + 1e8
    items = parts(wide, Y)
    items[3] = ((wide[96:128] + 0.5).astype(np.int64), Y[96:128])
    items[4] = (np.full((SIZE, K), 1e8, np.float32), Y[128:160])
    net = network(Normalization.adapt(wide), **kind).fit(batches=items)
    joined = wide.copy()
    joined[96:128], joined[128:160] = items[3][0], items[4][0]
    n_made = len(made)
    expected = network(Normalization.adapt(wide), **kind).fit((joined, Y))
    assert n_made > 1
    np.testing.assert_allclose(weights(net), weights(expected), rtol=1e-5, atol=1e-6)
    assert net.history["loss"] == pytest.approx(expected.history["loss"], rel=1e-5)


def test_arrays_may_be_used_again_for_the_next_batch(kind):
    def items():
        x, y, weight = X[:25].copy(), Y[:25].copy(), WEIGHTS[:25].copy()
        item = (x, y, weight)
        for start in range(0, N, 25):
            x[...], y[...] = X[start : start + 25], Y[start : start + 25]
            weight[...] = WEIGHTS[start : start + 25]
            yield item

    net = network(**kind, batch_size=25).fit(batches=items)
    assert_same(net, network(**kind, batch_size=25).fit((X, Y, WEIGHTS)))


def test_a_batch_that_does_not_fit_goes_through_in_pieces():
    def trained(**data):
        net = network(batch_size=250, memory_limit=300_000, epochs=2, optimizer="sgd")
        return net.fit(**data)

    net = trained(batches=[(X, Y)])
    assert net.last_plan.rows < net.last_plan.batch_size == N
    assert net.last_plan.total <= 300_000
    larger = trained(batches=[(X[:10], Y[:10]), (X, Y)])
    assert larger.last_plan.rows < N
    plain = network(batch_size=250, epochs=2, optimizer="sgd").fit((X, Y))
    np.testing.assert_allclose(weights(net), weights(plain), rtol=1e-4, atol=1e-6)
    tiny = network(memory_limit=10_000)
    before = weights(tiny)
    with pytest.raises(MemoryPlanError):
        tiny.fit(batches=[(X, Y)])
    np.testing.assert_array_equal(weights(tiny), before)


def test_without_memory_an_epoch_is_undone_and_not_begun_again(monkeypatch):
    def items():
        yield from parts(X, Y)[:2]
        raise MemoryError("no room")

    net = network()
    before = weights(net)
    with pytest.raises(MemoryError, match="no room") as caught:
        net.fit(batches=items)
    assert "memory_limit" in caught.value.__notes__[0]
    np.testing.assert_array_equal(weights(net), before)


# ---- passes and epochs


def test_items_are_taken_in_order_when_they_are_needed(kind):
    made, taken = Closed(parts(X, Y)), []
    callback = LambdaCallback(on_epoch_end=lambda net, row: taken.append(list(made.taken)))
    network(**kind, shuffle=True).fit(batches=made, steps_per_epoch=3, callbacks=callback)
    assert taken == [[0, 1, 2], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5, 6, 7, 0]]
    assert made.begun == made.ended == 2


def test_a_pass_is_an_epoch():
    made = Closed(parts(X, Y))
    network().fit(batches=made)
    assert made.taken == list(range(8)) * 3
    assert made.begun == made.ended == 3


def test_the_first_batch_is_the_first_step(kind):
    net = network(**kind, epochs=1).fit(batches=iter(parts(X, Y)[:1]))
    assert_same(net, network(**kind, epochs=1).fit((X[:SIZE], Y[:SIZE])))
    assert net.optimizer.n_updates == 1


def assert_same_weights(net, expected):
    np.testing.assert_array_equal(weights(net), weights(expected))


class Reset:
    """An iterable that is its own iterator, and begins anew with ``iter``."""

    def __iter__(self):
        self.place = iter(parts(X, Y))
        return self

    def __next__(self):
        return next(self.place)


@pytest.mark.parametrize("steps_per_epoch", [None, 8, 5])
def test_what_can_be_begun_anew(steps_per_epoch):
    items = parts(X, Y)
    nets = [
        network(metric=None).fit(batches=given, steps_per_epoch=steps_per_epoch)
        for given in (items, tuple(items), iter_of(items), Reset(), Reset, Closed(items))
    ]
    assert nets[0].history.epochs == 3
    assert nets[0].optimizer.n_updates == 3 * (steps_per_epoch or 8)
    for net in nets[1:]:
        assert_same_weights(net, nets[0])


@pytest.mark.parametrize(
    ("steps_per_epoch", "complete"), [(None, 1), (8, 1), (3, 2), (9, 0), (4, 2)]
)
def test_a_generator_that_ends_early(steps_per_epoch, complete):
    net, expected = network(), network()
    if complete:
        items = parts(X, Y)[: complete * (steps_per_epoch or 8)]
        expected.fit(batches=items, steps_per_epoch=steps_per_epoch, epochs=complete)
    with pytest.raises(ValueError, match=r"batches ended after 8 batches.*give a function"):
        net.fit(batches=(item for item in parts(X, Y)), steps_per_epoch=steps_per_epoch)
    assert net.history.epochs == complete
    assert net.is_fitted == bool(complete)
    assert_same_weights(net, expected)
    assert dict(net.history).get("loss") == dict(expected.history).get("loss")


def test_a_generator_that_is_long_enough():
    net = network(epochs=2).fit(batches=(item for item in parts(X, Y)), steps_per_epoch=4)
    assert net.history.epochs == 2
    endless = itertools.cycle(parts(X, Y))
    assert network().fit(batches=endless, steps_per_epoch=11).optimizer.n_updates == 33


def test_a_function_that_returns_the_same_generator_again():
    made = (item for item in parts(X, Y))
    with pytest.raises(ValueError, match="ended after 8 batches"):
        network().fit(batches=lambda: made)


@pytest.mark.parametrize("given", [[], (), iter([]), list, lambda: iter([])])
def test_nothing_is_refused_before_anything_changes(given):
    net = network(epochs=1).fit((X, Y))
    before, rows = weights(net), net.history.epochs
    with pytest.raises(ValueError, match="batches is empty"):
        net.fit(batches=given, restart=True)
    np.testing.assert_array_equal(weights(net), before)
    assert net.history.epochs == rows


# ---- arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "neither a data set nor batches: expected either"),
        ({"X": (X, Y), "batches": [(X, Y)]}, "a data set and batches: expected either"),
        ({"X": (X, Y), "steps_per_epoch": 3}, "steps_per_epoch needs batches="),
        ({"batches": X}, "expected an iterable of batches"),
        ({"batches": "data.csv"}, "expected an iterable of batches"),
        ({"batches": {"X": X, "y": Y}}, "expected an iterable of batches"),
        ({"batches": Dataset(X, Y)}, "expected an iterable of batches"),
        ({"batches": 3}, "expected an iterable of batches"),
        ({"batches": lambda: 3}, "returned 3: expected an iterable"),
        ({"batches": (X, Y)}, r"^batches\[0\]: expected a Dataset or a tuple"),
        ({"batches": [(X,)]}, r"^batches\[0\]: expected a Dataset or a tuple"),
    ],
)
def test_wrong_arguments(arguments, message):
    net = network()
    with pytest.raises(TypeError, match=message):
        net.fit(**arguments)
    assert not net.is_fitted


@pytest.mark.parametrize("steps_per_epoch", [0, -1, 1.5, "3", True])
def test_steps_per_epoch_is_a_count(steps_per_epoch):
    with pytest.raises(ValueError, match="steps_per_epoch"):
        network().fit(batches=[(X, Y)], steps_per_epoch=steps_per_epoch)


def test_balanced_weights_are_refused():
    net = network(loss=SoftmaxCrossEntropy(class_weight="balanced"))
    made = Closed(parts(X, Y))
    with pytest.raises(ValueError, match=r"class_weight='balanced' is .* give the weight of each"):
        net.fit(batches=made)
    given = network(loss=SoftmaxCrossEntropy(class_weight=[1.0, 3.0])).fit(batches=parts(X, Y))
    expected = network(loss=SoftmaxCrossEntropy(class_weight=[1.0, 3.0])).fit((X, Y))
    assert_same(given, expected)


# ---- wrong batches

NAN = np.where(np.arange(SIZE)[:, None] == 5, np.nan, X[:SIZE])
WRONG = {
    "features": ((X[:SIZE, :5], Y[:SIZE]), "X has 5 features: expected 12"),
    "nan": ((NAN, Y[:SIZE]), r"X has 12 .*\(nan\) in row 5"),
    "too large": (
        (X[:SIZE].astype(np.float64) * 1e300, Y[:SIZE]),
        "numbers beyond what float32 holds",
    ),
    "classes": ((X[:SIZE], Y[:SIZE] + 2), "y "),
    "no targets": (Dataset(X[:SIZE]), "no targets"),
    "lengths": ((X[:SIZE], Y[:5]), "X has 32 rows but y has 5"),
    "empty": ((X[:0], Y[:0]), "empty"),
    "one-hot": ((X[:SIZE], np.eye(2)[Y[:SIZE]]), r"targets .* \(n, 2\), but of shape \(n,\)"),
    "weights": ((X[:SIZE], Y[:SIZE], WEIGHTS[:SIZE]), "weights are given, but missing in batch"),
    "class names": (
        Dataset(X[:SIZE], np.ones(SIZE, int), class_names=["b", "c"]),
        "y has the class 'c' in row 0, which is not among the classes of the training data: .*'b'",
    ),
    "type": (((X[:SIZE] > 0).astype(str), Y[:SIZE]), "X has the type <U5"),
    "neither": (5, "expected a Dataset or a tuple"),
}


RIGHT_IN_THE_FIRST_BATCH = ("one-hot", "weights", "class names")


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        (wrong, place)
        for wrong in WRONG
        for place in (0, 5)
        if place or wrong not in RIGHT_IN_THE_FIRST_BATCH
    ],
)
def test_a_wrong_batch_undoes_its_epoch(wrong, place, kind):
    item, message = WRONG[wrong]
    good = [Dataset(*each, class_names=["a", "b"]) for each in parts(X, Y)]
    net, rows = network(**kind), network(**kind)
    done = 0
    if place:
        rows.fit(batches=good, epochs=1)
        done = 1
    expected = weights(rows)

    def items():
        passed = net.history.epochs
        yield from good[:place] if passed == done else good
        if passed == done:
            yield item

    with pytest.raises((ValueError, TypeError), match=rf"batches\[{place}\]: .*{message}"):
        net.fit(batches=items)
    assert net.history.epochs == done
    np.testing.assert_array_equal(weights(net), expected)


def test_sparse_and_dense_do_not_mix():
    items = parts(X, Y)
    with pytest.raises(ValueError, match=r"batches\[1\]: its features are sparse, but dense"):
        network().fit(batches=[items[0], (sparse(X[:5]), Y[:5])])


def test_an_error_of_the_users_own_code_is_passed_on(kind):
    def items():
        yield from parts(X, Y)[:3]
        raise ValueError("of my own")

    net = network(**kind)
    before = weights(net)
    with pytest.raises(ValueError, match=r"^of my own$"):
        net.fit(batches=items)
    np.testing.assert_array_equal(weights(net), before)
    assert net.optimizer.n_updates == 0
    assert net.feature_names is None


def test_weights_that_are_all_zero(kind):
    loss = SoftmaxCrossEntropy(ignore_index=-1)
    ignored = np.full(SIZE, -1)
    items = [*parts(X, Y), (X[:SIZE], ignored)]
    net = network(**kind, loss=loss).fit(batches=items)
    assert np.isfinite(net.history["loss"]).all()
    undone = network(**kind, loss=loss)
    before = weights(undone)
    with pytest.raises(ValueError, match="no sample of epoch 1 counts"):
        undone.fit(batches=[(X[:SIZE], ignored)])
    np.testing.assert_array_equal(weights(undone), before)


def test_too_few_samples_for_batch_normalization():
    layers = LAYERS["batch norm"]
    with pytest.raises(ValueError, match=r"^batches\[0\] has 1 sample.*BatchNormalization"):
        network(*layers()).fit(batches=[(X[:1], Y[:1]), (X, Y)])
    items = [*parts(X, Y), (X[:1], Y[:1])]
    with pytest.warns(UserWarning, match=r"^batches\[8\] has 1 sample.*BatchNorm") as caught:
        network(*layers()).fit(batches=items)
    assert len(caught) == 1


def test_digits_that_the_first_batch_loses():
    with pytest.warns(UserWarning, match="too few digits"):
        network().fit(batches=parts(X.astype(np.float64) + 1e8, Y))


# ---- the end of training


def test_divergence_undoes_the_epoch(kind):
    y = X[:, :2].copy()
    good = parts(X, y)
    bad = [*good[:4], (X[:SIZE], np.full((SIZE, 2), 1e38, np.float32))]
    made = Closed([*good, *bad])
    net = regression(**kind, metric=None)
    expected = regression(**kind, metric=None).fit(batches=good, epochs=1)
    with pytest.raises(DivergedError, match="in epoch 2, step 5 of 8;"):
        net.fit(batches=made, steps_per_epoch=8)
    assert net.history.epochs == 1
    assert_same_weights(net, expected)
    assert made.ended == made.begun


def test_divergence_in_an_epoch_without_an_end(kind, monkeypatch):
    monkeypatch.setattr("xpnet.training.feeding.training_data._KEPT_STEPS", 3)
    # Formulas on a device read the sum of losses at the end alone: otherwise each step would wait.
    ends = kind["steps"] == "formulas" and "device" in kind
    net = regression(**kind, metric=None)
    before = weights(net)
    items = [*parts(X, X[:, :2])[:4], (X[:SIZE], np.full((SIZE, 2), 1e38, np.float32))]
    with pytest.raises(DivergedError, match=f"in epoch 1, step 5{' of 9' if ends else ''}; the"):
        net.fit(
            batches=itertools.chain(items, itertools.cycle(items)),
            steps_per_epoch=9 if ends else None,
        )
    np.testing.assert_array_equal(weights(net), before)


def test_ctrl_c_ends_after_the_step(kind, ctrl_c):
    made = Closed(itertools.cycle(parts(X, Y)))
    net = network(**kind)

    def items():
        for k, item in enumerate(made()):
            if k == 20:
                _thread.interrupt_main()
            yield item

    with pytest.raises(KeyboardInterrupt, match="ended in epoch 1, which is incomplete"):
        net.fit(batches=items)  # endless
    assert net.history.epochs == 1
    assert net.optimizer.n_updates in (20, 21)
    assert np.isfinite(net.history["accuracy"]).all()
    assert made.ended == 1


def test_a_callback_ends_training_and_the_generator(kind):
    made = Closed(parts(X, Y))

    def stop(net, row):
        net.stop_training = net.history.epochs == 2

    net = network(**kind, epochs=10)
    net.fit(batches=made(), steps_per_epoch=3, callbacks=LambdaCallback(on_epoch_end=stop))
    assert net.history.epochs == 2
    assert made.taken == list(range(6))
    assert made.ended == 1


@pytest.mark.parametrize("wrong", ["first", "later", "callback", "validation"])
def test_a_generator_is_closed_after_an_error(wrong):
    items = parts(X, Y)
    if wrong in ("first", "later"):
        items[0 if wrong == "first" else 3] = (X[:, :3], Y)
    made, given = Closed(items), {}
    if wrong == "callback":
        given["callbacks"] = LambdaCallback(on_epoch_end=lambda net, row: 1 / 0)
    if wrong == "validation":
        given["validation"] = (X[:, :3], Y)
    held = made()
    with pytest.raises((ValueError, ZeroDivisionError)):
        network().fit(batches=held, steps_per_epoch=6, **given)
    assert made.ended == 1
    assert next(held, None) is None


def test_everything_else_works_as_with_a_data_set(capsys):
    rows, begun = [], []
    callback = LambdaCallback(
        on_epoch_begin=lambda net, epoch: begun.append(epoch),
        on_epoch_end=lambda net, row: rows.append(row),
    )
    arguments = {"validation": (X, Y), "eval_every": 2, "epochs": 4}
    net = network(learning_rate=None, verbose=True).fit(
        batches=parts(X, Y), callbacks=callback, **arguments
    )
    lines = capsys.readouterr().out.splitlines()
    expected = network(learning_rate=None).fit((X, Y), **arguments)
    assert_same(net, expected)
    np.testing.assert_array_equal(net.history["val_loss"], expected.history["val_loss"])
    assert begun == [0, 1, 2, 3]
    assert len(rows) == 4
    assert lines[3].startswith("Epoch 4/4 - loss: ")
    again = network().fit(batches=parts(X, Y), epochs=4)
    twice = network().fit(batches=parts(X, Y), epochs=1).fit(batches=parts(X, Y), epochs=3)
    np.testing.assert_array_equal(weights(again), weights(twice))
    twice.fit(batches=parts(X, Y), epochs=4, restart=True)
    np.testing.assert_array_equal(weights(again), weights(twice))
    assert net.last_plan.batch_size == SIZE
    assert net.score((X, Y)) == expected.score((X, Y))


def test_the_progress_bar(capsys):
    pytest.importorskip("tqdm")
    network(progress=True).fit(batches=parts(X, Y))
    assert "epoch 3/3 100%" in capsys.readouterr().err
    network(progress=True).fit(batches=iter_of(parts(X, Y)))
    shown = capsys.readouterr().err
    assert "24batch" in shown
    assert "24/" not in shown


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"batches": iter_of(parts(X, Y))}, "CompiledSteps"),  # perhaps many
        ({"batches": parts(X, Y)}, "CompiledSteps"),
        ({"batches": parts(X, Y)[:2]}, "FormulaSteps"),
        ({"batches": itertools.cycle(parts(X, Y)), "steps_per_epoch": 2}, "FormulaSteps"),
        ({"batches": itertools.cycle(parts(X, Y)), "steps_per_epoch": 9}, "CompiledSteps"),
    ],
)
def test_few_steps_are_not_compiled(given, kind, made):
    pytest.importorskip("numba")
    network().fit(**given)
    assert [type(each).__name__ for each in made] == [kind]


def test_batches_are_made_in_the_thread_of_fit():
    threads = set()

    def items():
        for item in parts(X, Y):
            threads.add(threading.current_thread())
            yield item

    network().fit(batches=items)
    assert threads == {threading.current_thread()}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_loader_of_pytorch(workers, kind):
    torch = pytest.importorskip("torch")
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(torch.tensor(X), torch.tensor(Y))
    loader = DataLoader(data, batch_size=SIZE, num_workers=workers)
    arguments = {"device": "cpu"} | kind
    assert_same(network(**arguments).fit(batches=loader), network(**arguments).fit((X, Y)))


def test_a_data_loader_of_unknown_length():
    torch = pytest.importorskip("torch")
    from torch.utils.data import DataLoader, IterableDataset

    class Endless(IterableDataset):
        def __iter__(self):
            return ((X[k % N], Y[k % N]) for k in itertools.count())

    loader = DataLoader(Endless(), batch_size=SIZE)
    net = network(device="cpu", epochs=2).fit(batches=loader, steps_per_epoch=7)
    assert net.optimizer.n_updates == 14
    net = network(epochs=1).fit(batches=loader, steps_per_epoch=2)
    assert isinstance(net.layers[0].weights, torch.Tensor)


@pytest.mark.parametrize("made", [list, iter, lambda items: (each for each in items)])
def test_batches_in_place_of_data_are_told_their_argument(made):
    net = NeuralNetwork(loss="softmax_cross_entropy").add(DenseLayer(2, input_shape=(K,)))
    with pytest.raises(TypeError, match=r"give fit\(batches=\.\.\.\)"):
        net.fit(made([(X[:SIZE], Y[:SIZE])]))
