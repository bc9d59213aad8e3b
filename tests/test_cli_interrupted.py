"""The command line under Ctrl-C and SIGTERM: what was asked for is saved, in one line."""

import ctypes
import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest

import xpnet
from xpnet import _starting
from xpnet.cli import main, train
from xpnet.training.trainer import Trainer

pytest.importorskip("sklearn", reason="scikit-learn, which brings the digits, is not installed")

ROOT = Path(xpnet.__file__).parent.parent
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
posix = pytest.mark.skipif(os.name != "posix", reason="a test of POSIX systems")


def default_ctrl_c():
    """Have Ctrl-C as Python has it, in a process whose parent may have it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def started(*arguments, folder, errors=None):
    """Start the command line as a shell does; its errors go to a pipe or to a file."""
    with nullcontext(subprocess.PIPE) if errors is None else errors.open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "xpnet", *map(str, arguments)],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            preexec_fn=default_ctrl_c if os.name == "posix" else None,
        )


def interrupt(monkeypatch, error, where="fit", epochs=2):
    """Let a method of networks end in an error, after a training of some epochs."""
    fit = xpnet.NeuralNetwork.fit

    def end(network, *arguments, **options):
        if where == "fit":
            if epochs:
                fit(network, *arguments, **options, epochs=epochs)
            raise error
        monkeypatch.undo()  # so that it happens once
        raise error

    monkeypatch.setattr(xpnet.NeuralNetwork, where, end)


SHORT = ["train", "digits", "--epochs", "9", "--hidden", "8", "--quiet"]
ERRORS = [(KeyboardInterrupt("training ended"), 130), (SystemExit(143), 143)]


@pytest.mark.parametrize(("error", "status"), ERRORS)
@pytest.mark.parametrize("where", ["fit", "evaluate"])
def test_what_was_asked_for_is_saved(error, status, where, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    model, picture = tmp_path / "m.safetensors", tmp_path / "c.png"
    interrupt(monkeypatch, error, where)
    assert main([*SHORT, "--save", str(model), "--plot", str(picture)]) == status
    output, errors = capsys.readouterr()
    epochs = 2 if where == "fit" else 9
    assert (output, errors) == (
        "",
        f"xpnet: interrupted in epoch {epochs} of 9: the network was saved to {model}, "
        f"and its curves were drawn to {picture}\n",
    )
    assert xpnet.load(model).history.epochs == epochs
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("error", "status"), ERRORS)
@pytest.mark.parametrize(
    ("epochs", "options", "said"),
    [
        (2, [], "interrupted in epoch 2 of 9"),
        (0, ["--save", "m"], "interrupted before the first step: nothing was written"),
    ],
)
def test_what_cannot_be_saved_is_not(
    error, status, epochs, options, said, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    interrupt(monkeypatch, error, epochs=epochs)
    assert main([*SHORT, *options]) == status
    assert capsys.readouterr().err == f"xpnet: {said}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fails_then_is_named(tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise OSError("m could not be written: the disk is full: free space")

    interrupt(monkeypatch, KeyboardInterrupt())
    monkeypatch.setattr(xpnet.NeuralNetwork, "save", fail)
    assert main([*SHORT, "--save", str(tmp_path / "m")]) == 130
    errors = capsys.readouterr().err
    assert errors == (
        "xpnet: interrupted in epoch 2 of 9: m could not be written: the disk is full: free space\n"
    )


def test_a_second_ctrl_c_while_saving_keeps_the_old_file(tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise KeyboardInterrupt

    path = tmp_path / "m"
    path.write_bytes(b"old")
    interrupt(monkeypatch, KeyboardInterrupt())
    monkeypatch.setattr(os, "fsync", fail)  # in the middle of the writing
    monkeypatch.setattr("xpnet.cli.train.check_output_files", lambda _: None)
    assert main([*SHORT, "--save", str(path)]) == 130
    assert "a second interruption left the rest unwritten\n" in capsys.readouterr().err
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_between_training_and_saving(number, tmp_path, monkeypatch, capsys, ctrl_c):
    evaluate = xpnet.NeuralNetwork.evaluate

    def interrupted(*arguments, **options):
        monkeypatch.undo()
        os.kill(os.getpid(), number)
        return evaluate(*arguments, **options)

    monkeypatch.setattr(xpnet.NeuralNetwork, "evaluate", interrupted)
    before = signal.getsignal(signal.SIGTERM)
    assert main([*SHORT, "--save", str(tmp_path / "m")]) == STATUS[number]
    assert signal.getsignal(signal.SIGTERM) is before
    assert "interrupted in epoch 9 of 9: the network was" in capsys.readouterr().err
    assert xpnet.load(tmp_path / "m").history.epochs == 9


@posix
def test_ctrl_c_in_a_process_saves_and_exits_130(tmp_path):
    process = started(
        "train", "digits", "--epochs", 10**6, "--hidden", 8, "--save", "m", folder=tmp_path
    )
    shown = ""
    while "loss: " not in shown:  # the line after the first epoch
        piece = process.stderr.read(1)
        assert piece, shown
        shown += piece
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    last = errors.splitlines()[-1]
    found = re.fullmatch(
        r"xpnet: interrupted in epoch (\d+) of 1000000: the network was saved to m", last
    )
    assert found
    network = xpnet.load(tmp_path / "m")
    assert network.history.epochs == int(found[1]) > 0
    assert np.isfinite(network.predict(np.zeros((1, 64)))).all()
    assert stat.S_IMODE(os.stat(tmp_path / "m").st_mode) & 0o400


@posix
@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))]
)
def test_a_signal_at_any_moment_saves_everything_that_was_asked_for(seed, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    rng = random.Random(seed)
    number, wait = rng.choice([signal.SIGINT, signal.SIGTERM]), rng.uniform(0, 0.6)
    files = [
        *("--save", "m", "--plot", "c.png", "--report", "r.json", "--log", "l.jsonl"),
        *("--checkpoint", "ck", "--every", "3"),
    ]
    process = started(
        "train", "digits", "--epochs", 10**6, "--hidden", 8, "--dtype", "float64", *files,
        folder=tmp_path, errors=tmp_path / "errors",
    )  # fmt: skip
    while "Epoch 1/" not in (tmp_path / "errors").read_text():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(wait)
    process.send_signal(number)
    process.communicate()
    last = (tmp_path / "errors").read_text().splitlines()[-1]
    assert process.returncode == STATUS[number], last
    assert "the network was saved to m" in last
    assert "--resume ck continues the training" in last
    history = xpnet.load(tmp_path / "m").history
    whole = history.epochs - len(history.incomplete)
    assert whole >= 1
    lines = (tmp_path / "l.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, whole + 1))
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    report = json.loads((tmp_path / "r.json").read_text())
    assert len(report["history"]["columns"]["loss"]) == history.epochs
    newest = max((tmp_path / "ck").iterdir())
    assert xpnet.load(newest).history.epochs == whole
    assert not [each for each in tmp_path.rglob("*") if each.name.endswith(".part")]


@posix
@pytest.mark.parametrize("after", [0.15, 0.3, 0.5, 0.8])
def test_ctrl_c_while_the_command_starts_is_no_traceback(after, tmp_path):
    process = started(*SHORT[:2], "--epochs", 10**6, "--quiet", folder=tmp_path)
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    if "Traceback" in errors:  # while Python itself started, before it looked for xpnet
        assert str(ROOT / "xpnet") not in errors
    else:
        assert process.returncode in (-signal.SIGINT, 130)
        assert re.fullmatch(r"(xpnet: interrupted.*\n)?", errors)


def lose_ctrl_c():
    """Press Ctrl-C in a function that C code calls, so that Python ignores the exception."""
    ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(signal.SIGINT))()


def test_ctrl_c_that_c_code_loses_ends_training_before_its_first_step(monkeypatch, ctrl_c):
    losing, steps = Trainer._make_steps, []

    def make_steps(trainer):
        lose_ctrl_c()
        losing(trainer)

    monkeypatch.setattr(Trainer, "_make_steps", make_steps)
    monkeypatch.setattr(sys, "unraisablehook", lambda _: steps.append("ignored"))
    network = xpnet.NeuralNetwork().add(xpnet.DenseLayer(1, input_shape=(1,)))
    with pytest.raises(KeyboardInterrupt, match="before its first step"):
        network.fit([[0.0], [1.0]], [0.0, 1.0], callbacks=xpnet.LambdaCallback(
            on_epoch_begin=lambda *_: steps.append("begun")
        ))  # fmt: skip
    assert steps == ["ignored"]
    assert network.history.epochs == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("where", ["load_task", "_finish"])
def test_ctrl_c_that_c_code_loses_ends_the_command(where, tmp_path, monkeypatch, capsys, ctrl_c):
    found, hook = getattr(train, where), sys.unraisablehook

    def losing(*arguments):
        lose_ctrl_c()
        return found(*arguments)

    monkeypatch.setattr(train, where, losing)
    assert main([*SHORT, "--save", str(tmp_path / "m")]) == 130
    said = "interrupted"
    if where == "load_task":
        said += " before the first step: nothing was written"
    assert capsys.readouterr().err == f"xpnet: {said}\n"
    assert (tmp_path / "m").exists() == (where == "_finish")
    assert sys.unraisablehook is hook


@pytest.mark.parametrize(
    ("argv", "orig_argv", "expected"),
    [
        (["/usr/bin/xpnet", "info"], [], True),
        (["C:\\bin\\xpnet.exe"] if os.name == "nt" else ["bin/xpnet"], [], True),
        (["-m"], ["python", "-W", "error", "-m", "xpnet", "info"], True),
        (["-m"], ["python", "-m", "pytest", "xpnet"], False),
        (["-m"], ["python", "-m"], False),
        (["train.py"], ["python", "train.py", "-m", "xpnet"], False),
        (["-c"], ["python", "-c", "import xpnet"], False),
        ([""], [], False),
        ([], [], False),
    ],
)
def test_only_the_command_handles_ctrl_c_while_it_starts(argv, orig_argv, expected, monkeypatch):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", orig_argv)
    assert _starting.is_command() is expected


def test_a_program_that_imports_xpnet_keeps_its_handler():
    code = "import signal, xpnet; print(signal.getsignal(signal.SIGINT).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=default_ctrl_c if os.name == "posix" else None,
    )
    assert done.stdout == "default_int_handler\n"


# ---- what cannot be written is noticed before training


@contextmanager
def disk(folder, *options):
    """Mount a small disk at a folder, and unmount it at the end."""
    command = ["mount", "-t", "tmpfs", "-o", ",".join(["size=64k", *options]), "tmpfs", folder]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a disk")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="a disk in memory is Linux's")
@pytest.mark.parametrize("option", ["--save", "--plot"])
@pytest.mark.parametrize("state", ["read-only", "full"])
def test_disks_that_take_nothing(option, state, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.setattr("xpnet.cli.train.load_task", lambda _: pytest.fail("it began to work"))
    with disk(tmp_path, *(["ro"] if state == "read-only" else [])):
        if state == "full":
            with pytest.raises(OSError, match="28"):
                (tmp_path / "filling").write_bytes(bytes(100_000))
        path = tmp_path / "x.png"
        assert main(["train", "digits", option, str(path)]) == 2
        errors = capsys.readouterr().err
    reason = "the disk is full: free space" if state == "full" else "Read-only file system: allow"
    assert len(errors.splitlines()) == 1
    assert errors.startswith(f"xpnet: {option} {path} could not be written: {reason}")


@posix
def test_a_picture_replaces_its_file_through_a_link(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.chdir(tmp_path)
    Path("real").mkdir()
    Path("c.SVG").symlink_to("real/c.svg")
    assert main([*SHORT, "--plot", "c.SVG"]) == 0
    assert Path("c.SVG").is_symlink()
    assert b"<svg" in Path("real/c.svg").read_bytes()
    assert sorted(os.listdir()) == ["c.SVG", "real"]
