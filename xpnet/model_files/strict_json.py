"""JSON from files that cannot be trusted: stricter than Python's parser."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..backends._errors import shown
from .forms import ModelFileError

MAX_DEPTH = 100
"""The maximum depth of nested lists and objects."""

MAX_DIGITS = 1000
"""The maximum digits of an integer, since converting them takes quadratic time."""


def parse(text: str, what: str) -> Any:
    """Return the value of a JSON string; NaN and infinity are accepted as numbers.

    The result takes at most some 20 times the memory of the text.

    Parameters
    ----------
    text : str
    what : str
        What the message calls the text.

    Raises
    ------
    ModelFileError
        The text is not JSON, an object has two fields of one name, an integer has more than
        1,000 digits, or there are too many lists and objects, or too deeply nested ones.
    """
    # An empty list takes 2 characters of the text, but 64 bytes of memory.
    if text.count("[") + text.count("{") > 100_000 + len(text) // 6:
        raise ModelFileError(f"{what} is damaged: it has too many lists")
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else error
        raise ModelFileError(f"{what} is damaged: {reason}") from error
    _check_depth(value, what)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(repeated, _), *_] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the field {shown(repeated)} occurs twice")
    return found


def _integer(digits: str) -> int:
    n = len(digits.lstrip("-"))
    if n > MAX_DIGITS:
        raise ValueError(f"an integer has {n:,} digits: expected at most {MAX_DIGITS:,}")
    return int(digits)


def _check_depth(value: Any, what: str) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return
    raise ModelFileError(f"{what} is damaged: its lists are nested more than {MAX_DEPTH} deep")


def _inside(value: Any) -> Iterator[Any]:
    """Yield the lists and objects directly inside a list or an object."""
    if isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            if isinstance(each, (dict, list)):
                yield each
