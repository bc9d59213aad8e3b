"""Real handwritten digits, learned as the course's notebook does it."""

import pytest

from xpnet import (
    SGD,
    DenseLayer,
    ExponentialDecay,
    NeuralNetwork,
    Normalization,
    TanhActivation,
    datasets,
)


@pytest.mark.slow
def test_784_178_46_10_reaches_95_5_percent(data_folder):
    """tanh, softmax cross-entropy, momentum and decay, batches of 60, standardised pixels."""
    training, test = datasets.load_mnist(data_folder / "mnist")
    net = NeuralNetwork(
        epochs=10,
        batch_size=60,
        optimizer=SGD(ExponentialDecay(0.1, 0.01), momentum=0.9),
        loss="softmax_cross_entropy",
        metric="accuracy",
        seed=20190119,
    )
    net.add(Normalization.adapt(training.X, per_feature=False))
    net.add(DenseLayer(178, initializer="glorot_normal")).add(TanhActivation())
    net.add(DenseLayer(46, initializer="glorot_normal")).add(TanhActivation())
    net.add(DenseLayer(10, initializer="glorot_normal"))
    assert net.fit(training).score(test) >= 0.955
