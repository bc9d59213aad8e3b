"""Classifying the text of a cell: a number, a missing value, a number with a unit, or other."""

import math
import re
from collections.abc import Collection

from .dates import advice_for_time, is_time, may_be_time

_MISSING_NUMBERS = (
    "", "-", "--", ".", "?", "#n/a", "#na", "<na>", "n/a", "na", "nan", "+nan", "-nan", "none",
    "null",
)  # fmt: skip
"""Text that stands for a missing number, in lower case and without spaces around it."""

_MISSING_CATEGORIES = ("", "#n/a", "<na>", "nan", "null")

TRUE_FALSE = {"true": 1.0, "false": 0.0}
"""The numbers that replace these words in a column without others; keys are in lower case."""

_CURRENCY = (  # any sign, with letters as in R$ and US$; the codes of the most traded currencies
    r"(?:[A-Z]{0,3}[$\u00a2-\u00a5\u058f\u060b\u09f2\u09f3\u0e3f\u17db\u20a0-\u20cf\ufdfc\uff04\uffe0"
    r"\uffe1\uffe5\uffe6]|USD|EUR|GBP|CHF|JPY|CNY|INR|AUD|BRL|CAD|CZK|DKK|HKD|HUF|IDR|ILS|KRW|MXN|MYR|"
    r"NOK|NZD|PHP|PLN|RUB|SEK|SGD|THB|TRY|TWD|ZAR)"
)
_UNIT = (  # a single letter only after a space: 5A may be a school class
    rf"(?:\s*(?:[%‰]|°[CF]?|[kmcdµun][gmsl]|[kMGT]i?B|[kMG]?Hz|k?Wh|k[WVN]|min|km/h|mph|m/s|"
    rf"lbs?|oz|bn|mio|(?:[kmcd]?m|ft|in|yd)[²³]|{_CURRENCY})|\s+(?:[a-zA-Z]|ft|mi|in))"
)
_DIGITS = r"\d(?:[\d.,'\u2019 \u00a0\u202f]*\d)?[.,]?"
_SIGN = r"[-+\u2013\u2212]"  # including the typographic dash and minus, which float() refuses
_EXPONENT = rf"(?:[eE]{_SIGN}?\d+)"
_FORMATTED = re.compile(
    rf"{_SIGN}?\s*(?:{_CURRENCY}\s*)?{_SIGN}?{_DIGITS}{_EXPONENT}?{_UNIT}?|\({_DIGITS}\)"
)
_COUNTED = re.compile(rf"{_SIGN}?{_DIGITS}{_EXPONENT}?\s+[^\W\d_][^\s\d]*[\d²³]?")
_COMPARED = re.compile(
    rf"((?:<|>|≤|≥|~|≈|<=|>=)\s*)({_SIGN}?(?:{_CURRENCY})?{_DIGITS}{_EXPONENT}?{_UNIT}?)"
)
_SUFFIXED = re.compile(rf"{_SIGN}?{_DIGITS}{_EXPONENT}?([^\W\d_]+|[\"'\u2032\u2033])")
_ORDINALS = {"st", "nd", "rd", "th"}
_MAGNITUDES = set("kKmMbBGT")


def number(text: str, decimal: str = ".") -> float | None:
    """Return text as a number, or None if it is not one.

    Examples
    --------
    >>> number(" 1.5 "), number("1,5", decimal=","), number("1_000"), number("1,000")
    (1.5, 1.5, None, None)
    """
    if decimal != ".":
        if "." in text:  # a thousands separator
            return None
        text = text.replace(decimal, ".")
    if "_" in text:  # float() reads 1_000 as 1000, but in a table it is not a number
        return None
    try:
        return float(text)
    except ValueError:
        return None


def is_missing(text: str) -> bool:
    """Whether text in a column of numbers stands for a missing number."""
    return text.strip().lower() in _MISSING_NUMBERS


def is_missing_category(text: str) -> bool:
    """Whether text stands for a missing category; other text, such as NA, may be a name."""
    return text.strip().lower() in _MISSING_CATEGORIES


def is_formatted_number(text: str) -> bool:
    """Whether text is a number with separators, a currency, a unit or a percent sign.

    Examples
    --------
    >>> [is_formatted_number(text) for text in ("1,000", "$5", "15 kg", "12%", "1st", "abc")]
    [True, True, True, True, False, False]
    """
    return _FORMATTED.fullmatch(text.strip()) is not None


def are_quantities(texts: Collection[str]) -> bool:
    """Whether all strings are numbers with a word after a space, or with a comparison sign.

    Two strings that compare with the same number, such as "<18" and ">=18", are classes.

    Examples
    --------
    >>> are_quantities(["5 pcs", "1 pc"]), are_quantities(["<3", ">5"])
    (True, True)
    >>> are_quantities(["5 pcs", "few"]), are_quantities(["<18", ">=18"])
    (False, False)
    """
    compared = [_COMPARED.fullmatch(text.strip()) for text in texts]
    if len(texts) == 2 and all(compared):
        return len({found[2] for found in compared if found}) == 2
    return all(
        found or _COUNTED.fullmatch(text.strip()) or is_formatted_number(text)
        for text, found in zip(texts, compared, strict=True)
    )


def may_be_quantities(texts: Collection[str]) -> bool:
    """Whether all strings are numbers with the same suffix, or with suffixes such as k and M.

    Examples
    --------
    >>> may_be_quantities(["3.5k", "4k"]), may_be_quantities(["3.5k", "1.5M"])
    (True, True)
    >>> may_be_quantities(["3B", "4C"]), may_be_quantities(["4th", "5th"])
    (False, False)
    """
    found = [_SUFFIXED.fullmatch(text.strip()) for text in texts]
    suffixes = {each[1] for each in found if each}
    if not all(found) or len(found) < 2 or suffixes <= _ORDINALS:
        return False
    return len(suffixes) == 1 or (suffixes <= _MAGNITUDES and any("." in text for text in texts))


def exceeds_float64(text: str, value: float) -> bool:
    """Whether float64 lacks digits or range for a number whose nearest float is ``value``."""
    if abs(value) < 2.0**53:
        return False
    if math.isinf(value) and "inf" not in text.lower():
        return True
    try:
        return int(text) != int(value)
    except (OverflowError, ValueError):  # "inf", or it has a decimal point or an exponent
        return False


def advice(text: str, decimal: str) -> str:
    """Return what to do about text that should be a number with this decimal sign."""
    if may_be_time(text):
        names = "" if is_time(text) else "; or, if these are names, give them a categorical type"
        return advice_for_time(text) + names
    if is_formatted_number(text):
        if decimal == ",":
            return "write numbers with a decimal comma, and without separators and units"
        return (
            "write numbers with a decimal point and the sign '-', and without separators and units "
            "(decimal=',' reads decimal commas). In pandas, column.str.replace('[$,]', '', "
            "regex=True).astype(float) removes '$' and ','"
        )
    if are_quantities([text]):
        return (
            "write the numbers alone, without words and signs; or, if these are names, begin them "
            "with a letter"
        )
    return "correct it, or leave the column out"
