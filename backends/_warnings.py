"""Warnings that point at the user's own line."""

import sys
import warnings

_PASSED_OVER = frozenset({"xpnet", "sklearn", "joblib", "tqdm", "functools", "contextlib"})
"""Top-level packages that stand between a user's call and what it does."""


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning as if the user's own line had issued it.

    That line is the innermost one outside of this package, scikit-learn, joblib and tqdm, so that a
    warning from within a pipeline or a search names the call of that. Where there is none, as
    in a worker process, it is the outermost line.

    Parameters
    ----------
    message : str
        What happened, what follows from it, and what can be done about it.
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
