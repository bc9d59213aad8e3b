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

    SciPy's ``minimize`` returns only after all iterations, and calls the function to minimise. Here
    it runs in a separate thread. The thread that calls :meth:`iterate` computes the function, and
    SciPy's thread waits for the result: only one of the two is busy at any time.

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
        self._messages: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._results: SimpleQueue[tuple[float, np.ndarray] | None] = SimpleQueue()
        self._thread = threading.Thread(
            target=self._minimise, args=(start, options), name="xpnet-lbfgs", daemon=True
        )
        self._thread.start()
        self._next: tuple[str, Any] | None = None

    def iterate(self) -> np.ndarray | None:
        """Run an iteration; return the point reached, or None if the solver has ended.

        Raises
        ------
        Exception
            Raised by the function. After that, the solver can only be closed.
        """
        while True:
            kind, content = self._messages.get() if self._next is None else self._next
            self._next = None
            if kind == "evaluate":
                self._results.put(self._function(content))
            elif kind == "iterated":
                # The next message needs no evaluation: it asks for one, or reports the end.
                self._next = self._messages.get()
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
        self._results.put(None)
        self._thread.join()

    # ---- in the thread

    def _minimise(self, start: np.ndarray, options: dict[str, Any]) -> None:
        from scipy.optimize import minimize

        try:
            with np.errstate(all="ignore"):  # the trainer reports numbers that are not finite
                result = minimize(
                    self._request,
                    start,
                    method="L-BFGS-B",
                    jac=True,
                    callback=lambda x: self._messages.put(("iterated", x.copy())),
                    options=options,
                )
            self._messages.put(("ended", result))
        except _Closed:
            return
        except BaseException as error:  # to be raised in the other thread
            self._messages.put(("failed", error))

    def _request(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        self._messages.put(("evaluate", x.copy()))
        answer = self._results.get()
        if answer is None:
            raise _Closed
        return answer
