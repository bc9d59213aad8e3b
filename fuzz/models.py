"""Model files: raw damage, or changed JSON or tensors with a valid checksum."""

import json
import tempfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from safetensors.numpy import save

import xpnet
from tests.damage import changed_json, changed_tensors, changed_text, contents
from xpnet.model_files.container import checksum

from .damage import MODULES, damaged, damaged_json
from .target import Target

_KEY = "xpnet"


class _Models(Target):
    file = "model.safetensors"
    refusals = (xpnet.ModelFileError,)
    begins_with_path = True

    def read(self, path: Path) -> xpnet.NeuralNetwork:
        """Load the network."""
        return xpnet.load(path)

    def check(self, result: xpnet.NeuralNetwork) -> None:
        """Check that all parameters are finite, and that the network can predict."""
        assert result.layers, "no layers"
        assert result.parameters.values.all_finite(), "weights that are not finite"
        shape = result.layers[0].input_shape()
        result.forward_propagation(np.zeros((2, *shape), result.backend.dtype), training=False)
        if result.is_fitted:
            result.predict(np.zeros((2, *shape), "float32"))


class Raw(_Models):
    """Files with damaged bytes."""

    name = "model-raw"

    def content(self, random: Random) -> bytes:
        """Return a damaged file."""
        return damaged(random.choice(_files()), random)


class Description(_Models):
    """Files with a changed JSON description and a valid checksum."""

    name = "model-json"

    def content(self, random: Random) -> bytes:
        """Return a file with a changed description."""
        arrays, tree = _opened(random.choice(_files()))
        match random.randrange(6):
            case 0 | 1:
                return _signed(damaged_json(tree, random), arrays)
            case 2 | 3:
                return _signed(json.dumps(changed_json(tree, random)), arrays)
            case 4:
                _aim(tree, random)
                return _signed(json.dumps(tree), arrays)
            case _:
                return _signed(changed_text(tree, random), arrays)


class Tensors(_Models):
    """Files with changed tensors and a valid checksum, or with a changed header."""

    name = "model-tensors"

    def content(self, random: Random) -> bytes:
        """Return a file with changed tensors."""
        arrays, tree = _opened(random.choice(_files()))
        if random.random() < 0.5:
            arrays = changed_tensors(arrays, random)
        else:
            for _ in range(random.choice((1, 1, 2))):
                _change(arrays, random)
        content = _signed(json.dumps(tree), arrays)
        return _with_header(content, random) if random.random() < 0.2 else content


def _aim(tree: Any, random: Random) -> None:
    """Make a change that is unlikely by chance: of a module, a method, or a layer's sizes."""
    layer = random.choice(tree["layers"])
    part = random.choice([layer, tree["loss"], tree["optimizer"], tree["network"]])
    match random.randrange(3):
        case 0:
            part["module"], part["class"] = random.choice(MODULES), random.choice(("x", "Layer"))
        case 1:
            part.setdefault("attributes", {})[random.choice(_METHODS)] = 1
        case _:
            n = random.choice((12_000, 10**9, 2**62))
            layer = next(each for each in tree["layers"] if each["class"] == "DenseLayer")
            layer["arguments"] |= {"n_units": n, "input_shape": {"tuple": [n]}}
            tree["layers"], layer["input_shape"] = [layer], [n]


_METHODS = ("forward_propagation", "predict", "loss_and_derivative", "layers", "backend")


@cache
def _files() -> list[bytes]:
    """Return small files of several kinds of networks."""
    X = np.random.default_rng(0).standard_normal((40, 4)).astype("float32")
    plain = xpnet.NeuralNetwork(1, 8, loss="mse", seed=0)
    plain.add(xpnet.DenseLayer(5, (4,))).add(xpnet.ReLUActivation()).add(xpnet.DenseLayer(1))
    values = xpnet.NeuralNetwork(
        1, 8, loss="mse", metric="rmse", seed=0, target_unit=(3.0, 2.0), dtype="float64",
        optimizer=xpnet.SGD(xpnet.StepDecay(0.1, 0.5, 2)), regularizer=xpnet.L2(1e-3),
    )  # fmt: skip
    values.add(xpnet.DenseLayer(3, (4,))).add(xpnet.TanhActivation()).add(xpnet.DenseLayer(1))
    classes = xpnet.NeuralNetwork(
        2, 8, "adam", loss="softmax_cross_entropy", metric="accuracy", seed=0
    )
    classes.add(xpnet.Normalization.adapt(X)).add(xpnet.DenseLayer(6))
    classes.add(xpnet.BatchNormalization()).add(xpnet.LeakyReLUActivation())
    classes.add(xpnet.Dropout(0.2)).add(xpnet.DenseLayer(3))
    classes.fit((X, np.arange(40) % 3))
    values.fit((X, X[:, 0] * 2.0 + 3.0))
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for net in (plain, values, classes):
            net.save(path := Path(folder) / "net")
            found.append(path.read_bytes())
    return found


def _opened(content: bytes) -> tuple[dict[str, np.ndarray], Any]:
    arrays, text = _parts(content)
    return dict(arrays), json.loads(text)


@cache
def _parts(content: bytes) -> tuple[dict[str, np.ndarray], str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net"
        path.write_bytes(content)
        arrays, tree = contents(path)
    return arrays, json.dumps(tree)


def _signed(text: str, arrays: dict[str, np.ndarray]) -> bytes:
    digest = checksum(text, arrays) if _is_unicode(text) else ""
    entry = json.dumps({"content": text, "sha256": digest})
    return bytes(save(arrays, metadata={_KEY: entry}))


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text)


def _change(arrays: dict[str, np.ndarray], random: Random) -> None:
    name = random.choice(sorted(arrays))
    array = arrays[name]
    match random.randrange(9):
        case 0:
            del arrays[name]
            arrays.setdefault("left", np.zeros(1))  # safetensors has no empty files
        case 1:
            other = random.choice(sorted(arrays))
            arrays[name], arrays[other] = arrays[other], array
        case 2:
            arrays[random.choice(("x", "__dict__", f"{name}.0", ""))] = array.copy()
        case 3:
            kind = random.choice(("int8", "bool", "uint16", "float16", "float32", "float64"))
            with np.errstate(all="ignore"):
                arrays[name] = array.astype(kind)
        case 4:
            arrays[name] = np.ascontiguousarray(
                random.choice((array.T, array[None], array.ravel(), *_cut(array)))
            )
        case 5:
            arrays[name] = np.zeros(random.choice(((1,), (0,), (3, 3), (), (2,) * 12)), array.dtype)
        case _ if array.size and array.dtype.kind == "f":
            arrays[name] = array.copy()
            values = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-40, 3e38)
            arrays[name].flat[random.randrange(array.size)] = random.choice(values)
        case _:
            arrays[name] = np.full_like(array, random.choice((0, 1, 127)))


def _cut(array: np.ndarray) -> tuple[np.ndarray, ...]:
    return (array[:0], array[:1]) if array.ndim else ()


def _with_header(content: bytes, random: Random) -> bytes:
    """Return a file with a wrong entry for a tensor in its header."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    entry = header[random.choice([name for name in header if name != "__metadata__"])]
    match random.randrange(4):
        case 0:
            entry["shape"] = random.choice(([12_000, 12_000], [2**62, 4], [-1], [], [0], [1.5]))
        case 1:
            entry["data_offsets"] = random.choice(([0, 0], [0, 2**40], [8, 4], [0, len(content)]))
        case 2:
            entry["dtype"] = random.choice(("F64", "F8_E4M3", "BF16", "BOOL", "I64", "X", "F4"))
        case _:
            entry["shape"] = [*entry["shape"], 1]
    text = json.dumps(header).encode()
    if random.random() < 0.2:
        text += b" " * random.choice((1, 8, 10**5))
    return len(text).to_bytes(8, "little") + text + content[8 + length :]
