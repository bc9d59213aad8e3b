"""Which columns of a table are features, and which are the label and the names of the rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...backends import unknown_name
from ...common.checks import check_text, check_texts
from ..reading import check_distinct


@dataclass(frozen=True)
class Selection:
    """The columns of a table that a data set takes.

    Attributes
    ----------
    names : list of str
        The features.
    places : list of int
        The position of each feature among the table's columns.
    label, id : int or None
        The positions of the label and of the names of the rows.
    """

    names: list[str]
    places: list[int]
    label: int | None
    id: int | None

    @property
    def used(self) -> list[int]:
        """The positions of all columns that are read, in the table's order."""
        return sorted({*self.places, *(k for k in (self.label, self.id) if k is not None)})


def select(
    where: str,
    header: Sequence[str],
    label: str | None,
    columns: Sequence[str] | None,
    exclude: Sequence[str],
    id: str | None,
) -> Selection:
    """Return the columns that are asked for.

    Parameters
    ----------
    where : str
        What the table is called in messages.
    header : sequence of str
        The names of its columns.
    label, columns, exclude, id
        See :meth:`xpnet.Dataset.from_csv`.

    Raises
    ------
    UnknownNameError
        The table does not have a column.
    ValueError
        Names occur twice, a column would have two purposes, or no feature is left.
    """
    check_distinct(f"{where} has columns", list(header))
    place = {name: k for k, name in enumerate(header)}
    exclude = check_texts("exclude", exclude)
    label = None if label is None else check_text("label", label)
    id = None if id is None else check_text("id", id)
    if label is not None and label == id:
        raise ValueError(f"label={label!r} and id={id!r} are the same column: expected two columns")
    others = {*exclude, label, id}
    if columns is None:
        names = [name for name in header if name not in others]
    else:
        names = check_texts("columns", columns)
        check_distinct("columns has", names)
    for name in (*names, *exclude, *(each for each in (label, id) if each is not None)):
        if name not in place:
            raise unknown_name("column", name, header)
    if double := sorted(others.intersection(names), key=str):
        raise ValueError(
            f"columns has {double[0]!r}, which is also the label, the id or excluded: expected "
            "each column for one purpose"
        )
    if not names:
        raise ValueError(f"{where} has no other columns: expected at least one feature")
    if "" in names:
        raise ValueError(
            f"{where}, column {place[''] + 1} has no name: leave it out with exclude=[''] if it "
            "numbers the rows (pandas leaves it out with to_csv(index=False)), or give it a name"
        )
    return Selection(
        names,
        [place[name] for name in names],
        None if label is None else place[label],
        None if id is None else place[id],
    )
