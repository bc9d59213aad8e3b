"""What remains valid when a network's loss is replaced by a loss with other heads."""

from typing import Any

from ..losses import Heads, LossFunction

ClassNames = list[str] | dict[str, list[str]]
"""The names of the classes; with several heads, a dict by head."""

_ALL = ""
"""Stands for the only target of a loss without heads; no head has this name."""


_GROUPS = {
    "classes": 0, "distributions": 0, "probabilities": 0, "binary": 0,
    "values": 1, "counts": 1, "positive": 1,
}  # fmt: skip
"""For each kind of targets, its group: 0 for classes, 1 for numbers."""


def has_same_outputs(old: LossFunction, new: LossFunction) -> bool:
    """Whether each head of a new loss has the outputs of an old head with the same kind of targets.

    A new head is matched with the old head of its name or else with an old head that the new loss
    lacks. Two losses without heads always have the same outputs.
    """
    if not (isinstance(old, Heads) or isinstance(new, Heads)):
        return True
    before, after = _heads_of(old), _heads_of(new)
    sources = [_source(name, old, new) for name in after]
    if None in sources or len(before) != len(after):
        return False
    pairs = [(str(source), name) for source, name in zip(sources, after, strict=True)]
    if isinstance(old, Heads) and isinstance(new, Heads):
        places = (old.parts, new.parts)
        if any(places[0][a].outputs != places[1][b].outputs for a, b in pairs):
            return False
    return all(_are_alike(before[a][0], after[b][0], before[a][1] or after[b][1]) for a, b in pairs)


def _are_alike(old: LossFunction, new: LossFunction, n_outputs: int) -> bool:
    """Whether two losses expect the same number of targets, of the same kind, for the outputs."""
    if old.targets is None or new.targets is None:  # a user's loss, which may take any targets
        return True
    before, after = (
        (_GROUPS.get(str(loss.targets)), loss.n_targets(n_outputs), loss.repeats_targets)
        for loss in (old, new)
    )
    return before == after


def names_for(
    names: ClassNames | None, old: LossFunction, new: LossFunction
) -> tuple[ClassNames | None, bool]:
    """Return the class names for a network whose loss is replaced, and whether all are kept.

    A head keeps the names of its classes. A new head gets those of the head whose outputs it takes
    over. Names that do not fit the new loss are dropped, and the ``class_names`` of the new loss
    take precedence.
    """
    given = (new.class_names or {}) if isinstance(new, Heads) else {}
    if names is None or not (isinstance(old, Heads) or isinstance(new, Heads)):
        return given or names, True
    held = names if isinstance(names, dict) else {_ALL: names}
    found: dict[str, list[str]] = {}
    n_kept = 0
    for name, (loss, n_outputs, _) in _heads_of(new).items():
        source = _source(name, old, new)
        own = None if source is None else held.get(source)
        if name in given:
            found[name], n_kept = given[name], n_kept + (own == given[name])
        elif own is None or loss.targets in ("values", "counts", "positive"):
            continue
        elif n_outputs in (0, len(own)) or (n_outputs, len(own)) == (1, 2):
            found[name], n_kept = own, n_kept + 1
    all_kept = n_kept == len(held)
    return (found or None) if isinstance(new, Heads) else found.get(_ALL), all_kept


def interprets_alike(old: LossFunction, new: LossFunction, were_valid: bool) -> bool:
    """Whether a new loss interprets the outputs in the way they were trained.

    A loss that predicts something other than its outputs, or intervals between them, must have been
    the one trained with. By setting any other loss, the user says what the outputs are.
    ``were_valid`` is whether the old loss interpreted the outputs correctly.
    """
    before = _heads_of(old)
    for name, (loss, _, _) in _heads_of(new).items():
        source = _source(name, old, new)
        own = _interpretation(loss)
        if own is not None and not (
            were_valid and source is not None and own == _interpretation(before[source][0])
        ):
            return False
    return True


def _interpretation(loss: LossFunction) -> tuple[type, Any] | None:
    """Return how a loss interprets columns of outputs; None if it takes each output as it is."""
    quantiles = getattr(loss, "quantiles", None)
    has_intervals = type(loss).interval is not LossFunction.interval
    if loss.predicts_outputs and (not has_intervals or isinstance(quantiles, float)):
        return None
    return type(loss), quantiles


def _source(name: str, old: LossFunction, new: LossFunction) -> str | None:
    """Return the old head of the same name, or else the old head that had the same outputs."""
    before, after = _heads_of(old), _heads_of(new)
    if name in before:
        return name
    if isinstance(old, Heads) and isinstance(new, Heads):
        place = new.parts[name].outputs
        gone = [k for k, head in old.parts.items() if head.outputs == place and k not in after]
        return gone[0] if gone else None
    return next(iter(before)) if len(before) == len(after) == 1 else None


def _heads_of(loss: LossFunction) -> dict[str, tuple[LossFunction, int, float]]:
    return {**loss.heads} if isinstance(loss, Heads) else {_ALL: (loss, 0, 1.0)}
