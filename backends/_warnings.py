"""Warnings that point at the user's code."""

import sys
import warnings

_PASSED_OVER = frozenset({"xpnet", "sklearn", "joblib", "tqdm", "functools", "contextlib"})
"""Top-level packages whose frames may lie between the user's code and the warning."""


def warn(message: str | Warning, category: type[Warning] = UserWarning) -> None:
    """Issue a warning that points at the user's line.

    The user's line is in the innermost frame outside xpnet, scikit-learn, joblib and the like. So a
    warning from inside a pipeline or a search points at the call of the pipeline or search. A
    worker process has no such frame, and the warning points at the outermost frame.

    Parameters
    ----------
    message : str or Warning
        What happened, its consequence, and what to do about it; or the warning itself.
    category : type of Warning, default UserWarning
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and _package(frame.f_globals) in _PASSED_OVER:
        frame = frame.f_back
    warnings.warn_explicit(
        message,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _package(module: dict[str, object]) -> str:
    """Return the top-level package of a module, given its global names."""
    return str(module.get("__name__")).partition(".")[0]
