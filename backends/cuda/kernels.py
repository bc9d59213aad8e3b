"""Source code and signatures of the kernels, and the state of training on the device.

A signature has one letter for each argument: ``p`` pointer, ``i`` int, ``l`` long long, ``u``
unsigned long long, ``r`` the network's dtype, ``d`` double.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._feature_types import FEATURE_TYPES


class Kernel(NamedTuple):
    """A kernel generated from a formula.

    Attributes
    ----------
    name : str
        The name, which contains a hash of ``text``.
    signature : str
        One letter per argument.
    text : str
        CUDA C++, to be compiled after ``common.cuh``.
    """

    name: str
    signature: str
    text: str


@cache
def source(kernel: Kernel | None = None) -> str:
    """Return the source of a module with a generated kernel, or with all fixed kernels."""
    text = _read("kernels.cu") if kernel is None else kernel.text
    return _read("common.cuh") + "\n" + text


@cache
def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


SIGNATURES = {
    "begin_step": "pp",
    "total_weight": "pppi",
    "fill": "plr",
    **{f"gather_{name}": "ppppiipp" for name in FEATURE_TYPES},
    "csr_rows": "ppppppii",
    "csr_product": "pppppppii",
    "csr_gradient": "pppppppii",
    "embed": "pppppiiii",
    "embedding_gradient": "ppppii",
    "column_sums": "ppii",
    "back_kept": "pppii",
    "sum_parts": "ppii",
    "dropout": "pppiulr",
    "dropout_mask": "puulr",
    "batch_norm": "ppppppppiirr",
    "back_batch_norm": "ppppppii",
    "fixed_norm": "ppppppiir",
    "back_fixed_norm": "pppiir",
    "row_norm": "pppppiiir",
    "back_row_norm": "ppppiii",
    "product_sums": "pppii",
    "add_to": "ppl",
    "copy_to": "ppl",
    "softmax_classes": "pppppppppiid",
    "softmax_rows": "pppppppppiid",
    "reduce_losses": "pppppii",
    "keep_outputs": "pppii",
    "count_batch": "pii",
    "accumulate": "pppl",
    "average": "pppl",
    "clip_values": "pplri",
    "square_sum": "ppl",
    "unscale_and_clip": "ppidi",
}

_KINDS: dict[str, type] = {"i": np.int32, "l": np.int64, "u": np.uint64, "d": np.float64}


def pack(kernel: str | Kernel, dtype: np.dtype, arguments: Sequence[Any]) -> tuple[Any, ...]:
    """Cast the arguments of a kernel to the types of its signature; None is a null pointer.

    Raises
    ------
    TypeError
        The number of arguments is wrong.
    ValueError
        An array is not C-contiguous, as the kernels expect.
    """
    name, letters = (kernel, SIGNATURES[kernel]) if isinstance(kernel, str) else kernel[:2]
    if len(letters) != len(arguments):
        raise TypeError(f"{name} got {len(arguments)} arguments: expected {len(letters)}")
    return tuple(
        _pointer(name, value) if letter == "p" else _KINDS.get(letter, dtype.type)(value)
        for letter, value in zip(letters, arguments, strict=True)
    )


def _pointer(name: str, array: Any) -> Any:
    if array is None:
        return np.uint64(0)
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} got an array that is not C-contiguous")
    return array


STATE = (
    "step", "start", "update", "batch", "skipped", "good", "has_update", "waiting", "first", "rate",
    "average_weight", "batch_weight", "group_weight", "total", "scale", "factor", "hits", "counted",
)  # fmt: skip
"""The words of the state in their order; the number of draws of each dropout follows them."""

_DOUBLES = frozenset([
    "rate", "average_weight", "batch_weight", "group_weight", "total", "scale", "factor", "hits",
    "counted",
])  # fmt: skip

MOST_DROPOUTS = 20
STATE_WORDS = len(STATE) + MOST_DROPOUTS


def new_state(draws: list[int], **values: float) -> np.ndarray:
    """Return a new state; ``scale`` and ``factor`` default to 1, all other words to 0."""
    words = np.zeros(STATE_WORDS, np.int64)
    numbers = words.view(np.float64)
    for name, value in ({"scale": 1.0, "factor": 1.0} | values).items():
        (numbers if name in _DOUBLES else words)[STATE.index(name)] = value
    words[len(STATE) : len(STATE) + len(draws)] = draws
    return words


def read_state(words: np.ndarray, name: str) -> float:
    """Return the value of one word of a state."""
    numbers = words.view(np.float64) if name in _DOUBLES else words
    return float(numbers[STATE.index(name)])
