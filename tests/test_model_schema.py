"""Model files that somebody has changed and signed again: refused by name, or a sound network."""

import copy
import json
import random
import time
import tracemalloc
import warnings

import numpy as np
import pytest

import xpnet
from tests.damage import (
    changed_json,
    changed_tensors,
    changed_text,
    contents,
    write_signed,
    write_signed_text,
    write_with_header,
)
from tests.files import make
from xpnet import ModelFileError
from xpnet.model_files.kinds import KINDS
from xpnet.model_files.schema import KIND_NAMES

X = make.features()


@pytest.fixture(autouse=True)
def by_formulas(monkeypatch):
    monkeypatch.setenv("XPNET_STEPS", "formulas")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Tensors and content of sound files."""
    path = tmp_path_factory.mktemp("sound") / "net"
    found = []
    for maker in make.MAKERS.values():
        maker().save(path)
        found.append(contents(path))
    return found


def loaded(path):
    """Return the network of a file, or None if it is refused with a message as documented."""
    try:
        return xpnet.load(path)
    except ModelFileError as error:
        message = str(error)
    assert message.startswith(f"{path}: ")
    return None


def check_sound(net, path):
    """Check that a network comes back from a file, and that its predictions are numbers."""
    net.save(path)
    again = xpnet.load(path)
    # float32 may lack the digits for a mean that somebody has changed; prediction refuses that.
    if net.is_fitted and net.backend.dtype == "float64":
        predictions = net.predict(X)
        assert np.isfinite(predictions).all()
        np.testing.assert_array_equal(again.predict(X), predictions)


@pytest.mark.parametrize("part", range(10))
@pytest.mark.parametrize("kind", ["json", "text", "tensors"])
def test_files_changed_at_random(kind, part, sound, tmp_path):
    warnings.simplefilter("ignore")
    refused = 0
    for k in range(40):
        drawn = random.Random(f"{kind}/{part}/{k}")
        arrays, content = copy.deepcopy(drawn.choice(sound))
        path = tmp_path / f"{k}"
        try:
            if kind == "json":
                write_signed(path, arrays, changed_json(content, drawn, most=1 + k % 3))
            elif kind == "text":
                write_signed_text(path, arrays, changed_text(content, drawn))
            else:
                write_signed(path, changed_tensors(arrays, drawn), content)
        except UnicodeEncodeError:  # such a text cannot be in a file
            continue
        start = time.perf_counter()
        net = loaded(path)
        refused += net is None
        assert time.perf_counter() - start < 5  # far less, on a machine with nothing else to do
        if net is not None:
            check_sound(net, path)
    assert refused > 20


def changed(sound, change, which=1):
    arrays, content = copy.deepcopy(sound[which])
    return arrays, change(content) or content


def put(*path, value):
    def change(content):
        place = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


ARGUMENTS = ("network", "arguments")
ATTRIBUTES = ("network", "attributes")
REFUSED = {
    "no layers": (put("layers", value=[]), "at least one layer"),
    "fitted: no": (put(*ATTRIBUTES, "_is_fitted", value="no"), "_is_fitted"),
    "class names: 5": (put(*ATTRIBUTES, "class_names", value=5), "class_names"),
    "names for other features": (put(*ATTRIBUTES, "feature_names", value=["a"]), "feature_names"),
    "a method": (put("layers", 3, "attributes", "input_shape", value=5), "input_shape"),
    "__dict__ of the network": (put(*ATTRIBUTES, "__dict__", value={"dict": []}), "__dict__"),
    "__dict__ of the schedule": (
        put("optimizer", "schedule", "attributes", "__dict__", value={"dict": []}),
        "__dict__",
    ),
    "__class__ of a layer": (put("layers", 1, "attributes", "__class__", value=1), "__class__"),
    "a state of the schedule": (put("optimizer", "schedule", "state", "x", value=1), "state"),
    "best: no": (put("optimizer", "schedule", "state", "best", value="no"), "best"),
    "best: NaN": (put("optimizer", "schedule", "state", "best", value=float("nan")), "best"),
    "layers' backend": (put("layers", 1, "attributes", "backend", value=1), "backend"),
    "another kind": (put("loss", "kind", value="Layer"), "one of 'LossFunction'"),
    "an unknown kind": (put("loss", "kind", value="Thing"), "one of 'LossFunction'"),
    "an unknown class": (put("loss", "class", value="Thing"), "Thing, which is not defined"),
    "an unknown argument": (put("loss", "arguments", "x", value=1), "cannot be made"),
    "a type of NumPy": (put(*ATTRIBUTES, "x", value={"numpy": ["V1000000000", 1]}), "numpy"),
    "a number for its type": (put(*ATTRIBUTES, "x", value={"numpy": ["int64", 1.5]}), "numpy"),
    "a set of lists": (put(*ATTRIBUTES, "x", value={"set": [[1]]}), "set"),
    "a tensor too often": (
        put(*ATTRIBUTES, "x", value=[{"array": "layers.1.weights"}] * 3),
        "more than twice",
    ),
    "uneven history": (put("history", "dict", 0, 1, value=[1]), "lengths"),
    "text in the history": (put("history", "dict", 0, 1, value=["a"] * 5), "a list of numbers"),
    "a generator": (put("layers", 1, "rng", value={"dict": []}), "rng"),
    "no type": (put("dtype", value="float16"), "dtype"),
    "no field": (lambda content: content.pop("loss") and None, "has no 'loss'"),
    "a field more": (put("more", value=1), "'more'"),
    "no key": (put("layers", 4, "attributes", "key", value="x"), "key"),
    "no updates": (put("optimizer", "state", "n_updates", value=0), "after 0 updates"),
    "another number of classes": (
        put("loss", "state", "balanced_weight", value=[1.0, -1.0, 2.0]),
        "class_weight",
    ),
    "epochs": (put(*ARGUMENTS, "epochs", value=0), "epochs"),
    "layers that do not fit": (put("layers", 1, "input_shape", value=[3]), "layers.1"),
    "deep": (
        put(*ATTRIBUTES, "x", value=json.loads("[" * 150 + "]" * 150)),
        "nested more than 100 deep",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_schema_refuses(name, sound, tmp_path):
    change, words = REFUSED[name]
    arrays, content = changed(sound, change)
    path = write_signed(tmp_path / "net", arrays, content)
    with pytest.raises(ModelFileError) as caught:
        xpnet.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


ODD = "\x1b[2J\n\u202e" + "x" * 10_000
"""A name that clears a terminal, turns the text around and is very long."""

ODDLY_NAMED = {
    "argument": put("layers", 1, "arguments", ODD, value=1),
    "argument of the network": put(*ARGUMENTS, ODD, value=1),
    "value": put("layers", 1, "arguments", ODD, value={"bad": 1}),
    "state": put("layers", 1, "state", ODD, value=1),
    "column": put("history", "dict", 0, value=[ODD, ["x"]]),
    "class": put("loss", "class", value=ODD),
    "field": put(ODD, value=1),
}


@pytest.mark.parametrize("name", ODDLY_NAMED)
def test_messages_are_short_and_leave_terminals_alone(name, sound, tmp_path):
    arrays, content = changed(sound, ODDLY_NAMED[name])
    path = write_signed(tmp_path / "net", arrays, content)
    with pytest.raises(ModelFileError) as caught:
        xpnet.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1200


def test_the_warning_about_a_function_is_short_and_leaves_terminals_alone(sound, tmp_path):
    arrays, content = changed(sound, put("metric", value={"function": ODD}))
    path = write_signed(tmp_path / "net", arrays, content)
    with pytest.warns(UserWarning, match="which a file cannot hold") as caught:
        xpnet.load(path)
    assert str(caught[0].message).isprintable()
    assert len(str(caught[0].message)) < 1200


def large(kind):
    """Return a change that makes the first layer very large."""

    def change(content):
        layer = content["layers"][0]
        n = 12_000 if kind == "DenseLayer" else 10**9
        if kind == "DenseLayer":
            layer["arguments"] |= {"n_units": n, "input_shape": {"tuple": [n]}}
        else:
            content["layers"] = content["layers"][:1]
            modules = {
                "Normalization": "normalization",
                "BatchNormalization": "batch_normalization",
            }
            layer |= {"class": kind, "module": f"xpnet.layers.{modules[kind]}", "arguments": {}}
        layer["input_shape"] = [n]

    return change


TEXTS = {
    "deep": "[" * 500_000 + "]" * 500_000,
    "lists": "[" + "[]," * 300_000 + "[]]",
    "objects": "[" + '{"a":0},' * 100_000 + "0]",
    "numbers": "[" + "1.5," * 200_000 + "0]",
    "a long number": "1" * 200_000,
    "doubled": '{"format": "xpnet-3", "format": "xpnet-3"}',
}


@pytest.mark.parametrize("kind", ["DenseLayer", "Normalization", "BatchNormalization", *TEXTS])
def test_small_files_take_neither_time_nor_memory(kind, sound, tmp_path):
    if kind in TEXTS:
        path = write_signed_text(tmp_path / "net", {}, TEXTS[kind])
    else:
        path = write_signed(tmp_path / "net", *changed(sound, large(kind), which=0))
    tracemalloc.start()
    try:
        start = time.process_time()
        with pytest.raises(ModelFileError):
            xpnet.load(path)
        seconds = time.process_time() - start
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * path.stat().st_size + 50e6
    assert seconds < 10  # tracemalloc makes it ten times as long


ENTRY = '{"__metadata__":{"xpnet":"{\\"content\\":\\"1\\",\\"sha256\\":\\"x\\"}"}'
HEADERS = {
    "a name twice": ',"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}' * 2 + "}",
    "overlapping": ',"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    ',"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    "a hole": ',"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}',
    "trailing bytes": "}",
    "an unknown type": ',"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}',
    "too many dimensions": f',"a":{{"dtype":"F32","shape":[{"1," * 99}1],"data_offsets":[0,4]}}}}',
    "overflow": f',"a":{{"dtype":"F32","shape":[{2**63},{2**63}],"data_offsets":[0,4]}}}}',
    "a surrogate": ',"\\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_lie(name, tmp_path):
    path = write_with_header(tmp_path / "net", ENTRY + HEADERS[name], bytes(4))
    with pytest.raises(ModelFileError) as caught:
        xpnet.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_no_network_without_layers_is_saved(tmp_path):
    with pytest.raises(ValueError, match="the network has no layers to save"):
        xpnet.NeuralNetwork().save(tmp_path / "net")


def test_what_could_not_be_read_is_not_saved(tmp_path):
    net = xpnet.NeuralNetwork().add(xpnet.DenseLayer(1, (2,)))
    net.note = json.loads("[" * 150 + "]" * 150)
    with pytest.raises(TypeError, match="nested more than 100 deep"):
        net.save(tmp_path / "net")
    for number in (10**1000, -(10**1000), 10**2000):
        net.note = number
        with pytest.raises(TypeError, match="more than 1,000 digits"):
            net.save(tmp_path / "net")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [10**1000 - 1, 1 - 10**1000], ids=["above 0", "below 0"])
def test_whole_numbers_of_1000_digits_are_saved(number, tmp_path):
    net = xpnet.NeuralNetwork().add(xpnet.DenseLayer(1, (2,)))
    net.note = number
    net.save(tmp_path / "net")
    assert xpnet.load(tmp_path / "net").note == number


def test_the_schema_knows_every_kind():
    assert tuple(kind.__name__ for kind in KINDS) == KIND_NAMES


def test_many_layers_are_built_saved_and_loaded_in_linear_time(tmp_path):
    def seconds(n):
        start = time.process_time()
        net = xpnet.NeuralNetwork(seed=0).add(xpnet.DenseLayer(2, (2,)))
        for _ in range(n):
            net.add(xpnet.ReLUActivation()).add(xpnet.DenseLayer(2))
        net.save(tmp_path / "net")
        assert len(xpnet.load(tmp_path / "net").layers) == 2 * n + 1
        return time.process_time() - start

    seconds(10)
    assert seconds(800) < 4 * 8 * seconds(100)  # 64 times, if it were quadratic
