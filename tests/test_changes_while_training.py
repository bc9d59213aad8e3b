"""What a callback, a thread or a hand changes on a network has an effect or is refused."""

import copy
import re
import threading
from importlib.util import find_spec

import numpy as np
import pytest

from xpnet import SGD, Adam, DenseLayer, Dropout, NeuralNetwork
from xpnet.callbacks import EarlyStopping, LambdaCallback
from xpnet.metrics import Accuracy
from xpnet.search import random_search

X = np.random.default_rng(0).normal(size=(40, 3))
Y = X @ np.array([1.0, 2.0, 3.0])


def network(**arguments):
    """Return a small regression network."""
    net = NeuralNetwork(**{"epochs": 4, "batch_size": 8, "seed": 0} | arguments)
    return net.add(DenseLayer(4, input_shape=(3,))).add(DenseLayer(1))


def once(change):
    """Return a callback that changes a network after its second epoch."""
    return LambdaCallback(on_epoch_end=lambda net, row: change(net) if row["epoch"] == 2 else None)


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.add(DenseLayer(1)),
        lambda net: net.layers.insert(1, Dropout(0.5)),
        lambda net: net.layers.pop(),
    ],
)
def test_layers_cannot_change_while_training(change):
    net = network()
    with pytest.raises(ValueError, match="a callback has added or removed layers"):
        net.fit((X, Y), callbacks=[EarlyStopping("loss"), once(change)])
    assert net.history.epochs == 2


def test_a_fit_inside_a_fit_is_refused():
    net = network()
    with pytest.raises(RuntimeError, match="is already being trained"):
        net.fit((X, Y), callbacks=once(lambda net: net.fit((X, Y))))
    assert net.history["epoch"] == [1, 2]
    net.fit((X, Y), callbacks=once(lambda net: copy.deepcopy(net).fit((X, Y), epochs=1)))
    assert net.history["epoch"] == [1, 2, 3, 4, 5, 6]


def test_a_fit_in_another_thread_is_refused():
    net, errors = network(), []

    def fit():
        try:
            net.fit((X, Y))
        except RuntimeError as error:
            errors.append(error)

    def fit_in_thread(net):
        thread = threading.Thread(target=fit)
        thread.start()
        thread.join()

    net.fit((X, Y), callbacks=once(fit_in_thread))
    assert len(errors) == 1
    assert net.history["epoch"] == [1, 2, 3, 4]


@pytest.mark.parametrize("metric", ["r2", None])
def test_the_metric_cannot_be_replaced_while_training(metric, tmp_path):
    net = network(metric="rmse")
    with pytest.raises(ValueError, match="a callback has replaced the metrics \\['rmse'\\]"):
        net.fit((X, Y), callbacks=once(lambda net: setattr(net, "metric", metric)))
    assert net.history.epochs == 2
    assert net.fit((X, Y), epochs=1).history.epochs == 3
    assert np.isfinite(net.history["rmse"][:2]).all()


def test_another_metric_of_the_same_name_gives_a_warning():
    net = network(metric=lambda y_true, y_pred: 1.0).fit((X, Y))
    with pytest.warns(UserWarning, match="another metric with the name '<lambda>'"):
        net.metric = lambda y_true, y_pred: 2.0
    net = network(metric=Accuracy(threshold=0.2)).fit((X, (Y > 0).astype(float)))
    with pytest.warns(UserWarning, match="another metric with the name 'accuracy'"):
        net.metric = Accuracy(threshold=0.7)
    net.metric = Accuracy(threshold=0.7)  # the same: no warning, which would be an error
    net.metric = "rmse"


@pytest.mark.parametrize(
    ("optimizer", "name", "value", "text"),
    [
        (SGD(), "schedule", 0.1, "schedule=0.1: expected a schedule"),
        (SGD(), "learning_rate", "0.1", "learning_rate='0.1': expected a finite number"),
        (SGD(), "learning_rate", -0.1, "learning_rate=-0.1: expected a finite number"),
        (SGD(), "momentum", 2.0, "momentum=2.0"),
        (SGD(), "clip_norm", -1.0, "clip_norm=-1.0"),
        (Adam(), "beta_1", 1.0, "beta_1=1.0"),
        (Adam(), "epsilon", "small", "epsilon='small'"),
    ],
)
def test_settings_of_an_optimizer_are_checked_when_they_are_set(optimizer, name, value, text):
    net = network(optimizer=optimizer)
    before = repr(net.optimizer)
    with pytest.raises((ValueError, TypeError), match=re.escape(text)):
        setattr(net.optimizer, name, value)
    assert repr(net.optimizer) == before


def test_a_search_refuses_one_network_for_several_trials():
    net = network(metric="rmse")
    with pytest.raises(ValueError, match="same network for the trials 0 and 1"):
        random_search(lambda a: net, {"a": [1, 2]}, (X, Y), (X, Y))


@pytest.mark.skipif(find_spec("numba") is None, reason="compiled steps need the extra numba")
@pytest.mark.parametrize("which", ["features", "weights"])
@pytest.mark.parametrize("what", ["resized", "reshaped"])
def test_arrays_that_a_callback_resizes_do_not_reach_native_code(which, what):
    """NumPy refuses to resize an array that is in use, unless it is told not to look."""
    data = {
        "features": X.astype(np.float32),
        "targets": Y.astype(np.float32)[:, None],
        "weights": np.ones(40, np.float32),
    }

    def change(net):
        array = data[which]
        if what == "resized":
            array.resize((1,) * array.ndim, refcheck=False)
        else:
            array.shape = (1, -1)

    net = network(steps="compiled")
    with pytest.raises(ValueError, match="were resized, or got another shape"):
        net.fit(tuple(data.values()), callbacks=once(change))
    assert net.history["epoch"] == [1, 2]
