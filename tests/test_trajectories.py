"""Fifty steps of training, side by side with PyTorch's autograd and optimizers."""

from itertools import product

import numpy as np
import pytest

import xpnet
from xpnet import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    BatchNormalization,
    BinaryCrossEntropy,
    BinaryFocalLoss,
    CategoricalCrossEntropy,
    DenseLayer,
    FocalLoss,
    GammaLoss,
    GaussianNLL,
    HingeLoss,
    HuberLoss,
    KLDivergence,
    LeakyReLUActivation,
    LogCoshLoss,
    LogSoftmaxActivation,
    MeanAbsoluteError,
    MeanSquaredError,
    NegativeLogLikelihood,
    NeuralNetwork,
    PoissonLoss,
    QuantileLoss,
    ReLU6Activation,
    ReLUActivation,
    RMSProp,
    SigmoidActivation,
    SoftmaxActivation,
    SoftmaxCrossEntropy,
    SquaredHingeLoss,
    TanhActivation,
    TweedieLoss,
)
from xpnet.losses import LOSSES

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

N_INPUTS, N_OUTPUTS, BATCH, STEPS = 6, 4, 16, 50
CLASS_WEIGHT = [0.5, 1.0, 2.0, 1.5]

OPTIMIZER_PAIRS = {
    "SGD": (lambda: SGD(0.1, momentum=0.0), lambda p: torch.optim.SGD(p, 0.1)),
    "SGD, momentum": (lambda: SGD(0.05), lambda p: torch.optim.SGD(p, 0.05, momentum=0.9)),
    "SGD, Nesterov": (
        lambda: SGD(0.05, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True),
    ),
    "SGD, clipped": (
        lambda: SGD(0.1, clip_norm=0.05),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
    ),
    "RMSProp": (lambda: RMSProp(0.01), lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9)),
    "Adam": (lambda: Adam(0.01), lambda p: torch.optim.Adam(p, 0.01)),
    "AdamW": (
        lambda: AdamW(0.01, weight_decay=0.1),
        lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1),
    ),
    "Adagrad": (lambda: Adagrad(0.05), lambda p: torch.optim.Adagrad(p, 0.05)),
}


def values(rng, n):
    return rng.standard_normal((n, N_OUTPUTS))


def bits(rng, n):
    return rng.integers(0, 2, (n, N_OUTPUTS)).astype(float)


def labels(rng, n):
    return rng.integers(0, N_OUTPUTS, n)


def counts(rng, n):
    return rng.poisson(2.0, (n, N_OUTPUTS)).astype(float)


def _torch_poisson(z, y):
    """PyTorch leaves out what does not depend on z."""
    return torch.nn.PoissonNLLLoss()(z, y) + (torch.special.xlogy(y, y) - y).mean()


def _torch_categorical(p, y):
    return -(torch.log(p[torch.arange(len(y)), y])).mean()


# name -> (our loss, the end of our network, targets, PyTorch's loss, its end)
LOSS_PAIRS = {
    "MeanSquaredError": (MeanSquaredError(), None, values, torch.nn.MSELoss(), None),
    "BinaryCrossEntropy": (
        BinaryCrossEntropy(),
        SigmoidActivation,
        bits,
        torch.nn.BCELoss(),
        torch.nn.Sigmoid,
    ),
    "BinaryCrossEntropy, logits": (
        BinaryCrossEntropy(from_logits=True),
        None,
        bits,
        torch.nn.BCEWithLogitsLoss(),
        None,
    ),
    "CategoricalCrossEntropy": (
        CategoricalCrossEntropy(),
        SoftmaxActivation,
        labels,
        _torch_categorical,
        lambda: torch.nn.Softmax(dim=1),
    ),
    "PoissonLoss": (PoissonLoss(), None, counts, _torch_poisson, None),
    "SoftmaxCrossEntropy": (
        SoftmaxCrossEntropy(),
        None,
        labels,
        torch.nn.CrossEntropyLoss(),
        None,
    ),
    "NegativeLogLikelihood": (
        NegativeLogLikelihood(CLASS_WEIGHT, ignore_index=3),
        LogSoftmaxActivation,
        labels,
        torch.nn.NLLLoss(torch.tensor(CLASS_WEIGHT, dtype=torch.float64), ignore_index=3),
        lambda: torch.nn.LogSoftmax(dim=1),
    ),
}


def positives(rng, n):
    return rng.gamma(2.0, size=(n, N_OUTPUTS))


def distributions(rng, n):
    return rng.dirichlet(np.ones(N_OUTPUTS), n)


def column(rng, n):
    return rng.standard_normal((n, 1))


def _margin(z, y):
    return torch.clamp(1 - (2 * y - 1) * z, min=0)


def _binary_focal(z, y):
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="none")
    return (entropy * torch.abs(y - torch.sigmoid(z)) ** 2).mean()


def _focal(z, y):
    log_s = torch.log_softmax(z, dim=1)[torch.arange(len(y)), y]
    return -((1 - torch.exp(log_s)) ** 2 * log_s).mean()


def _tweedie(z, y):
    return (4 * torch.sqrt(y) * -1 + 2 * y * torch.exp(-z / 2) + 2 * torch.exp(z / 2)).mean()


def _pinball(p, y):
    tau = torch.tensor(QUANTILES, dtype=p.dtype)
    return torch.maximum(tau * (y - p), (tau - 1) * (y - p)).mean()


QUANTILES = [0.1, 0.3, 0.5, 0.9]

MORE_LOSS_PAIRS = {
    "MeanAbsoluteError": (MeanAbsoluteError(), None, values, torch.nn.L1Loss(), None),
    "HuberLoss": (HuberLoss(0.8), None, values, torch.nn.HuberLoss(delta=0.8), None),
    "LogCoshLoss": (
        LogCoshLoss(), None, values, lambda p, y: torch.log(torch.cosh(p - y)).mean(), None
    ),
    "QuantileLoss": (QuantileLoss(QUANTILES), None, column, _pinball, None),
    "GammaLoss": (
        GammaLoss(),
        None,
        positives,
        lambda z, y: (z - torch.log(y) + y * torch.exp(-z) - 1).mean(),
        None,
    ),
    "TweedieLoss": (TweedieLoss(1.5), None, positives, _tweedie, None),
    "HingeLoss": (HingeLoss(), None, bits, lambda z, y: _margin(z, y).mean(), None),
    "SquaredHingeLoss": (
        SquaredHingeLoss(), None, bits, lambda z, y: (_margin(z, y) ** 2).mean(), None
    ),
    "BinaryFocalLoss": (BinaryFocalLoss(), None, bits, _binary_focal, None),
    "FocalLoss": (FocalLoss(), None, labels, _focal, None),
    "KLDivergence": (
        KLDivergence(),
        SoftmaxActivation,
        distributions,
        lambda p, y: torch.nn.functional.kl_div(torch.log(p), y, reduction="batchmean"),
        lambda: torch.nn.Softmax(dim=1),
    ),
}  # fmt: skip
ALL_LOSS_PAIRS = LOSS_PAIRS | MORE_LOSS_PAIRS


def shallow():
    return [DenseLayer(8, input_shape=(N_INPUTS,)), TanhActivation(), DenseLayer(N_OUTPUTS)], [
        torch.nn.Linear(N_INPUTS, 8),
        torch.nn.Tanh(),
        torch.nn.Linear(8, N_OUTPUTS),
    ]


def deep():
    ours = [
        DenseLayer(10, input_shape=(N_INPUTS,)),
        # Behind the activation: right behind a dense layer it takes the biases' effect away, whose
        # gradient is then rounding noise, which Adam and its relatives blow up to whole steps.
        LeakyReLUActivation(0.1),
        BatchNormalization(momentum=0.9),
        DenseLayer(9),
        SigmoidActivation(),
        DenseLayer(8),
        ReLU6Activation(),
        DenseLayer(7),
        ReLUActivation(),
        DenseLayer(N_OUTPUTS),
    ]
    theirs = [
        torch.nn.Linear(N_INPUTS, 10),
        torch.nn.LeakyReLU(0.1),
        torch.nn.BatchNorm1d(10, momentum=0.1),
        torch.nn.Linear(10, 9),
        torch.nn.Sigmoid(),
        torch.nn.Linear(9, 8),
        torch.nn.ReLU6(),
        torch.nn.Linear(8, 7),
        torch.nn.ReLU(),
        torch.nn.Linear(7, N_OUTPUTS),
    ]
    return ours, theirs


def build(make_layers, loss_name, optimizer_name, dtype):
    """Return our network and PyTorch's, from the same weights."""
    our_layers, their_layers = make_layers()
    loss, end, _, _, their_end = ALL_LOSS_PAIRS[loss_name]
    net = NeuralNetwork(
        optimizer=OPTIMIZER_PAIRS[optimizer_name][0](), loss=loss, dtype=dtype, seed=3
    )
    for layer in [*our_layers, *([end()] if end else [])]:
        net.add(layer)
    model = torch.nn.Sequential(*their_layers, *([their_end()] if their_end else []))
    model.to(getattr(torch, dtype))
    with torch.no_grad():
        for layer, theirs in zip(net.layers, model, strict=True):
            if isinstance(layer, DenseLayer):
                theirs.weight.copy_(torch.asarray(layer.weights.T.copy()))
                theirs.bias.copy_(torch.asarray(layer.biases))
    return net, model


def clip_by_norm(model, limit):
    """Clip as the formula says; PyTorch's own adds 1e-6 to the norm."""
    gradients = [p.grad for p in model.parameters()]
    norm = torch.sqrt(sum((g**2).sum() for g in gradients))
    for gradient in gradients:
        gradient *= limit / max(norm, limit)


@pytest.mark.parametrize(
    ("make_layers", "dtype"),
    [(shallow, "float64"), (deep, "float64"), (deep, "float32")],
    ids=["shallow-float64", "deep-float64", "deep-float32"],
)
@pytest.mark.parametrize(
    ("optimizer_name", "loss_name"),
    [*product(OPTIMIZER_PAIRS, LOSS_PAIRS), *product(["SGD", "Adam"], MORE_LOSS_PAIRS)],
)
def test_fifty_steps_agree(optimizer_name, loss_name, make_layers, dtype, rng):
    net, model = build(make_layers, loss_name, optimizer_name, dtype)
    targets, their_loss = ALL_LOSS_PAIRS[loss_name][2:4]
    if isinstance(their_loss, torch.nn.Module):
        their_loss.to(getattr(torch, dtype))
    optimizer = OPTIMIZER_PAIRS[optimizer_name][1](model.parameters())
    tolerance = 1e-9 if dtype == "float64" else 1e-4
    for _ in range(STEPS):
        x, y = rng.standard_normal((BATCH, N_INPUTS)).astype(dtype), targets(rng, BATCH)
        y = y if y.dtype.kind == "i" else y.astype(dtype)
        output = net.forward_propagation(x)
        loss = net.loss.loss(y, output)
        net.backward_propagation(net.loss.derivative(y, output))

        optimizer.zero_grad()
        expected = their_loss(model(torch.asarray(x)), torch.asarray(y))
        expected.backward()
        if optimizer_name == "SGD, clipped":
            clip_by_norm(model, 0.05)
        optimizer.step()
        np.testing.assert_allclose(loss, expected.item(), rtol=tolerance, atol=tolerance)
    for layer, theirs in zip(net.layers, model, strict=True):
        pairs = []
        if isinstance(layer, DenseLayer):
            pairs = [(layer.weights.T, theirs.weight), (layer.biases, theirs.bias)]
        elif isinstance(layer, BatchNormalization):
            pairs = [
                (layer.gamma, theirs.weight),
                (layer.beta, theirs.bias),
                (layer.running_mean, theirs.running_mean),
                (layer.running_variance, theirs.running_var),
            ]
        for ours, expected in pairs:
            np.testing.assert_allclose(
                ours, expected.detach().numpy(), rtol=tolerance, atol=tolerance
            )


def test_every_loss_of_the_library_takes_part():
    # GaussianNLL is compared with PyTorch's in tests/test_uncertainty.py.
    assert {type(pair[0]) for pair in ALL_LOSS_PAIRS.values()} == set(LOSSES.values()) - {
        GaussianNLL
    }


def test_predictions_agree_with_the_running_moments_in_use(rng):
    net, model = build(deep, "MeanSquaredError", "Adam", "float64")
    x = rng.standard_normal((BATCH, N_INPUTS))
    net.forward_propagation(x)
    model(torch.asarray(x))
    model.eval()
    got = net.forward_propagation(x, training=False)
    np.testing.assert_allclose(got, model(torch.asarray(x)).detach().numpy(), rtol=1e-9)


def test_the_whole_of_fit_agrees_with_a_loop_in_pytorch(rng):
    """Order of samples, short last batch, schedule per epoch, sample weights."""
    n, epochs = 70, 4
    X, y, weight = rng.standard_normal((n, N_INPUTS)), labels(rng, n), rng.uniform(0, 2, n)
    net = NeuralNetwork(
        epochs=epochs,
        batch_size=BATCH,
        optimizer=SGD(xpnet.LinearDecay(0.2, 0.05)),
        loss="softmax_cross_entropy",
        dtype="float64",
        seed=11,
    )
    ours, theirs = shallow()
    for layer in ours:
        net.add(layer)
    model = torch.nn.Sequential(*theirs).double()
    with torch.no_grad():
        for layer, linear in ((ours[0], model[0]), (ours[2], model[2])):
            linear.weight.copy_(torch.asarray(layer.weights.T.copy()))
            linear.bias.copy_(torch.asarray(layer.biases))
    optimizer, losses = torch.optim.SGD(model.parameters(), 0.2, momentum=0.9), []
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = 0.2 - 0.15 * epoch / (epochs - 1)
        order, total = net.orders.samples(n, epoch), 0.0
        for start in range(0, n, BATCH):
            index = order[start : start + BATCH]
            x_, y_, w_ = (torch.asarray(a[index]) for a in (X, y, weight))
            each = torch.nn.functional.cross_entropy(model(x_), y_, reduction="none")
            optimizer.zero_grad()
            ((each * w_).sum() / w_.sum()).backward()
            optimizer.step()
            total += float((each * w_).sum().detach())
        losses.append(total / weight.sum())
    net.fit((X, y, weight))
    np.testing.assert_allclose(net.history["loss"], losses, rtol=1e-9)
    np.testing.assert_allclose(ours[2].weights.T, model[2].weight.detach(), rtol=1e-9, atol=1e-12)
