"""Every part of the library that is a formula, and users' own, trained by captured steps.

The kernels are run on the CPU; the results are those of steps by formulas.
"""

import copy
import re
import shutil

import numpy as np
import pytest

from bench import written
from tests.cuda.machine import EmulatedMachine
from tests.own_parts import Bent, LogCosh, SignSGD, Slowing, Smooth, Swish
from tests.test_captured import K, assert_same, by_formulas_alone, classifier, network
from tests.training import BATCH, N
from xpnet import (
    SGD,
    BatchNormalization,
    Callback,
    DenseLayer,
    Dropout,
    LinearActivation,
    SigmoidActivation,
    TanhActivation,
)
from xpnet.activations import ActivationLayer
from xpnet.losses import ElementwiseLoss
from xpnet.optimizers import Optimizer
from xpnet.regularizers import ElementwisePenalty
from xpnet.training.errors import UnsupportedError
from xpnet.training.steps.captured import CapturedTraining

from .steps import why_not_captured

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")


@pytest.fixture
def data(rng):
    return rng.standard_normal((N, K)), rng.integers(0, 5, N)


@pytest.fixture
def values(data, rng):
    return data[0], rng.uniform(0.1, 0.9, (N, 5))


# ---- the library's


@pytest.mark.parametrize("part", written.parts(ActivationLayer), ids=repr)
def test_activations(part, data):
    def layers():
        yield DenseLayer(37, (K,))
        yield copy.deepcopy(part)
        yield DenseLayer(34)
        yield TanhActivation()
        yield DenseLayer(5)

    assert_same(lambda: network(layers()), *data)


def targets_for(part, rng):
    """Return targets that a loss takes: numbers from 0 to 1, none of them 0 where that counts."""
    if part.targets == "binary":
        return rng.integers(0, 2, (N, 5)).astype(float)
    if part.targets in ("classes", "distributions"):
        return rng.dirichlet(np.ones(5), N)
    return rng.uniform(0.1, 0.9, (N, 5))


@pytest.mark.parametrize("part", written.parts(ElementwiseLoss), ids=repr)
@pytest.mark.parametrize("weighted", [False, True])
def test_losses(part, data, weighted, rng):
    end = [] if "real" in (part.accepts or ()) else [SigmoidActivation]
    weight = rng.uniform(0, 2, N) if weighted else None

    def make():
        return network(classifier(TanhActivation, end=end), loss=copy.deepcopy(part))

    assert_same(make, data[0], targets_for(part, rng), weight)


@pytest.mark.parametrize("part", written.parts(ElementwisePenalty), ids=repr)
@pytest.mark.parametrize("per_sample", [False, True])
def test_penalties(part, per_sample, data):
    def make():
        penalty = copy.deepcopy(part)
        penalty.per_sample = per_sample
        return network(classifier(TanhActivation), regularizer=penalty)

    assert_same(make, *data)


@pytest.mark.parametrize("part", written.parts(Optimizer), ids=repr)
@pytest.mark.parametrize("clip", [None, 0.05])
def test_optimizers(part, clip, data):
    def make():
        optimizer = copy.deepcopy(part)
        optimizer.clip_norm = clip
        return network(classifier(TanhActivation), optimizer=optimizer)

    # Dividing by the square root of a small square enlarges the rounding.
    assert_same(make, *data, tolerance=1e-6)


# ---- users' own


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", [Swish, Bent])
@pytest.mark.parametrize("optimizer", [lambda: SignSGD(0.003), Slowing])
def test_own_parts(values, activation, optimizer, dtype):
    def make():
        return network(classifier(activation), LogCosh(), optimizer(), dtype, regularizer=Smooth())

    # In float32, a gradient of about 0 may have either sign.
    signed = dtype == "float32" and optimizer is not Slowing
    assert_same(make, *values, tolerance=1e-2 if signed else None)


@pytest.mark.parametrize("activation", [Swish, Bent, LinearActivation])
@pytest.mark.parametrize("normalized", [False, True])
def test_own_activations_before_dropout_and_after_normalization(data, activation, normalized):
    def layers():
        yield DenseLayer(37, (K,))
        if normalized:
            yield BatchNormalization()
        yield activation()
        yield Dropout(0.4)
        yield DenseLayer(5)

    assert_same(lambda: network(layers()), *data)


def test_a_network_of_own_parts_is_captured_by_fit(values, emulated):
    def fitted():
        net = network(classifier(Bent), LogCosh(), Slowing(), regularizer=Smooth(), epochs=3)
        return net.fit(values)

    net, expected = fitted(), by_formulas_alone(fitted)
    assert len(emulated) == 1
    np.testing.assert_allclose(net.parameters.copy(), expected.parameters.copy(), rtol=1e-9)
    assert net.optimizer.mean is not None


def _slope(net):
    net.layers[1].slope += 0.2


def _most(net):
    """A constant of the formula, with which another kernel is written."""
    net.layers[1].most *= 0.5


def _decay(net):
    net.optimizer.decay *= 0.5


def _penalty(net):
    for _, _, penalty in net.parameters.penalties:
        penalty.factor += 0.1


@pytest.mark.parametrize("change", [_slope, _most, _decay, _penalty])
def test_what_a_callback_changes_counts(values, emulated, change):
    class Changes(Callback):
        def on_epoch_end(self, network, epoch):
            change(network)

    def trained(changes=True):
        layers, options = classifier(lambda: Bent(most=0.6)), {"regularizer": Smooth()}
        net = network(layers, LogCosh(), Slowing(), epochs=4, **options)
        net.fit(values, callbacks=[Changes()] if changes else None)
        return net.parameters.copy()

    found, without = trained(), trained(changes=False)
    assert not np.allclose(found, without, rtol=1e-3)
    np.testing.assert_allclose(found, by_formulas_alone(trained), rtol=1e-9, atol=1e-12)


class Branching(ActivationLayer):
    def activation_function(self, input):
        return input if input > 0 else 0.1 * input


class OwnUpdate(SGD):
    def update(self, w, grad_loss_w, out=None):
        return w - self.learning_rate * grad_loss_w


class NamedAsAnArgument(SGD):
    numbers = ("rate",)
    rate = 0.5


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"activation": Branching}, "formula of Branching has a branch .*where"),
        ({"optimizer": OwnUpdate(0.1)}, "OwnUpdate overrides update"),
        ({"optimizer": NamedAsAnArgument(0.1)}, "NamedAsAnArgument.numbers has 'rate' or 't'"),
    ],
)
def test_what_is_no_formula_is_refused_with_the_reason(data, options, reason):
    net = network(
        classifier(options.get("activation", TanhActivation)),
        optimizer=options.get("optimizer", "sgd"),
    )
    assert re.search(reason, why_not_captured(net, *data))
    with pytest.raises(UnsupportedError, match=reason):
        CapturedTraining(net, *data, None, BATCH, EmulatedMachine("float64"))
