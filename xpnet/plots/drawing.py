"""Figures, colours and legends, shared by all plots."""

import re
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends import to_host
from ..backends._errors import shown
from ..common.checks import check_positive
from ..data.reading import read_numbers

COLORS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#000000")
"""The colour-blind-safe palette of Okabe and Ito 2008.

It omits their yellow, which is hard to see as a line on white.
"""

AREAS = (*COLORS, "#F0E442", "#999999", "#882255")
"""Colours for areas: `COLORS`, the palette's yellow, and two more."""

MARKERS = "os^DvPX*p"
LINES = ("-", "--", "-.", ":")

DPI = 150
"""The lowest resolution at which a figure is saved."""


def series_style(k: int, marker: bool = False) -> dict[str, Any]:
    """Return the style of the k-th of several curves: colour, line and, if asked for, marker.

    The first 28 curves have different combinations of colour and line. In black and white, up to
    four curves can be told apart by line style.

    Examples
    --------
    >>> from xpnet.plots import series_style
    >>> series_style(1)
    {'color': '#D55E00', 'linestyle': '--'}
    """
    style = {"color": COLORS[k % len(COLORS)], "linestyle": LINES[k % len(LINES)]}
    return style | ({"marker": MARKERS[k % len(MARKERS)], "markersize": 5} if marker else {})


def pyplot() -> Any:
    """Return ``matplotlib.pyplot``, or raise an ImportError that says what to install.

    Examples
    --------
    >>> from xpnet.plots import pyplot
    >>> figure, axes = pyplot().subplots(1, 2)
    >>> len(axes)
    2
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "plots need matplotlib, which is not installed: pip install matplotlib"
        ) from error
    return plt


def new_axes(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> Any:
    """Return the Axes of a new figure (``width`` × ``height`` inches), an array if several.

    Examples
    --------
    >>> from xpnet.plots import new_axes
    >>> ax = new_axes(5.0, 3.6)  # inches
    >>> [float(size) for size in ax.figure.get_size_inches()]
    [5.0, 3.6]
    """
    plt = pyplot()
    dpi = max(DPI, plt.rcParams["figure.dpi"])
    size = (width, height)
    return plt.subplots(rows, columns, figsize=size, dpi=dpi, layout="constrained", **options)[1]


def axes_for(given: Any, figsize: Any, width: float, height: float) -> Any:
    """Return the given Axes, or those of a new figure of ``figsize`` or ``width`` × ``height``."""
    size = check_figsize(figsize, width, height, given)
    if given is None:
        return new_axes(*size)
    if isinstance(given, np.ndarray) and given.size == 1:
        given = given.item()
    if not hasattr(given, "imshow"):
        raise TypeError(f"ax={shown(given)}: expected matplotlib Axes, e.g. from plt.subplots()")
    return given


def check_figsize(given: Any, width: float, height: float, axes: Any = None) -> tuple[float, float]:
    """Return the width and height of a new figure, in inches.

    Raises
    ------
    TypeError, ValueError
        ``given`` is not a pair of positive numbers, or ``axes`` is given as well.
    """
    if given is None:
        return width, height
    if axes is not None:
        raise ValueError("figsize sets the size of a new figure: omit it, or omit the Axes")
    if not is_list(given) or len(given) != 2:
        raise TypeError(f"figsize={shown(given)}: expected (width, height) in inches")
    return check_positive("figsize[0]", given[0]), check_positive("figsize[1]", given[1])


def finish(
    ax: Any, title: str, xlabel: str = "", ylabel: str = "", legend: bool = True, grid: str = "both"
) -> None:
    """Set the title, axis labels and grid, and add a legend if any artist has a label."""
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if grid:
        ax.grid(axis=grid, alpha=0.3)
    set_title(ax, title)
    if legend and ax.get_legend_handles_labels()[1]:
        add_legend(ax)


def set_title(ax: Any, title: str) -> None:
    """Set the title, wrapped if the Axes are narrow."""
    drawn = ax.set_title(title, size="medium")
    # A layout engine lets the title extend over the Axes' share of the figure, beside the labels.
    # Without one, the Axes keep their width.
    labels = ax.get_window_extent().x0 - ax.yaxis.get_tightbbox().x0 if ax.axison else 0
    room = ax.get_window_extent().width if _layout(ax) is None else 0.95 * room_of(ax)[0] - labels
    width = drawn.get_window_extent().width
    if width > room > 0:
        drawn.set_text(textwrap.fill(title, max(int(0.88 * len(title) * room / width), 10)))


def room_of(ax: Any) -> tuple[float, float]:
    """Return the width and height available to Axes and their labels together, in pixels."""
    spec = ax.get_subplotspec()
    if spec is None or _layout(ax) is None:
        box = ax.get_window_extent()
        return float(box.width), float(box.height)
    rows, columns = spec.rowspan, spec.colspan
    n_rows, n_columns, *_ = spec.get_geometry()
    box = ax.figure.bbox
    return box.width * len(columns) / n_columns, box.height * len(rows) / n_rows


def _layout(ax: Any) -> Any:
    return ax.figure.get_layout_engine()


def add_legend(ax: Any) -> None:
    """Add a legend below the Axes, in as many columns as fit, up to five.

    In a figure without a layout engine, the legend is inside the Axes. If it would leave the Axes
    little room, its labels are shortened, and the last ones may be left out.

    Examples
    --------
    >>> from xpnet.plots import add_legend, new_axes
    >>> ax = new_axes(5.0, 3.6)
    >>> line = ax.plot([1, 2], [3, 4], label="training")
    >>> add_legend(ax)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['training']
    """
    options = {"fontsize": "small", "handlelength": 2.2, "labelspacing": 0.3}
    width, height = room_of(ax)
    if _layout(ax) is None:
        options |= {"loc": "best", "framealpha": 0.8}
        box = ax.legend(**options).get_window_extent()
        if box.width > 0.95 * width or box.height > 0.8 * height:
            _add_short_legend(ax, 0.95 * width, 0.8 * height, options)
        return
    from matplotlib.transforms import ScaledTranslation

    box, dpi = ax.get_window_extent(), ax.figure.dpi
    drop = (box.y0 - ax.xaxis.get_tightbbox().y0) / dpi
    below = ax.transAxes + ScaledTranslation(0, -drop - 0.03, ax.figure.dpi_scale_trans)
    options |= {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "bbox_transform": below}
    options |= {"borderaxespad": 0, "columnspacing": 1.2, "frameon": False}
    room = 0.95 * width
    for n_columns in range(min(len(ax.get_legend_handles_labels()[1]), 5), 0, -1):
        legend = ax.legend(ncols=n_columns, **options)
        if (found := legend.get_window_extent().width) <= room:
            break
    else:
        for text in legend.get_texts():  # even a single column is too wide
            n_letters = int(0.9 * len(text.get_text()) * room / found)
            text.set_text(textwrap.fill(text.get_text(), max(n_letters, 10)))
    if legend.get_window_extent().height > LEGEND_SHARE * height:
        # The centre of the Axes is slightly to the right of the figure's.
        _add_short_legend(ax, 0.88 * width, LEGEND_SHARE * height, options)


LEGEND_SHARE = 0.4
"""The largest fraction of the available height that a legend below the Axes may take."""


def _add_short_legend(
    ax: Any, width: float, height: float, options: dict[str, Any], most_columns: int = 5
) -> None:
    """Add a legend of at most ``width`` × ``height`` pixels, with shortened or fewer labels."""
    handles, texts = ax.get_legend_handles_labels()
    texts = [" ".join(text.split()) for text in texts]
    legend = ax.legend(handles, texts, **options)
    drawn = legend.get_texts()
    em = drawn[0].get_fontsize() * ax.figure.dpi / 72
    letter = sum(text.get_window_extent().width for text in drawn) / max(sum(map(len, texts)), 1)
    beside = 4.5 * em  # the handle and the space around it
    endings = max(len(_ending(text)) for text in texts)
    rows = max(int(height / (legend.get_window_extent().height / len(texts))), 2)
    fit = max(int(width / (beside + max(12, min(endings, 20) + 6) * letter)), 1)
    columns = min(-(-len(texts) // rows), fit, most_columns)
    if len(texts) > rows * columns:
        n = rows * columns - 1
        no_line = pyplot().Line2D([], [], linestyle="")
        texts = [*texts[:n], f"… and {len(texts) - n} more"]
        handles = [*handles[:n], no_line]
    n_letters = max(int((width / columns - beside) / letter), 6)
    while True:
        short = shortened(texts, n_letters)
        legend = ax.legend(handles, short, ncols=columns, **options)
        if legend.get_window_extent().width <= width or n_letters <= 6:
            break
        n_letters -= max(n_letters // 15, 1)
    if columns > 1 and len(set(short)) < len(set(texts)):  # shortening made some labels equal
        _add_short_legend(ax, width, height, options, columns - 1)


def shortened(texts: Sequence[str], n: int) -> list[str]:
    """Return texts of at most n characters; … replaces the middle or the end of longer ones.

    All texts are cut at the same relative place, the one that leaves the most of them distinct.
    The part after the last colon or comma, such as a number, is kept if it fits.

    Examples
    --------
    >>> from xpnet.plots.drawing import shortened
    >>> shortened(["a long name of a class", "a long name: AUC 0.75"], 16)
    ['a long n…a class', 'a l…me: AUC 0.75']
    """
    found = [[_shortened(text, n, share) for text in texts] for share in (0.5, 0.0, 0.8)]
    return max(found, key=lambda each: len(set(each)))


def _shortened(text: str, n: int, share: float) -> str:
    """Return a text of at most n characters, ``share`` of which (without the ending) follow "…"."""
    if len(text) <= n:
        return text
    ending = _ending(text)
    if len(ending) > n - 4:
        ending = ""
    left, name = n - 1 - len(ending), text[: len(text) - len(ending)]
    behind = int(share * left)
    return f"{name[: left - behind].rstrip()}…{name[len(name) - behind :].lstrip()}{ending}"


def _ending(text: str) -> str:
    """Return a text from its last colon on, or else its last comma; "" if it has neither."""
    for sign in (": ", ", "):
        if sign in text:
            return sign + text.rpartition(sign)[2]
    return ""


def letters_in(pixels: float, size: float, dpi: float, least: int = 6) -> int:
    """Return how many letters of ``size`` points fit into ``pixels``, at least ``least``."""
    return max(int(72 * pixels / dpi / (0.6 * size)), least)


def whole_epochs(ax: Any, epochs: Sequence[float] | np.ndarray) -> None:
    """Put the ticks of the horizontal axis, the epochs, at integers only.

    Examples
    --------
    >>> from xpnet.plots import new_axes, whole_epochs
    >>> ax = new_axes(5.0, 3.6)
    >>> line = ax.plot([1, 2], [0.5, 0.4])
    >>> whole_epochs(ax, [1, 2])
    >>> all(tick == int(tick) for tick in ax.get_xticks())
    True
    """
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(
        MaxNLocator("auto", integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
    )
    if len(set(epochs)) == 1:
        ax.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)


def is_list(given: Any) -> bool:
    """Return whether ``given`` is a sequence other than a string, or an array with an axis."""
    is_text = isinstance(given, (str, bytes))
    is_array = isinstance(given, np.ndarray) and given.ndim > 0
    return (isinstance(given, Sequence) and not is_text) or is_array


def title_of(label: str) -> str:
    """Return a quantity's name as it begins a title, e.g. "ROC AUC" for ``roc_auc``."""
    text = label.replace("_", " ")
    for word in ("roc auc", "mse", "mae", "rmse", "mape", "r2", "f1"):
        text = re.sub(rf"\b{word}\b", word.upper(), text)
    return text[:1].upper() + text[1:]


def numbers_on_host(name: str, values: Any, ndim: int | None, n: int | None = None) -> np.ndarray:
    """Return numbers on the host, or raise if they do not have ``ndim`` dimensions and n rows."""
    found = to_host(read_numbers(name, values)[0])
    if found.ndim not in ((1, 2) if ndim is None else (ndim,)):
        expected = "1 or 2 dimensions" if ndim is None else f"{ndim} dimension(s)"
        raise ValueError(f"{name} has shape {found.shape}: expected {expected}")
    if n is not None and len(found) != n:
        raise ValueError(f"{name} has {len(found)} rows: expected {n}")
    return found


def finite_numbers(name: str, values: Any, ndim: int | None, n: int | None = None) -> np.ndarray:
    """Return numbers on the host as float64; refuse an empty array, NaN and infinity."""
    found = numbers_on_host(name, values, ndim, n).astype(float)
    if not found.size:
        raise ValueError(f"{name} has shape {found.shape}: expected at least one sample")
    if not np.isfinite(found).all():
        raise ValueError(f"{name} has NaN or infinity: expected finite numbers")
    return found
