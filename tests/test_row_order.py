"""Features whose rows are spread over memory, such as scikit-learn's digits, train as others do."""

import numpy as np
import pytest

from xpnet import Dataset, DenseLayer, NeuralNetwork, ReLUActivation
from xpnet.training.feeding.training_data import _available
from xpnet.training.fitting import prepare
from xpnet.training.purpose import purpose_of

RNG = np.random.default_rng(0)
X = RNG.integers(0, 17, (96, 6))
Y = X[:, 0] % 3

LAYOUTS = {
    "columns": np.asfortranarray,
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "every second column": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "backwards": lambda x: np.ascontiguousarray(x[::-1])[::-1],
}


def network(steps=None, dtype="float64", **given):
    net = NeuralNetwork(3, 16, loss="softmax_cross_entropy", seed=0, dtype=dtype, **given)
    if steps is not None:
        net.steps = steps
    return net.add(DenseLayer(5, (6,))).add(ReLUActivation()).add(DenseLayer(3))


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "int64"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_they_train_in_compiled_steps_with_the_same_result(layout, dtype):
    pytest.importorskip("numba")
    x = X.astype(dtype)
    spread = LAYOUTS[layout](x)
    before = spread.copy(), spread.strides
    assert not spread.flags.c_contiguous
    net = network(dtype="float32", steps="compiled").fit(spread, Y, validation=(spread, Y))
    expected = network(dtype="float32", steps="compiled").fit(x, Y, validation=(x, Y))
    assert net.history["loss"] == expected.history["loss"]
    assert net.history["val_loss"] == pytest.approx(expected.history["val_loss"], rel=1e-5)
    np.testing.assert_array_equal(spread, before[0])
    assert spread.strides == before[1]


def test_explain_steps_says_so():
    pytest.importorskip("numba")
    spread = np.asfortranarray(X.astype(float))
    found = network().explain_steps(spread, Y)
    assert str(found) == str(network().explain_steps(X.astype(float), Y))


def test_memory_for_the_copy_is_counted():
    x = X.astype("float64")
    found = {}
    for name, given in {"rows": x, "columns": np.asfortranarray(x)}.items():
        net = network()
        placed = prepare(net, (given, Y))
        data = Dataset(given, Y)
        free = type(net.backend.memory())(free=10**9, total=10**9)
        backend = _WithMemory(net.backend, free)
        purpose = purpose_of(net, net.backend)
        found[name] = _available(data, _with_backend(purpose, backend), placed.sizes)
    assert found["columns"] == 10**9  # the plan's features are new memory
    assert found["rows"] == 10**9 + len(x) * (placed.sizes.feature_bytes + placed.sizes.other_bytes)


class _WithMemory:
    def __init__(self, backend, free):
        self._backend, self._free = backend, free

    def memory(self):
        return self._free

    def __getattr__(self, name):
        return getattr(self._backend, name)


def _with_backend(purpose, backend):
    from dataclasses import replace

    return replace(purpose, intake=replace(purpose.intake, backend=backend))


@pytest.mark.parametrize("limit", [None, 500_000])
def test_with_a_limit_of_memory(limit):
    x = RNG.normal(size=(4000, 6))
    y = (x[:, 0] > 0).astype(int)
    nets = [network(memory_limit=limit) for _ in range(2)]
    for net, given in zip(nets, (x, np.asfortranarray(x)), strict=True):
        net.fit(given, y)
    assert nets[0].last_plan.total == nets[1].last_plan.total
    np.testing.assert_allclose(nets[0].history["loss"], nets[1].history["loss"], rtol=1e-9)
