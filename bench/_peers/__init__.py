"""The peers of :mod:`bench.peers`: their names, requirements and classes.

Each runs in a separate process (:mod:`.worker`), as a subclass of :class:`.peer.Peer`. A new peer
needs an entry in :data:`PEERS` and a class in a file ``with_<library>.py``.
"""

from dataclasses import dataclass, field
from importlib.util import find_spec


@dataclass(frozen=True)
class Entry:
    """A description of a peer, read before its libraries are imported.

    Attributes
    ----------
    place : str
        ``"module:class"`` in this package.
    imports : str
        The modules that it imports, as written after ``import``.
    distributions : tuple of str
        The distributions that a user installs, without dependencies.
    may_use : tuple of str
        Optional distributions.
    environment : dict
        Additional environment variables of its process.
    tasks : tuple of str
        The kinds of cases that it can run.
    """

    place: str
    imports: str
    distributions: tuple[str, ...]
    may_use: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    tasks: tuple[str, ...] = ("train",)

    def missing(self) -> list[str]:
        """Return the modules that are not installed."""
        tops = {name.strip().partition(".")[0] for name in self.imports.split(",")}
        return sorted(top for top in tops if find_spec(top) is None)


# Otherwise it keeps child processes for compilation, which would not be stopped with it.
_COMPILE_HERE = {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
_NUMPY_ALONE = {"XPNET_STEPS": "formulas"}
_OF_ESTIMATORS = ("fit", "predict")
_KERAS_ON_JAX = {"KERAS_BACKEND": "jax"}

PEERS = {
    "products": Entry("with_xpnet:Products", "numpy", ("numpy",)),
    "xpnet": Entry("with_xpnet:Xpnet", "xpnet", ("xpnet",), environment=_NUMPY_ALONE),
    "xpnet-numba": Entry(
        "with_xpnet:XpnetNumba",
        "xpnet, numba",
        ("xpnet", "numba"),
        environment={"XPNET_STEPS": "compiled"},
    ),
    "torch": Entry("with_torch:Torch", "torch", ("torch", "numpy")),
    "torch-fused": Entry("with_torch:TorchFused", "torch", ("torch", "numpy")),
    "torch-loader": Entry("with_torch:TorchLoader", "torch", ("torch", "numpy")),
    "torch-compile": Entry(
        "with_torch:TorchCompile", "torch", ("torch", "numpy"), environment=_COMPILE_HERE
    ),
    "torch-graph": Entry("with_torch:TorchGraph", "torch", ("torch", "numpy")),
    "jax-step": Entry("with_jax:JaxStep", "jax", ("jax",), ("optax",)),
    "jax-scan": Entry("with_jax:JaxScan", "jax", ("jax",), ("optax",)),
    "sklearn": Entry("with_sklearn:Sklearn", "sklearn.neural_network", ("scikit-learn",)),
    "keras-jax": Entry(
        "with_keras:KerasJax", "keras, jax", ("keras", "jax"), environment=_KERAS_ON_JAX
    ),
    "estimator-sklearn": Entry(
        "with_estimators:SklearnEstimator",
        "sklearn.neural_network",
        ("scikit-learn",),
        tasks=_OF_ESTIMATORS,
    ),
    "estimator-xpnet": Entry(
        "with_estimators:XpnetEstimator",
        "xpnet.estimators",
        ("xpnet", "scikit-learn"),
        environment=_NUMPY_ALONE,
        tasks=_OF_ESTIMATORS,
    ),
    "estimator-xpnet-numba": Entry(
        "with_estimators:XpnetEstimator",
        "xpnet.estimators, numba",
        ("xpnet", "scikit-learn", "numba"),
        tasks=_OF_ESTIMATORS,
    ),
}
"""The peers, in the order of their turns and of the rows in tables."""
