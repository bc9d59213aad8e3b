"""JSON from files that nobody vouches for: what Python's parser lets pass is refused."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..backends._errors import shown
from .forms import ModelFileError

DEEPEST = 100
"""How many lists and objects may be inside one another."""

MOST_DIGITS = 1000
"""Of a whole number: converting it takes time in proportion to the square."""


def parse(text: str, what: str) -> Any:
    """Return what a JSON text holds; NaN and infinity are numbers.

    The result takes at most some 20 times the memory of the text.

    Parameters
    ----------
    text : str
    what : str
        The name of the text in the message.

    Raises
    ------
    ModelFileError
        The text is no JSON, an object has two fields of one name, a whole number has more than
        1,000 digits, or there are too many lists and objects, or too deep ones.
    """
    # An empty list takes 2 characters of the text, but 64 bytes of memory.
    if text.count("[") + text.count("{") > 100_000 + len(text) // 6:
        raise ModelFileError(f"{what} is damaged: it has too many lists")
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else error
        raise ModelFileError(f"{what} is damaged: {reason}") from error
    _check_depth(value, what)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(double, _), *_] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the field {shown(double)} is there twice")
    return found


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a whole number has {len(digits):,} digits")
    return int(digits)


def _check_depth(value: Any, what: str) -> None:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return
    raise ModelFileError(f"{what} is damaged: it has more than {DEEPEST} lists inside one another")


def _inside(value: Any) -> Iterator[Any]:
    """Yield the lists and objects in a list or an object."""
    if isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            if isinstance(each, (dict, list)):
                yield each
