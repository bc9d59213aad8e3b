"""Checkpoints: model files that also hold the state of a training run, to resume it."""

import re
from pathlib import Path
from typing import Any, Self

from ..backends._errors import printable
from ..backends._warnings import warn
from ..common.checks import check_path
from ..model.randomness import Randomness
from ..training.history import History
from ..training.run import Run, differences
from ..training.trainable import TrainableModel
from .container import write
from .describing import Tensors, decode
from .forms import MAX_MESSAGE, ModelFileError
from .loading import TRAINING
from .reading import read
from .restoring import CHANGEABLE, Restorer, all_or_nothing, how_trained, origin_of
from .schema import HOW_TRAINED
from .states import StateReader, encode_state
from .writing import Writer, check_content

_FROM_DATA = ("feature_names", "categories", "fill_values", "label_name", "class_names")
"""Attributes of a network that ``fit`` sets from its data."""

_NAME = re.compile(r"checkpoint-(\d{6,})\.safetensors")


def path_of(folder: Path, epoch: int) -> Path:
    """Return the path of the checkpoint of an epoch, counted from 1."""
    return folder / f"checkpoint-{epoch:06d}.safetensors"


def checkpoints_in(folder: Path) -> dict[int, Path]:
    """Return the checkpoints in a folder by epoch, newest first; {} if it does not exist.

    Raises
    ------
    NotADirectoryError
        ``folder`` is a file.
    """
    if not folder.exists():
        return {}
    if not folder.is_dir():
        advice = f"give its folder, {folder.parent}" if _named(folder) else "give another path"
        raise NotADirectoryError(f"{folder} is a file: expected a folder of checkpoints: {advice}")
    found = {
        int(name[1]): path
        for path in folder.iterdir()
        if (name := _named(path)) and path.is_file()  # not, e.g., a folder of that name
    }
    return dict(sorted(found.items(), reverse=True))


def make_folder(folder: Path) -> None:
    """Make a folder for checkpoints, unless it exists.

    Raises
    ------
    OSError
        The folder cannot be made; the message names it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "a file is in its place, or in the place of a folder above it"
        if not isinstance(error, (FileExistsError, NotADirectoryError)):
            reason = str(error.strerror)
        explained = type(error)(
            f"the folder {folder} for checkpoints cannot be made: {reason}. Give another path"
        )
        explained.errno = error.errno
        raise explained from error


def _named(path: Path) -> re.Match[str] | None:
    return _NAME.fullmatch(path.name)


class OtherTrainingError(ValueError):
    """A checkpoint belongs to another training run than the one that resumes from it.

    Attributes
    ----------
    path : Path
        The checkpoint.
    differences : list of str
        Each with a name, the checkpoint's value and the present one.
    """

    def __init__(self, folder: Path, path: Path, differences: list[str]) -> None:
        super().__init__(
            f"resume={str(folder)!r}: {path.name} is of another training run ("
            f"{'; '.join(differences)}). To continue that run, give fit the same arguments and "
            "data. To start over, give another folder, or none. To train its network in another "
            "way, xpnet.load the file, and fit without resume"
        )
        self.path, self.differences = path, differences


class CheckpointContent:
    """The content of a checkpoint: a network, and its run.

    Parameters
    ----------
    network : TrainableModel
    run : Run
    kind : type
        See :func:`.writing.save`.

    Raises
    ------
    TypeError
        A part of the network, or of a callback's state, cannot be saved.
    """

    def __init__(self, network: TrainableModel, run: Run, kind: type) -> None:
        writer = Writer(network, kind, keeps_seconds=True)
        self._content, self._tensors = writer.content(), writer.tensors
        self._content[TRAINING] = {
            "first": run.first,
            "has_ended": run.has_ended,
            "conditions": run.conditions,
            "origin": run.origin,
            "execution": run.execution,
            "callbacks": [
                encode_state(callback, state, f"{TRAINING}.{index}", writer)
                for index, (callback, state) in enumerate(
                    zip(run.callbacks, run.states, strict=True)
                )
            ],
        }

    def write(self, path: Path) -> None:
        """Write the file; if this fails, an older file of that name is unchanged."""
        check_content(self._content)
        write(path, self._content, self._tensors.arrays)


def _newest(folder: Path, warns: bool) -> tuple[Path, dict[str, Any], dict[str, Any]] | None:
    """Return path, content and tensors of the newest undamaged checkpoint, if any."""
    paths = list(checkpoints_in(folder).values())
    damaged = []
    for path in paths:
        try:
            content, arrays = read(path)
            if TRAINING not in content:
                raise ModelFileError(f"{path}: a model file, but not a checkpoint")
        except FileNotFoundError:  # another process has just replaced it by a newer checkpoint
            return _newest(folder, warns)
        except ModelFileError as error:
            damaged.append(str(error))
            continue
        if damaged and warns:
            warn(f"{'; '.join(damaged)}. Training is resumed from {path}")
        return path, content, arrays
    if damaged:
        raise ModelFileError(
            f"{folder}: all checkpoints are damaged ({'; '.join(damaged)}). To start over, remove "
            "them"
        )
    return None


def is_of_run(folder: Path, network: TrainableModel, run: Run) -> bool:
    """Whether the newest checkpoint in another folder is of a resumed run, at any epoch.

    Parameters
    ----------
    folder : Path
        A folder with checkpoints.
    network : TrainableModel
    run : Run
    """
    newest = _newest(folder, warns=False)
    if newest is None:
        return False
    content = newest[1]
    training = content[TRAINING]
    saved = History(decode(content["history"], Tensors(network.backend)))
    same = (
        training["first"] == run.first
        and training["origin"] == run.origin
        and training["conditions"] == run.conditions
        and content["entropy"] == network.randomness.entropy
    )
    longer, shorter = sorted((network.history, saved), key=lambda each: -each.epochs)
    same = same and not _other_names(content, network)
    return same and not _other_history(longer, shorter, run.first)


class Resumption:
    """Restores the run whose checkpoints are in a folder.

    Parameters
    ----------
    folder : Path
    kind : type
        See :func:`.writing.save`.
    restart : bool, default False
        The argument of ``fit``.

    Raises
    ------
    ValueError
        ``restart`` is True.
    """

    def __init__(self, folder: Path, kind: type, restart: bool = False) -> None:
        if restart:
            raise ValueError(
                f"restart=True and resume={str(folder)!r}: expected one of them. To start over, "
                "give another folder, or remove the checkpoints in it"
            )
        self._folder, self._kind = folder, kind

    @classmethod
    def of(cls, given: Any, kind: type, restart: bool) -> Self | None:
        """Return a Resumption for the argument ``resume`` of ``fit``; None for None."""
        return None if given is None else cls(check_path("resume", given), kind, restart)

    def __call__(self, network: TrainableModel, run: Run) -> None:
        """Restore a network and its run from the newest undamaged checkpoint, if there is one.

        Raises
        ------
        ValueError
            The checkpoint belongs to another training run.
        ModelFileError
            All checkpoints are damaged.
        """
        newest = _newest(self._folder, warns=True)
        if newest is None:
            return
        path, content, arrays = newest
        tensors, training = Tensors(network.backend, arrays), content[TRAINING]
        self._check(path, content, network, run)
        current = {name: getattr(network, name) for name in _FROM_DATA}
        try:
            with all_or_nothing(network):
                Restorer(content, tensors, training["origin"]).restore(network)
                reader = StateReader(network, tensors)
                run.states = [
                    reader.state(each, f"{TRAINING}.{index}")
                    for index, each in enumerate(training["callbacks"])
                ]
                tensors.check_used()
                for name in _FROM_DATA:  # data without names may be resumed with named data
                    if not getattr(network, name):
                        setattr(network, name, current[name])
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {printable(error, MAX_MESSAGE)}") from error
        run.first, run.has_ended = training["first"], training["has_ended"]
        run.origin, run.execution = training["origin"], training["execution"]
        run.source = self._folder

    def randomness(self, network: TrainableModel) -> Randomness:
        """Return the random streams of the newest checkpoint; without checkpoints, the network's.

        The two differ if the network has no seed, since each process then draws its own.
        """
        newest = _newest(self._folder, warns=False)
        return network.randomness if newest is None else Randomness(newest[1]["entropy"])

    def _check(self, path: Path, content: Any, network: TrainableModel, run: Run) -> None:
        """Refuse a checkpoint of another training run."""
        training = content[TRAINING]
        found = differences(training["conditions"], run.conditions)
        found += _other_names(content, network)
        then, now = (
            each | {"network": {k: v for k, v in each["network"].items() if k not in CHANGEABLE}}
            for each in (training["origin"], origin_of(network, self._kind))
        )
        then["layers"] = [
            _comparable_layer(*each, in_this_run=network.history.epochs > training["first"])
            for each in zip(then["layers"], now["layers"], content["layers"], strict=False)
        ] + then["layers"][len(now["layers"]) :]
        found += differences(then, now)
        saved = decode(content["history"], Tensors(network.backend))
        found += _other_history(saved, network.history, training["first"])
        if found:
            raise OtherTrainingError(self._folder, path, found)


def _comparable_layer(
    then: dict[str, Any], now: dict[str, Any], saved: dict[str, Any], in_this_run: bool
) -> dict[str, Any]:
    """Return a layer of a checkpoint's origin, for comparison with the network's layer.

    The network's ``trainable`` and ``learning_rate_factor`` replace those of the origin, so that
    they do not count as differences, in two cases: an older file lacks them, or they may have
    changed during this run and are equal to the checkpoint's.

    Parameters
    ----------
    then, now : dict
        The layer when the run began, and the network's layer, as :class:`Origin` describes them.
    saved : dict
        The layer in the checkpoint.
    in_this_run : bool
        Whether the network was trained in this run, so that a callback may have frozen its layer.
    """
    unchanged = in_this_run and how_trained(saved).items() <= now.items()
    has_settings = "trainable" in then  # not in older files
    taken = HOW_TRAINED if unchanged or not has_settings else ()
    return then | {key: now[key] for key in taken if key in now}


def _other_names(content: dict[str, Any], network: TrainableModel) -> list[str]:
    """Return the differences between the names of a network's data and those in a checkpoint.

    Data without names match data with names, but text labels do not match numbers.
    """
    tensors, saved = Tensors(network.backend), content["network"]["attributes"]
    then = {  # older files lack some
        name: decode(saved[name], tensors)
        for name in (*_FROM_DATA, "has_text_labels")
        if name in saved
    }
    was_text = then.pop("has_text_labels", True) or network.has_text_labels
    unnamed = {name for name in then if then[name] is None or getattr(network, name) is None}
    if "feature_names" in unnamed:
        unnamed.add("categories")
    if not then.get("fill_values") or not network.fill_values:
        unnamed.add("fill_values")
    if was_text:
        unnamed.discard("class_names")
    return [
        difference
        for name in then
        if name not in unnamed
        for difference in differences(then[name], getattr(network, name), name)
    ]


def _other_history(saved: dict[str, list[float]], history: History, first: int) -> list[str]:
    """Return the differences between a network's epochs and those of a checkpoint.

    The network may have fewer epochs, but at least those before the run. An interrupted last epoch
    of the run does not count.

    Parameters
    ----------
    saved : dict
        The history in the checkpoint.
    history : History
        The history of the network.
    first : int
        The number of epochs before the run.
    """
    epochs = history.epochs
    epochs -= epochs > first and epochs in history.incomplete
    most = max(map(len, saved.values()), default=0)
    if not first <= epochs <= most:
        return [
            f"the network has been trained for {epochs} epochs, but the run began after "
            f"{first}, and the checkpoint has {most}"
        ]
    for name in (saved.keys() & history.keys()) - {"seconds"}:
        if differences(saved[name][:epochs], history[name][:epochs]):
            return [f"the network has been trained differently: its {name} differs"]
    return []
