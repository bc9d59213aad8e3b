"""The history of training: losses, metrics and other numbers of each epoch."""

from typing import Any

from ..common.readable import text_of

_MOST_SHOWN = 10
"""The most epochs in a printed table."""


class History(dict[str, list[float]]):
    """The numbers of each epoch of training: a dict of columns, which are lists.

    ``print`` shows a table of the first and the last epochs.

    Attributes
    ----------
    metrics : dict of str to {"max", "min"} or None
        For each metric so far, by name: whether its largest or smallest value is the best, or None
        if that is not known.
    incomplete : tuple of int
        The numbers, from 1, of epochs that Ctrl-C or SIGTERM cut short. Their rows cover the steps
        that were taken, and have no validation results.
    kept_epoch : int or None
        The epoch whose weights were restored when training ended: the best one, by
        :class:`~xpnet.EarlyStopping` or by ``early_stopping`` of the estimators. 0 stands for the
        weights before the first epoch. None means that the network has the weights of the last
        epoch.
    saved_epoch : int or None
        The epoch of the last file that ``ModelCheckpoint(best_only=True)`` wrote.

    Notes
    -----
    Columns are ``epoch`` (from 1), ``loss``, the name of each metric, ``penalty``, ``val_loss``,
    ``val_`` with the name of each metric, ``learning_rate`` and ``seconds``. The columns of
    metrics, penalties and validation data exist only if training had any. Losses and metrics of the
    training data are computed during the epoch, from the outputs before each update. A model file
    has no ``seconds``, so that identical training runs give identical files; a checkpoint has them.

    Examples
    --------
    >>> from xpnet import History
    >>> history = History()
    >>> history.append(epoch=1, loss=0.5)
    >>> history.append(epoch=2, loss=0.25)
    >>> history["loss"]
    [0.5, 0.25]
    >>> history.last
    {'epoch': 2, 'loss': 0.25}
    """

    incomplete: tuple[int, ...] = ()
    kept_epoch: int | None = None
    saved_epoch: int | None = None

    def __init__(self, *columns: Any, **more: Any) -> None:
        super().__init__(*columns, **more)
        self.metrics: dict[str, str | None] = {}

    def __repr__(self) -> str:
        return f"History({text_of(dict(self)) if self else ''})"

    def __str__(self) -> str:
        from tabulate import tabulate

        rows = [[f"{value:.5g}" for value in row] for row in zip(*self.values(), strict=True)]
        if len(rows) > _MOST_SHOWN:
            half = _MOST_SHOWN // 2
            rows = [*rows[:half], ["..."] * len(self), *rows[-half:]]
        return tabulate(rows, list(self), disable_numparse=True)

    def __missing__(self, name: str) -> list[float]:
        """Raise a KeyError that lists the columns."""
        columns = ", ".join(self) or "none"
        raise KeyError(f"{name!r} is not a column of the history, which has {columns}")

    def append(self, /, **row: float | None) -> None:
        """Add an epoch; missing quantities become NaN, so that all columns have the same length."""
        length = self.epochs
        self.kept_epoch = None  # the weights are those of the new epoch
        for name, value in row.items():
            if value is not None:
                self.setdefault(name, [float("nan")] * length).append(value)
        for column in self.values():
            if len(column) == length:
                column.append(float("nan"))

    def add(self, name: str, value: float) -> None:
        """Set a quantity of the last epoch; earlier epochs without it have NaN."""
        self.setdefault(name, [float("nan")] * self.epochs)[-1] = value

    @property
    def epochs(self) -> int:
        """The number of epochs."""
        return max(map(len, self.values()), default=0)

    @property
    def last(self) -> dict[str, float]:
        """The last epoch's numbers, by column."""
        return {name: column[-1] for name, column in self.items()}

    def plot(self, axes: Any = None, names: Any = None, figsize: Any = None) -> Any:
        """Draw the loss and each metric by epoch, of training and validation data.

        A dotted line marks the epoch with the best validation value. Dash-dotted lines mark the
        epochs whose weights were kept (:attr:`kept_epoch`) and saved (:attr:`saved_epoch`). See
        :func:`xpnet.plots.plot_history`, which also compares several histories.

        Parameters
        ----------
        axes : matplotlib Axes or sequence of them, optional
            One Axes per panel; by default the panels of a new figure.
        names : str or sequence of str, optional
            The quantities to draw, e.g. "loss"; by default the loss and all metrics.
        figsize : tuple of float, optional
            Width and height of a new figure in inches.

        Returns
        -------
        array of matplotlib Axes, or ``axes``

        Raises
        ------
        ImportError
            matplotlib is not installed.
        ValueError
            The number of ``axes`` differs from the number of panels, or the history is empty.
        """
        from ..plots import plot_history

        return plot_history(self, axes, names, figsize)
