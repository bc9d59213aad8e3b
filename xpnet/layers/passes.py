"""The arrays that layers keep for the backward pass, and the buffers they write into."""

from typing import Any, ClassVar

from ..backends import Array
from .workspace import Workspace


class TrainingPasses:
    """The part of a layer that keeps arrays of the last training pass.

    Attributes
    ----------
    parameter_names : tuple of str
        As in :class:`Layer`; the backward pass sets a gradient for each.
    passing_names : tuple of str
        Attributes that the forward pass sets for the backward pass; they are not saved or copied.
    workspace : Workspace or None
        Holds the arrays that :meth:`buffer` returns; set by the trainer during training.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ()
    passing_names: ClassVar[tuple[str, ...]] = ("input", "output")
    workspace: Workspace | None = None

    def _passing(self) -> dict[str, None]:
        """Return None for each attribute that the last training pass has set, as a dict."""
        names = (*self.passing_names, *(f"{name}_gradient" for name in self.parameter_names))
        return {name: None for name in names if name in vars(self)}

    def forget_pass(self) -> None:
        """Release the arrays of the last training pass: inputs, outputs and gradients."""
        vars(self).update(self._passing())

    def __getstate__(self) -> Any:
        """Leave arrays of the last pass, and attributes that a network sets, out of copies."""
        state: Any = super().__getstate__()
        slots = state[1:] if isinstance(state, tuple) else ()
        kept = vars(self) | self._passing()
        for name in ("workspace", "in_network", "needs_input_error"):  # a copy is in no network
            kept.pop(name, None)
        return (kept, *slots) if slots else kept

    def buffer(self, name: str, shape: tuple[int, ...]) -> Array | None:
        """Return the array to pass as ``out``, the same at every step; None without a workspace.

        The next step overwrites it, so it must only be used in training passes.
        """
        return None if self.workspace is None else self.workspace.array(name, shape)
