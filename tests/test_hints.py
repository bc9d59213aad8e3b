"""Errors and warnings that say what to write instead."""

import re

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
    LinearDecay,
    NeuralNetwork,
    OneCycle,
    PolynomialDecay,
    StepDecay,
    WarmUp,
    schedules,
)
from xpnet.schedules import wrapping
from xpnet.schedules.wrapping import ScaledSchedule
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


@pytest.mark.parametrize("epochs", [1, 3, 4])
@pytest.mark.parametrize(
    "schedule",
    [
        OneCycle(0.1),
        CosineDecay(0.1),
        CosineDecay(0.1, epochs=3),
        CosineDecay(0.1, by_step=True),
        LinearDecay(0.1, 0.0),
        PolynomialDecay(0.1),
        ExponentialDecay(0.1, 1e-9),
        WarmUp(CosineDecay(0.1), 2),
        WarmUp(OneCycle(0.1), 1, by_step=True),
        ScaledSchedule(LinearDecay(0.1, 0.0), 0.5),
    ],
    ids=repr,
)
def test_a_schedule_that_has_ended_is_warned_of_with_advice_that_helps(schedule, epochs):
    def ended():
        return network(schedule).fit(X, X)

    with pytest.warns(UserWarning, match="has ended after 4 epochs, so this fit trains at") as told:
        ended().fit(X, X, epochs=epochs)
    (message,) = [str(each.message) for each in told]
    code = re.findall(r"net\.optimizer\.\w+ = (?:\w+\(.*\)|[0-9.]+)", message)
    assert len(code) == (2 if "schedule = " in message.split("trains at")[1] else 1)
    if epochs > 1 and not isinstance(schedule, ExponentialDecay):  # whose rates fall too fast
        assert f"over all {4 + epochs} epochs" in message
    for each in code:
        net = ended()
        exec(each, {**vars(schedules), **vars(wrapping), "net": net})
        net.fit(X, X, epochs=epochs)  # warnings are errors here
        assert max(net.history["learning_rate"][4:]) > 5e-4


def test_a_schedule_without_a_number_of_epochs_is_answered_with_a_rate():
    net = network(StepDecay(0.1, factor=0.01, every=2)).fit(X, X)
    with pytest.warns(UserWarning, match=r"give a rate, such as net\.optimizer\.le.* = 0\.1$"):
        net.fit(X, X)


@pytest.mark.parametrize(
    "schedule", [0.1, ExponentialDecay(0.1, 0.5), CosineRestarts(0.1, period=4), OneCycle(0.1)]
)
@pytest.mark.filterwarnings("ignore:.* spans the network's epochs=4, but after this fit 2")
def test_schedules_that_go_on_are_not_warned_of(schedule):
    net = network(schedule).fit(X, X, epochs=2).fit(X, X, epochs=2)
    if not isinstance(schedule, OneCycle):
        net.fit(X, X)
