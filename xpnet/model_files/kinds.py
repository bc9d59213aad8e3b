"""The classes of a network's parts, and the search for a class that a file names.

Nothing is imported to find a class. A class of the library is never replaced by a user's.
"""

import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ..backends._errors import shown
from ..initializers import Initializer
from ..layers import Layer
from ..losses import LossFunction
from ..metrics import Metric
from ..model import Model
from ..optimizers import Optimizer
from ..regularizers import Regularizer
from ..schedules import Schedule
from .forms import ModelFileError

KINDS = (Layer, LossFunction, Metric, Optimizer, Schedule, Initializer, Regularizer)
"""The base classes of all objects that can be saved."""

Custom = Mapping[str, type] | Collection[type] | None
"""A user's classes, or a dict from their names in files to the classes."""

_PACKAGE = __name__.partition(".")[0]


class Classes:
    """Finds the classes that a file names.

    Parameters
    ----------
    custom : dict of str to class, or list of class, optional
        A user's classes, which take precedence over others of the same name.

    Raises
    ------
    TypeError
        ``custom`` has something other than subclasses of :data:`KINDS` or of models.
    ValueError
        Two classes in a list have the same name.
    """

    def __init__(self, custom: Custom = None) -> None:
        self._custom = _checked(custom)
        self._found: dict[tuple[type, str, str], type] = {}

    def find(self, base: type, name: str, module: str) -> type[Any]:
        """Return the subclass of ``base`` that a file names.

        Parameters
        ----------
        base : type
        name : str
            Its ``__qualname__``.
        module : str

        Raises
        ------
        ModelFileError
            There is no such class, or several. The message says what to do.
        """
        key = (base, name, module)
        if key not in self._found:
            ours = module.partition(".")[0] == _PACKAGE
            self._found[key] = _of_library(*key) if ours else self._of_user(*key)
        return self._found[key]

    def _of_user(self, base: type, name: str, module: str) -> type:
        """Return a class of ``custom``, or of that module and name, or the only one of the name."""
        plain = name.rpartition(".")[2]
        for each in (f"{module}.{name}", name, plain):
            given = self._custom.get(each)
            if given is not None and issubclass(given, base):
                return given
        alike = [cls for cls in _known(base) if cls.__name__ == plain and not is_of_library(cls)]
        exact = [cls for cls in alike if (cls.__module__, cls.__qualname__) == (module, name)]
        # A class that was defined again, as in a notebook, replaces the older one.
        found = [cls for cls in exact if _is_reachable(cls)] or exact or alike
        if not found:
            raise ModelFileError(
                f"the file has a {shown(plain)[1:-1]}, which is not defined: import the module "
                f"that defines the class (it was {shown(module)[1:-1]}), or give the class with "
                "load(path, custom=[...])"
            )
        if len(found) > 1:
            modules = ", ".join(f"{cls.__module__}.{cls.__qualname__}" for cls in found)
            raise ModelFileError(
                f"the file has a {shown(f'{module}.{name}')[1:-1]}, but there are several classes "
                f"of that name ({modules}): give the right one with load(path, custom=[...])"
            )
        return found[0]


def _of_library(base: type, name: str, module: str) -> type:
    """Return a class of this package, which may since have moved to another module."""
    plain = name.rpartition(".")[2]
    found = [cls for cls in _known(base) if cls.__name__ == plain and is_of_library(cls)]
    if not found:
        where = shown(f"{module}.{name}")[1:-1]
        raise ModelFileError(
            f"the file has a {where}, which is not defined: this xpnet has no such class, or it is "
            "in a module that has to be imported first, such as xpnet.estimators"
        )
    return next((cls for cls in found if cls.__module__ == module), found[0])


def is_of_library(cls: type) -> bool:
    """Whether a class is this package's own; names alone do not make a user's class pass."""
    return cls.__module__.partition(".")[0] == _PACKAGE and _is_reachable(cls)


def _is_reachable(cls: type) -> bool:
    """Whether looking up a class's name in its module returns the class."""
    place: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        place = getattr(place, name, None)
    return place is cls


def _known(base: type) -> list[type[Any]]:
    return list(dict.fromkeys(_subclasses(base)))


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    yield cls
    for subclass in cls.__subclasses__():
        yield from _subclasses(subclass)


def _checked(custom: Any) -> dict[str, type]:
    """Return a user's classes by name."""
    if custom is None:
        return {}
    expected = "expected a list of classes, or a dict from names to classes"
    if not isinstance(custom, (Mapping, list, tuple, set, frozenset)):
        raise TypeError(f"custom={shown(custom)}: {expected}")
    classes = list(custom.values() if isinstance(custom, Mapping) else custom)
    for cls in classes:
        if not isinstance(cls, type) or not issubclass(cls, (*KINDS, Model)):
            raise TypeError(
                f"custom has {shown(cls)}: {expected} of layers, losses or other parts of networks"
            )
    named = custom if isinstance(custom, Mapping) else {cls.__name__: cls for cls in classes}
    for name in named:
        if not isinstance(name, str):
            raise TypeError(f"custom has the key {shown(name)}: {expected}")
    if len(named) < len(set(classes)) and not isinstance(custom, Mapping):
        raise ValueError(
            f"custom={shown(classes)} has two classes of one name: give a dict from the names "
            "in the file, such as 'module_a.Scale', to classes"
        )
    return dict(named)
