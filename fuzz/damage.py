"""Ways to damage bytes and JSON, drawn from a seeded random stream."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

MODULES = ("antigravity", "this", "turtledemo", "idlelib")
"""Modules that are imported only if a file causes it."""

_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 255, 2**31, 2**63, 10**30, 12_000, 1_000_000, 0.0, -0.0, 0.5,
    1e-320, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), "", "0", "no", "../../x", "/",
    "\0", "\ud800", "x" * 1000, "__dict__", "__class__", "os.system", "nan", [], [[]], {}, {"": 0},
    [0], [1, 2], [None], {"kind": "Layer"}, {"tuple": [1]}, {"dict": [[1, 2]]}, {"bytes": "zz"},
    {"numpy": ["float64", 1]}, {"array": "x"}, {"part": {}}, {"function": "f"}, {"set": [[]]},
    *MODULES,
]  # fmt: skip


def damaged(content: bytes, random: Random) -> bytes:
    """Return bytes with one to four changes: truncation, deletion, bit flips, insertions etc."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 4))):
        place, other = random.randrange(len(data) + 1), random.randrange(len(data) + 1)
        first, last = sorted((place, other))
        match random.randrange(7):
            case 0:
                del data[place:]
            case 1:
                del data[first : min(last, first + random.choice((1, 8, 10**6)))]
            case 2 if data:
                data[place % len(data)] ^= 1 << random.randrange(8)
            case 3:
                data[place:place] = random.randbytes(random.choice((1, 4, 8, 100)))
            case 4:
                data[place : place + 8] = random.choice((b"\xff" * 8, bytes(8), b"9" * 8))
            case 5:
                data[place:place] = data[first : min(last, first + 4096)]
            case _:
                part = data[first : min(last, first + 512)]
                data[place : place + len(part)] = part
    return bytes(data)


def damaged_json(tree: Any, random: Random) -> str:
    """Return a tree as text, with one to three changes; it may not be valid JSON."""
    tree = json.loads(json.dumps(tree))
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = list(_places(tree))
        holder, key = random.choice(places)
        _change(holder, key, random, [inner[k] for inner, k in places])
    text = json.dumps(tree)
    if random.random() < 0.1:
        text = random.choice(_TEXTS)(text, random)
    return text


def _places(tree: Any) -> Any:
    """Yield each place in a tree, as its container and its key."""
    if isinstance(tree, (dict, list)):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from _places(tree[key])


def _change(holder: Any, key: Any, random: Random, others: list[Any]) -> None:
    value = holder[key]
    match random.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[random.choice(("x", "__dict__", "rate", "weights", *MODULES))] = value
        case 1 | 2:
            holder[key] = json.loads(json.dumps(random.choice(others)))
        case 3 if isinstance(value, list) and value:
            holder[key] = value * random.choice((2, 300))
        case 4 if isinstance(value, int | float) and not isinstance(value, bool):
            holder[key] = random.choice((-value, value + 1, value - 1, value * 1000, float(value)))
        case 5 if isinstance(value, str):
            holder[key] = random.choice((value + "x", value[:-1], value.upper(), value[::-1]))
        case _:
            holder[key] = random.choice(_VALUES)


def _deep(text: str, random: Random) -> str:
    depth = random.choice((900, 100_000))
    return text[:-1] + ', "x": ' + "[" * depth + "]" * depth + "}"


_TEXTS: list[Callable[[str, Random], str]] = [
    _deep,
    lambda text, random: text[:-1] + ", " + text[1:],  # duplicates each key
    lambda text, random: text.replace("1", "1" * 5000, 1),
    lambda text, random: text + random.choice((" ", "x", text, "\0", "// x")),
    lambda text, random: text[: random.randrange(len(text))],
]
