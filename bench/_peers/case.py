"""One network with its data, batch size and optimizer, the same for every peer."""

from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

SGD = {"learning_rate": 0.01, "momentum": 0.9}
ADAM = {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}
RMSPROP = {"learning_rate": 1e-3, "rho": 0.9, "epsilon": 1e-8}


@dataclass(frozen=True)
class Case:
    """The training task of a cell, sent to the workers as JSON.

    Attributes
    ----------
    name : str
        A name in :data:`bench.peers.CASES` or ``OF_ESTIMATORS``.
    sizes : tuple of int
        Units of the layers, from the input, with ReLU between them. One output means sigmoid and
        binary cross-entropy, more outputs mean softmax and cross-entropy; both from logits,
        averaged over the batch.
    batch_size : int
    optimizer : str
        ``"sgd"``, ``"adam"`` or ``"rmsprop"``, with the settings in this module.
    folder : str
        The folder with the data, as :func:`save_data` has written them.
    epochs : int
        The number of epochs that are timed together. If there are several, each measurement starts
        from the initial weights. For "predict", the number of calls.
    device : str
    threads : int
    seed : int
        The seed of the initial weights.
    task : str
        "train" for epochs of a network; "fit" or "predict" for calls of an estimator.
    rows : int, optional
        For "predict", the number of samples.
    """

    name: str
    sizes: tuple[int, ...]
    batch_size: int
    optimizer: str
    folder: str
    epochs: int = 1
    device: str = "cpu"
    threads: int = 1
    seed: int = 0
    task: str = "train"
    rows: int | None = None

    @classmethod
    def read(cls, message: dict[str, Any]) -> "Case":
        """Return the case of a message from :meth:`message`."""
        return cls(**message | {"sizes": tuple(message["sizes"])})

    def message(self) -> dict[str, Any]:
        """Return a dictionary that can be written as JSON."""
        return asdict(self)

    @property
    def network(self) -> str:
        """The network's sizes, e.g. ``784-89-10``."""
        return "-".join(map(str, self.sizes))

    @property
    def title(self) -> str:
        """A description of the cell."""
        return f"{self.name}, {self.network}, batch {self.batch_size}, {self.optimizer}"

    @property
    def is_binary(self) -> bool:
        """Whether there is a single output, for two classes."""
        return self.sizes[-1] == 1

    def weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return each layer's initial weights, of shape (n_in, n_out), and biases of zeros.

        Glorot and Bengio 2010, eq. 16: uniform on ±√(6 / (n_in + n_out)).
        """
        rng = np.random.default_rng(self.seed)
        layers = []
        for n_in, n_out in pairwise(self.sizes):
            limit = np.sqrt(6.0 / (n_in + n_out))
            weights = rng.uniform(-limit, limit, (n_in, n_out)).astype(np.float32)
            layers.append((weights, np.zeros(n_out, np.float32)))
        return layers


def save_data(folder: str | Path, X: Any, y: np.ndarray) -> None:
    """Write features (an array or a SciPy CSR matrix) and labels for the workers."""
    folder = Path(folder)
    if isinstance(X, np.ndarray):
        np.save(folder / "X.npy", X)
    else:
        from scipy import sparse

        sparse.save_npz(folder / "X.npz", X, compressed=False)
    np.save(folder / "y.npy", y)


def load_data(folder: str | Path, keep_sparse: bool) -> tuple[Any, np.ndarray]:
    """Read the data of :func:`save_data`; make sparse features dense unless ``keep_sparse``."""
    folder = Path(folder)
    y = np.load(folder / "y.npy")
    if (folder / "X.npy").exists():
        return np.load(folder / "X.npy"), y
    from scipy import sparse

    X = sparse.load_npz(folder / "X.npz")
    return X if keep_sparse else X.toarray(), y
