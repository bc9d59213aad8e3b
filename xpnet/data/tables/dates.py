"""Recognizing text that is, or may be, a date, a time of day or a duration."""

import re
from collections.abc import Collection
from functools import cache

# ---- words, in English, German, French, Spanish, Italian and Portuguese

_MONTHS = (
    "jan january januar jänner janvier janv enero ene gennaio janeiro "
    "feb february februar feber février fevrier févr fevr fév febrero febbraio fevereiro fev "
    "mar march märz maerz mär mrz marzo março apr april avril avr abril abr aprile "
    "may mai mayo maggio mag maio jun june juni juin junio giugno giu junho "
    "jul july juli juillet juil julio luglio julho aug august août aout agosto "
    "sep sept september septembre septiembre setiembre settembre setembro "
    "oct october okt oktober octobre octubre ottobre ott outubro "
    "nov november novembre noviembre novembro "
    "dec december dez dezember déc décembre decembre dic diciembre dicembre dezembro"
)
_MONTHS_LIKE_WORDS = "ago gen lug marco mars out set"
"""Names of months that are also other words: "Set 12" is rarely a day in September."""

_WEEKDAYS = (
    "mon monday tue tues tuesday wed wednesday thu thur thurs thursday fri friday sat saturday "
    "sun sunday mo montag di dienstag mi mittwoch do donnerstag fr freitag sa samstag sonnabend so "
    "sonntag lun lundi mar mardi mer mercredi jeu jeudi ven vendredi sam samedi dim dimanche "
    "lunes martes mié miércoles miercoles jue jueves vie viernes sáb sábado sabado dom domingo "
    "lunedì martedì mercoledì gio giovedì venerdì sabato domenica seg segunda segunda-feira ter "
    "terça terça-feira qua quarta quarta-feira qui quinta quinta-feira sex sexta sexta-feira"
)

_WORDS_OF_PANDAS = (
    "jan january feb february mar march apr april may jun june jul july aug august sep sept "
    "september oct october nov november dec december mon monday tue tuesday wed wednesday thu "
    "thursday fri friday sat saturday sun sunday st nd rd th at t z utc gmt a p m am pm"
)
"""The words of the dates and times that pandas reads."""


def _any_of(words: str) -> str:
    return rf"(?:{'|'.join(words.split())})\.?"


# ---- parts of dates; all patterns are for lower case, with single spaces

_CERTAIN_MONTH = _any_of(_MONTHS)
_MONTH = _any_of(f"{_MONTHS} {_MONTHS_LIKE_WORDS}")
_WEEKDAY = rf"(?:{_any_of(_WEEKDAYS)},? )"
_YEAR = r"(?:(?:19|20)\d\d|2100)"
_ANY_YEAR = r"(?:1\d|2[01])\d\d"
_MONTH_NUMBER, _DAY_NUMBER = r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
_DAY = rf"{_DAY_NUMBER}(?:st|nd|rd|th|er|[ºª°])?"
_GAP = r"(?:[-/ .,]+(?:(?:of|de|del) )?)"  # as in 5 de enero de 2020
_ZONES = "z utc gmt cet cest wet west eet eest bst ist msk jst est edt cst cdt mst mdt pst pdt"
_EAST = rf"(?: ?(?:{'|'.join(_ZONES.split())})| ?(?:utc|gmt)?\+\d\d(?::?\d\d)?)"
_WEST = r"(?: ?(?:utc|gmt)?-(?:0\d|1[0-2]):?(?:00|30))"  # not -18, as in the verses 3:16-18
_SECONDS = r"(?::\d\d(?:[.,]\d*)?)?(?: ?[ap]\.?m\.?)?"
_CLOCK = rf"(?:\d{{1,2}}:\d\d{_SECONDS}{_EAST}?|\d\d:\d\d{_SECONDS}{_WEST})"

# ---- durations

_DAYS_AND_TIME = rf"-?\d+ days?,? [-+]?{_CLOCK}"
_PARTS = r"\d+:\d\d:\d\d:\d\d(?:[.,]\d*)?"
_ISO_TIME = r"(?:t(?:\d+h)?(?:\d+m)?(?:\d+(?:[.,]\d+)?s)?)?"
_ISO = rf"-?p(?=t?\d)(?:\d+y)?(?:\d+m)?(?:\d+w)?(?:\d+d)?{_ISO_TIME}"
_DURATIONS = (_DAYS_AND_TIME, _PARTS, _ISO)
_DURATIONS_OF_PANDAS = (_DAYS_AND_TIME, rf"-?p(?=t?\d)(?:\d+w)?(?:\d+d)?{_ISO_TIME}")

# ---- certain dates and times

_BEGINS_WITH_A_DATE = re.compile(
    r"\s*(\d{4}([-/.])\d{1,2}\2\d{1,2}|\d{1,2}([-/.])\d{1,2}\3\d{4})(?!\d)"
)
_CERTAIN = (
    # Jan 2020; 5 January 2020; Mon, 05 Jan 2020 12:30:00 +0000; 1. Februar 2020
    rf"{_WEEKDAY}?(?:{_DAY}{_GAP})?{_CERTAIN_MONTH}{_GAP}{_YEAR}(?:,? (?:at )?{_CLOCK})?",
    # January 5, 2020; Mon Jan 5 2020; Jan 5 12:30:00 2020, as C writes times
    rf"{_WEEKDAY}?{_CERTAIN_MONTH} {_DAY},? (?:{_CLOCK} )?{_YEAR}(?:,? (?:at )?{_CLOCK})?",
    # 2020 Jan; 2020-Jan-05
    rf"{_YEAR}{_GAP}{_CERTAIN_MONTH}(?:{_GAP}{_DAY})?",
    # Jan-20; 5 Jan 20
    rf"(?:{_DAY}[-/ .]+)?{_CERTAIN_MONTH}[-/ ,]+\d\d",
    # 2020-01; 01/2020
    rf"{_YEAR}[-/](?:0[1-9]|1[0-2])|{_MONTH_NUMBER}/{_YEAR}",
    # 31.1.20; 1/31/20
    rf"{_DAY_NUMBER}(?P<sign>[-/.]){_DAY_NUMBER}(?P=sign)\d\d",
    # 2020Q1; 2020-W05; 2020-W05-1; Q1 2020
    rf"{_YEAR}[-/ ]?(?:q[1-4]|w[0-5]\d(?:-?[1-7])?)|q[1-4][-/ ]?{_YEAR}",
    # 20200101T120000; 20200101T1200Z
    rf"{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])t\d{{4}}(?:\d\d(?:[.,]\d+)?)?"
    rf"(?:{_EAST}|{_WEST})?",
    # 12:30; 12:30:15.5 pm; 12:30+02:00
    _CLOCK,
    # 1 days 02:03:04
    _DAYS_AND_TIME,
    # 1:02:03:04, with days first
    _PARTS,
)

# ---- dates and times that may also be names

_PERHAPS = (
    # Jan 5; 5 Jan; 5. Februar
    rf"{_WEEKDAY}?(?:{_CERTAIN_MONTH} {_DAY}|{_DAY}{_GAP}{_MONTH})(?:,? {_CLOCK})?",
    # Mars 2020; 5 set 2020; 5 May 1820
    rf"{_WEEKDAY}?(?:{_MONTH}{_GAP}{_YEAR}|{_DAY}{_GAP}{_MONTH}{_GAP}{_ANY_YEAR})(?:,? {_CLOCK})?",
    # May 5, 1820; Mars 5, 2020
    rf"{_WEEKDAY}?{_MONTH} {_DAY},? {_ANY_YEAR}|{_YEAR}{_GAP}{_MONTH}(?:{_GAP}{_DAY})?",
    # 5-ago-20
    rf"{_DAY}[-/ .]+{_MONTH}[-/ ,]+\d\d",
    # 01-2020; 2020-1
    rf"{_MONTH_NUMBER}[-.]{_YEAR}|{_YEAR}[-/]{_MONTH_NUMBER}",
    # P3D; PT2H30M; P1Y6M
    _ISO,
    # 12h30
    r"\d{1,2} ?h ?[0-5]\d(?: ?m(?:in)?)?",
)


@cache  # compiled on first use: it takes tens of milliseconds, too long for an import
def _one_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{each})" for each in patterns))


def is_date(text: str) -> bool:
    """Whether text begins with a date with a four-digit year: 2026-01-31, 31.1.2026."""
    return _BEGINS_WITH_A_DATE.match(text) is not None


def is_time(text: str) -> bool:
    """Whether text begins with a date, or is a time, a duration, a month or a quarter of a year.

    Examples
    --------
    >>> [is_time(text) for text in ("2026-01-31 12:30", "12:30", "Jan 2026", "2026Q1", "1/31/26")]
    [True, True, True, True, True]
    >>> [is_time(text) for text in ("2026", "May", "Q1", "1.31", "A-2026-01")]
    [False, False, False, False, False]
    """
    return is_date(text) or _one_of(_CERTAIN).fullmatch(_plain(text)) is not None


def may_be_time(text: str) -> bool:
    """Whether text is a date, a time or a duration, or looks like one but may be a name.

    Examples
    --------
    >>> [may_be_time(text) for text in ("Jan 5", "01-2026", "P3D", "12:30", "5-2", "May")]
    [True, True, True, True, False, False]
    """
    return is_time(text) or _one_of(_PERHAPS).fullmatch(_plain(text)) is not None


def times_among(texts: Collection[str]) -> list[str]:
    """Return the strings that are certainly times, or [] unless they are more than half of all.

    Examples
    --------
    >>> times_among(["12:30", "13:45", "late"]), times_among(["Jan 5", "Feb 6"])
    (['12:30', '13:45'], [])
    """
    times = list(filter(is_time, texts))
    return times if 2 * len(times) > len(texts) else []


def doubtful_times(texts: Collection[str]) -> list[str]:
    """Return the strings that may be times or names, or [] unless all strings may be times.

    Examples
    --------
    >>> doubtful_times(["Jan 5", "12:30", "Feb 6"]), doubtful_times(["Jan 5", "red"])
    (['Jan 5', 'Feb 6'], [])
    """
    return [text for text in texts if not is_time(text)] if all(map(may_be_time, texts)) else []


def advice_for_time(text: str) -> str:
    """Return advice on converting dates, times or durations such as this one to numbers.

    Examples
    --------
    >>> advice_for_time("1:02:03:04")
    'give durations as numbers, e.g. seconds'
    >>> advice_for_time("5 mai 2020")
    'give dates and times as numbers, e.g. days since a fixed day'
    """
    plain = _plain(text)
    if _one_of(_DURATIONS).fullmatch(plain):
        advice = "give durations as numbers, e.g. seconds"
        if _one_of(_DURATIONS_OF_PANDAS).fullmatch(plain):
            advice += " (in pandas, pd.to_timedelta(column).dt.total_seconds())"
        return advice
    if {*re.findall(r"[^\W\d_]+", plain)} <= {*_WORDS_OF_PANDAS.split()}:
        # With points or dashes, a short first number is the day; with "/", it may be the month.
        day_first = ", dayfirst=True" if re.match(r"\d{1,2}[-.]\d{1,2}[-.]", plain) else ""
        return (
            "give dates and times as numbers, e.g. seconds since a fixed day (in pandas, with "
            f"dates = pd.to_datetime(column{day_first}): "
            "(dates - pd.Timestamp('2020-01-01', tz=dates.dt.tz)).dt.total_seconds())"
        )
    return "give dates and times as numbers, e.g. days since a fixed day"


def _plain(text: str) -> str:
    """Return text in lower case with single spaces, or "" without digits, which all times have."""
    return " ".join(text.lower().split()) if any(map(str.isdigit, text)) else ""
