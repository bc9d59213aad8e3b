"""The network: building, training, asking, on every backend."""

import copy
import math
import pickle
import re

import numpy as np
import pytest

import xpnet
from xpnet import (
    SGD,
    Adam,
    BatchNormalization,
    BinaryCrossEntropy,
    Dataset,
    DenseLayer,
    DivergedError,
    Dropout,
    LinearDecay,
    NeuralNetwork,
    ReduceOnPlateau,
    ReLUActivation,
    SigmoidActivation,
    TanhActivation,
)
from xpnet.backends import array_namespace, backend_of, resolve, to_host
from xpnet.layers import Layer
from xpnet.losses import LossFunction
from xpnet.optimizers import Optimizer
from xpnet.testing import check_layer, check_loss

N, N_INPUTS, N_CLASSES = 90, 5, 3


def blobs(rng, n=N):
    """Three clouds of points, well apart."""
    y = np.arange(n) % N_CLASSES
    centres = 3.0 * np.eye(N_CLASSES, N_INPUTS)
    return (centres[y] + 0.5 * rng.standard_normal((n, N_INPUTS))), y


def classifier(**arguments):
    arguments = {
        "epochs": 15,
        "batch_size": 16,
        "optimizer": "adam",
        "learning_rate": 0.02,
        "loss": "softmax_cross_entropy",
        "metric": "accuracy",
        "seed": 4,
    } | arguments
    net = NeuralNetwork(**arguments)
    return (
        net.add(DenseLayer(12, input_shape=(N_INPUTS,)))
        .add(ReLUActivation())
        .add(BatchNormalization())
        .add(Dropout(0.1))
        .add(DenseLayer(N_CLASSES))
    )


def weights(net):
    return np.concatenate(
        [to_host(getattr(layer, n)).ravel() for layer in net.layers for n in layer.parameter_names]
    )


# ---- following the data


def test_a_network_follows_its_data_and_answers_in_their_library(backend, rng):
    X, y = blobs(rng)
    X, y = backend.asarray(X, backend.dtype), backend.asarray(y)
    net = classifier().fit((X, y), validation=(X, y))
    assert net.backend.name == backend.name
    assert net.history["accuracy"][-1] > 0.95
    assert net.history["val_accuracy"][-1] > 0.95
    assert net.history["loss"][-1] < net.history["loss"][0]
    output = net.predict(X)
    assert output.shape == (N, N_CLASSES)
    home = backend_of(output)
    assert (home.name, home.device_name) == (backend.name, backend.device_name)
    assert net.score((X, y)) == net.history["val_accuracy"][-1]


def test_the_same_seed_gives_the_same_training_on_every_backend(backend, rng):
    X, y = blobs(rng)
    settings = {"dtype": backend.dtype}
    if backend.dtype == "float32":
        # Adam takes a full step even along a gradient that is only rounding error, such as that of
        # a bias before batch normalization. The sign of that error depends on the processor.
        settings |= {"optimizer": "sgd", "epochs": 3}
    there = classifier(**settings).fit((backend.asarray(X, backend.dtype), backend.asarray(y)))
    here = classifier(**settings).fit((X, y))
    tolerance = 1e-9 if backend.dtype == "float64" else 1e-4
    np.testing.assert_allclose(weights(there), weights(here), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(there.history["loss"], here.history["loss"], rtol=tolerance)


def test_with_a_device_given_data_move_there_and_answers_come_back(backend, rng):
    X, y = blobs(rng)
    net = classifier(device=backend.device_name, backend=backend.name, dtype=backend.dtype)
    assert backend.owns(net.layers[0].weights)
    net.fit((X, y))
    assert backend.owns(net.layers[0].weights)
    assert isinstance(net.predict(X), np.ndarray)
    assert isinstance(net.predict(X.tolist()), np.ndarray)


def test_predicting_from_another_library_moves_the_network_or_the_data(rng):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    X, y = blobs(rng)
    follower, fixed = classifier().fit((X, y)), classifier(device="cpu").fit((X, y))
    for net, name in ((follower, "torch"), (fixed, "numpy")):
        output = net.predict(torch.asarray(X))
        assert isinstance(output, torch.Tensor)
        assert net.backend.name == name
        np.testing.assert_allclose(output.numpy(), fixed.predict(X), rtol=1e-4, atol=1e-5)
        assert net.fit((X, y), epochs=2).history.epochs == 17  # and trains on


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_is_computed_in_the_networks_dtype(dtype, rng):
    X, y = blobs(rng)
    net = classifier(dtype=dtype).fit((X.astype("float64"), y))
    assert net.predict(X).dtype == dtype
    assert weights(net).dtype == dtype
    assert str(net.optimizer.first_moment.dtype) == dtype


@pytest.mark.parametrize("kind", ["uint8", "int64", "bool"])
def test_integers_are_trained_on_in_their_own_type(kind, backend, rng):
    y = np.arange(60) % 2
    X = np.stack([y, 1 - y, rng.integers(0, 2, 60)], axis=1).astype(kind)
    net = NeuralNetwork(
        epochs=30, batch_size=20, loss="softmax_cross_entropy", metric="accuracy", seed=0
    )
    net.add(DenseLayer(2, input_shape=(3,)))
    data = Dataset(backend.asarray(X), backend.asarray(y))
    assert net.fit(data).score(data) == 1.0
    assert str(data.X.dtype).endswith(kind)


@pytest.mark.parametrize("make", ["list", "pandas", "polars", "csr"])
def test_tables_lists_and_sparse_rows_train_like_arrays(make, rng):
    X, y = blobs(rng)
    X = np.where(X > 0.5, X, 0.0)
    given = X
    if make == "list":
        given = X.tolist()
    elif make == "pandas":
        given = pytest.importorskip("pandas").DataFrame(X)
    elif make == "polars":
        given = pytest.importorskip("polars").DataFrame(X, schema=list("abcde"))
    else:
        given = pytest.importorskip("scipy.sparse").csr_array(X)
    expected = classifier(dtype="float64").fit((X, y))
    net = classifier(dtype="float64").fit((given, y))
    # A sparse product adds in another order.
    tolerance = 1e-9 if make == "csr" else 0.0
    np.testing.assert_allclose(weights(net), weights(expected), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(
        net.predict(given), expected.predict(X), rtol=tolerance, atol=tolerance
    )


# ---- the loop


def test_history_has_a_number_for_every_epoch(rng):
    X, y = blobs(rng)
    net = classifier(epochs=3).fit((X, y), validation=(X, y))
    assert set(net.history) == {
        "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds",
    }  # fmt: skip
    assert {len(column) for column in net.history.values()} == {3}
    assert net.history["epoch"] == [1, 2, 3]
    assert all(seconds > 0 for seconds in net.history["seconds"])


def test_the_loss_of_an_epoch_is_the_mean_over_samples_with_a_short_last_batch(rng):
    X, y = rng.standard_normal((10, 2)), rng.standard_normal(10)
    net = NeuralNetwork(epochs=1, batch_size=4, learning_rate=1e-30, metric="mse", dtype="float64")
    net.add(DenseLayer(1, input_shape=(2,))).fit((X, y))
    expected = ((net.predict(X)[:, 0] - y) ** 2).mean()
    assert net.history["loss"][0] == pytest.approx(expected, rel=1e-12)
    assert net.history["mse"][0] == pytest.approx(expected, rel=1e-12)


def test_sample_weights_weigh_training_and_the_loss_shown(rng):
    X, y, weight = rng.standard_normal((12, 2)), rng.standard_normal(12), np.arange(12.0)
    net = NeuralNetwork(epochs=1, batch_size=5, learning_rate=1e-30, dtype="float64")
    net.add(DenseLayer(1, input_shape=(2,))).fit((X, y, weight))
    error = (net.predict(X)[:, 0] - y) ** 2
    assert net.history["loss"][0] == pytest.approx((weight * error).sum() / weight.sum(), rel=1e-12)


def test_samples_without_weight_are_as_if_they_were_not_there(rng):
    X, y = blobs(rng)
    weight = (np.arange(N) < 60).astype(float)
    noise = y.copy()
    noise[60:] = rng.integers(0, 3, 30)
    nets = [classifier(epochs=2, shuffle=False).fit((X, labels, weight)) for labels in (y, noise)]
    np.testing.assert_array_equal(weights(nets[0]), weights(nets[1]))


@pytest.mark.parametrize("n", [16, 17, 31])
def test_mini_batches_have_every_sample_once(n, backend, rng):
    net = classifier(device=backend.device_name, backend=backend.name, dtype=backend.dtype)
    X = backend.asarray(np.arange(n * N_INPUTS).reshape(n, N_INPUTS))
    y = backend.asarray(np.arange(n))
    batches = list(net.get_mini_batches(X, y))
    assert [len(to_host(b)) for b, _ in batches] == [16] * (n // 16) + [n % 16] * (n % 16 > 0)
    seen = np.concatenate([to_host(y_batch) for _, y_batch in batches])
    assert sorted(seen.tolist()) == list(range(n))
    assert seen.tolist() != list(range(n))
    for X_batch, y_batch in batches:
        np.testing.assert_array_equal(to_host(X_batch)[:, 0], N_INPUTS * to_host(y_batch))
    in_order = [to_host(b)[0, 0] for b, none in net.get_mini_batches(X, shuffle=False)]
    assert in_order == [16 * N_INPUTS * k for k in range(len(in_order))]


def test_each_epoch_has_an_order_of_its_own_and_shuffle_false_none():
    net, orderly = classifier(), classifier(shuffle=False)
    orders = [net.orders.samples(50, epoch).tolist() for epoch in range(3)]
    assert orders[0] != orders[1] != orders[2]
    assert orders[0] == classifier().orders.samples(50, 0).tolist()
    assert orderly.orders.samples(50, 1).tolist() == list(range(50))


def test_fit_goes_on_where_it_ended(rng):
    X, y = blobs(rng)
    at_once = classifier(epochs=10).fit((X, y))
    in_two = classifier(epochs=10).fit((X, y), epochs=4).fit((X, y), epochs=6)
    np.testing.assert_array_equal(weights(in_two), weights(at_once))
    assert in_two.history["loss"] == at_once.history["loss"]
    assert in_two.history["epoch"] == list(range(1, 11))


def test_fit_restarts_when_asked(rng):
    X, y = blobs(rng)
    net = classifier(epochs=3).fit((X, y))
    first, losses = weights(net), net.history["loss"]
    net.fit((X, y), restart=True)
    np.testing.assert_array_equal(weights(net), first)
    assert net.history["loss"] == losses
    assert net.history.epochs == 3


def test_without_a_seed_a_restart_is_another_beginning(rng):
    X, y = blobs(rng)
    net = classifier(seed=None, epochs=1).fit((X, y))
    first = weights(net)
    assert not np.array_equal(weights(net.fit((X, y), restart=True)), first)


def test_learning_rate_schedules_run_over_all_epochs(rng):
    X, y = blobs(rng)
    net = classifier(epochs=5, optimizer="sgd", learning_rate=LinearDecay(0.1, 0.02)).fit((X, y))
    np.testing.assert_allclose(net.history["learning_rate"], [0.1, 0.08, 0.06, 0.04, 0.02])


def test_reduce_on_plateau_watches_the_validation_loss(rng):
    X, y = blobs(rng)
    schedule = ReduceOnPlateau(0.01, factor=0.5, patience=0)
    net = NeuralNetwork(4, batch_size=9, learning_rate=schedule, loss="softmax_cross_entropy")
    net.add(DenseLayer(N_CLASSES, input_shape=(N_INPUTS,)))
    net.fit((X, y), validation=(X, (y + 1) % N_CLASSES))  # what helps the one harms the other
    assert net.history["loss"] == sorted(net.history["loss"], reverse=True)
    assert net.history["val_loss"] == sorted(net.history["val_loss"])
    np.testing.assert_allclose(net.history["learning_rate"], [0.01, 0.01, 0.005, 0.0025])
    assert schedule.current == 0.01  # the network has a copy of its own


def test_verbose_prints_a_line_for_each_epoch(capsys, rng):
    X, y = blobs(rng)
    classifier(epochs=2, verbose=True).fit((X, y), validation=(X, y))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("Epoch 2/2 - loss: ")
    assert all(word in lines[1] for word in (" - accuracy: ", " - val_loss: ", " - val_accuracy: "))


def test_a_progress_bar_shows_the_loss(capsys, rng):
    X, y = blobs(rng)
    classifier(epochs=2, progress=True).fit((X, y))
    text = capsys.readouterr().err
    last = text.rstrip("\n").rsplit("\r", 1)[1]
    assert re.fullmatch(r"epoch 2/2 100%\|█+\|00:00, loss=0\.\d{4} accuracy=0\.\d{4}", last)


def test_quiet_is_the_default(capsys, rng):
    classifier(epochs=1).fit(blobs(rng))
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_a_loss_that_is_not_finite_ends_training_with_the_last_good_weights(rng):
    X, y = rng.standard_normal((20, 2)), rng.standard_normal(20)
    net = NeuralNetwork(epochs=300, batch_size=10, learning_rate=50.0, seed=0)
    net.add(DenseLayer(4, input_shape=(2,))).add(DenseLayer(1))
    with (
        np.errstate(all="ignore"),
        pytest.raises(
            DivergedError, match=r"the loss became \w+ in epoch \d+, step [12] of 2; .* Lower"
        ),
    ):
        net.fit((X, y))
    assert np.all(np.isfinite(weights(net)))
    assert math.isfinite(net.history["loss"][-1])


# ---- metrics and losses by class, instance or name


@pytest.mark.parametrize("metric", ["accuracy", xpnet.metrics.accuracy, xpnet.metrics.Accuracy])
@pytest.mark.parametrize(
    "loss",
    ["softmax_cross_entropy", "SoftmaxCrossEntropy", xpnet.SoftmaxCrossEntropy],
)
@pytest.mark.parametrize("optimizer", ["adam", "Adam", Adam])
def test_optimizer_loss_and_metric_by_name_class_or_instance(optimizer, loss, metric, rng):
    net = classifier(optimizer=optimizer, loss=loss, metric=metric).fit(blobs(rng))
    assert net.history["accuracy"][-1] > 0.95
    assert net.optimizer.learning_rate == 0.02


def test_an_optimizer_instance_is_copied(rng):
    optimizer = SGD(0.1)
    net = classifier(optimizer=optimizer, learning_rate=None).fit(blobs(rng))
    assert optimizer.retained_gradient is None
    assert net.optimizer.retained_gradient is not None


def test_a_metric_may_be_a_function_of_all_targets_and_outputs(rng):
    seen = []

    def count(y_true, y_pred):
        seen.append((y_true.shape, y_pred.shape))
        return len(y_true)

    net = classifier(epochs=2, metric=count).fit(blobs(rng))
    assert net.history["count"] == [N, N]
    assert seen == [((N,), (N, N_CLASSES))] * 2
    assert net.score(blobs(rng)) == N


def test_score_takes_another_metric(rng):
    X, y = blobs(rng)
    net = classifier().fit((X, y))
    assert 0.9 < net.score((X, y), metric="f1") <= 1.0
    assert net.score((X, y), metric=lambda y, p: 42) == 42


@pytest.mark.parametrize("from_logits", [False, True])
def test_accuracy_of_one_output_uses_the_threshold_of_the_loss(from_logits, rng):
    X, y = blobs(rng)
    y = (y == 0).astype(int)
    net = NeuralNetwork(
        epochs=30, batch_size=10, loss=BinaryCrossEntropy(from_logits), metric="accuracy", seed=0
    )
    net.add(DenseLayer(1, input_shape=(N_INPUTS,)))
    if not from_logits:
        net.add(SigmoidActivation())
    net.fit((X, y))
    right = (net.predict(X)[:, 0] > (0.0 if from_logits else 0.5)) == y
    assert net.score((X, y)) == pytest.approx(right.mean(), abs=1e-6)
    assert right.mean() > 0.9


# ---- building


def test_add_connects_shapes_and_draws_weights_from_the_seed():
    net, twin, other = classifier(), classifier(), classifier(seed=5)
    assert net.layers[-1].input_shape() == (12,)
    np.testing.assert_array_equal(weights(net), weights(twin))
    assert not np.array_equal(weights(net), weights(other))
    assert not np.array_equal(net.layers[0].weights[:3, :3], net.layers[-1].weights[:3, :3])


def test_summary_is_a_table(capsys):
    classifier().summary()
    text = capsys.readouterr().out
    assert text.splitlines()[0].split() == ["layer", "output", "shape", "parameters"]
    assert "DenseLayer" in text
    assert "(12,)" in text
    assert "135 parameters, float32" in text  # 5*12 + 12 + 24 + 12*3 + 3


def test_weights_set_by_hand_are_used_and_trained(rng):
    X, y = rng.standard_normal((20, 2)), rng.standard_normal(20)
    net = NeuralNetwork(epochs=1, batch_size=20, learning_rate=0.1, momentum=0.0, dtype="float64")
    net.add(DenseLayer(1, input_shape=(2,)))
    net.layers[0].weights = np.array([[2.0], [3.0]])
    net.fit((X, y))
    gradient = (2 / 20) * X.T @ (X @ [[2.0], [3.0]] - y[:, None])
    np.testing.assert_allclose(
        net.layers[0].weights, np.array([[2.0], [3.0]]) - 0.1 * gradient, rtol=1e-12
    )


def test_a_step_by_hand_is_a_step_of_fit(rng):
    X, y = blobs(rng, 16)
    by_hand, fitted = (classifier(shuffle=False, dtype="float64") for _ in range(2))
    output = by_hand.forward_propagation(X, training=True)
    by_hand.backward_propagation(by_hand.loss.derivative(y, output))
    fitted.fit((X, y), epochs=1)
    np.testing.assert_allclose(weights(by_hand), weights(fitted), rtol=1e-12, atol=1e-15)


def test_nothing_is_computed_for_the_derivative_of_the_data(rng):
    X, y = blobs(rng, 16)
    net = NeuralNetwork(batch_size=16, loss="softmax_cross_entropy", dtype="float64")
    for layer in (TanhActivation(), DenseLayer(6), TanhActivation(), DenseLayer(N_CLASSES)):
        if not net.layers:
            layer.set_input_shape((N_INPUTS,))
        net.add(layer)
    returned = {}
    for k, layer in enumerate(net.layers):
        layer.backward_propagation = lambda error, k=k, back=layer.backward_propagation: (
            returned.setdefault(k, back(error))
        )
    output = net.forward_propagation(X)
    net.backward_propagation(net.loss.derivative(y, output))
    assert sorted(returned) == [1, 2, 3]  # the first layer, which learns nothing, is not asked
    assert returned[1] is None
    assert returned[2].shape == (16, 6)


def test_networks_can_be_copied_and_pickled(rng):
    X, y = blobs(rng)
    net = classifier(epochs=2).fit((X, y))
    expected = net.predict(X)
    twins = copy.deepcopy(net), pickle.loads(pickle.dumps(net))
    for twin in twins:
        np.testing.assert_array_equal(twin.predict(X), expected)
        twin.fit((X, y))
    np.testing.assert_array_equal(net.predict(X), expected)
    np.testing.assert_array_equal(weights(twins[0]), weights(twins[1]))
    np.testing.assert_array_equal(weights(twins[0]), weights(net.fit((X, y))))


def test_predict_of_no_rows_is_no_rows(rng):
    X, y = blobs(rng)
    net = classifier(epochs=1).fit((X, y))
    assert net.predict(X[:0]).shape == (0, N_CLASSES)


def test_predict_in_many_batches_is_predict_at_once(rng):
    X, y = blobs(rng)
    net = classifier(epochs=1).fit((X, y))
    many = np.tile(X, (100, 1))
    np.testing.assert_allclose(net.predict(many)[:N], net.predict(X), rtol=1e-5, atol=1e-6)
    assert net.predict(many).shape == (100 * N, N_CLASSES)


# ---- a user's own parts, as docs/own-parts.md shows them


class Swish(xpnet.ActivationLayer):
    def activation_function(self, input):
        return input / (1 + array_namespace(input).exp(-input))

    def derivative(self, input):
        s = 1 / (1 + array_namespace(input).exp(-input))
        return s + input * s * (1 - s)


class Scale(Layer):
    parameter_names = ("factor",)

    def initialize(self, optimizer=None):
        self.factor = self.new_parameter(self.input_shape(), lambda shape, rng: np.ones(shape))
        return super().initialize(optimizer)

    def forward_propagation(self, input, training=True):
        self.input = input
        return input * self.factor

    def backward_propagation(self, output_error):
        self.factor_gradient = array_namespace(output_error).sum(output_error * self.input, axis=0)
        return output_error * self.factor

    def output_shape(self):
        return self.input_shape()

    def parameters(self):
        return self.input_shape()[0]


class Cubed(LossFunction):
    def loss(self, y_true, y_pred):
        xp = array_namespace(y_pred)
        return xp.mean(xp.abs(y_pred - y_true) ** 3)

    def derivative(self, y_true, y_pred):
        xp = array_namespace(y_pred)
        d = y_pred - y_true
        return 3 * d * xp.abs(d) / y_pred.shape[0]


class Signed(Optimizer):
    def update(self, w, grad_loss_w):
        return w - self.learning_rate * array_namespace(w).sign(grad_loss_w)


def test_a_users_own_parts_train_on_every_backend(backend, rng):
    X = rng.standard_normal((60, 3))
    y = (X @ [[1.0], [-2.0], [0.5]]) / 2
    net = NeuralNetwork(
        epochs=80, batch_size=20, optimizer=Signed(LinearDecay(0.02, 1e-3)), loss=Cubed, seed=2
    )
    for layer in (DenseLayer(8, input_shape=(3,)), Swish(), Scale(), DenseLayer(1)):
        net.add(layer)
    net.fit((backend.asarray(X, backend.dtype), backend.asarray(y, backend.dtype)))
    assert net.backend.name == backend.name
    assert net.history["loss"][-1] < 0.02 * net.history["loss"][0]
    assert not np.allclose(to_host(net.layers[2].factor), 1.0)


def test_a_users_loss_gets_columns_that_do_not_broadcast(rng):
    X, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    nets = [NeuralNetwork(epochs=2, batch_size=10, loss=Cubed, seed=2) for _ in range(2)]
    for net, targets in zip(nets, (y, y[:, None]), strict=True):
        net.add(DenseLayer(1, input_shape=(3,))).fit((X, targets))
    np.testing.assert_array_equal(weights(nets[0]), weights(nets[1]))


def test_a_users_loss_whose_derivative_has_another_shape_is_refused(rng):
    class Summed(Cubed):
        def derivative(self, y_true, y_pred):
            return super().derivative(y_true, y_pred)[:, 0]

    net = NeuralNetwork(epochs=1, batch_size=10, loss=Summed)
    net.add(DenseLayer(1, input_shape=(3,)))
    with pytest.raises(ValueError, match=r"Summed.derivative returned shape \(10,\): expected"):
        net.fit((rng.standard_normal((20, 3)), rng.standard_normal(20)))


def test_a_users_own_parts_pass_the_librarys_checks(rng):
    for layer in (Swish(), Scale()):
        layer.backend = resolve("cpu", dtype="float64")
        layer.set_input_shape((4,))
        check_layer(layer.initialize(), rng.standard_normal((5, 4)))
    check_loss(Cubed(), rng.standard_normal((5, 1)), rng.standard_normal((5, 1)))


def test_the_librarys_checks_catch_a_wrong_derivative(rng):
    class Wrong(TanhActivation):
        def derivative(self, input):
            return 1.001 * super().derivative(input)

    layer = Wrong()
    layer.set_input_shape((4,))
    with pytest.raises(AssertionError, match=r"backward_propagation is wrong: .* by finite diff"):
        check_layer(layer, rng.standard_normal((5, 4)))


# ---- when something goes wrong


def test_after_a_failed_epoch_everything_is_as_before_it(rng):
    X, y = rng.standard_normal((20, 2)), rng.standard_normal(20)
    bad = y.copy()
    bad[3] = 1e30

    def build():
        net = NeuralNetwork(
            epochs=3, batch_size=5, learning_rate=ReduceOnPlateau(0.01, patience=0), seed=0
        )
        net.add(DenseLayer(4, input_shape=(2,))).add(BatchNormalization()).add(Dropout(0.1))
        return net.add(DenseLayer(1)).fit((X, y))

    failed, spared = build(), build()
    with np.errstate(all="ignore"), pytest.raises(DivergedError):
        failed.fit((X, bad))
    for net in (failed, spared):
        net.fit((X, y))
    np.testing.assert_array_equal(weights(failed), weights(spared))
    assert failed.history["learning_rate"] == spared.history["learning_rate"]
    np.testing.assert_array_equal(failed.predict(X), spared.predict(X))


def test_weights_that_the_last_step_made_infinite_are_noticed(rng):
    X, y = rng.standard_normal((4, 2)), rng.standard_normal(4)
    net = NeuralNetwork(epochs=1, batch_size=4, learning_rate=1e39, seed=0)
    net.add(DenseLayer(1, input_shape=(2,)))
    before = weights(net)
    with (
        np.errstate(all="ignore"),
        pytest.raises(DivergedError, match="a weight of the network became infinite or NaN"),
    ):
        net.fit((X, y))
    np.testing.assert_array_equal(weights(net), before)


def test_an_interrupted_training_leaves_a_network_that_can_be_asked(rng):
    X, y = blobs(rng)
    net, epochs = classifier(), []

    def interrupt(y_true, y_pred):
        epochs.append(1)
        if len(epochs) == 3:
            raise KeyboardInterrupt
        return 0.0

    net.metric = interrupt
    with pytest.raises(KeyboardInterrupt):
        net.fit((X, y))
    assert net.history.epochs == 2
    assert net.predict(X).shape == (N, N_CLASSES)
    assert net.layers[0].workspace is None


def test_numbers_beyond_float32_are_refused_and_float64_takes_them(rng):
    X, y = blobs(rng)
    with pytest.raises(ValueError, match=r"beyond what float32 holds \(3.4e\+38\): scale them"):
        classifier().fit((X * 1e300, y))
    net = classifier().fit((X, y))
    with pytest.raises(ValueError, match="beyond what float32 holds"):
        net.predict(X * 1e300)


def test_a_move_that_fails_changes_nothing(rng):
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    X, y = blobs(rng)
    net = classifier(dtype="float64").fit((X, y))
    expected = net.predict(X)
    with pytest.raises(ValueError, match="float64"):
        net.predict(strict.asarray(X.astype("f4"), device=strict.Device("no_float64")))
    assert net.backend.name == "numpy"
    np.testing.assert_array_equal(net.predict(X), expected)


def test_training_goes_on_after_a_move_to_another_library(rng):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    X, y = blobs(rng)
    moved, stayed = (classifier(dtype="float64", epochs=4).fit((X, y)) for _ in range(2))
    moved.fit((torch.asarray(X), torch.asarray(y)))
    stayed.fit((X, y))
    np.testing.assert_allclose(weights(moved), weights(stayed), rtol=1e-9, atol=1e-12)


def test_tensors_that_need_gradients_leave_no_trace_of_them(rng):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    X, y = blobs(rng)
    net = classifier(epochs=2).fit((torch.tensor(X, requires_grad=True), torch.tensor(y)))
    assert not net.layers[0].weights.requires_grad
    assert not net.predict(torch.tensor(X, requires_grad=True)).requires_grad
    copy.deepcopy(net)


# ---- what belongs together


def test_columns_in_another_order_are_matched(rng):
    pandas = pytest.importorskip("pandas")
    X, y = blobs(rng)
    frame = pandas.DataFrame(X, columns=list("abcde"))
    net = classifier(epochs=1).fit((frame, y))
    np.testing.assert_array_equal(net.predict(frame[list("bacde")]), net.predict(frame))
    assert net.predict(X).shape == (N, N_CLASSES)  # no names: nothing to compare


def test_samples_to_ignore_do_not_count_in_the_metric(rng):
    X, y = blobs(rng)
    y = np.where(np.arange(N) % 2, y, -1)
    net = NeuralNetwork(
        30, 16, "adam", 0.05, loss=xpnet.NegativeLogLikelihood(ignore_index=-1), metric="accuracy"
    )
    net.add(DenseLayer(N_CLASSES, input_shape=(N_INPUTS,))).add(xpnet.LogSoftmaxActivation())
    assert net.fit((X, y)).score((X, y)) > 0.95
    assert net.history["accuracy"][-1] > 0.95


def test_class_metrics_of_values_are_refused(rng):
    net = NeuralNetwork(1, 5, metric="accuracy").add(DenseLayer(1, input_shape=(2,)))
    with pytest.raises(ValueError, match="metric 'accuracy' is for classes, but y goes from"):
        net.fit((rng.standard_normal((20, 2)), 9 * rng.standard_normal(20)))


def test_weights_for_a_loss_or_metric_without_an_argument_are_refused(rng):
    data = rng.standard_normal((20, 2)), rng.standard_normal(20), np.ones(20)
    for arguments, name in (({"loss": Cubed}, "Cubed"), ({"metric": lambda y, p: 0}, "<lambda>")):
        net = NeuralNetwork(1, 5, **arguments).add(DenseLayer(1, input_shape=(2,)))
        before = weights(net)
        with pytest.raises(ValueError, match=f"{name} has no third argument for them"):
            net.fit(data)
        np.testing.assert_array_equal(weights(net), before)


def test_class_weights_of_another_number_are_refused_before_training(rng):
    X, y = blobs(rng)
    net = NeuralNetwork(1, 16, loss=xpnet.NegativeLogLikelihood([1, 1]))
    net.add(BatchNormalization(input_shape=(N_INPUTS,))).add(DenseLayer(N_CLASSES))
    net.add(xpnet.LogSoftmaxActivation())
    with pytest.raises(ValueError, match="class_weight has 2 weights for 3 classes"):
        net.fit((X, y))
    assert not net.layers[0].running_mean.any()


def test_a_layer_belongs_to_one_network(rng):
    net = classifier(epochs=1).fit(blobs(rng))
    before = weights(net)
    with pytest.raises(ValueError, match=r"is already in a network: add layer\.copy\(\)"):
        NeuralNetwork().add(net.layers[0])
    np.testing.assert_array_equal(weights(net), before)


def test_a_layer_that_was_refused_can_be_used_elsewhere():
    layer = DenseLayer(2, initializer=lambda shape, rng: np.zeros(1))
    with pytest.raises(ValueError, match="expected finite numbers"):
        classifier().add(layer)
    layer.initializer = lambda shape, rng: np.zeros(shape)
    other = NeuralNetwork().add(DenseLayer(7, input_shape=(3,))).add(layer)
    assert other.layers[1].input_shape() == (7,)


def test_a_layer_added_after_training_makes_the_network_untrained(rng):
    X, y = blobs(rng)
    net = classifier(epochs=1).fit((X, y)).add(DenseLayer(N_CLASSES))
    with pytest.raises(xpnet.NotFittedError):
        net.predict(X)
    assert net.fit((X, y)).predict(X).shape == (N, N_CLASSES)


def test_a_layers_own_optimizer_does_not_update_in_a_network(rng):
    layer = DenseLayer(1, input_shape=(2,)).initialize(SGD(0.1))
    net = NeuralNetwork(1, 5, learning_rate=1e-30, seed=0).add(layer)
    before = weights(net)
    net.fit((rng.standard_normal((20, 2)), rng.standard_normal(20)))
    np.testing.assert_allclose(weights(net), before, atol=1e-20)


def test_weights_set_by_hand_take_the_networks_dtype_and_shape(rng):
    net = NeuralNetwork(1, 5, seed=0).add(DenseLayer(1, input_shape=(2,)))
    net.layers[0].weights = np.ones((2, 1), dtype="float64")
    net.fit((rng.standard_normal((20, 2)), rng.standard_normal(20)))
    assert weights(net).dtype == "float32"
    net.layers[0].biases = np.zeros(())
    with pytest.raises(ValueError, match=r"DenseLayer.biases has shape \(\): expected \(1,\)"):
        net.fit((rng.standard_normal((20, 2)), rng.standard_normal(20)))


@pytest.mark.filterwarnings("ignore:LinearDecay.* spans the network's epochs=3")
def test_the_last_rate_of_a_schedule_stays(rng):
    X, y = blobs(rng)
    net = classifier(epochs=3, optimizer="sgd", learning_rate=LinearDecay(0.1, 0.02))
    net.fit((X, y), epochs=2).fit((X, y))
    np.testing.assert_allclose(net.history["learning_rate"], [0.1, 0.06, 0.02, 0.02, 0.02])


def test_a_metric_of_the_library_is_not_altered_by_a_network():
    net = NeuralNetwork(loss=BinaryCrossEntropy(from_logits=True), metric=xpnet.metrics.accuracy)
    assert net.metric.threshold == 0.0
    assert xpnet.metrics.accuracy.threshold is None


def test_integers_are_kept_as_they_are_until_a_batch_is_made(backend):
    from xpnet.training.feeding.intake import Intake
    from xpnet.training.feeding.placing import place

    X = backend.asarray(np.arange(12, dtype=np.uint8).reshape(4, 3))
    arrays = place(Dataset(X), Intake(backend))
    assert arrays.X is X
    assert next(arrays.batches(2)).X.dtype == backend.float_dtype


def test_mini_batches_of_lists_and_of_lengths_that_differ():
    net = classifier()
    (X, _), *_ = net.get_mini_batches([[1] * N_INPUTS] * 20, [0, 1] * 10)
    assert X.shape == (16, N_INPUTS)
    assert X.dtype == np.float32
    with pytest.raises(ValueError, match=r"X has 20 rows but y has 19"):
        next(iter(net.get_mini_batches(np.ones((20, N_INPUTS)), np.ones(19))))


# ---- arrays that are used again, and what is seen of them


def test_a_subclass_of_a_loss_trains_with_its_own_derivative(rng):
    class Still(xpnet.SoftmaxCrossEntropy):
        def sample_derivative(self, y_true, y_pred):
            return 0 * super().sample_derivative(y_true, y_pred)

    class Whole(xpnet.MeanSquaredError):
        def derivative(self, y_true, y_pred, sample_weight=None):
            return 0 * super().derivative(y_true, y_pred, sample_weight)

    X, y = blobs(rng)
    for loss, n_outputs, targets in ((Still(), N_CLASSES, y), (Whole(), 1, y.astype(float))):
        net = NeuralNetwork(2, 16, loss=loss, seed=0)
        net.add(DenseLayer(n_outputs, input_shape=(N_INPUTS,)))
        before = weights(net)
        np.testing.assert_array_equal(weights(net.fit((X, targets))), before)


def test_a_users_optimizer_may_keep_the_gradient(rng):
    seen = []

    class Remembers(Optimizer):
        last = None

        def update(self, w, grad_loss_w):
            seen.append(self.last is not None and np.array_equal(self.last, grad_loss_w))
            self.last = grad_loss_w
            return w - self.learning_rate * grad_loss_w

    NeuralNetwork(2, 16, optimizer=Remembers(0.1), loss="softmax_cross_entropy").add(
        DenseLayer(N_CLASSES, input_shape=(N_INPUTS,))
    ).fit(blobs(rng))
    assert len(seen) == 12
    assert not any(seen)


def test_weights_held_from_before_do_not_change(rng):
    X, y = blobs(rng)
    net = classifier(epochs=1).fit((X, y))
    held = net.layers[0].weights
    before = held.copy()
    net.fit((X, y))
    np.testing.assert_array_equal(held, before)
    assert not np.array_equal(net.layers[0].weights, before)


def test_a_network_asked_or_copied_while_it_trains_answers_as_itself(rng):
    X, y = blobs(rng)
    many, kept = np.tile(X, (60, 1)), []

    def watch(y_true, y_pred):
        kept.append((copy.deepcopy(net), net.predict(many)))
        return 0.0

    net = classifier(epochs=1, metric=None).fit((X, y))
    net.metric = watch
    net.fit((X, y))
    twin, answer = kept[0]
    np.testing.assert_array_equal(answer, twin.predict(many))
    first = twin.predict(X[:10])
    copied = first.copy()
    twin.predict(X[50:60])
    np.testing.assert_array_equal(first, copied)


def test_validation_leaves_the_layers_last_training_output(rng):
    X, y = blobs(rng)
    plain, validated = (classifier(epochs=1) for _ in range(2))
    plain.fit((X, y))
    validated.fit((X, y), validation=(100 * X[:4], y[:4]))
    np.testing.assert_array_equal(plain.layers[0].output, validated.layers[0].output)


def test_a_gradient_of_another_shape_is_refused(rng):
    class Turned(DenseLayer):
        def backward_propagation(self, output_error):
            error = super().backward_propagation(output_error)
            self.weights_gradient = self.weights_gradient.T
            return error

    net = NeuralNetwork(1, 16, loss="softmax_cross_entropy")
    net.add(Turned(N_CLASSES, input_shape=(N_INPUTS,)))
    before = weights(net)
    with pytest.raises(ValueError, match=r"Turned.weights_gradient has shape \(3, 5\): expected"):
        net.fit(blobs(rng))
    np.testing.assert_array_equal(weights(net), before)


def test_a_layer_without_its_parameter_is_refused():
    class Empty(Scale):
        def initialize(self, optimizer=None):
            return self

    net = classifier()
    with pytest.raises(ValueError, match="Empty has no array 'factor', which is in its"):
        net.add(Empty())
    assert len(net.layers) == 5
    assert net.parameters.gather().shape == (135,)


def test_whole_numbers_in_a_layers_state_stay_whole(tmp_path, rng):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    X, y = blobs(rng)
    net = NeuralNetwork(1, 16, loss="softmax_cross_entropy", seed=0)
    net.add(Shuffled()).add(DenseLayer(N_CLASSES)).fit((X, y))
    net.save(tmp_path / "m.safetensors")
    expected = net.predict(X)
    np.testing.assert_array_equal(xpnet.load(tmp_path / "m.safetensors").predict(X), expected)
    np.testing.assert_allclose(
        net.predict(torch.asarray(X)).numpy(), expected, rtol=1e-5, atol=1e-6
    )


class Shuffled(Layer):
    """Features in another order, which is part of the layer's state."""

    state_names = ("order",)

    def __init__(self):
        self.set_input_shape((N_INPUTS,))

    def initialize(self, optimizer=None):
        self.order = self.backend.asarray(np.arange(N_INPUTS)[::-1].copy())
        return super().initialize(optimizer)

    def forward_propagation(self, input, training=True):
        return array_namespace(input).take(input, self.order, axis=1)

    def backward_propagation(self, output_error):
        return output_error

    def output_shape(self):
        return self.input_shape()

    def parameters(self):
        return 0


def test_the_learning_rate_too_is_as_before_a_failed_epoch(rng):
    X, y = rng.standard_normal((20, 2)), rng.standard_normal(20)
    net = NeuralNetwork(1, 5, learning_rate=xpnet.StepDecay(1e-3, 1e30, every=1), seed=0)
    net.add(DenseLayer(1, input_shape=(2,))).fit((X, y))
    with np.errstate(all="ignore"), pytest.raises(DivergedError):
        net.fit((X, y))
    assert net.optimizer.learning_rate == 1e-3


def test_sparse_numbers_and_weights_beyond_float32_are_refused(rng):
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    X, y = blobs(rng)
    with pytest.raises(ValueError, match="beyond what float32 holds"):
        classifier().fit((sparse.csr_array(X * 1e300), y))
    with pytest.raises(ValueError, match=r"weights .* the largest is 1e\+39: in float32 expected"):
        classifier().fit((X, y, np.full(N, 1e39)))


def test_a_metric_function_without_weights_is_refused_where_the_loss_makes_some(rng):
    net = NeuralNetwork(
        1, 16, loss=xpnet.NegativeLogLikelihood(ignore_index=-1), metric=lambda y, p: 0.5
    )
    net.add(DenseLayer(N_CLASSES, input_shape=(N_INPUTS,))).add(xpnet.LogSoftmaxActivation())
    before = weights(net)
    with pytest.raises(ValueError, match=r"<lambda> has no third argument for them"):
        net.fit(blobs(rng))
    np.testing.assert_array_equal(weights(net), before)


# ---- layers that are changed by hand


def three_layers(fit=True):
    net = NeuralNetwork(epochs=2, batch_size=8, optimizer="adam", seed=0)
    for layer in (DenseLayer(4, (3,)), ReLUActivation(), DenseLayer(4)):
        net.add(layer)
    rng = np.random.default_rng(0)
    data = rng.random((24, 3)), rng.random((24, 4))
    return (net.fit(data) if fit else net), data


def replace_the_last(layers, others):
    layers[-1] = others[-1]


def append_another(layers, others):
    layers.append(others[-1])


def insert_another(layers, others):
    layers.insert(1, others[1])


def take_the_first(layers, others):
    del layers[0]


def swap_two(layers, others):
    layers.reverse()


@pytest.mark.parametrize(
    "change",
    [replace_the_last, append_another, insert_another, take_the_first, swap_two],
    ids=lambda change: change.__name__,
)
def test_layers_that_were_not_added_are_neither_trained_nor_saved_in_silence(change, tmp_path):
    (net, data), (other, _) = three_layers(), three_layers()
    change(net.layers, other.layers)
    weights = [layer.weights.copy() for layer in net.layers if layer.parameter_names]
    for act in (lambda: net.fit(data), lambda: net.save(tmp_path / "net.safetensors")):
        with pytest.raises(ValueError, match=r"not added with add\(layer\): .* add\(layer\)"):
            act()
    for layer, before in zip(
        (layer for layer in net.layers if layer.parameter_names), weights, strict=True
    ):
        np.testing.assert_array_equal(layer.weights, before)
    assert not list(tmp_path.iterdir())


def test_a_network_without_its_last_layers_predicts_trains_and_is_saved(tmp_path):
    net, (X, y) = three_layers()
    hidden = net.layers[0].weights
    net.layers.pop()
    assert net.predict(X).min() == 0.0
    net.save(tmp_path / "net.safetensors")
    shorter = xpnet.load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(shorter.predict(X), net.predict(X))
    net.fit((X, y))
    assert net.parameters.gather().size == 16
    assert not np.array_equal(net.layers[0].weights, hidden)
    trained = net.fit((X, y)).history["loss"]
    shorter.fit((X, y)).fit((X, y))
    assert shorter.history["loss"] == pytest.approx(trained)


def test_a_layer_that_was_taken_off_and_put_back_goes_on():
    (net, data), (as_before, _) = three_layers(), three_layers()
    last = net.layers.pop()
    net.predict(data[0])
    net.layers.append(last)
    np.testing.assert_array_equal(
        net.fit(data).parameters.gather(), as_before.fit(data).parameters.gather()
    )
