"""SciPy's L-BFGS-B, one iteration at a time."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numpy as np

Function = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""Returns the value and the gradient at a point."""


class _Closed(BaseException):
    """Ends the thread of a solver that is closed."""


class Solver:
    """SciPy's L-BFGS-B, one iteration at a time.

    SciPy's function returns when all iterations are done, and calls the function to minimise from
    within. Here it runs in a thread of its own, which waits whenever the function is computed: that
    happens in the thread that calls :meth:`iterate`. The two are never busy at the same time.

    Parameters
    ----------
    function : callable
        See :data:`Function`.
    start : float64 array of shape (n,)
    **options
        Options of SciPy's ``minimize(method="L-BFGS-B")``.

    Attributes
    ----------
    result : scipy.optimize.OptimizeResult or None
        SciPy's result, once the solver has ended.
    """

    def __init__(self, function: Function, start: np.ndarray, **options: Any) -> None:
        self.result: Any = None
        self._function = function
        self._said: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._answers: SimpleQueue[tuple[float, np.ndarray] | None] = SimpleQueue()
        self._thread = threading.Thread(
            target=self._minimise, args=(start, options), name="xpnet-lbfgs", daemon=True
        )
        self._thread.start()
        self._next: tuple[str, Any] | None = None

    def iterate(self) -> np.ndarray | None:
        """Run an iteration; return the point that it has reached, or None if the solver ended.

        Raises
        ------
        Exception
            Of the function. Then the solver can only be closed.
        """
        while True:
            kind, content = self._said.get() if self._next is None else self._next
            self._next = None
            if kind == "evaluate":
                self._answers.put(self._function(content))
            elif kind == "iterated":
                # The next message needs no call of the function: it asks for one, or is the end.
                self._next = self._said.get()
                self._keep_result()
                return content  # type: ignore[no-any-return]
            else:
                self._next = kind, content
                self._keep_result()
                return None

    def _keep_result(self) -> None:
        assert self._next is not None
        kind, content = self._next
        if kind == "failed":
            raise content
        if kind == "ended":
            self.result = content

    def close(self) -> None:
        """End the thread."""
        self._answers.put(None)
        self._thread.join()

    # ---- in the thread

    def _minimise(self, start: np.ndarray, options: dict[str, Any]) -> None:
        from scipy.optimize import minimize

        try:
            with np.errstate(all="ignore"):  # the trainer reports numbers that are not finite
                result = minimize(
                    self._ask,
                    start,
                    method="L-BFGS-B",
                    jac=True,
                    callback=lambda x: self._said.put(("iterated", x.copy())),
                    options=options,
                )
            self._said.put(("ended", result))
        except _Closed:
            return
        except BaseException as error:  # to be raised in the other thread
            self._said.put(("failed", error))

    def _ask(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        self._said.put(("evaluate", x.copy()))
        answer = self._answers.get()
        if answer is None:
            raise _Closed
        return answer
