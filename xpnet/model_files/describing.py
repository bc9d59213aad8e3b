"""Objects as JSON and tensors: an object's class and its constructor's arguments.

A value is restored exactly, or is refused.
"""

from collections.abc import Mapping
from inspect import Parameter, signature
from types import NoneType
from typing import Any

import numpy as np

from ..backends import Backend, is_array, move, to_host
from ..backends._errors import shown
from ..layers import Layer
from ..optimizers import Optimizer
from .forms import ModelFileError, reporting
from .kinds import KINDS, Classes
from .strict_json import MAX_DIGITS


class Tensors:
    """The tensors of a file by name, with a count of the uses of each.

    Parameters
    ----------
    backend : Backend
        The backend of decoded arrays that were not NumPy arrays.
    arrays : mapping of str to NumPy array, optional
        The tensors of a file that was read.
    classes : Classes, optional
        Finds the classes of that file.

    Attributes
    ----------
    functions : list of UnsavedFunction
        The stand-ins for the functions that the file names.
    layers : list of Layer
        The network's layers, while its attributes are encoded or decoded, which may refer to them.
    """

    def __init__(
        self,
        backend: Backend,
        arrays: Mapping[str, np.ndarray] | None = None,
        classes: Classes | None = None,
    ) -> None:
        self.backend, self.classes = backend, classes or Classes()
        self.arrays = dict(arrays or {})
        self.functions: list[UnsavedFunction] = []
        self.layers: list[Layer] = []
        self._uses = dict.fromkeys(self.arrays, 0)
        self._parameters: dict[type, list[Parameter]] = {}

    def put(self, name: str, value: Any) -> None:
        """Add a copy of an array, since safetensors refuses tensors that share memory."""
        self.arrays[name] = np.array(to_host(value), order="C")
        self._uses[name] = 0

    def take(self, name: str) -> np.ndarray:
        """Return the tensor of this name, and mark it as used.

        A tensor may be used twice, for an argument and a state. More uses are refused, since a
        small file could then take much memory.
        """
        array = self.array(name)
        self._uses[name] += 1
        if self._uses[name] > 2:
            raise ModelFileError(f"the tensor {shown(name)} is used more than twice")
        return array

    def array(self, name: str) -> np.ndarray:
        """Return the tensor of this name, without marking it as used."""
        if name not in self.arrays:
            raise ModelFileError(f"the tensor {shown(name)} is missing")
        return self.arrays[name]

    def parameters_of(self, cls: type) -> list[Parameter]:
        """Return the parameters of a class's constructor, cached since ``signature`` is slow."""
        if cls not in self._parameters:
            self._parameters[cls] = list(signature(cls).parameters.values())
        return self._parameters[cls]

    def mark_used(self, prefix: str) -> None:
        """Mark all tensors as used whose names begin with ``prefix`` and a dot."""
        for name in self._uses:
            if name.startswith(f"{prefix}."):
                self._uses[name] += 1

    def check_used(self) -> None:
        """Refuse tensors that no part of the network has used."""
        if unused := sorted(name for name, uses in self._uses.items() if uses == 0):
            raise ModelFileError(
                f"the tensors {shown(unused)[1:-1]} belong to no part of the network"
            )


class UnsavedFunction:
    """A stand-in for a user's function (an initializer or metric), which a file cannot hold.

    Parameters
    ----------
    name : str
        The name of the function.
    """

    loading: bool = True

    def __init__(self, name: str) -> None:
        self.name = self.__qualname__ = name

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return zeros while loading, since the file's weights replace them; otherwise refuse."""
        if self.loading:
            return np.zeros(shape)
        raise ValueError(
            f"the initializer was the function {shown(self.name)}, which a file cannot hold: set "
            "layer.initializer before the layer is initialised again"
        )


# ---- objects


def describe(thing: Any, name: str, tensors: Tensors) -> dict[str, Any]:
    """Return an object's class and the arguments that its constructor needs.

    Parameters
    ----------
    thing : object of one of :data:`KINDS`
    name : str
        The prefix of the names of its tensors.
    tensors : Tensors
        Receives arrays among the arguments.

    Raises
    ------
    TypeError
        An argument is not kept under its own name, or is of a type that a file cannot hold.
    """
    arguments = {}
    for argument, parameter in _parameters(thing).items():
        value = _kept(thing, parameter)
        state = argument in getattr(thing, "state_names", ()) and is_array(value)
        if state and parameter.default is not Parameter.empty:
            continue  # its tensor is saved with the state
        if argument == "function" and (instead := getattr(type(thing), "instead", None)):
            raise TypeError(
                f"a network with the plain function {shown(getattr(value, '__name__', value))} as "
                f"one of its parts cannot be saved: {instead}, in a module of your own"
            )
        what = f"{type(thing).__name__}'s argument {argument!r}"
        arguments[argument] = encode(
            to_host(value) if state else value,
            f"{name}.{argument}",
            what,
            tensors,
            function_allowed=argument in ("initializer", "bias_initializer"),
        )
    cls = type(thing)
    kind = next(kind.__name__ for kind in KINDS if isinstance(thing, kind))
    names = {"kind": kind, "class": cls.__qualname__, "module": cls.__module__}
    return {**names, "arguments": arguments}


def _parameters(thing: Any) -> dict[str, Parameter]:
    """Return the constructor's parameters, with the base class's in place of ``**kwargs``.

    This supports the common ``def __init__(self, own, **kwargs): super().__init__(**kwargs)``,
    where ``kwargs`` is not kept. If a constructor changes arguments before it passes them on, the
    object made from them differs, and ``save`` refuses it.
    """
    parameters = dict(signature(type(thing)).parameters)
    constructors = [cls for cls in type(thing).__mro__[:-1] if "__init__" in vars(cls)]
    for base in constructors[1:]:
        more = next((p for p in parameters.values() if p.kind is Parameter.VAR_KEYWORD), None)
        if more is None or hasattr(thing, more.name):
            break
        del parameters[more.name]
        inherited = list(signature(vars(base)["__init__"]).parameters.items())[1:]
        parameters |= {name: each for name, each in inherited if name not in parameters}
    return parameters


def _kept(thing: Any, parameter: Parameter) -> Any:
    """Return the value of a constructor's argument, from the attribute that keeps it.

    Raises
    ------
    TypeError
        The object does not keep the argument, or keeps ``*args`` or ``**kwargs`` as another type.
    """
    name, cls = parameter.name, type(thing).__name__
    if name == "input_shape" and isinstance(thing, Layer):
        return thing._input_shape
    if name == "learning_rate" and isinstance(thing, Optimizer):
        return thing.schedule
    stars = str(parameter).count("*", 0, 2) * "*"  # of *args and **kwargs
    if not hasattr(thing, name):
        raise TypeError(
            f"{cls} cannot be saved: it does not keep its argument {stars + name!r} as the "
            f"attribute {name!r}, and could not be made again without it"
        )
    value = getattr(thing, name)
    expected = {"*": (tuple, list), "**": (dict,)}.get(stars)
    if expected is not None and type(value) not in expected:
        raise TypeError(
            f"{cls} cannot be saved: its argument {stars + name!r} is kept as a "
            f"{type(value).__name__}: expected a {expected[0].__name__}, as Python passes it"
        )
    return value


def build(description: dict[str, Any], tensors: Tensors, cls: type | None = None) -> Any:
    """Make an object from what :func:`describe` returned.

    Parameters
    ----------
    description : dict
    tensors : Tensors
    cls : type, optional
        The class; by default, it is looked up by its name.

    Raises
    ------
    ModelFileError
        The class is not found, or its constructor refuses the arguments.
    """
    if cls is None:
        kind = next(kind for kind in KINDS if kind.__name__ == description["kind"])
        cls = tensors.classes.find(kind, description["class"], description["module"])
    arguments = {name: decode(value, tensors) for name, value in description["arguments"].items()}
    with reporting(f"a {cls.__name__} cannot be made from the arguments in the file"):
        return cls(*_positional(tensors.parameters_of(cls), arguments), **arguments)


def _positional(parameters: list[Parameter], arguments: dict[str, Any]) -> list[Any]:
    """Remove the arguments that a call must pass by position from a dict, and return them."""
    positional: list[Any] = []
    kinds = [parameter.kind for parameter in parameters]
    before = 0
    if Parameter.VAR_POSITIONAL in kinds:
        before = kinds.index(Parameter.VAR_POSITIONAL)
    for k, parameter in enumerate(parameters):
        if k < before or parameter.kind is Parameter.POSITIONAL_ONLY:
            positional.append(arguments.pop(parameter.name, parameter.default))
        elif parameter.kind is Parameter.VAR_POSITIONAL:
            positional.extend(arguments.pop(parameter.name))
        elif parameter.kind is Parameter.VAR_KEYWORD and parameter.name in arguments:
            arguments |= arguments.pop(parameter.name)
    return positional


# ---- values


def encode(
    value: Any, name: str, what: str, tensors: Tensors, *, function_allowed: bool = False
) -> Any:
    """Return a value in JSON form; a type that JSON lacks becomes ``{type: content}``.

    Parameters
    ----------
    value : object
        A number, text, None, bytes, slice, array, an object of one of :data:`KINDS`, or a tuple,
        list, set or dict of these. Subclasses of Python's types are refused: they would be restored
        as their base types.
    name : str
        The prefix of the names of its tensors.
    what : str
        What the message calls the value.
    tensors : Tensors
        Receives arrays.
    function_allowed : bool, default False
        Whether the value may be a function, which is saved by name only.

    Raises
    ------
    TypeError
        The value has a type that a file cannot hold.
    """

    def each(values: Any) -> list[Any]:
        return [encode(v, f"{name}.{k}", what, tensors) for k, v in enumerate(values)]

    kind = type(value)
    if kind is int and abs(value) >= 10**MAX_DIGITS:
        raise TypeError(f"{what} cannot be saved: it has more than {MAX_DIGITS:,} digits")
    if value is None or kind in (bool, int, float, str):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in "biuf" and value.dtype.itemsize <= 8:
        return {"numpy": [value.dtype.name, value.item()]}
    if kind is bytes:
        return {"bytes": value.hex()}
    if kind is slice and all(type(part) in (int, NoneType) for part in _bounds(value)):
        return {"slice": list(_bounds(value))}
    if kind is list:
        return each(value)
    if kind in (tuple, set, frozenset):
        return {kind.__name__: each(value)}
    if kind is dict:
        return {"dict": list(zip(each(value), each(value.values()), strict=True))}
    for index, layer in enumerate(tensors.layers):
        if value is layer:
            return {"layer": index}
    if isinstance(value, KINDS):
        return {"part": describe(value, name, tensors)}
    if is_array(value) and not isinstance(value, np.generic) and _can_be_stored(value):
        tensors.put(name, value)
        return {"array" if kind is np.ndarray else "moved": name}
    if callable(value) and function_allowed:
        return {"function": getattr(value, "__qualname__", repr(value))}
    raise TypeError(
        f"{what} cannot be saved: it is a {kind.__name__}, and a file can hold numbers, text, "
        "arrays, layers and other parts of networks, and tuples, lists, sets and dicts of these"
    )


def _bounds(value: slice) -> tuple[Any, Any, Any]:
    return value.start, value.stop, value.step


def _can_be_stored(array: Any) -> bool:
    """Whether safetensors supports the dtype of an array."""
    dtype = to_host(array).dtype
    return dtype.kind in "biuf" and dtype.itemsize <= 8 and dtype.isnative


def decode(value: Any, tensors: Tensors) -> Any:
    """Undo :func:`encode`; a function becomes an :class:`UnsavedFunction`."""
    if isinstance(value, list):
        return [decode(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    ((form, content),) = value.items()
    if form in ("array", "moved"):
        array = tensors.take(content).copy()
        return array if form == "array" else move(array, tensors.backend)
    if form == "numpy":
        return np.dtype(content[0]).type(content[1])
    if form == "bytes":
        return bytes.fromhex(content)
    if form == "slice":
        return slice(*content)
    if form == "layer":
        if content >= len(tensors.layers):
            raise ModelFileError(f"there is no layer {shown(content)} to refer to")
        return tensors.layers[content]
    if form == "part":
        return build(content, tensors)
    if form == "dict":
        return {decode(key, tensors): decode(each, tensors) for key, each in content}
    if form == "function":
        tensors.functions.append(UnsavedFunction(content))
        return tensors.functions[-1]
    makers = {"tuple": tuple, "set": set, "frozenset": frozenset}
    return makers[form](decode(each, tensors) for each in content)
