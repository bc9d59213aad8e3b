"""A training run: one call of ``fit``, or several if it is resumed."""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..backends._warnings import warn
from ..model.snapshot import Snapshot
from .callback import Callback


@dataclass
class Run:
    """A training run from its first epoch on.

    Attributes
    ----------
    first : int
        The number of epochs in the history when the run began.
    conditions : dict
        The settings and data that must be the same when the run is resumed, as JSON values.
    callbacks : sequence of Callback
        All except the recorders.
    origin : dict or None
        How the network was built when the run began; the first recorder sets it.
    execution : dict
        How steps are taken. If this differs, the results agree only to rounding.
    states : list of dict
        The states of the callbacks at the end of the last whole epoch.
    has_ended : bool
        Whether a callback ended the run before its last epoch.
    source : Path or None
        The folder from which the run was resumed.
    """

    first: int
    conditions: dict[str, Any]
    callbacks: Sequence[Callback] = ()
    origin: dict[str, Any] | None = None
    execution: dict[str, Any] = field(default_factory=dict)
    states: list[dict[str, Any]] = field(default_factory=list)
    has_ended: bool = False
    source: Path | None = None

    def record_states(self) -> None:
        """Copy the callbacks' states at the end of an epoch."""
        for each in self.callbacks:
            for name in each.state_names:
                if not hasattr(each, name):
                    kind = type(each).__name__
                    raise AttributeError(
                        f"{kind}.state_names has {name!r}, but the {kind} has no such attribute: "
                        "set it in the constructor or in on_train_begin"
                    )
        self.states = [
            {name: _copied(getattr(each, name)) for name in each.state_names}
            for each in self.callbacks
        ]

    def record_execution(self, now: dict[str, Any]) -> None:
        """Record how steps are taken; warn if the run that is resumed took them differently."""
        before = self.execution
        different = [f"{k} ({v}, now {now.get(k)})" for k, v in before.items() if now.get(k) != v]
        if different:
            warn(
                f"training is resumed under different conditions: {', '.join(different)}. The "
                "result will agree with that of an uninterrupted run only to rounding; if the "
                "chunks differ, the order of the samples does too"
            )
        self.execution = now


def _copied(value: Any) -> Any:
    return value if isinstance(value, Snapshot) else copy.deepcopy(value)


def conditions_of(
    data: tuple[dict[str, Any], dict[str, Any] | None],
    callbacks: Sequence[Callback],
    **settings: Any,
) -> dict[str, Any]:
    """Return the conditions that must be the same when a run is resumed.

    Parameters
    ----------
    data : tuple of dict
        The training data and the validation data; see :func:`.feeding.summary.summary`.
    callbacks : sequence of Callback
    **settings
        Other arguments of ``fit``.
    """
    names = [type(each).__qualname__ for each in callbacks]
    training, validation = data
    given = {"training data": training, "validation data": validation, "callbacks": names}
    plain: dict[str, Any] = json.loads(json.dumps(given | settings))  # as in a checkpoint
    return plain


def differences(before: Any, now: Any, name: str = "") -> list[str]:
    """Return what differs between two descriptions, each as ``name: before, now ...``."""
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        before, now = dict(enumerate(before)), dict(enumerate(now))
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return [] if _same(before, now) else [f"{name}: {_short(before)}, now {_short(now)}"]
    found = []
    for key in {**before, **now}:
        inner = f"{name}.{key}" if name else str(key)
        found += differences(before.get(key), now.get(key), inner)
    return found


def _same(a: Any, b: Any) -> bool:
    return bool(a == b or (a != a and b != b))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
