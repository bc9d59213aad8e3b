"""Readers that misbehave, for the tests of the fuzzer."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from fuzz.target import Target

WRONG = object()


class Reader(Target):
    """A reader that misbehaves as the file's content says."""

    name = "bad"
    file = "bad.bin"

    def content(self, random):
        return bytes([random.randrange(4)])

    def read(self, path):
        return _DEEDS.get(path.read_bytes(), lambda path: None)(path)

    def check(self, result):
        assert result is not WRONG, "a wrong result"


class Failing(Reader):
    """A reader that raises a KeyError for half of its files."""

    def content(self, random):
        return random.choice((b"exception", b"nothing"))


def refuse(path):
    raise ValueError(f"{path.name} is damaged")


def refuse_without_name(path):
    raise ValueError("damaged")


def take_time(path):
    start = time.process_time()
    while time.process_time() < start + 1.2:
        pass


def run_text(path):
    exec("x = 1")


def write(path):
    path.with_name("other").write_text("x")


_DEEDS = {
    b"refuse": refuse,
    b"message": refuse_without_name,
    b"exception": lambda path: {}["x"],
    b"accepted": lambda path: WRONG,
    b"time": take_time,
    b"memory": lambda path: np.ones(10_000_000),
    b"import": lambda path: __import__("idlelib"),
    b"exec": run_text,
    b"write": write,
    b"process": lambda path: subprocess.run([sys.executable, "-c", ""], check=True),
    b"remove": lambda path: Path("no-such-file").unlink(missing_ok=True),
    b"crash": lambda path: os._exit(3),
    b"hang": lambda path: time.sleep(60),
}
