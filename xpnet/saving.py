"""Networks from files; :mod:`xpnet.model_files` says what is in them."""

import os
from typing import Any

from .backends import resolve
from .backends._warnings import warn
from .common.checks import check_path
from .metrics import Metric
from .model.randomness import Randomness
from .model_files import ModelFileError, save
from .model_files.container import read
from .model_files.describing import Tensors, UnsavedFunction, build, decode, find_class
from .model_files.giving import TRAINING, Giver
from .model_files.parts import set_generator
from .neuralnet import NeuralNetwork
from .training.settings import MetricFunction, find_metric

__all__ = ["ModelFileError", "load", "save"]


def load(
    path: str | os.PathLike[str],
    *,
    device: str | None = None,
    backend: str | None = None,
    metric: str | Metric | type[Metric] | MetricFunction | None = None,
) -> NeuralNetwork:
    """Read a network from a file that ``save`` wrote, on any device.

    Parameters
    ----------
    path : str or path-like
    device, backend : str, optional
        Where to load the network, as for :class:`xpnet.NeuralNetwork`.
    metric : str, Metric, subclass or function, optional
        Replaces the network's metric. A metric that was a function has to be given here, as a
        file cannot hold it.

    Returns
    -------
    NeuralNetwork

    Warns
    -----
    UserWarning
        The network's metric was a function, and none is given.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ModelFileError
        The file was truncated or altered, or was not written by :meth:`NeuralNetwork.save
        <xpnet.NeuralNetwork.save>`. Or a tensor is missing, belongs to no part of the network, or
        has the wrong shape or type. Or a part's class is in a module that was not imported.
    DeviceUnavailableError, UnknownNameError, TypeError
        The device, the backend or the metric is unknown or not available.

    Examples
    --------
    Before loading a network with a layer of your own, import the module that defines it:

    >>> import xpnet
    >>> from my_layers import Scale  # doctest: +SKIP
    >>> net = xpnet.load("scaled.safetensors")  # doctest: +SKIP
    """
    path = check_path("path", path)
    # Before the file is read, so that its errors do not name the file.
    resolve(device, backend=backend)
    metric = find_metric(metric)
    content, arrays = read(path)
    try:
        home = resolve(device, backend=backend, dtype=content["dtype"])
        network = _Reader(content, Tensors(home, arrays)).network(device, backend, metric)
    except (MemoryError, OSError, ImportError):
        raise
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error
    except Exception as error:  # a user's constructor can raise anything
        raise ModelFileError(
            f"{path}: the network cannot be built: {type(error).__name__}: {error}"
        ) from error
    if isinstance(network.metric, UnsavedFunction):
        name, network.metric = network.metric.name, None
        warn(
            f"the network's metric was the function {name!r}, which a file does not hold: "
            "give it with load(path, metric=...)"
        )
    return network


class _Reader(Giver):
    """Builds a network from the content of a file.

    Parameters
    ----------
    content : dict
    tensors : Tensors
    """

    def __init__(self, content: dict[str, Any], tensors: Tensors) -> None:
        super().__init__(tensors)
        self._content = content

    def network(
        self, device: str | None, backend: str | None, metric: Metric | MetricFunction | None
    ) -> NeuralNetwork:
        """Return the network; a metric that was a function is an :class:`UnsavedFunction`."""
        content, settings = self._content, self._content["network"]
        cls = find_class(NeuralNetwork, settings["class"], settings["module"])
        network: NeuralNetwork = object.__new__(cls)
        # Not cls(...): a subclass's constructor may take other arguments, and add layers.
        NeuralNetwork.__init__(
            network,
            **self._decoded(settings["arguments"]),
            optimizer=self._part(content["new_optimizer"]),
            loss=self._part(content["loss"]),
            regularizer=self._part(content["regularizer"]),
            metric=self._part(content["metric"]),
            dtype=content["dtype"],
            device=device,
            backend=backend,
        )
        network.randomness = Randomness(content["entropy"])  # before layers seed from it
        for index, each in enumerate(content["layers"]):
            layer = build(each, self._tensors)
            layer.set_input_shape(tuple(each["input_shape"]))
            network.add(layer)
            self._give(layer, each, f"layers.{index}", network)
            set_generator(layer, decode(each["rng"], self._tensors))
            for value in vars(layer).values():
                if isinstance(value, UnsavedFunction):
                    value.loading = False
        fresh = network._new_optimizer
        network.optimizer = self._part(content["optimizer"])
        network._new_optimizer = fresh
        for name in ("loss", "regularizer", "metric", "optimizer"):
            self._give_part(getattr(network, name), content[name], name, network)
        # A restart begins with this one, which may differ from the current optimizer.
        name = "new_optimizer"
        self._give_part(network._new_optimizer, content[name], name, network)
        network.history.update(decode(content["history"], self._tensors))
        network.history.metric_name, network.history.metric_mode = content["history_metric"]
        network.history.incomplete = tuple(content.get("history_incomplete", ()))
        for name, value in self._decoded(settings["attributes"]).items():
            setattr(network, name, value)
        self._tensors.pass_over(TRAINING)  # of a checkpoint, which only fit(resume=...) needs
        self._tensors.check_used()
        if metric is not None:
            network.metric = metric
        return network
