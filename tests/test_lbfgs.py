"""Networks that L-BFGS trains: SciPy's steps, the history, callbacks, what is refused."""

import copy
import signal
import threading

import numpy as np
import pytest

import xpnet
from xpnet import (
    L2,
    LBFGS,
    SGD,
    BatchNormalization,
    ConstantLearningRate,
    DenseLayer,
    Dropout,
    LinearDecay,
    NeuralNetwork,
    TanhActivation,
)
from xpnet.backends import resolve, to_host
from xpnet.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    ReduceLROnPlateau,
)
from xpnet.training.steps.lbfgs.solver import Solver

minimize = pytest.importorskip("scipy.optimize", reason="SciPy is not installed").minimize

N = 90


@pytest.fixture
def data(rng):
    X = rng.standard_normal((N, 3))
    return X, np.sin(X[:, 0]) + X[:, 1] * X[:, 2]


def network(optimizer="lbfgs", middle=(), **arguments):
    arguments = {"dtype": "float64", "seed": 3, "epochs": 12, "metric": "rmse"} | arguments
    net = NeuralNetwork(optimizer=optimizer, **arguments).add(DenseLayer(7, (3,)))
    for layer in middle:
        net.add(layer)
    return net.add(TanhActivation()).add(DenseLayer(1))


def iterates(net, X, y, n, weight=None, **options):
    """Return loss and weights after each of SciPy's iterations, by a plain objective."""
    net, points = copy.deepcopy(net), []
    arrays = [np.asarray(a, net.backend.dtype) for a in (X, y.reshape(-1, 1))]
    if weight is not None:
        arrays.append(np.asarray(weight, net.backend.dtype))

    def function(flat):
        net.parameters.scatter(flat.astype(net.backend.dtype))
        done = net.loss_and_gradient(*arrays)
        loss, gradient = float(done.loss), done.gradient.astype(float)
        for layer, name, regularizer in net.parameters.penalties:
            share = 1.0 / (N if weight is None else weight.sum())
            share = share if regularizer.per_sample else 1.0
            w = getattr(layer, name)
            loss += share * float(regularizer.penalty(w))
            place = net.parameters.places[layer, name]
            gradient[place] += share * regularizer.derivative(w).reshape(-1)
        return loss, gradient

    def note(x):
        points.append((function(x)[0], x.copy()))

    start = net.parameters.copy().astype(float)
    options = {"maxiter": n, "maxcor": 10, "gtol": 1e-5, "maxfun": 15000} | options
    minimize(function, start, method="L-BFGS-B", jac=True, callback=note, options=options)
    return points


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("regularizer", [None, L2(1e-3), L2(0.1, per_sample=True)])
def test_epochs_are_the_iterations_of_scipy(data, weighted, regularizer, rng):
    X, y = data
    weight = rng.uniform(0.1, 2, N) if weighted else None
    net = network(regularizer=regularizer)
    expected = iterates(net, X, y, 12, weight)
    weights = []
    note = LambdaCallback(on_epoch_end=lambda net, row: weights.append(net.parameters.copy()))
    net.fit((X, y) if weight is None else (X, y, weight), callbacks=note)
    assert net.history.epochs == len(expected) == 12
    np.testing.assert_allclose(net.history["loss"], [loss for loss, _ in expected], rtol=1e-7)
    np.testing.assert_allclose(weights, [x for _, x in expected], rtol=1e-5, atol=1e-7)
    assert net.optimizer.n_updates == 12
    assert net.history["learning_rate"] == [1.0] * 12


def test_the_history_is_of_the_weights_at_the_end_of_each_epoch(data):
    X, y = data
    found = []

    def note(net, row):
        outputs = net.predict(X)[:, 0]
        found.append((np.mean((outputs - y) ** 2), net.score(data)))

    net = network().fit(data, validation=data, callbacks=LambdaCallback(on_epoch_end=note))
    np.testing.assert_allclose(net.history["loss"], [loss for loss, _ in found], rtol=1e-10)
    np.testing.assert_allclose(net.history["rmse"], [rmse for _, rmse in found], rtol=1e-10)
    np.testing.assert_allclose(net.history["val_loss"], net.history["loss"], rtol=1e-10)


def test_options_are_those_of_scipy(data):
    X, y = data
    net = network(LBFGS(history=2))
    expected = iterates(net, X, y, 12, maxcor=2)
    net.fit(data)
    np.testing.assert_allclose(net.history["loss"], [loss for loss, _ in expected], rtol=1e-7)
    assert net.history["loss"] != network().fit(data).history["loss"]


def test_pieces_make_the_same_steps(data):
    whole, parts = network().fit(data), network()
    plan = parts.memory_plan(N, N)
    parts.memory_limit = plan.total - plan.activations // 3
    parts.fit(data)
    assert parts.last_plan.rows < parts.last_plan.batch_size == N
    np.testing.assert_allclose(parts.history["loss"], whole.history["loss"], rtol=1e-7)
    np.testing.assert_allclose(parts.history["rmse"], whole.history["rmse"], rtol=1e-7)


def test_float32_reaches_about_the_same(data):
    net = network(dtype="float32", epochs=40).fit(data)
    assert net.parameters.copy().dtype == np.float32
    assert net.history["loss"][-1] < 2 * network(epochs=40).fit(data).history["loss"][-1]


def test_on_every_backend(data, float64_backend):
    backend = float64_backend
    net = network(device=backend.device_name, backend=backend.name).fit(data)
    assert backend.owns(net.layers[0].weights)
    np.testing.assert_allclose(net.history["loss"], network().fit(data).history["loss"], rtol=1e-6)


def test_training_ends_when_the_solver_has_converged(data):
    net = network(LBFGS(tolerance=0.1), epochs=100).fit(data)
    first = net.history.epochs
    assert 1 < first < 100
    assert np.max(np.abs(gradient_of(net, data))) <= 0.1
    before = net.parameters.copy()
    net.fit(data)  # nothing is left to do: one more row, of the same weights
    assert net.history.epochs == first + 1
    assert net.history["loss"][-1] == pytest.approx(net.history["loss"][-2], rel=1e-12)
    np.testing.assert_array_equal(net.parameters.copy(), before)
    assert net.optimizer.n_updates == first


def gradient_of(net, data):
    X, y = data
    return net.loss_and_gradient(X, y.reshape(-1, 1)).gradient


def test_a_solver_that_ends_early_warns(data):
    net = network(LBFGS(max_evaluations=5), epochs=100)
    with pytest.warns(UserWarning, match=r"LBFGS ended without .* evaluations of the loss: "):
        net.fit(data)
    assert net.history.epochs < 6
    np.testing.assert_allclose(
        net.history["loss"][-1], np.mean((net.predict(data[0])[:, 0] - data[1]) ** 2), rtol=1e-10
    )


def test_fit_goes_on(data):
    net = network(epochs=5).fit(data)
    middle = net.history["loss"][-1]
    again = copy.deepcopy(net).fit(data)
    net.fit(data)
    assert net.history.epochs == 10
    assert net.history["loss"][-1] < middle
    assert again.history["loss"] == net.history["loss"]
    np.testing.assert_array_equal(again.parameters.copy(), net.parameters.copy())


def test_a_saved_network_goes_on(data, tmp_path):
    net = network(LBFGS(history=5, tolerance=1e-6), epochs=5).fit(data)
    net.save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net")
    assert repr(loaded.optimizer) == "LBFGS(history=5, tolerance=1e-06)"
    assert loaded.optimizer.n_updates == 5
    for each in (net, loaded):
        each.fit(data)
    assert loaded.history["loss"] == net.history["loss"]


def test_restart_begins_anew(data):
    net = network().fit(data)
    losses = net.history["loss"]
    assert net.fit(data, restart=True).history["loss"] == losses


def test_callbacks_work(data, tmp_path):
    stop = EarlyStopping(patience=2, min_delta=1e9)
    best = ModelCheckpoint(tmp_path / "best.safetensors", best_only=True)
    net = network(epochs=50).fit(data, validation=data, callbacks=[stop, best])
    assert net.history.epochs == 3
    assert (tmp_path / "best.safetensors").exists()


def test_weights_that_a_callback_changes_are_where_the_solver_goes_on(data):
    def halve(net, epoch):
        if epoch == 6:
            net.parameters.scatter(0.5 * net.parameters.copy())

    net = network(epochs=6).fit(data)
    net.parameters.scatter(0.5 * net.parameters.copy())
    expected = net.fit(data).history["loss"]
    other = network().fit(data, callbacks=LambdaCallback(on_epoch_begin=halve))
    np.testing.assert_array_equal(other.history["loss"], expected)


def test_a_callback_may_take_another_optimizer(data):
    def replace(net, epoch):
        if epoch == 3:
            net.optimizer = SGD(0.01)

    net = network().fit(data, callbacks=LambdaCallback(on_epoch_begin=replace))
    assert net.history["learning_rate"] == [1.0] * 3 + [0.01] * 9


def test_batch_normalization_and_layers_of_ones_own_take_part(data):
    net = network(middle=[BatchNormalization()], epochs=30).fit(data)
    assert net.history["loss"][-1] < 0.5 * net.history["loss"][0]


def test_ctrl_c_ends_training_after_the_iteration(data, ctrl_c):
    def press(net, epoch):
        if epoch == 3:
            signal.raise_signal(signal.SIGINT)

    net = network()
    with pytest.raises(KeyboardInterrupt, match="training ended after epoch 4"):
        net.fit(data, callbacks=LambdaCallback(on_epoch_begin=press))
    assert net.history.epochs == 4
    expected = network(epochs=4).fit(data)
    np.testing.assert_array_equal(net.parameters.copy(), expected.parameters.copy())


def solvers():
    return [each for each in threading.enumerate() if each.name == "xpnet-lbfgs"]


def test_no_thread_is_left(data):
    class Failing(Callback):
        def on_epoch_end(self, network, row):
            raise OSError("no room")

    network().fit(data)
    assert not solvers()
    net = network()
    with pytest.raises(OSError, match="no room"):
        net.fit(data, callbacks=Failing())
    assert not solvers()
    assert net.explain_steps(data).chosen == "formulas"
    assert not solvers()


def test_an_error_in_the_loss_is_raised_and_undone(data):
    class Broken(xpnet.MeanSquaredError):
        calls = 0

        def loss_and_derivative(self, y_true, y_pred, *weight, out=None):
            Broken.calls += 1
            if Broken.calls > 6:
                raise ArithmeticError("a bug of the user's")
            return super().loss_and_derivative(y_true, y_pred, *weight, out=out)

    net = network(loss=Broken())
    with pytest.raises(ArithmeticError, match="a bug of the user's"):
        net.fit(data)
    assert not solvers()
    assert 0 < net.history.epochs < 6
    expected = network(epochs=net.history.epochs).fit(data)
    np.testing.assert_array_equal(net.parameters.copy(), expected.parameters.copy())


def test_a_loss_that_is_not_finite_is_refused(data):
    X, y = data
    net = network()
    before = net.parameters.copy()
    with pytest.raises(xpnet.DivergedError, match="the loss became infinite in epoch 1"):
        net.fit((X, 1e200 * y))
    np.testing.assert_array_equal(net.parameters.copy(), before)


def test_classes(rng):
    X = rng.standard_normal((N, 3))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    net = NeuralNetwork(
        optimizer=LBFGS(), loss="softmax_cross_entropy", metric="accuracy", epochs=60, seed=0
    )
    net.add(DenseLayer(8, (3,))).add(TanhActivation()).add(DenseLayer(2)).fit((X, y))
    assert net.history["accuracy"][-1] > 0.95


# ---- what is refused


@pytest.mark.parametrize(
    ("arguments", "middle", "message"),
    [
        ({"batch_size": 30}, (), "batch_size=30 does not work with LBFGS, .* all 90 samples"),
        ({"steps": "compiled"}, (), "steps='compiled' does not work with LBFGS.*: omit steps"),
        ({"steps": "captured"}, (), "steps='captured' does not work with LBFGS"),
        ({"dtype": "float32", "precision": "tf32"}, (), "precision='tf32' needs captured steps"),
        ({}, (Dropout(0.5),), "Dropout, which makes the loss differ .* not work with LBFGS"),
        ({}, (DenseLayer(4, max_norm=1.0),), "max_norm of a DenseLayer does not work with LBFGS"),
    ],
)
def test_settings_that_make_no_sense_are_refused(arguments, middle, message, data):
    net = network(middle=middle, **arguments)
    before = net.parameters.copy()
    with pytest.raises(ValueError, match=message):
        net.fit(data)
    np.testing.assert_array_equal(net.parameters.copy(), before)
    assert net.history.epochs == 0


def test_batch_sizes_that_are_all_samples_are_not_refused(data):
    losses = network().fit(data).history["loss"]
    for size in (N, 1000, 128, "auto"):
        assert network(batch_size=size).fit(data).history["loss"] == losses


def test_batches_and_streams_are_refused(data, tmp_path):
    X, y = data
    with pytest.raises(ValueError, match=r"so fit\(batches=...\) cannot be used: give fit a data"):
        network().fit(batches=lambda: iter([(X, y)]))
    np.save(tmp_path / "X.npy", np.tile(X, (400, 1)))
    stored = np.load(tmp_path / "X.npy", mmap_mode="r")
    with pytest.raises(ValueError, match="needs all samples in memory at each step, and these are"):
        network(memory_limit=1 << 26).fit((stored, np.tile(y, 400)))


def test_checkpoints_are_refused(data, tmp_path):
    with pytest.raises(ValueError, match=r"^Checkpoint cannot be used with LBFGS: its memory "):
        network().fit(data, callbacks=Checkpoint(tmp_path / "run"))
    with pytest.raises(ValueError, match=r"^fit\(resume=...\) cannot be used with LBFGS"):
        network().fit(data, resume=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_learning_rates_and_clipping_are_refused(data):
    with pytest.raises(ValueError, match="LBFGS takes no learning_rate"):
        network(learning_rate=0.1)
    optimizer = LBFGS()
    optimizer.schedule = ConstantLearningRate(1.0)
    for name, value, message in (
        ("schedule", LinearDecay(1.0, 0.1), "chooses the lengths of its steps itself"),
        ("learning_rate", 0.5, "chooses the lengths of its steps itself"),
        ("clip_norm", 1.0, "clip_norm=1.0 for LBFGS, whose line search needs the unclipped"),
        ("clip_value", 1.0, "clip_value=1.0 for LBFGS"),
        ("history", 0, "history=0"),
        ("tolerance", 0, "tolerance=0"),
        ("max_evaluations", 0, "max_evaluations=0"),
    ):
        with pytest.raises(ValueError, match=message):
            setattr(optimizer, name, value)
    with pytest.raises(ValueError, match="remove callbacks that change it"):
        network(epochs=40).fit(
            data, validation=data, callbacks=ReduceLROnPlateau(patience=0, min_delta=1e9)
        )


def test_single_gradients_are_refused(data):
    X, y = data
    net = network()
    net.loss_and_gradient(X, y.reshape(-1, 1))
    with pytest.raises(TypeError, match="LBFGS computes its steps from the loss of all samples"):
        net.update_parameters()


def test_without_scipy_an_error_says_what_to_install(data, monkeypatch):
    from xpnet.training import full_batch

    monkeypatch.setattr(full_batch, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"LBFGS needs SciPy, .*: pip install scipy"):
        network().fit(data)


def test_the_memory_of_the_solver_is_planned(data):
    net = network().fit(data)
    n = net.parameters.copy().size
    assert net.last_plan.batch_size == net.last_plan.rows == N
    assert net.last_plan.optimizer_state == (2 * 10 + 10) * 8 * n
    with pytest.raises(xpnet.MemoryPlanError, match=r"(?s)does not fit .* less state"):
        network(LBFGS(history=100_000), memory_limit=1 << 20).fit(data)


# ---- the solver


def rosenbrock(x):
    a, b = x
    gradient = np.array([-2 * (1 - a) - 400 * a * (b - a**2), 200 * (b - a**2)])
    return (1 - a) ** 2 + 100 * (b - a**2) ** 2, gradient


def test_the_solver_makes_scipys_iterations():
    expected = []
    minimize(
        rosenbrock, [-1.2, 1.0], method="L-BFGS-B", jac=True,
        callback=lambda x: expected.append(x.copy()),
    )  # fmt: skip
    solver, found = Solver(rosenbrock, np.array([-1.2, 1.0])), []
    while (point := solver.iterate()) is not None:
        found.append(point)
        assert (solver.result is None) == (len(found) < len(expected))
    np.testing.assert_array_equal(found, expected)
    assert solver.iterate() is None
    assert solver.result.status == 0
    solver.close()
    solver.close()
    assert not solvers()


def test_an_error_in_scipys_thread_is_raised_here():
    solver = Solver(rosenbrock, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="x0"):
        solver.iterate()
    solver.close()
    assert not solvers()


def test_on_a_device_the_weights_stay_there(data):
    pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    backend = resolve("no_float64", backend="array-api-strict", dtype="float32")
    net = network(device=backend.device_name, backend=backend.name, dtype="float32").fit(data)
    assert backend.owns(net.layers[0].weights)
    assert np.isfinite(to_host(net.parameters.copy())).all()
