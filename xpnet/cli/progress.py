"""The progress of training: a bar on a terminal, elsewhere a line for each epoch."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGER = "xpnet"


def has_terminal() -> bool:
    """Whether standard error is a terminal, on which a progress bar can move."""
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def epoch_lines(wanted: bool) -> Iterator[None]:
    """Print a line on standard error after each epoch, as the library logs it."""
    if not wanted or sys.stderr is None:
        yield
        return
    logger, handler = logging.getLogger(_LOGGER), logging.StreamHandler(sys.stderr)
    level, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates
