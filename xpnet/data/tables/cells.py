"""What the text of one cell is: a number, a missing one, a date, a number with a unit or other."""

import math
import re

_MISSING_NUMBERS = (
    "", "-", "--", ".", "?", "#n/a", "#na", "<na>", "n/a", "na", "nan", "+nan", "-nan", "none",
    "null",
)  # fmt: skip
"""Texts that stand for a missing number, in lower case and without spaces around them."""

_MISSING_CATEGORIES = ("", "#n/a", "<na>", "nan", "null")

TRUE_FALSE = {"true": 1.0, "false": 0.0}
"""The numbers that a column of these texts becomes, in lower case."""

_CURRENCY = r"(?:[$€£¥₹]|USD|EUR|GBP|CHF|JPY|CNY|INR)"
_UNIT = (  # a single letter only after a space: 5A may be a class at school
    rf"(?:\s*(?:[%‰]|°[CF]?|[kmcdµun][gmsl]|[kMGT]i?B|[kMG]?Hz|k?Wh|k[WVN]|min|km/h|mph|m/s|"
    rf"lbs?|oz|bn|mio|{_CURRENCY})|\s+(?:[a-zA-Z]|ft|mi|in))"
)
_DIGITS = r"\d(?:[\d.,'\u2019 \u00a0\u202f]*\d)?[.,]?"
_SIGN = r"[-+\u2013\u2212]"  # typesetting has a minus and a dash, which float() refuses
_EXPONENT = rf"(?:[eE]{_SIGN}?\d+)"
_FORMATTED = re.compile(
    rf"{_SIGN}?\s*(?:{_CURRENCY}\s*)?{_SIGN}?{_DIGITS}{_EXPONENT}?{_UNIT}?|\({_DIGITS}\)"
)
_DATE = re.compile(r"\s*(\d{4}([-/.])\d{1,2}\2\d{1,2}|\d{1,2}([-/.])\d{1,2}\3\d{4})(?!\d)")
_TIME = re.compile(r"\s*\d{1,2}:\d{2}(:\d{2}([.,]\d*)?)?\s*([aApP][mM])?\s*")


def number(text: str, decimal: str = ".") -> float | None:
    """Return the number that a text is, NaN for NaN, or None.

    Examples
    --------
    >>> number(" 1.5 "), number("1,5", decimal=","), number("1_000"), number("1,000")
    (1.5, 1.5, None, None)
    """
    if decimal != ".":
        if "." in text:  # thousands
            return None
        text = text.replace(decimal, ".")
    if "_" in text:  # Python reads 1_000 as 1000, but in a table it is not a number
        return None
    try:
        return float(text)
    except ValueError:
        return None


def is_missing(text: str) -> bool:
    """Whether a text among numbers stands for a missing one."""
    return text.strip().lower() in _MISSING_NUMBERS


def is_missing_category(text: str) -> bool:
    """Whether a text stands for a missing category; others, such as NA, may be the name of one."""
    return text.strip().lower() in _MISSING_CATEGORIES


def is_date(text: str) -> bool:
    """Whether a text begins with a date with a year of four digits: 2026-01-31, 31.1.2026."""
    return _DATE.match(text) is not None


def is_time(text: str) -> bool:
    """Whether a text begins with a date, or is a time of day such as 12:30."""
    return is_date(text) or _TIME.fullmatch(text) is not None


def is_formatted_number(text: str) -> bool:
    """Whether a text is a number with separators, a currency, a unit or a per cent sign.

    Examples
    --------
    >>> [is_formatted_number(text) for text in ("1,000", "$5", "15 kg", "12%", "1st", "abc")]
    [True, True, True, True, False, False]
    """
    return _FORMATTED.fullmatch(text.strip()) is not None


def exceeds_float64(text: str, value: float) -> bool:
    """Whether float64 lacks digits for an integer, or room for a number; ``value`` is the float."""
    if abs(value) < 2.0**53:
        return False
    if math.isinf(value) and "inf" not in text.lower():
        return True
    try:
        return int(text) != int(value)
    except (OverflowError, ValueError):  # "inf", or it has a decimal point or an exponent
        return False


def advice(text: str, decimal: str) -> str:
    """Return what to do about a text that should be a number with this decimal sign."""
    if is_time(text):
        return "give dates and times as numbers, e.g. seconds since the first one"
    if is_formatted_number(text):
        if decimal == ",":
            return "write numbers with a decimal comma, and without separators and units"
        return (
            "write numbers with a decimal point and the sign '-', and without separators and units "
            "(decimal=',' reads decimal commas)"
        )
    return "correct it, or leave the column out"
