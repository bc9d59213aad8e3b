"""What a training run leaves behind: a few numbers for every epoch."""

from typing import Any


class History(dict[str, list[float]]):
    """A column for each quantity, a number in it for each epoch.

    Attributes
    ----------
    metric_name : str
        The name of the metric in progress lines and plots.
    metric_mode : {"max", "min"} or None
        Whether large or small values of the metric are better; None where that is not known.
    incomplete : tuple of int
        The epochs, from 1, that Ctrl-C or SIGTERM cut short. Their rows are of the steps that were
        taken, and have no validation.
    kept_epoch : int or None
        The epoch whose weights were restored when training ended: the best one, by
        :class:`~xpnet.EarlyStopping` or by ``early_stopping`` of the estimators. 0 stands for the
        weights before the first epoch. None means that the network has those of the last epoch.
    saved_epoch : int or None
        The epoch of the last file that ``ModelCheckpoint(best_only=True)`` wrote.

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
    kept_epoch: int | None = None
    saved_epoch: int | None = None

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
        """How many epochs there were."""
        return max(map(len, self.values()), default=0)

    @property
    def last(self) -> dict[str, float]:
        """The last epoch's numbers by name."""
        return {name: column[-1] for name, column in self.items()}

    def plot(self, axes: Any = None, names: Any = None, figsize: Any = None) -> Any:
        """Draw the loss and each metric by epoch, of training and validation data.

        A dotted line marks the epoch with the best validation value, and another one the epoch
        whose weights were kept (:attr:`kept_epoch`) or saved (:attr:`saved_epoch`). See
        :func:`xpnet.plots.plot_history`, which also compares several histories.

        Parameters
        ----------
        axes : matplotlib Axes or sequence of them, optional
            One for each panel; by default those of a new figure.
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
            ``axes`` are too few or too many, or there was no epoch yet.
        """
        from ..plots import plot_history

        return plot_history(self, axes, names, figsize)
