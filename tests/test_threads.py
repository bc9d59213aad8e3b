"""Several threads: what predicts writes nothing, and what trains shares the cores with others."""

import inspect
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest

import xpnet
from xpnet import (
    BatchNormalization,
    Branches,
    CategoricalEmbeddings,
    Composite,
    DenseLayer,
    Dropout,
    Embedding,
    GaussianNLL,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
    Residual,
    TanhActivation,
    array_namespace,
)
from xpnet.activations import ActivationLayer, FunctionActivation
from xpnet.backends import is_array, to_host
from xpnet.backends.cpu import blas_threads
from xpnet.callbacks import LambdaCallback
from xpnet.layers import Layer
from xpnet.losses import LOSSES, LossFunction
from xpnet.metrics import METRICS, TopKAccuracy

RNG = np.random.default_rng(5)
X = RNG.standard_normal((300, 6))
LABELS = RNG.integers(0, 3, 300)
Y = X[:, :1] * X[:, 1:2] + 0.1 * RNG.standard_normal((300, 1))


class Scale(Layer):
    """The layer of docs/own-parts.md, which keeps its input in every forward pass."""

    parameter_names = ("factor",)

    def initialize(self, optimizer=None):
        self.factor = self.new_parameter(self.input_shape(), "he_normal")
        return super().initialize(optimizer)

    def forward_propagation(self, input, training=True):
        self.input = input
        return input * self.factor

    def backward_propagation(self, output_error):
        xp = array_namespace(output_error)
        self.factor_gradient = xp.sum(output_error * self.input, axis=0)
        input_error = output_error * self.factor
        self.update_parameters()
        return input_error


def network(*layers, width=16, n_outputs=1, **settings):
    """Return a network in which ``layers`` come after the first two."""
    given = {"epochs": 5, "batch_size": 20, "seed": 0, "dtype": "float64", "optimizer": "adam"}
    net = NeuralNetwork(**given | settings).add(DenseLayer(width, (6,))).add(ReLUActivation())
    for layer in layers:
        net.add(layer)
    return net.add(DenseLayer(n_outputs))


# ---- prediction writes nothing


def kinds(base):
    """Yield the package's own classes below ``base`` that can be made."""
    for kind in base.__subclasses__():
        if kind.__module__.startswith("xpnet."):
            if not inspect.isabstract(kind):
                yield kind
            yield from kinds(kind)


ARGUMENTS = {
    Branches: lambda: Branches(([0, 1], [TanhActivation()]), (slice(2, 6), [DenseLayer(2)])),
    CategoricalEmbeddings: lambda: CategoricalEmbeddings({0: 9}),
    Composite: lambda: Residual(DenseLayer(6)),
    Embedding: lambda: Embedding(9, 3),
    Residual: lambda: Residual(DenseLayer(6), Dropout(0.5)),
    DenseLayer: lambda: DenseLayer(4),
    FunctionActivation: lambda: FunctionActivation(lambda x: x * x),
    Normalization: lambda: Normalization(np.arange(6.0), np.arange(1.0, 7.0)),
}
OF_CODES = (CategoricalEmbeddings, Embedding)
ALL_LAYERS = sorted(set(kinds(Layer)), key=lambda kind: kind.__name__)


def held(thing):
    """Return the attributes of an object: the objects themselves, and the content of arrays."""
    found = dict(vars(thing))
    return found, {k: to_host(v).tobytes() for k, v in found.items() if is_array(v)}


def assert_unchanged(thing, before):
    now, contents = held(thing)
    assert list(now) == list(before[0])
    assert all(now[name] is before[0][name] for name in now)
    assert contents == before[1]


def test_all_kinds_of_layers_are_tried():
    assert {DenseLayer, Dropout, BatchNormalization, Normalization} <= set(ALL_LAYERS)
    assert set(kinds(ActivationLayer)) < set(ALL_LAYERS)


@pytest.mark.parametrize("trained_before", [False, True])
@pytest.mark.parametrize("kind", ALL_LAYERS, ids=lambda kind: kind.__name__)
def test_no_layer_writes_anything_in_prediction(kind, trained_before):
    layer = ARGUMENTS.get(kind, kind)()
    layer.set_input_shape((6,))
    layer.initialize()
    given = X.astype(np.float32)
    if kind in OF_CODES:
        given = np.floor(given) % 9
    if trained_before:
        layer.forward_propagation(given, training=True)
    before = held(layer)
    for n in (300, 1):
        layer.forward_propagation(given[:n], training=False)
    assert_unchanged(layer, before)


ALL_MEASURES = sorted({*LOSSES.values(), *METRICS.values()}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", ALL_MEASURES, ids=lambda kind: kind.__name__)
def test_no_loss_or_metric_writes_anything(kind):
    measure = kind(1) if kind is TopKAccuracy else kind()
    before, y, rows = held(measure), np.eye(3)[LABELS[:40]], RNG.dirichlet([1, 2, 3], 40)
    if getattr(measure, "targets", None) == "positive":
        y = 1.0 + y
    if isinstance(measure, GaussianNLL):
        y, rows = y[:, :1], rows[:, :2]
    for weight in (None, RNG.uniform(0.5, 1.5, 40)):
        measure(y, rows, weight)
        if isinstance(measure, LossFunction):
            measure.loss_and_derivative(y, rows, weight)
    assert_unchanged(measure, before)


# ---- predictions beside a training


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [Dropout(0.5)],
        lambda: [BatchNormalization()],
        lambda: [Scale()],
        lambda: [Scale(), Dropout(0.2), ReLUActivation()],
    ],
)
@pytest.mark.parametrize("steps", ["auto", "formulas"])
def test_who_predicts_beside_a_training_changes_nothing_of_it(layers, steps):
    alone = network(*layers(), steps=steps).fit((X, Y))
    net = network(*layers(), steps=steps).fit((X, Y), epochs=1)
    ended, errors = threading.Event(), []

    def predict():
        while not ended.is_set():
            try:
                net.predict(X)
                net.score((X, Y), metric="mse")
                net.predict(X[:1])
            except Exception as error:
                errors.append(error)
                raise

    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(predict)
        try:
            net.fit((X, Y), epochs=4)
        finally:
            ended.set()
    assert not errors
    np.testing.assert_array_equal(net.parameters.copy(), alone.parameters.copy())
    np.testing.assert_array_equal(net.predict(X), alone.predict(X))


def test_predictions_in_the_middle_of_each_step_change_nothing():
    """What threads do by chance, each time: a prediction between forward and backward pass."""

    class Disturbed(xpnet.MeanSquaredError):
        def loss_and_derivative(self, *arguments, **more):
            if nets:
                thread = threading.Thread(target=nets[0].predict, args=(X[:7],))
                thread.start()
                thread.join()
            return super().loss_and_derivative(*arguments, **more)

    trained, nets = [], []
    for disturbed in (False, True):
        net = network(Scale(), Dropout(0.3), BatchNormalization(), loss=Disturbed(), epochs=1)
        net.fit((X, Y))
        nets[:] = [net] if disturbed else []
        trained.append(net.fit((X, Y), epochs=2).parameters.copy())
    np.testing.assert_array_equal(*trained)


def test_threads_that_predict_with_a_users_layer_get_what_one_gets():
    net = network(Scale()).fit((X, Y))
    parts = [X[k : k + 60] for k in range(0, 300, 3)]
    expected = [net.predict(part) for part in parts]
    before = held(net.layers[2])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(net.predict, parts))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert_unchanged(net.layers[2], before)


def test_a_layer_with_a_replaced_method_predicts_on_a_copy():
    net = network().fit((X, Y))
    layer, forward = net.layers[1], type(net.layers[1]).forward_propagation
    seen = []

    def keeping(input, training=True):
        seen.append(training)
        return forward(layer, input, training)

    layer.forward_propagation = keeping
    before = held(layer)
    net.predict(X)
    assert seen == [False]
    assert_unchanged(layer, before)


def test_a_network_in_training_is_not_moved_by_a_prediction():
    torch = pytest.importorskip("torch")
    net = network()
    with pytest.raises(RuntimeError, match="is being trained on cpu"):
        net.fit((X, Y), callbacks=LambdaCallback(on_epoch_end=lambda *_: net.predict(torch.eye(6))))
    assert net.backend.name == "numpy"
    assert net.predict(torch.eye(6)).shape == (6, 1)


def test_of_many_fits_of_one_network_at_a_time_one_trains():
    net, start = network(epochs=3), threading.Barrier(8)

    def fit():
        start.wait()
        try:
            net.fit((X, Y))
        except RuntimeError as error:
            return str(error)
        return "trained"

    for _ in range(5):
        before = net.history.epochs
        with ThreadPoolExecutor(8) as pool:
            ends = list(pool.map(lambda _: fit(), range(8)))
        done = ends.count("trained")
        assert done >= 1
        assert all(end == "trained" or "is already being trained" in end for end in ends)
        assert net.history.epochs == before + 3 * done


# ---- the threads of BLAS


class Library:
    """A BLAS as threadpoolctl shows it, which counts how often its threads are set."""

    def __init__(self, name, layer="pthreads"):
        self.filepath, self.internal_api, self.threading_layer = name, "openblas", layer
        self._all, self._of_thread, self.asked = {"n": 4}, threading.local(), []

    @property
    def num_threads(self):
        own = self.threading_layer == "openmp"
        return getattr(self._of_thread, "n", 4) if own else self._all["n"]

    def set_num_threads(self, n):
        self.asked.append((threading.get_ident(), n))
        if self.threading_layer == "openmp":
            self._of_thread.n = n
        else:
            self._all["n"] = n


@pytest.fixture
def blas(monkeypatch):
    """One library of each kind, in place of NumPy's own."""
    libraries = Library("one"), Library("each", "openmp")
    monkeypatch.setattr(blas_threads, "_libraries", lambda: libraries)
    return libraries


def in_another_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_who_computes_alone_leaves_blas_its_threads(blas):
    with blas_threads.computing(), blas_threads.computing():
        assert blas_threads.blas_threads() == 4
    assert not blas[0].asked


def test_blas_has_one_thread_while_two_compute_in_whatever_order_they_end(blas):
    one, inside, leave = blas[0], threading.Event(), threading.Event()

    def other():
        with blas_threads.computing():
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=other)
    with blas_threads.computing():
        thread.start()
        assert inside.wait(60)
        assert one.num_threads == 1
    assert one.num_threads == 4
    with blas_threads.computing():
        assert one.num_threads == 1
        leave.set()
        thread.join()
        assert one.num_threads == 4
    assert [n for _, n in one.asked] == [1, 4, 1, 4]


def test_a_limit_inside_of_another_is_set_and_lifted_once(blas):
    one, each = blas
    with blas_threads.one_blas_thread(), blas_threads.one_blas_thread():

        def inner():
            with blas_threads.one_blas_thread():
                return [library.num_threads for library in blas]

        assert in_another_thread(inner) == [1, 1]
        assert [library.num_threads for library in blas] == [1, 1]
    assert [library.num_threads for library in blas] == [4, 4]
    assert [n for _, n in one.asked] == [1, 4]
    assert [n for _, n in each.asked] == [1, 1, 4, 4]  # once in each thread


def test_an_error_inside_lifts_the_limit(blas):
    with pytest.raises(KeyError), blas_threads.one_blas_thread(), blas_threads.computing():
        raise KeyError
    assert [library.num_threads for library in blas] == [4, 4]
    assert not blas_threads._computing


def test_two_trainings_and_what_they_predict_set_the_limit_once(blas):
    """However many epochs, steps and evaluations they have, each may begin and end once."""
    both = threading.Barrier(2)

    def train(seed):
        def meet(*_):
            both.wait(60)

        net = network(seed=seed, epochs=6, metric="mae", steps="formulas")
        meeting = LambdaCallback(on_train_begin=meet, on_train_end=meet)
        net.fit((X, Y), validation=(X, Y), callbacks=[
            meeting, LambdaCallback(on_epoch_end=lambda net, _: net.predict(X))
        ])  # fmt: skip

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(train, range(2)))
    assert [n for _, n in blas[0].asked] == [1, 4]


SHARED = """
import sys, threading
import numpy as np
from concurrent.futures import ThreadPoolExecutor
from threadpoolctl import ThreadpoolController
import xpnet
from xpnet import DenseLayer, NeuralNetwork, ReLUActivation
xpnet.config.threads = 1
rng = np.random.default_rng(0)
X = rng.standard_normal((2000, 30)).astype("float32")
y = X[:, :1] * X[:, 1:2]

def train(seed):
    net = NeuralNetwork(epochs=2, batch_size=256, optimizer="adam", seed=seed, steps="compiled")
    for k in range(2):
        net.add(DenseLayer(256, None if k else (30,))).add(ReLUActivation())
    return net.add(DenseLayer(1)).fit((X, y)).parameters.copy()

alone = [train(seed) for seed in range(4)]
controllers = ThreadpoolController().select(user_api="blas").lib_controllers
before = [each.num_threads for each in controllers]
with ThreadPoolExecutor(2) as pool:
    together = list(pool.map(train, range(4)))
print(before == [each.num_threads for each in controllers], max(before))
print(all((one == other).all() for one, other in zip(alone, together)))
"""


@pytest.mark.skipif(
    any(find_spec(name) is None for name in ("numba", "scipy", "threadpoolctl")),
    reason="compiled steps need the extra numba",
)
def test_compiled_steps_have_one_blas_thread_in_whichever_thread_they_run():
    """With two threads of BLAS, products are rounded otherwise, on processors without AVX-512."""
    words = "OPENBLAS", "OMP_", "MKL_", "XPNET_"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(words)}
    command = [sys.executable, "-c", SHARED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    lifted, equal = done.stdout.splitlines()
    assert lifted.split()[0] == "True"
    assert equal == "True"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_process_forgets_the_threads_that_it_does_not_have():
    code = """
import os, threading
from xpnet.backends.cpu import blas_threads as b
inside, leave = threading.Event(), threading.Event()
def other():
    with b.computing(), b.one_blas_thread():
        inside.set()
        leave.wait()
thread = threading.Thread(target=other)
thread.start()
inside.wait()
with b.computing():
    child = os.fork()
    if child == 0:
        n = len(b._computing), b._n_reasons
        os._exit(0 if n == (1, 0) else 1)
    status = os.waitpid(child, 0)[1]
leave.set()
thread.join()
print(status, b._computing, b._n_reasons, b._limited)
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["0", "{}", "0", "{}"]
