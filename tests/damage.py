"""Ways to damage files: raw bytes for Hypothesis, and model files with valid checksums.

An attacker can write a valid checksum too. So most tests of loading change the JSON or the tensors
of a valid file and sign the result: :func:`contents` takes a file apart, :func:`changed_json`,
:func:`changed_tensors` and :func:`changed_text` change it, and :func:`write_signed` and
:func:`write_signed_text` put it together.

All changes are drawn from a ``random.Random``, so a seed repeats them.
"""

import copy
import json
import math
import struct
from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st


def changes(content, longest=12, most_replaced=12):
    """Return a strategy that removes bytes, flips one bit, or inserts bytes.

    Parameters
    ----------
    content : bytes
    longest : int, default 12
        The maximum number of inserted bytes.
    most_replaced : int, default 12
        The maximum number of bytes that they replace.
    """
    places = st.integers(0, len(content))
    cut = st.tuples(places, places).map(sorted).map(lambda p: content[: p[0]] + content[p[1] :])
    new = st.binary(min_size=1, max_size=longest)
    put = st.tuples(places, new, st.integers(0, most_replaced)).map(
        lambda p: content[: p[0]] + p[1] + content[p[0] + p[2] :]
    )
    flip = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 7)).map(
        lambda p: content[: p[0]] + bytes([content[p[0]] ^ 1 << p[1]]) + content[p[0] + 1 :]
    )
    return st.one_of(cut, put, flip)


# ---- model files: take apart, and put together with a valid checksum


def contents(path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors of a model file, and its JSON content as a dict."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        text = json.loads(file.metadata()["xpnet"])["content"]
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(text)  # noqa: SIM118


def write_signed(path, arrays: dict[str, np.ndarray], content: Any):
    """Write a model file like ``save``, with a valid checksum; return the path."""
    return write_signed_text(path, arrays, json.dumps(content))


def write_signed_text(path, arrays: dict[str, np.ndarray], text: str):
    """Write a model file with any text instead of its JSON; return the path."""
    from safetensors.numpy import save_file

    from xpnet.model_files.container import checksum

    entry = json.dumps({"content": text, "sha256": checksum(text, arrays)})
    save_file(arrays, path, metadata={"xpnet": entry})
    return path


def write_with_header(path, header: str, data: bytes = b""):
    """Write a safetensors file with any text as its header; return the path."""
    raw = header.encode("utf-8", "surrogatepass")
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)
    return path


# ---- changes of the JSON

ODD_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 3, 12_000, 2**31, 2**63, 2**64, 2**128, 10**400,
    0.0, -0.5, 0.5, 1.5, 1e-320, 1e308, math.nan, math.inf, -math.inf,
    "", "no", "x" * 3000, "mean", "float32", "float16", "float64", "__dict__", "__class__",
    "layers", "layers.0.weights", "xpnet.layers.dense", "os", "system", "\ud800", "\x00", "é",
    [], {}, [[]], [None], [0], [1, 2], ["a", "b"], {"a": 1}, {"dict": []}, {"tuple": [1, 2]},
    {"set": [[1]]}, {"dict": [[{"dict": []}, 1]]}, {"numpy": ["float64", 1.0]},
    {"numpy": ["S1000000000", 1]}, {"numpy": ["V1000000000", 10**9]}, {"numpy": ["int64", 1.5]},
    {"numpy": ["object", 1]}, {"bytes": "zz"}, {"bytes": "00"}, {"function": "f"},
    {"array": "layers.0.weights"}, {"moved": "layers.0.weights"}, {"array": "none"},
    {"part": {}}, {"part": None}, {"unknown": 1}, {"a": 1, "b": 2},
]  # fmt: skip
"""Values that rarely belong where they are put."""

ODD_NAMES = [
    "", "x", "__dict__", "__class__", "__init__", "weights", "forward_propagation", "backend",
    "rng", "layers", "history", "optimizer", "parameters", "state_names", "parameter_names",
    "schedule", "fit", "in_network", "kind", "class", "0", "n_units", "self", "é",
]  # fmt: skip

ODD_TEXTS = [
    "", "null", "0", "[]", "{}", '"x"', "nul", "{", "[" * 100_000, '{"a":' * 100_000,
    "[" * 900 + "]" * 900, '{"format": "xpnet-3", "format": "xpnet-3"}', "1" * 5000,
    '{"format": ' + "1" * 5000 + "}", '{"format": NaN}', '{"format": 1e999}', "\ufeff{}",
]  # fmt: skip
"""Texts to replace the whole JSON."""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to all values inside a JSON value, except itself."""
    found = []
    pairs = enumerate(value) if isinstance(value, list) else value.items()
    for key, inner in pairs:
        found.append((*path, key))
        if isinstance(inner, (list, dict)):
            found += places(inner, (*path, key))
    return found


def changed_json(content: dict[str, Any], random: Random, most: int = 3) -> dict[str, Any]:
    """Return a copy of a file's content with one to ``most`` random changes.

    A change sets a value, removes it, doubles it, swaps it with another, moves a number a little,
    renames a key, adds a key, or nests the value.
    """
    content = copy.deepcopy(content)
    for _ in range(random.randint(1, most)):
        all_places = places(content)
        if not all_places:
            break
        path = random.choice(all_places)
        holder = _at(content, path[:-1])
        _change(holder, path[-1], content, random)
    return content


def _at(content: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        content = content[key]
    return content


def _change(holder: Any, key: Any, content: Any, random: Random) -> None:
    value = holder[key]
    kind = random.choice(["set", "set", "set", "remove", "double", "swap", "move", "name", "nest"])
    if kind == "remove":
        del holder[key]
    elif kind == "double" and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(value))
    elif kind == "swap":
        other = random.choice(places(content))
        holder[key] = copy.deepcopy(_at(content, other))
    elif kind == "move" and isinstance(value, (int, float)) and not isinstance(value, bool):
        holder[key] = random.choice([value + 1, value - 1, -value, value * 1000, value / 2])
    elif kind == "name" and isinstance(holder, dict):
        holder[random.choice(ODD_NAMES)] = value
        if random.random() < 0.5:
            holder.pop(key, None)
    elif kind == "nest":
        for _ in range(random.choice([1, 2, 40, 150])):
            value = [value] if random.random() < 0.5 else {"tuple": [value]}
        holder[key] = value
    else:
        holder[key] = copy.deepcopy(random.choice(ODD_VALUES))


def changed_text(content: dict[str, Any], random: Random) -> str:
    """Return JSON text with invalid content, e.g. cut, duplicate keys, huge numbers, nesting."""
    text = json.dumps(content)
    place = random.randrange(len(text))
    kind = random.choice(["cut", "replace", "insert", "double", "number"])
    if kind == "cut":
        return text[:place]
    if kind == "replace":
        return random.choice(ODD_TEXTS)
    if kind == "insert":
        new = random.choice(["{", "}", "[", "]", '"', ",", ":", "\\", "\x00", "9" * 5000, "NaN"])
        return text[:place] + new + text[place:]
    if kind == "double":
        key = random.choice(list(content))
        return text[:-1] + f", {json.dumps(key)}: {json.dumps(content[key])}}}"
    digits = [k for k, character in enumerate(text) if character.isdecimal()]
    place = random.choice(digits)
    return text[:place] + random.choice(["1" * 5000, "1e999", "-1", "NaN"]) + text[place + 1 :]


# ---- changes of the tensors

TYPES = ["int8", "uint8", "bool", "int64", "uint64", "float16", "float32", "float64"]
NUMBERS = [math.nan, math.inf, -math.inf, 0.0, -1.0, -1e-30, 1e38, 1e-45]


def changed_tensors(arrays: dict[str, np.ndarray], random: Random) -> dict[str, np.ndarray]:
    """Return the tensors of a file with one random change."""
    arrays = dict(arrays)
    name = random.choice(sorted(arrays))
    array = arrays[name]
    kind = random.choice(["remove", "rename", "add", "swap", "shape", "type", "number", "empty"])
    if kind == "remove":
        del arrays[name]
    elif kind == "rename":
        arrays[random.choice([f"{name}x", "", "layers.9.weights", "é", "x" * 500])] = arrays.pop(
            name
        )
    elif kind == "add":
        arrays[random.choice(["more", f"{name}.1", "optimizer.more", "training.x"])] = array.copy()
    elif kind == "swap":
        other = random.choice(sorted(arrays))
        arrays[name], arrays[other] = arrays[other].copy(), array.copy()
    elif kind == "shape":
        changed = random.choice([
            array[None], array[..., None], array.ravel(), array.T, array[..., :1], array[:1],
            np.concatenate([array.ravel(), array.ravel()]), np.asarray(array.ravel()[:1]),
        ])  # fmt: skip
        arrays[name] = np.array(changed, order="C")
    elif kind == "type":
        with np.errstate(all="ignore"):
            arrays[name] = array.astype(random.choice(TYPES))
    elif kind == "empty":
        arrays[name] = array.ravel()[:0].copy()
    else:
        changed = array.copy()
        with np.errstate(all="ignore"):
            changed.flat[random.randrange(max(changed.size, 1))] = random.choice(NUMBERS)
        arrays[name] = changed
    return arrays
