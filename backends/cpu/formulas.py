"""Kernels generated from formulas, as Python code for Numba; kernels as in ``kernels.py``.

Each function takes a :class:`~xpnet.backends.formula.Listing` and returns a kernel. The numbers of
the formula are the last values of the record, in the order of ``listing.numbers``.

The code is kept in a file in the user's cache folder, named by its hash, so that Numba's cache on
disk works for it as for any other function. Without such a folder, each process compiles it again.
"""

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType

from .._cache_folder import cache_folder
from ..formula.listing import Listing, Statement
from ..formula.python import FORMATS, assignments, literal

Kernel = Callable[..., None]


@lru_cache(maxsize=1024)
def activation(listing: Listing) -> Kernel:
    """Return the kernel that sets z to f(z + b), and d to f'(z + b) if f' is the second output.

    Only the first input is used. The record is (columns, z, stride, b, d, stride).
    """
    (x,), keeps = listing.inputs[:1], len(listing.results) > 1
    lines = ["b = vector(memory, record[3], n)"]
    if keeps:
        lines.append("d = matrix(memory, record[4], state[ROWS], record[5])")
    body = [f"in_{x} = z[r, c] + b[c]", *_inside(listing), f"z[r, c] = {_results(listing)[0]}"]
    if keeps:
        body.append(f"d[r, c] = {_results(listing)[1]}")
    return _kernel("activation", _HEAD_Z, [*lines, *_outside(listing, 6)], _each(body))


@lru_cache(maxsize=1024)
def back(listing: Listing) -> Kernel:
    """Return the kernel that multiplies e by a formula of the activation, and sums its columns.

    The last input is the activation. The record is (columns, e, stride, activations, stride, sums).
    """
    a = listing.inputs[-1]
    lines = ["a = matrix(memory, record[3], state[ROWS], record[4])"]
    lines += ["total = vector(memory, record[5], n)", "for c in range(n):", "    total[c] = 0"]
    product = "e[r, c]" if listing.is_one else f"e[r, c] * {_results(listing)[0]}"
    body = [f"in_{a} = a[r, c]"] if listing.inside or listing.results[0] == f"in_{a}" else []
    body += [*_inside(listing), f"value = {product}", "e[r, c] = value", "total[c] += value"]
    return _kernel("back", _HEAD_E, [*lines, *_outside(listing, 6)], _each(body))


@lru_cache(maxsize=1024)
def loss(listing: Listing) -> Kernel:
    """Return the kernel of a loss per output; the formula returns the loss and its derivative.

    The inputs are the target and the output. ``losses.py`` defines the record.
    """
    y, p = listing.inputs
    lines = [
        "n, rows = record[0], state[ROWS]",
        "z = matrix(memory, record[1], rows, record[2])",
        "e = matrix(memory, record[3], rows, record[4])",
        "targets, order = pointer(record[5], memory), pointer_to_int64(state[ORDER])",
        "total, loss = total_weight(record, state, memory), 0.0",
        *_outside(listing, 11),
    ]
    body = [
        "for r in range(rows):",
        "    y = vector(targets, order[state[START] + r] * n, n)",
        "    share = share_of(record, state, memory, r, total)",
        "    factor, own = number(memory, share), 0.0",
        "    for c in range(n):",
        f"        in_{y}, in_{p} = y[c], z[r, c]",
        *(f"        {line}" for line in _inside(listing)),
        f"        own = added(own, limit_reported({_results(listing)[0]}, record[10]))",
        f"        e[r, c] = {_results(listing)[1]} * factor",
        "    loss += share * own",
        "store_loss(record, state, loss, total)",
    ]
    return _kernel("loss", [], lines, body)


@lru_cache(maxsize=1024)
def update(listing: Listing) -> Kernel:
    """Return the kernel of an optimizer's update rule.

    The inputs are the weight, its gradient and the optimizer's state; the outputs are the new
    weight and the new state. The numbers ``rate`` and ``t`` are the step's learning rate and update
    number. The record is (size, w, g, the offset of each array of the state, the factor of the
    rate, the number of updates that these weights have missed).
    """
    inputs, outputs = listing.inputs, (listing.inputs[0], *listing.inputs[2:])
    lines = ["n = record[0]"]
    lines += [f"a_{x} = vector(memory, record[{k + 1}], n)" for k, x in enumerate(inputs)]
    factor = 1 + len(inputs)
    rate = f"float64_of(state[RATE]) * float64_of(record[{factor}])"
    known = {"rate": rate, "t": f"float(state[UPDATE] - record[{factor + 1}])"}
    lines += _outside(listing, factor + 2, known)
    body = [
        "for k in range(n):",
        *(f"    in_{x} = a_{x}[k]" for x in inputs),
        *(f"    {line}" for line in _inside(listing)),
        *(f"    a_{x}[k] = {new}" for x, new in zip(outputs, _results(listing), strict=True)),
    ]
    return _kernel("update", [], lines, body)


@lru_cache(maxsize=1024)
def penalty(listing: Listing) -> Kernel:
    """Return the kernel that adds a penalty's derivative to g.

    The input is a weight; the outputs are its penalty and the derivative. A penalty that is shared
    by the samples of an update is divided by their total weight, and reported unless that is 0.
    Padding of rows has no penalty. The record is (size, g, w, whether the penalty is shared,
    whether it is shared by several batches, columns, address of the samples' weights or 0, stride
    of rows, or 0 not to report the penalty).
    """
    (x,) = listing.inputs
    lines = [
        "n, g = record[0], vector(memory, record[1], record[0])",
        "w = vector(memory, record[2], n)",
        "share, weight = 1.0, 1.0",
        "if record[3] != 0:",
        "    if record[4] != 0:",
        "        weight = pointer_to_float64(state[TOTAL])[0]",
        "    else:",
        "        weight = total_weight(record, state, memory)",
        "    share = 1.0 / weight if weight > 0 else 0.0",
        "factor = number(memory, share)",
        *_outside(listing, 8),
    ]
    statements = [f"    {line}" for line in _inside(listing)]
    body = [
        "for k in range(n):",
        f"    in_{x} = w[k]",
        *statements,
        f"    g[k] += factor * {_results(listing)[1]}",
        "if record[7] != 0 and weight > 0:",
        "    cost = 0.0",
        "    for first in range(0, n, record[7]):",
        "        for k in range(first, first + record[5]):",
        f"            in_{x} = w[k]",
        *(f"        {line}" for line in statements),
        f"            cost = added(cost, {_results(listing)[0]})",
        "    pointer_to_float64(state[PENALTIES])[state[STEP]] += cost",
    ]
    return _kernel("penalty", [], lines, body)


# ---- the parts of the generated code

_HEAD_Z = ["n, z = record[0], matrix(memory, record[1], state[ROWS], record[2])"]
_HEAD_E = ["n, e = record[0], matrix(memory, record[1], state[ROWS], record[2])"]

_IMPORTS = """\
import math

from xpnet.backends.cpu.intrinsics import (
    exp, float64_of, matrix, number, pointer, pointer_to_float64, pointer_to_int64, tanh, vector,
)
from xpnet.backends.cpu.kernels import (
    ORDER, PENALTIES, RATE, ROWS, START, STEP, TOTAL, UPDATE,
)
from xpnet.backends.cpu.losses import added, limit_reported, share_of, store_loss, total_weight
"""


def _each(body: Sequence[str]) -> list[str]:
    """Return a loop over all elements of a matrix."""
    loops = ["for r in range(state[ROWS]):", "    for c in range(n):"]
    return loops + [f"        {line}" for line in body]


def _outside(listing: Listing, first: int, known: Mapping[str, str] | None = None) -> list[str]:
    """Return the lines before a loop: numbers, constants, results of ``listing.before``.

    Parameters
    ----------
    listing : Listing
    first : int
        The index of the first number in the record.
    known : mapping of str to str
        Numbers that are not in the record, with the code that reads them.
    """
    known = known or {}
    lines, place = [], first
    for name in listing.numbers:
        if name in known:
            lines.append(f"n_{name} = {known[name]}")
        else:
            lines.append(f"n_{name} = float64_of(record[{place}])")
            place += 1
    lines += assignments(listing)
    used = {name for each in listing.inside for name in each.operands} | set(listing.results)
    for name, value in listing.constants:
        if name in used:
            text = literal(value)
            lines.append(
                f"{name} = {text if isinstance(value, bool) else f'number(memory, {text})'}"
            )
    truth = {statement.name for statement in listing.before if statement.is_bool}
    for name in listing.shared:
        lines.append(f"s_{name} = {name if name in truth else f'number(memory, {name})'}")
    return lines


def _inside(listing: Listing) -> list[str]:
    """Return the lines that compute one element."""
    return [_line(listing, statement) for statement in listing.inside]


def _name(listing: Listing, name: str) -> str:
    """Return the name inside a loop, where numbers have the dtype of the arrays."""
    return f"s_{name}" if name in listing.shared else name


def _results(listing: Listing) -> list[str]:
    return [_name(listing, name) for name in listing.results]


def _line(listing: Listing, statement: Statement) -> str:
    operands = [_name(listing, each) for each in statement.operands]
    operation = statement.operation
    constants = {name for name, value in listing.constants if value == value}
    if operation in _WITH_CONSTANT and statement.operands[1] in constants:
        form: str | None = _WITH_CONSTANT[operation]
    else:
        form = _FORMATS.get(operation, FORMATS.get(operation))
    if form is None:
        form = f"number(memory, math.{operation}({{}}))"
    return f"{statement.name} = {form.format(*operands)}"


_WITH_CONSTANT = {"maximum": "{1} if {0} < {1} else {0}", "minimum": "{1} if {0} > {1} else {0}"}
"""With a constant as second operand, only the first can be NaN, which stays."""

_FORMATS = {
    "exp": "exp({})",
    "tanh": "tanh({})",
    "pow": "{} ** {}",
    # NaN in the second operand is not equal to itself.
    "maximum": "{1} if ({0} < {1}) | ({1} != {1}) else {0}",
    "minimum": "{1} if ({0} > {1}) | ({1} != {1}) else {0}",
    "isfinite": "math.isfinite({})",
    "isinf": "math.isinf({})",
    "isnan": "math.isnan({})",
}


# ---- from code to functions


def _kernel(kind: str, head: Sequence[str], lines: Sequence[str], body: Sequence[str]) -> Kernel:
    """Return the kernel with these lines of code."""
    whole = "\n".join(f"    {line}" for line in (*head, *lines, *body))
    return _function(kind, whole)


@cache
def _function(kind: str, lines: str) -> Kernel:
    name = f"{kind}_{hashlib.sha256(lines.encode() + _helpers()).hexdigest()[:20]}"
    text = f"{_IMPORTS}\n\ndef {name}(record, state, memory, data):\n{lines}\n"
    path = _saved(f"{name}.py", text)
    # Numba's cache looks up the function's module by name, and loads nothing without a module.
    module = ModuleType(f"{__name__}.{name}")
    sys.modules[module.__name__] = module
    exec(compile(text, name if path is None else str(path), "exec"), vars(module))
    kernel: Kernel = vars(module)[name]
    return kernel


@cache
def _helpers() -> bytes:
    """Return a hash of the files whose functions the generated code calls."""
    names = "intrinsics", "kernels", "losses"
    texts = [Path(__file__).with_name(f"{name}.py").read_bytes() for name in names]
    return hashlib.sha256(b"".join(texts)).digest()


def _saved(name: str, text: str) -> Path | None:
    """Save code in a file and return its path, or None if there is no safe folder for it.

    Numba's cache next to the file holds executable code. So the folder must belong to the user, and
    no other user may be able to write to it.
    """
    temporary = None
    try:
        folder = cache_folder() / "formulas"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_own(folder):
            return None
        path = folder / name
        if _holds(path, text):
            return path
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        # Do not replace the file of a faster process: Numba's cache depends on the file's time.
        with suppress(OSError):
            os.link(temporary, path)
        if not _holds(path, text):
            Path(temporary).replace(path)
        return path
    except (OSError, RuntimeError):
        return None
    finally:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink()


def _holds(path: Path, text: str) -> bool:
    """Return whether a file has exactly this text."""
    try:
        return path.is_file() and path.read_text(encoding="utf-8") == text
    except UnicodeDecodeError:
        return False


def _is_own(folder: Path) -> bool:
    """Return whether no other user can write to a folder, or replace it."""
    if not hasattr(os, "getuid"):
        return True  # on Windows, a user's folders are their own
    found, above = folder.lstat(), folder.parent.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022 or not stat.S_ISDIR(found.st_mode):
        return False
    # Other users who can write to the parent folder could rename this one, unless it is sticky.
    is_sticky = above.st_mode & stat.S_ISVTX
    return above.st_uid in (os.getuid(), 0) and bool(is_sticky or not above.st_mode & 0o022)
