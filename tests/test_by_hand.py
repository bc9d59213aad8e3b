"""Losses and metrics called directly: unsuitable arguments are refused with our messages."""

import traceback
from pathlib import Path

import numpy as np
import pytest

import xpnet
from xpnet.backends import Backend, resolve
from xpnet.losses import LOSSES, ClassLoss, GaussianNLL, KLDivergence, LossFunction
from xpnet.metrics import (
    MAPE,
    METRICS,
    BinaryAccuracy,
    ProbabilityMetric,
    TopKAccuracy,
    confusion_matrix,
    precision,
)

N, K = 3, 2
Y = np.array([0, 1, 1])
P = np.array([[0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
FOLDERS = [Path(xpnet.__file__).parent.resolve(), Path(xpnet.__file__).parent.parent / "backends"]


def made(cls):
    """Return a metric that fits K classes."""
    return cls(1) if cls is TopKAccuracy else cls()


def _calls():
    for cls in dict.fromkeys(LOSSES.values()):
        for name in ("loss", "derivative", "loss_and_derivative", "__call__"):
            yield pytest.param(getattr(cls(), name), id=f"{cls.__name__}.{name}")
    for cls in METRICS.values():
        yield pytest.param(made(cls), id=cls.__name__)
    yield pytest.param(confusion_matrix, id="confusion_matrix")


CALLS = list(_calls())
CLASS_LOSSES = [cls for cls in dict.fromkeys(LOSSES.values()) if issubclass(cls, ClassLoss)]


def targets_for(call):
    """Return targets that fit the outputs P."""
    owner = getattr(call, "__self__", call)
    takes_classes = isinstance(owner, ClassLoss) or getattr(owner, "one_class_per_sample", False)
    if takes_classes or call is confusion_matrix:
        return Y
    rows = np.eye(K)[Y]
    if isinstance(owner, LossFunction):
        rows = rows[:, : owner.n_targets(K)]
    return rows + 1.0 if _is_positive(owner) else rows


def _is_positive(owner):
    """Whether it is for targets above 0: some losses, and MAPE, which divides by them."""
    return getattr(owner, "targets", None) == "positive" or isinstance(owner, MAPE)


def tensor(x):
    return pytest.importorskip("torch").tensor(x)


def strict(x):
    return pytest.importorskip("array_api_strict").asarray(x)


def sparse(x):
    return pytest.importorskip("scipy.sparse").csr_array(x)


def frame(x):
    return pytest.importorskip("pandas").DataFrame(x)


# name -> what becomes of targets and outputs that fit, and of weights
CHANGES = {
    "a pair of vectors": lambda y, p: (np.array([1.0, 0.0]), np.array([0.8, 0.2])),
    "lists": lambda y, p: (y.tolist(), p.tolist()),
    "a list of targets": lambda y, p: (y.tolist(), p),
    "numbers": lambda y, p: (1.0, 0.5),
    "NumPy's numbers": lambda y, p: (np.float64(1.0), np.float64(0.5)),
    "arrays of no dimension": lambda y, p: (np.asarray(1.0), np.asarray(0.5)),
    "targets of no dimension": lambda y, p: (np.asarray(1.0), p),
    "targets of three dimensions": lambda y, p: (np.zeros((N, 1, 1)), p),
    "outputs of three dimensions": lambda y, p: (y, p[:, :, None]),
    "no outputs": lambda y, p: (y, p[:, :0]),
    "more targets": lambda y, p: (np.concatenate([y, y]), p),
    "targets with more columns": lambda y, p: (np.zeros((N, K + 2)), p),
    "whole numbers as outputs": lambda y, p: (y, (10 * p).astype(int)),
    "booleans as outputs": lambda y, p: (y, p > 0.5),
    "complex outputs": lambda y, p: (y, p + 0j),
    "complex targets": lambda y, p: (y + 0j, p),
    "objects": lambda y, p: (y, p.astype(object)),
    "objects as targets": lambda y, p: (y.astype(object), p),
    "text": lambda y, p: (y.astype(str), p),
    "dates": lambda y, p: (y.astype(int).astype("M8[D]"), p),
    "None": lambda y, p: (y, None),
    "None as targets": lambda y, p: (None, p),
    "PyTorch's targets": lambda y, p: (tensor(y), p),
    "PyTorch's outputs": lambda y, p: (y, tensor(p)),
    "another library's outputs": lambda y, p: (y, strict(p)),
    "sparse outputs": lambda y, p: (y, sparse(p)),
    "a frame": lambda y, p: (y, frame(p)),
    "a list of weights": lambda y, p: (y, p, [1.0] * N),
    "a number as weights": lambda y, p: (y, p, 2.0),
    "fewer weights": lambda y, p: (y, p, np.ones(N - 1)),
    "a column of weights": lambda y, p: (y, p, np.ones((N, 1))),
    "complex weights": lambda y, p: (y, p, np.ones(N) + 0j),
    "PyTorch's weights": lambda y, p: (y, p, tensor(np.ones(N))),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("call", CALLS)
def test_arguments_that_do_not_fit_are_refused(call, change):
    arguments = CHANGES[change](targets_for(call), P)
    with pytest.raises(
        (TypeError, ValueError), match=r"y_true|y_pred|target|sample_weight"
    ) as info:
        call(*arguments)
    raised_in = Path(traceback.extract_tb(info.value.__traceback__)[-1].filename).resolve()
    assert any(raised_in.is_relative_to(folder) for folder in FOLDERS), raised_in


GOOD = {
    "float32": lambda y, p: (y, p.astype("float32")),
    "half precision": lambda y, p: (y, p.astype("float16")),
    "small integers": lambda y, p: (y.astype("uint8"), p),
    "a column": lambda y, p: (y[:, None] if y.ndim == 1 else y, p),
    "whole-number weights": lambda y, p: (y, p, np.ones(N, int)),
    "PyTorch": lambda y, p: (tensor(y), tensor(p)),
    "another order in memory": lambda y, p: (np.asfortranarray(y), np.asfortranarray(p)),
}


@pytest.mark.parametrize("change", GOOD)
@pytest.mark.parametrize("call", CALLS)
def test_arguments_that_fit_are_accepted(call, change):
    def numbers(result):
        return [np.asarray(each) for each in (result if isinstance(result, tuple) else (result,))]

    y = targets_for(call)
    found, expected = numbers(call(*GOOD[change](y, P))), numbers(call(y, P))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-3)


@pytest.mark.parametrize("wrong", [-1, K, 10**12])
@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("cls", CLASS_LOSSES, ids=lambda cls: cls.__name__)
def test_a_class_index_out_of_range_is_refused(cls, column, wrong):
    y = np.array([0, 1, wrong])
    y = y[:, None] if column else y
    for name in ("loss", "derivative", "loss_and_derivative", "__call__"):
        with pytest.raises(ValueError, match=f"y has the class {wrong}: expected 0 to 1"):
            getattr(cls(), name)(y, P)
        getattr(cls(ignore_index=wrong), name)(y, P)
    with pytest.raises(ValueError, match=f"y has the class {wrong}: expected 0 to 1"):
        cls()(tensor(y), tensor(P))


@pytest.mark.parametrize("cls", CLASS_LOSSES, ids=lambda cls: cls.__name__)
def test_classes_for_one_output_or_in_fractions_are_refused(cls):
    for name in ("loss", "derivative", "loss_and_derivative", "__call__"):
        with pytest.raises(ValueError, match="needs one output for each class"):
            getattr(cls(), name)(Y, P[:, :1])
        with pytest.raises((TypeError, ValueError), match=r"whole numbers|expected integers"):
            getattr(cls(), name)(Y + 0.5, P)


@pytest.mark.parametrize("cls", dict.fromkeys(METRICS.values()), ids=lambda cls: cls.__name__)
def test_a_metric_of_classes_refuses_other_targets(cls):
    metric = made(cls)
    if not (cls.one_class_per_sample or issubclass(cls, ProbabilityMetric)):
        assert metric(np.eye(K)[Y], P).shape == ()
        return
    for wrong in (-1, K):
        y = np.array([0, 1, wrong])
        with pytest.raises(ValueError, match=f"y has the class {wrong}"):
            metric(y, P)
        assert metric(y, P, np.array([1.0, 1.0, 0.0])).shape == ()  # it does not count
    with pytest.raises(ValueError, match=r"y has the class 0\.5: expected whole numbers"):
        metric(np.array([0.0, 1.0, 0.5]), P)
    if cls is not TopKAccuracy:  # which takes several outputs
        with pytest.raises(ValueError, match="one output has the classes 0 and 1"):
            metric(np.array([0, 1, 2]), P[:, :1])
    with pytest.raises(ValueError, match="y has the class 5"):
        confusion_matrix(np.array([0, 1, 5]), P)


def test_one_column_of_outputs_goes_with_a_vector_of_targets():
    for cls in dict.fromkeys(LOSSES.values()):
        if not issubclass(
            cls, (ClassLoss, GaussianNLL, KLDivergence)
        ):  # which need several outputs
            y = Y + 1 if cls.targets == "positive" else Y
            assert cls()(y, P[:, :1]) == cls()(y[:, None].astype(float), P[:, :1])
    assert BinaryAccuracy()(Y, P[:, :1]) == pytest.approx(2 / 3)
    assert precision(Y, P[:, :1]) == 1.0


def test_outputs_elsewhere_are_refused_by_the_device():
    pytest.importorskip("array_api_strict")
    backends: list[Backend] = [
        resolve(device, backend="array-api-strict", dtype="float64")
        for device in ("cpu", "device1")
    ]
    loss = LOSSES["mse"]()
    there = [backend.asarray(P) for backend in backends]
    with pytest.raises(TypeError, match="expected arrays of the same library on the same device"):
        loss(*there)
