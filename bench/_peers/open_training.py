"""Train with xpnet one epoch at a time, within a single call of ``fit``."""

from queue import SimpleQueue
from threading import Thread

from xpnet import Callback, Dataset, NeuralNetwork

_ENDLESS = 1_000_000_000
"""The number of epochs of ``fit``, which ends long before."""


class OpenTraining(Callback):
    """A call of ``fit`` in a thread, which waits after each epoch.

    The set-up of ``fit``, such as creating programs and graphs on a GPU, is done in the first
    epoch only.

    Parameters
    ----------
    net : NeuralNetwork
    data : Dataset
    """

    def __init__(self, net: NeuralNetwork, data: Dataset) -> None:
        self._net, self._data = net, data
        self._continues: SimpleQueue[bool] = SimpleQueue()
        self._results: SimpleQueue[dict[str, float] | BaseException] = SimpleQueue()
        self._thread = Thread(target=self._train, daemon=True)

    def epoch(self) -> dict[str, float]:
        """Train for one epoch; return its row of the history.

        Raises
        ------
        BaseException
            The error that ``fit`` raised; the training has ended.
        """
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._continues.put(True)
        result = self._results.get()
        if isinstance(result, BaseException):
            self._thread.join()
            raise result
        return result

    def close(self) -> None:
        """End the training, if it is still running, and wait for its end."""
        self._continues.put(False)
        if self._thread.ident is not None:
            self._thread.join()

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Hand over the row and wait; the epoch's ``seconds`` do not include the wait."""
        self._results.put(row)
        if not self._continues.get():
            network.stop_training = True

    def _train(self) -> None:
        try:
            self._net.fit(self._data, epochs=_ENDLESS, callbacks=self)
        except BaseException as error:
            self._results.put(error)
