"""Roll back an estimator to its previous state if a fit fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

from ..training.history import History

Method = TypeVar("Method", bound=Callable[..., Any])


def all_or_nothing(method: Method) -> Method:
    """Decorate a method of an estimator, so that it changes nothing if it raises an error.

    A fitted model keeps its weights if a refit fails. A new estimator stays unfitted, without the
    random weights of the failed fit.
    """

    @wraps(method)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _rollback_on_error(self):
            return method(self, *args, **kwargs)

    return cast(Method, wrapper)


@contextmanager
def _rollback_on_error(est: Any) -> Iterator[None]:
    """Restore an estimator's attributes, and the lengths of its lists, if the block raises."""
    before = dict(vars(est))
    lengths = [(values, len(values)) for values in before.values() if type(values) is list]
    history: Any = before.get("history_", History())
    noted = dict(vars(history))
    columns = {name: len(column) for name, column in history.items()}
    try:
        yield
    except BaseException:
        for values, length in lengths:
            del values[length:]
        for name in list(history):
            del history[name][columns.get(name, 0) :]
            if name not in columns:
                del history[name]
        vars(history).clear()
        vars(history).update(noted)
        vars(est).clear()
        vars(est).update(before)
        raise
