"""What a training run leaves behind: a few numbers for every epoch."""

from typing import Any

from ..common.readable import text_of

_MOST_SHOWN = 10
"""Epochs in the table that is printed."""


class History(dict[str, list[float]]):
    """A column for each quantity, a number in it for each epoch.

    ``print`` shows a table of the first and the last epochs.

    Attributes
    ----------
    metric_name : str
        The name of the metric in progress lines and plots.
    metric_mode : {"max", "min"} or None
        Whether large or small values of the metric are better; None where that is not known.
    incomplete : tuple of int
        The epochs, from 1, that Ctrl-C or SIGTERM cut short. Their rows are of the steps that were
        taken, and have no validation.

    Notes
    -----
    Columns are ``epoch`` (from 1), ``loss``, ``metric``, ``penalty``, ``val_loss``, ``val_metric``,
    ``learning_rate`` and ``seconds``, as far as there was a metric or validation data. Losses and
    metrics of the training data are those seen while the epoch went on.

    If training is continued with another metric, the values of the old one move to columns
    with its name, such as ``metric_accuracy`` and ``val_metric_accuracy``.

    Examples
    --------
    >>> history = History()
    >>> history.append(epoch=1, loss=0.5)
    >>> history.append(epoch=2, loss=0.25)
    >>> history["loss"]
    [0.5, 0.25]
    >>> history.last
    {'epoch': 2, 'loss': 0.25}
    """

    metric_name: str = "metric"
    metric_mode: str | None = None
    incomplete: tuple[int, ...] = ()

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
        """Say what columns there are."""
        raise KeyError(f"{name!r} is no column of the history: it has {', '.join(self) or 'none'}")

    def set_metric(self, name: str, mode: str | None) -> None:
        """Set the metric of the next epochs; move values of the old one to its own columns."""
        if name != self.metric_name:
            for column in ("metric", "val_metric"):
                if column in self:
                    self[f"{column}_{self.metric_name}"] = self.pop(column)
                if f"{column}_{name}" in self:
                    self[column] = self.pop(f"{column}_{name}")
        self.metric_name, self.metric_mode = name, mode

    def append(self, **row: float | None) -> None:
        """Add an epoch; a quantity that an epoch lacks is NaN there, so that columns stay even."""
        length = self.epochs
        for name, value in row.items():
            if value is not None:
                self.setdefault(name, [float("nan")] * length).append(value)
        for column in self.values():
            if len(column) == length:
                column.append(float("nan"))

    @property
    def epochs(self) -> int:
        """How many epochs there were."""
        return max(map(len, self.values()), default=0)

    @property
    def last(self) -> dict[str, float]:
        """The last epoch's numbers by name."""
        return {name: column[-1] for name, column in self.items()}

    def plot(self, axes: Any = None) -> Any:
        """Draw the losses, training and validation, and the metric where there is one.

        A dotted line marks the epoch with the lowest validation loss. On the metric's axes, it
        marks the epoch with the best validation metric, if :attr:`metric_mode` is known. These are
        not necessarily the weights that the network has: early stopping keeps those of the best
        epoch by what it watched.

        Parameters
        ----------
        axes : sequence of matplotlib Axes, optional
            One for the loss and, with a metric, one more; by default a new figure's.

        Returns
        -------
        array of matplotlib Axes

        Raises
        ------
        ImportError
            matplotlib is not installed.
        ValueError
            ``axes`` are too few or too many, or there was no epoch yet.
        """
        from ..plots import plot_history

        return plot_history(self, axes)
