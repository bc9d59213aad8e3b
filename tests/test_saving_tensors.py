"""Files with a right checksum but tensors that do not fit the network are refused."""

import json

import numpy as np
import pytest

import xpnet
from xpnet import (
    BatchNormalization,
    DenseLayer,
    Dropout,
    ModelFileError,
    NeuralNetwork,
    Normalization,
    ReLUActivation,
)
from xpnet.optimizers import OPTIMIZERS

from .damage import contents, write_signed

X = np.random.default_rng(1).standard_normal((40, 4))
Y = np.arange(40) % 3


def network(optimizer="adam", dtype="float32"):
    net = NeuralNetwork(
        2, 8, optimizer, loss="softmax_cross_entropy", metric="accuracy", seed=0, dtype=dtype
    )
    net.add(Normalization.adapt(X)).add(DenseLayer(8)).add(BatchNormalization())
    return net.add(ReLUActivation()).add(Dropout(0.1)).add(DenseLayer(3))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A sound file's tensors and the rest of its content."""
    path = tmp_path_factory.mktemp("saved") / "net"
    network().fit((X, Y)).save(path)
    return contents(path)


def refused(path, *words):
    with pytest.raises(ModelFileError) as caught:
        xpnet.load(path)
    assert str(path) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


TENSORS = [
    "layers.0.mean",
    "layers.0.scale",
    "layers.1.weights",
    "layers.1.biases",
    "layers.2.gamma",
    "layers.2.beta",
    "layers.2.running_mean",
    "layers.2.running_variance",
    "layers.5.weights",
    "layers.5.biases",
    "optimizer.first_moment",
    "optimizer.second_moment",
]
CHANGES = {
    "one more": lambda a: np.concatenate([a, a[..., :1]], axis=-1),
    "one less": lambda a: a[..., :-1],
    "one that would be broadcast": lambda a: a[..., :1],
    "a number": lambda a: np.asarray(a.ravel()[0]),
    "a dimension more": lambda a: a[None],
    "turned": lambda a: a.T[..., None],
    "nothing": lambda a: a[:0],
    "int8": lambda a: a.astype("int8"),
    "int64": lambda a: a.astype("int64"),
    "bool": lambda a: a > 0,
    "float16": lambda a: a.astype("float16"),
    "another precision": lambda a: a.astype({"float32": "float64"}.get(a.dtype.name, "float32")),
}


def test_the_tensors_are_those_tested_here(saved, tmp_path):
    assert sorted(saved[0]) == sorted(TENSORS)
    xpnet.load(write_signed(tmp_path / "net", *saved)).predict(X)


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("change", CHANGES)
def test_tensors_of_another_shape_or_type(name, change, saved, tmp_path):
    arrays, content = saved
    changed = np.ascontiguousarray(CHANGES[change](arrays[name]))
    path = write_signed(tmp_path / "net", arrays | {name: changed}, content)
    if change == "another precision":
        assert changed.dtype != arrays[name].dtype
        if name in ("layers.0.mean", "layers.0.scale"):  # as a device without float64 has them
            assert getattr(xpnet.load(path).layers[0], name[9:]).dtype == "float64"
            return
    refused(path, repr(name), "expected")


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_are_missing_or_left_over(name, saved, tmp_path):
    arrays, content = saved
    without = {key: array for key, array in arrays.items() if key != name}
    refused(write_signed(tmp_path / "a", without, content), f"the tensor {name!r} is missing")
    more = arrays | {f"{name}_more": arrays[name]}
    refused(write_signed(tmp_path / "b", more, content), f"{name}_more", "no part of the network")


BAD_NUMBERS = {
    ("layers.0.scale", 0.0): "scale",
    ("layers.0.scale", -1.0): "scale",
    ("layers.0.scale", np.inf): "scale",
    ("layers.0.mean", np.nan): "mean",
    ("layers.2.running_variance", -1e-3): "running_variance",
    ("layers.2.running_variance", np.inf): "running_variance",
    ("layers.2.running_mean", np.nan): "running_mean",
    ("layers.2.gamma", np.nan): "gamma",
    ("layers.1.weights", np.inf): "weights",
    ("optimizer.first_moment", np.inf): "first_moment",
    ("optimizer.second_moment", np.nan): "second_moment",
    ("optimizer.second_moment", -1.0): "second_moment",
}


@pytest.mark.parametrize(("name", "value"), BAD_NUMBERS)
def test_numbers_that_training_cannot_produce_are_refused(name, value, saved, tmp_path):
    arrays, content = saved
    changed = arrays[name].copy()
    changed.flat[1] = value
    refused(
        write_signed(tmp_path / "net", arrays | {name: changed}, content), BAD_NUMBERS[name, value]
    )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("layers", 4, "state", "n_masks"), -1),
        (("layers", 4, "state", "n_masks"), 1.5),
        (("layers", 4, "state", "n_masks"), "many"),
        (("optimizer", "state", "n_updates"), -1),
        (("optimizer", "state", "n_updates"), True),
        (("optimizer", "state", "n_updates"), None),
        (("optimizer", "state", "learning_rate"), -0.1),
        (("optimizer", "state", "learning_rate"), "fast"),
        (("optimizer", "state", "learning_rate"), float("nan")),
    ],
)
def test_states_of_a_wrong_kind_are_refused(path, value, saved, tmp_path):
    arrays, content = saved[0], json.loads(json.dumps(saved[1]))
    place = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    refused(write_signed(tmp_path / "net", arrays, content), path[-1])


def test_states_that_no_part_has_are_refused(saved, tmp_path):
    arrays, content = saved[0], json.loads(json.dumps(saved[1]))
    content["layers"][4]["state"]["other"] = 3
    refused(write_signed(tmp_path / "net", arrays, content), "other")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(value, saved, tmp_path):
    net = network().fit((X, Y))
    net.layers[1].biases = net.layers[1].biases * 0 + value
    with pytest.raises(TypeError, match="biases has numbers that are not finite"):
        net.save(tmp_path / "net")
    assert not list(tmp_path.iterdir())
    arrays, content = saved
    changed = arrays["layers.1.biases"] + np.float32(value)
    path = write_signed(tmp_path / "net", arrays | {"layers.1.biases": changed}, content)
    refused(path, "layers.1", "biases has numbers that are not finite")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", sorted(set(OPTIMIZERS) - {"lbfgs"}))  # it keeps no arrays
def test_what_was_saved_loads_with_the_types_it_had(optimizer, dtype, tmp_path):
    net = network(optimizer, dtype).fit((X, Y))
    net.save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net")
    for one, other in zip(net.layers, loaded.layers, strict=True):
        for name in (*one.parameter_names, *one.state_names):
            a, b = getattr(one, name), getattr(other, name)
            assert type(a) is type(b)
            assert getattr(a, "dtype", None) == getattr(b, "dtype", None)
            np.testing.assert_array_equal(a, b)


def test_a_state_changed_by_hand_to_what_cannot_be_loaded_is_not_saved(tmp_path):
    net = network().fit((X, Y))
    net.layers[0].scale = net.layers[0].scale * 0
    with pytest.raises(TypeError, match="Normalization cannot be saved: scale has numbers"):
        net.save(tmp_path / "net")
    net = network().fit((X, Y))
    net.layers[2].running_mean = np.zeros(3, "float32")
    with pytest.raises(TypeError, match=r"'running_mean' has shape \(3,\): expected \(8,\)"):
        net.save(tmp_path / "net")
    net = network().fit((X, Y))
    net.optimizer.first_moment = np.zeros(3, "float32")
    with pytest.raises(TypeError, match=r"'first_moment' has shape \(3,\): expected"):
        net.save(tmp_path / "net")


def test_moments_are_loaded_before_the_first_step(tmp_path):
    net = network()
    net.save(tmp_path / "net")
    assert xpnet.load(tmp_path / "net").optimizer.first_moment is None
