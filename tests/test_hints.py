"""Errors and warnings that say what to write instead."""

import warnings

import numpy as np
import pytest

from xpnet import (
    SGD,
    CategoricalEmbeddings,
    CosineDecay,
    CosineRestarts,
    Dataset,
    DenseLayer,
    ExponentialDecay,
    NeuralNetwork,
    OneCycle,
)
from xpnet.search import random_search

X = np.linspace(0, 1, 32)[:, None]


def network(schedule=0.1):
    net = NeuralNetwork(4, 8, SGD(schedule), seed=0)
    return net.add(DenseLayer(1, (1,)))


def build(rate):
    return network(rate)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: DenseLayer(units=3), r"argument 'units': write n_units="),
        (lambda: DenseLayer(3, activation="relu"), "'activation': activations are layers"),
        (lambda: NeuralNetwork().add("relu"), "expected an instance of Layer. Activations are la"),
        (lambda: network().fit(X, X, callbacks=print), r"write LambdaCallback\(on_epoch_end="),
        (
            lambda: random_search(build, {"rate": [0.1]}, X, X[:, 0]),
            r"data=\(X, y\) as the third argument, and validation=\(X, y\)",
        ),
        (
            lambda: network().fit(Dataset(X.round(), X, ["a"], categories={"a": ["x", "y"]})),
            r"one_hot\(\).*CategoricalEmbeddings\.adapt\(dataset\)",
        ),
    ],
)
def test_what_to_write_instead(call, words):
    with pytest.raises(TypeError, match=words):
        call()


def test_a_data_frame_is_not_pasted_into_the_message():
    pd = pytest.importorskip("pandas")
    with pytest.raises(TypeError, match=r"^adapt\(DataFrame\): .*Dataset\.from_frame\(frame, la"):
        CategoricalEmbeddings.adapt(pd.DataFrame({"a": ["x", "y"]}))


@pytest.mark.parametrize("schedule", [OneCycle(0.1), CosineDecay(0.1)])
def test_a_schedule_that_has_ended_is_warned_of(schedule):
    net = network(schedule).fit(X, X)
    with pytest.warns(UserWarning, match="has ended after 4 epochs, so this fit trains at the lea"):
        net.fit(X, X)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        net.fit(X, X, epochs=3)
    assert [str(each.message)[-30:] for each in told] == ["net.optimizer.learning_rate = ..."[-30:]]
    net.optimizer.learning_rate = 0.1
    net.fit(X, X)  # warnings are errors here


@pytest.mark.parametrize(
    "schedule", [0.1, ExponentialDecay(0.1, 0.5), CosineRestarts(0.1, period=4), OneCycle(0.1)]
)
@pytest.mark.filterwarnings("ignore:.* spans the network's epochs=4, but after this fit 2")
def test_schedules_that_go_on_are_not_warned_of(schedule):
    net = network(schedule).fit(X, X, epochs=2).fit(X, X, epochs=2)
    if not isinstance(schedule, OneCycle):
        net.fit(X, X)
