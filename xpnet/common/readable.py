"""Objects whose ``repr`` shows how they were made."""

from inspect import Parameter, isfunction, signature
from typing import Any

from ..backends import is_array
from ..backends._errors import shown

_MISSING = object()


class Readable:
    """Base of the parts of a network: ``repr`` shows the arguments that are not the defaults."""

    def __repr__(self) -> str:
        arguments = []
        for name, parameter in signature(type(self)).parameters.items():
            value = self._argument(name)
            default = parameter.default
            plain = parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
            if plain and value is not _MISSING and not _is_same(value, default):
                text = value.__name__ if isfunction(value) else shown(value)
                arguments.append(f"{name}={text}")
        return f"{type(self).__name__}({', '.join(arguments)})"

    def _argument(self, name: str) -> Any:
        """Return an argument of the constructor from its attribute, or _MISSING without one."""
        kept = vars(self)
        return kept.get(name, kept.get(f"_{name}", _MISSING))


def _is_same(value: Any, default: Any) -> bool:
    """Whether an argument equals its default, or is an object that the default names."""
    if value is default:
        return True
    if isinstance(default, str) and isinstance(value, Readable):
        return repr(value).lower() == f"{default.replace('_', '')}()"
    return type(value) is type(default) and not is_array(value) and bool(value == default)


def is_plain_function(given: Any) -> bool:
    """Whether an argument is a function, and not a class or a part of a network."""
    return callable(given) and not isinstance(given, (type, Readable))
