"""Loading networks; see :mod:`xpnet.model_files` for the format of the files."""

import os
from collections.abc import Sequence
from typing import Any

from .backends import resolve
from .backends._errors import printable, shown
from .backends._warnings import warn
from .common.checks import check_path
from .model.randomness import Randomness
from .model_files import ModelFileError, save
from .model_files.describing import Tensors, UnsavedFunction
from .model_files.forms import MAX_MESSAGE, is_environment_error
from .model_files.kinds import Classes, Custom
from .model_files.loading import TRAINING, PartLoader
from .model_files.reading import read
from .neuralnet import NeuralNetwork
from .training.metric_settings import GivenMetric, find_metric, several

__all__ = ["ModelFileError", "load", "save"]


def load(
    path: str | os.PathLike[str],
    *,
    device: str | None = None,
    backend: str | None = None,
    metric: GivenMetric | Sequence[GivenMetric] | None = None,
    custom: Custom = None,
) -> NeuralNetwork:
    """Read a network from a file that ``save`` wrote, on any device.

    Files from untrusted sources are safe to load: nothing in a file is run or imported, and time
    and memory are in proportion to its size. But your own classes get arguments from the file.

    Parameters
    ----------
    path : str or path-like
    device, backend : str, optional
        Where to load the network, as for :class:`xpnet.NeuralNetwork`.
    metric : str, Metric, subclass, function or list of these, optional
        Replaces the network's metrics. If one was a function, which a file cannot hold, give all of
        them here.
    custom : list of class, or dict of str to class, optional
        Your own classes of layers, losses and so on that the file may name. The keys of a dict are
        the names in the file, with or without the module: ``{"Scale": NewScale}``. A class that is
        not given is looked up among those that the program has defined: by module and name, or by
        name alone if there is only one.

    Returns
    -------
    NeuralNetwork

    Warns
    -----
    UserWarning
        A metric was a function, and none is given: the network keeps only its other metrics.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, PermissionError
        There is no such file, or it cannot be opened.
    ModelFileError
        The file was truncated or altered, was not written by :meth:`NeuralNetwork.save
        <xpnet.NeuralNetwork.save>`, or by a version of xpnet with another format. Or a tensor is
        missing, belongs to no part of the network, has the wrong shape or type, or has values that
        training cannot produce, such as NaN. Or a part's class is not found, or its constructor
        raised an error. The message begins with the path.
    DeviceUnavailableError, UnknownNameError, TypeError
        The device, the backend, the metric or a class in ``custom`` is unknown or not available.
    MemoryError
        The network does not fit in memory.

    Examples
    --------
    A network with a layer of your own:

    >>> import xpnet
    >>> from my_layers import Scale  # doctest: +SKIP
    >>> net = xpnet.load("scaled.safetensors", custom=[Scale])  # doctest: +SKIP
    """
    path = check_path("path", path)
    # Before the file is read, so that its errors do not name the file.
    resolve(device, backend=backend)
    classes = Classes(custom)
    if metric is not None:
        given: Any = metric if isinstance(metric, (list, tuple)) else [metric]
        found = [*map(find_metric, given)]
        metric = found if given is metric else found[0]
    content, arrays = read(path)
    try:
        home = resolve(device, backend=backend, dtype=content["dtype"])
        tensors = Tensors(home, arrays, classes)
        network = NetworkLoader(content, tensors).network(device, backend, metric)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {printable(error, MAX_MESSAGE)}") from error
    except Exception as error:
        if is_environment_error(error):
            raise
        reason = f"{type(error).__name__}: {printable(error, MAX_MESSAGE)}"
        raise ModelFileError(f"{path}: the network cannot be built: {reason}") from error
    lost = [each.name for each in network.metrics if isinstance(each, UnsavedFunction)]
    if lost:
        kept = tuple(m for m in several(network.metric) if not isinstance(m, UnsavedFunction))
        network.metric = kept or None
        warn(
            f"the network's metric was the function {', '.join(map(shown, lost))}, which a file "
            "cannot hold: give it with load(path, metric=...)"
        )
    return network


class NetworkLoader(PartLoader):
    """Builds a network from the content of a file.

    Parameters
    ----------
    content : dict
        In the form of :data:`xpnet.model_files.schema.FILE`.
    tensors : Tensors
    """

    def __init__(self, content: dict[str, Any], tensors: Tensors) -> None:
        super().__init__(tensors)
        self._content = content

    def network(self, device: str | None, backend: str | None, metric: Any) -> NeuralNetwork:
        """Return the network; a metric that was a function is an :class:`UnsavedFunction`."""
        content = self._content
        network = self._without_layers(device, backend)
        network.randomness = Randomness(content["entropy"])  # before layers seed from it
        for index, each in enumerate(content["layers"]):
            self._add_layer(each, index, network)
        fresh = network._new_optimizer
        network.optimizer = self._part(content["optimizer"])
        network._new_optimizer = fresh
        for name in ("loss", "regularizer", "optimizer"):
            self._set_part_state(getattr(network, name), content[name], name, network)
        metric_parts = self._part(content["metric"])
        self._set_part_state(metric_parts, content["metric"], "metric", network)
        network.metric = metric_parts  # after their states, on which their names may depend
        # A restart begins with this one, which may differ from the current optimizer.
        name = "new_optimizer"
        self._set_part_state(network._new_optimizer, content[name], name, network)
        self._set_history(network.history, content)
        self._set_attributes(network, content["network"]["attributes"])
        if TRAINING in content:  # of a checkpoint, which only fit(resume=...) needs
            self._tensors.mark_used(TRAINING)
        self._tensors.check_used()
        for function in self._tensors.functions:
            function.loading = False
        if metric is not None:
            if any(isinstance(each, UnsavedFunction) for each in network.metrics):
                network.metric = None  # the given functions replace them
            network.metric = metric
        return network

    def _without_layers(self, device: str | None, backend: str | None) -> NeuralNetwork:
        content, settings = self._content, self._content["network"]
        cls = self._tensors.classes.find(NeuralNetwork, settings["class"], settings["module"])
        network: NeuralNetwork = object.__new__(cls)
        # Not cls(...): a subclass's constructor may take other arguments, and add layers.
        NeuralNetwork.__init__(
            network,
            **self._decoded(settings["arguments"]),
            optimizer=self._part(content["new_optimizer"]),
            loss=self._part(content["loss"]),
            regularizer=self._part(content["regularizer"]),
            dtype=content["dtype"],
            device=device,
            backend=backend,
        )
        return network


def __dir__() -> list[str]:
    return sorted(__all__)
