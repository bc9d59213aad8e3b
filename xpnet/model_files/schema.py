"""The schema of a file's JSON, which is checked before anything is built.

The checks are built from those in :mod:`.forms`. The classes of parts, their arguments and the
shapes of tensors depend on one another, so they are checked when the parts are built, in
:mod:`.describing` and :mod:`.loading`.
"""

from typing import Any

import numpy as np

from .forms import (
    Check,
    ModelFileError,
    either,
    fields,
    flag,
    integer,
    is_number,
    list_of,
    named,
    nothing,
    one_of,
    refuse,
    text,
)

FORMATS = ("xpnet-2", "xpnet-3", "xpnet-4", "xpnet-5")
"""The formats that are read, oldest first; the last one is written."""

WITH_ONE_METRIC = FORMATS[:2]

KIND_NAMES = (
    "Layer",
    "LossFunction",
    "Metric",
    "Optimizer",
    "Schedule",
    "Initializer",
    "Regularizer",
)

# ---- values, as describing.encode returns them


def value(given: Any, place: str) -> None:
    """Accept the value of an argument, an attribute or a state."""
    kind = type(given)
    if given is None or kind in (bool, int, float, str):
        return
    if kind is list:
        for k, each in enumerate(given):
            value(each, f"{place}[{k}]")
        return
    if kind is not dict or len(given) != 1:
        refuse(given, place, f"a value, or one of {', '.join(VALUES)} and its content")
    ((form, content),) = given.items()
    if form not in VALUES:
        refuse(given, place, f"a value, or one of {', '.join(VALUES)} and its content")
    VALUES[form](content, f"{place}.{form}")


def _key(given: Any, place: str) -> None:
    """Accept a value that may be an element of a set, or a key of a dict."""
    ((form, content),) = given.items() if type(given) is dict and len(given) == 1 else [("", given)]
    if form in ("tuple", "frozenset"):
        list_of(_key)(content, place)
    elif type(given) is list or form not in ("", "numpy", "bytes"):
        refuse(given, place, "a number, a string, or a tuple of these")
    else:
        value(given, place)


def _pairs(given: Any, place: str) -> None:
    """Accept the keys and values of a dict."""
    if type(given) is not list or not all(type(each) is list and len(each) == 2 for each in given):
        refuse(given, place, "a list of pairs")
    for k, (key, content) in enumerate(given):
        _key(key, f"{place}[{k}]")
        value(content, f"{place}[{k}]")


def _hexadecimal(given: Any, place: str) -> None:
    try:
        bytes.fromhex(given)
    except (TypeError, ValueError):
        refuse(given, place, "hexadecimal digits")


def _slice(given: Any, place: str) -> None:
    """Accept the start, the stop and the step of a slice."""
    if type(given) is not list or len(given) != 3:
        refuse(given, place, "a start, a stop and a step")
    for each in given:
        either(nothing, integer(-(2**62), 2**62))(each, place)


def _numpy(given: Any, place: str) -> None:
    """Accept the dtype and the value of a NumPy scalar."""
    if type(given) is not list or len(given) != 2 or type(given[0]) is not str:
        refuse(given, place, "a dtype and a number")
    name, number = given
    if name == "bool" and type(number) is bool:
        return
    if name in ("float16", "float32", "float64") and is_number(number):
        return
    if name in _INTEGERS and type(number) is int:
        limits = np.iinfo(name)
        if limits.min <= number <= limits.max:
            return
    refuse(given, place, "a NumPy dtype and a number of that dtype")


_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")

_DESCRIPTION: dict[str, Check] = {
    "kind": one_of(*KIND_NAMES),
    "class": text,
    "module": text,
    "arguments": named(value),
}

VALUES: dict[str, Check] = {
    "array": text,  # the name of a tensor
    "moved": text,  # the same, on the network's device
    "numpy": _numpy,
    "bytes": _hexadecimal,
    "slice": _slice,
    "tuple": list_of(value),
    "set": list_of(_key),
    "frozenset": list_of(_key),
    "dict": _pairs,
    "part": fields(_DESCRIPTION),
    "layer": integer(0),  # the index of a layer that an attribute of a user's network refers to
    "function": text,  # the name of the function
}
"""For each type of value that JSON lacks, the check of its content."""

# ---- parts of a network

_STATE: dict[str, Check] = {"state": named(value), "attributes": named(value)}


def part(
    kind: str, more: dict[str, Check] | None = None, optional: dict[str, Check] | None = None
) -> Check:
    """Return a check for a part of a network, with its state."""
    return fields({**_DESCRIPTION, "kind": one_of(kind), **_STATE, **(more or {})}, optional)


def record(required: dict[str, Check]) -> Check:
    """Return a check for an encoded dict with exactly these string keys."""
    check = fields(required)

    def checked(given: Any, place: str) -> None:
        fields({"dict": _pairs})(given, place)
        pairs = given["dict"]
        names = [name for name, _ in pairs]
        if not all(type(name) is str for name in names) or len(set(names)) < len(names):
            refuse(names, place, "different names")
        check(dict(pairs), place)

    return checked


def _odd(given: Any, place: str) -> None:
    integer(1, 2**128)(given, place)
    if given % 2 == 0:
        refuse(given, place, "an odd number")


_generator = record({
    "bit_generator": one_of("PCG64"),
    "state": record({"state": integer(0, 2**128 - 1), "inc": _odd}),
    "has_uint32": integer(0, 1),
    "uinteger": integer(0, 2**32 - 1),
})  # fmt: skip
"""The state of a layer's random generator."""


def _inner(given: Any, place: str) -> None:
    """Accept the states of the layers inside a layer."""
    list_of(fields({**_STATE, "rng": either(nothing, _generator)}, {"inner": _inner}))(given, place)


layer = part(
    "Layer",
    {"input_shape": list_of(integer(1, 2**62)), "rng": either(nothing, _generator)},
    {"inner": _inner},
)
optimizer = part("Optimizer", {"schedule": fields(_STATE)})


def function(given: Any, place: str) -> None:
    """Accept the name of a user's function, which cannot be saved itself."""
    fields({"function": text})(given, place)


def _layers(given: Any, place: str) -> None:
    list_of(layer)(given, place)
    if not given:
        refuse(given, place, "at least one layer")


def _metrics(given: Any, place: str) -> None:
    """Accept one metric, None, or a list of metrics."""
    (list_of(_metric) if type(given) is list else _metric)(given, place)


def _metric(given: Any, place: str) -> None:
    entry = given if type(given) is dict else {}
    if "tuple" in entry:  # metrics of several heads
        fields({"tuple": list_of(fields({"part": fields(_DESCRIPTION)}))})(given, place)
        return
    kind = "LossFunction" if entry.get("kind") == "LossFunction" else "Metric"  # both are metrics
    (function if "function" in entry else either(nothing, part(kind)))(given, place)


# ---- the history


def _history(given: Any, place: str) -> None:
    """Accept columns of numbers of equal length."""
    fields({"dict": _pairs})(given, place)
    lengths = set()
    for name, column in given["dict"]:
        text(name, f"a column of {place}")
        if type(column) is not list or not all(map(_is_history_number, column)):
            refuse(column, f"{place}.{name}", "a list of numbers")
        lengths.add(len(column))
    if len(lengths) > 1:
        raise ModelFileError(f"{place} has columns of {len(lengths)} lengths: expected one length")
    missing = _COLUMNS - {name for name, _ in given["dict"]}
    if lengths - {0} and missing:
        raise ModelFileError(f"{place} has no column {sorted(missing)[0]!r}")


_COLUMNS = {"epoch", "loss", "learning_rate"}
"""The columns of every history. Checkpoints have ``seconds`` too."""


def _is_history_number(given: Any) -> bool:
    if type(given) is dict:
        return list(given) == ["numpy"]
    return is_number(given) and not (type(given) is int and abs(given) > 2**63)


def _history_metric(given: Any, place: str) -> None:
    """Accept the name of a metric and its mode."""
    if type(given) is not list or len(given) != 2:
        refuse(given, place, "the metric's name and its mode")
    text(given[0], f"{place}[0]")
    if given[1] is not None:
        one_of("min", "max")(given[1], f"{place}[1]")


# ---- the training run of a checkpoint


def _snapshot(given: Any, place: str) -> None:
    """Accept a callback's snapshot of the network."""
    fields({
        "states": list_of(_name_and_value),
        "has_parameters": flag,
        "optimizer": optimizer,
        "_new_optimizer": optimizer,
    })(given, place)  # fmt: skip


def _name_and_value(given: Any, place: str) -> None:
    if type(given) is not list or len(given) != 2:
        refuse(given, place, "a name and a value")
    text(given[0], place)
    value(given[1], place)


def _callback_value(given: Any, place: str) -> None:
    """Accept a value of a callback's state."""
    is_snapshot = type(given) is dict and "snapshot" in given
    (fields({"snapshot": _snapshot}) if is_snapshot else value)(given, place)


def anything(given: Any, place: str) -> None:
    """Accept anything: it is only compared with the network that is resumed."""


HOW_TRAINED = ("trainable", "learning_rate_factor", "own_trainable", "own_factor", "inner")
"""The keys for whether, and at which rate, a layer is trained; older files lack them."""

_training = fields({
    "first": integer(0),
    "has_ended": flag,
    "conditions": named(anything),
    "origin": fields({
        "network": named(anything),
        "dtype": text,
        "layers": list_of(
            fields(
                {"class": text, "arguments": named(anything), "input_shape": anything},
                dict.fromkeys(HOW_TRAINED, anything),
            )
        ),
        "loss": anything,
        "regularizer": anything,
        "metric": anything,
        "optimizer": anything,
        "new_optimizer": anything,
    }),
    "execution": named(anything),
    "callbacks": list_of(named(_callback_value)),
})  # fmt: skip

# ---- the file

network = fields({
    "class": text,
    "module": text,
    "arguments": named(value),
    "attributes": named(value),
})  # fmt: skip

_REQUIRED: dict[str, Check] = {
    "format": one_of(*FORMATS),
    "xpnet": text,  # the version of xpnet that wrote the file
    "dtype": one_of("float32", "float64"),
    "network": network,
    "entropy": integer(0),
    "history": _history,
    "loss": part("LossFunction"),
    "regularizer": either(nothing, part("Regularizer")),
    "layers": _layers,
    "optimizer": optimizer,
    "new_optimizer": optimizer,
}
_OPTIONAL: dict[str, Check] = {
    "history_incomplete": list_of(integer(1)),  # interrupted epochs
    "history_kept_epoch": either(nothing, integer(0)),
    "history_saved_epoch": either(nothing, integer(1)),
    "training": _training,  # of a checkpoint
}

FILE: Check = fields(
    {**_REQUIRED, "metric": _metrics, "history_metrics": list_of(_history_metric)}, _OPTIONAL
)
"""The check of a file's content. Parts check the values of their arguments themselves."""

OLDER_FILE: Check = fields(
    {**_REQUIRED, "metric": _metric, "history_metric": _history_metric}, _OPTIONAL
)
"""The check of the content of a file in one of the formats :data:`WITH_ONE_METRIC`."""
