"""Two trainings do not write checkpoints into one folder at the same time."""

import copy
import errno
import os
import pickle
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import xpnet
from tests.cli import run
from xpnet import Checkpoint, DenseLayer, LambdaCallback, NeuralNetwork
from xpnet.common import folder_lock
from xpnet.common.folder_lock import FolderLock

X = np.arange(12.0).reshape(6, 2)
ROOT = Path(xpnet.__file__).parent.parent
IN_USE = "is in use: another training run is writing checkpoints there"
posix = pytest.mark.skipif(os.name != "posix", reason="a test of POSIX systems")


def train(folder, epochs=1, **hooks):
    callbacks = [LambdaCallback(**hooks)] if hooks else []
    network = NeuralNetwork(seed=0).add(DenseLayer(1, input_shape=(2,)))
    return network.fit((X, X[:, 0]), epochs=epochs, callbacks=[*callbacks, Checkpoint(folder)])


def is_free(folder):
    lock = FolderLock(folder)
    try:
        lock.acquire()
    except FileExistsError:
        return False
    lock.release()
    return True


def test_a_second_training_is_refused_while_the_first_one_writes(tmp_path):
    refused = []

    def second(*_):
        (tmp_path / ".xpnet-0000000000000000-00000000-0000000000000000.part").touch()
        before = sorted(os.listdir(tmp_path))
        with pytest.raises(FileExistsError, match=f"{tmp_path.name} {IN_USE}"):
            train(tmp_path)
        refused.append(sorted(os.listdir(tmp_path)) == before)

    train(tmp_path, epochs=2, on_epoch_end=second)
    assert refused == [True, True]
    assert ".xpnet-lock" not in os.listdir(tmp_path)
    assert is_free(tmp_path)


def test_a_training_that_fails_unlocks_its_folder(tmp_path):
    def fail(*_):
        raise RuntimeError("of a test")

    with pytest.raises(RuntimeError, match="of a test"):
        train(tmp_path, on_epoch_end=fail)
    assert is_free(tmp_path)
    with pytest.raises(FileExistsError, match="of another training"):  # before any callback begins
        train(tmp_path)
    assert is_free(tmp_path)


def test_the_command_line_refuses_the_folder_before_it_reads_the_table(tmp_path):
    lock = FolderLock(tmp_path)
    lock.acquire()
    for option in ("--checkpoint", "--resume"):
        status, output, errors = run("train", "none.csv", "--target", "y", option, tmp_path)
        assert (status, output) == (2, "")
        assert errors == (
            f"xpnet: the folder {tmp_path} {IN_USE}. Wait until it ends, or give another folder\n"
        )
    lock.release()
    _, _, errors = run("train", "none.csv", "--target", "y", "--checkpoint", tmp_path)
    assert "none.csv" in errors


@posix
def test_a_killed_process_leaves_no_lock_even_if_its_children_live(tmp_path):
    code = """
import os, sys
from pathlib import Path
from xpnet.common.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
lock.acquire()
if os.fork() == 0:
    lock.release()  # which is not held here
    print("child", flush=True)
    sys.stdin.read()
    os._exit(0)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout.readline() == b"child\n"
    assert not is_free(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / ".xpnet-lock").exists()
    assert is_free(tmp_path)
    process.communicate()


def test_copies_of_a_callback_hold_no_lock(tmp_path):
    copies = []
    callback = Checkpoint(tmp_path)
    network = NeuralNetwork(seed=0).add(DenseLayer(1, input_shape=(2,)))

    def copied(*_):
        copies.extend([copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))])
        for each in copies:
            each.on_train_end(network)
        assert not is_free(tmp_path)

    hook = LambdaCallback(on_epoch_end=copied)
    network.fit((X, X[:, 0]), epochs=1, callbacks=[callback, hook])
    assert len(copies) == 2
    assert is_free(tmp_path)


def test_a_lock_file_that_was_replaced_meanwhile_is_not_taken_for_the_lock(tmp_path, monkeypatch):
    lock, calls = folder_lock._lock, []

    def late(handle):
        if not calls:  # the process that had the lock has just removed the file
            (tmp_path / ".xpnet-lock").unlink()
        calls.append(handle)
        return lock(handle)

    monkeypatch.setattr(folder_lock, "_lock", late)
    held = FolderLock(tmp_path)
    held.acquire()
    assert len(calls) == 2
    assert not is_free(tmp_path)
    held.release()


@pytest.mark.parametrize("how", ["lock", "open"])
def test_a_file_system_without_locks_is_a_warning(how, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EACCES, "Permission denied")

    said = "the file system has no locks" if how == "lock" else "Permission denied"
    with monkeypatch.context() as patch:
        if how == "lock":
            patch.setattr(folder_lock, "_lock", lambda _: None)
        else:
            patch.setattr(folder_lock.os, "open", fail)
        with pytest.warns(UserWarning, match=rf"{tmp_path.name} cannot be locked \({said}\)"):
            FolderLock(tmp_path).acquire()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            FolderLock(tmp_path).acquire(warns=False)
    assert is_free(tmp_path)
