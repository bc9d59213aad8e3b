"""A training of xpnet that waits after each epoch until it is asked for the next one."""

from queue import SimpleQueue
from threading import Thread

from xpnet import Callback, Dataset, NeuralNetwork

_ENDLESS = 1_000_000_000
"""Epochs that a training is begun with; it is ended long before."""


class OpenTraining(Callback):
    """One call of ``fit``, in a thread, an epoch at a time.

    What ``fit`` does once for all its epochs, such as making programs and graphs on a GPU, is done
    in the first epoch alone.

    Parameters
    ----------
    net : NeuralNetwork
    data : Dataset
    """

    def __init__(self, net: NeuralNetwork, data: Dataset) -> None:
        self._net, self._data = net, data
        self._goes_on: SimpleQueue[bool] = SimpleQueue()
        self._results: SimpleQueue[dict[str, float] | BaseException] = SimpleQueue()
        self._thread = Thread(target=self._train, daemon=True)

    def epoch(self) -> dict[str, float]:
        """Train for an epoch; return its row of the history.

        Raises
        ------
        BaseException
            What ``fit`` raised; the training has ended.
        """
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._goes_on.put(True)
        result = self._results.get()
        if isinstance(result, BaseException):
            self._thread.join()
            raise result
        return result

    def close(self) -> None:
        """End the training, if it goes on, and wait for that."""
        self._goes_on.put(False)
        if self._thread.ident is not None:
            self._thread.join()

    def on_epoch_end(self, network: NeuralNetwork, row: dict[str, float]) -> None:
        """Hand over the row and wait; the history's seconds have ended by then."""
        self._results.put(row)
        if not self._goes_on.get():
            network.stop_training = True

    def _train(self) -> None:
        try:
            self._net.fit(self._data, epochs=_ENDLESS, callbacks=self)
        except BaseException as error:
            self._results.put(error)
