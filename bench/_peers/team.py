"""The parent's side: processes that take turns; each is stopped while another computes."""

import json
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from ..processes import signal_group
from . import PEERS
from .case import Case

ROOT = Path(__file__).parent.parent.parent
_START = """
import sys
sys.path.append({root!r})
from bench.processes import die_with
die_with({parent})
from bench._peers.worker import main
main({name!r}, {threads})
"""
_TAIL = 1500
"""The number of characters to report from the end of a failed worker's standard error."""


class DiedError(Exception):
    """A worker ended, or did not answer in time; the message has the end of its standard error."""


def environment(name: str, threads: int, device: str) -> dict[str, str]:
    """Return the environment of a peer's process: threads, device and this process's modules."""
    env = dict(os.environ)
    # OpenBLAS, OpenMP, MKL, Numba, and XLA's thread pool.
    for variable in ("OPENBLAS", "OMP", "MKL", "NUMBA"):
        env[f"{variable}_NUM_THREADS"] = str(threads)
    env["NPROC"] = str(threads)
    if threads == 1:
        env["XPNET_THREADS"] = "1"
    env.pop("OPENBLAS_THREAD_TIMEOUT", None)  # which `import xpnet` may have set here
    env["JAX_PLATFORMS"] = device
    env["JAX_TRACEBACK_FILTERING"] = "off"  # else an error's last line is not the cause
    env["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # several processes share one GPU
    env["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in sys.path)
    env |= PEERS[name].environment
    if device == "cuda":
        env.pop("XPNET_STEPS", None)  # it chooses between the kinds of steps on a CPU
    return env


class Member:
    """One peer's process.

    After its first answer it runs only from a question to its answer, and is stopped otherwise:
    spinning threads, such as OpenMP's, would take cores from the other peers. It is not stopped
    earlier, since a process that has not called ``die_with`` yet would outlive a killed parent.

    Parameters
    ----------
    name : str
        A key of :data:`PEERS`.
    threads : int
    device : str
    patience : float
        The number of seconds to wait for an answer.
    """

    def __init__(self, name: str, threads: int, device: str, patience: float) -> None:
        self.name, self.patience = name, patience
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        code = _START.format(root=str(ROOT), parent=os.getpid(), name=name, threads=threads)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment(name, threads, device),
            text=True,
            start_new_session=True,  # a new process group, so that signals reach its children
        )

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """Send the worker a command and return its answer.

        Raises
        ------
        DiedError
            The worker has ended, or did not answer in time.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._signal(signal.SIGCONT)
        line, ready = "", True
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps({"do": do, **more}) + "\n")
            self.process.stdin.flush()
            ready = bool(select.select([self.process.stdout], [], [], self.patience)[0])
            if ready:
                line = self.process.stdout.readline()
        if not line:
            raise DiedError(self._last_words(ended=ready))
        self._signal(signal.SIGSTOP)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """Kill the process."""
        self._signal(signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    def _signal(self, number: signal.Signals) -> None:
        signal_group(self.process.pid, number)

    def _last_words(self, ended: bool) -> str:
        """Return what happened and, on the next line, the end of the standard error."""
        how = f"gave no answer in {self.patience:.0f} s"
        if ended:
            with suppress(subprocess.TimeoutExpired):  # its output is closed, so it will end soon
                self.process.wait(timeout=30)
            how = f"ended with code {self.process.poll()}"
        self.errors.seek(0)
        return f"{how}\n{self.errors.read().decode(errors='replace').strip()[-_TAIL:]}".strip()


class Team:
    """The processes of the peers; they end with the block, or when they fail.

    Parameters
    ----------
    names : iterable of str
        Keys of :data:`PEERS`, in the order of their turns.
    threads : int
    device : str
    patience : float
        The number of seconds to wait for an answer.
    say : callable
        Called with progress messages.

    Attributes
    ----------
    left_out : dict
        The reasons why a peer was left out of some cases, with the end of its standard error if its
        process failed.
    notes : dict
        Remarks about peers.
    """

    def __init__(
        self,
        names: Iterable[str],
        threads: int,
        device: str,
        patience: float = 600.0,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.members = [Member(name, threads, device, patience) for name in names]
        self.say = say
        self._at = ""
        self.left_out: dict[str, list[str]] = {}
        self.notes: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for member in self.members:
            member.end()

    def measure(self, case: Case, rounds: int, until: float = math.inf) -> dict[str, Any]:
        """Build a case's peers and train each once, then train all of them in turn, in rounds.

        Parameters
        ----------
        case : Case
        rounds : int
            The number of rounds.
        until : float
            The time of ``time.monotonic()`` after which no further peer is built and no further
            round begins; built peers get at least one round.

        Returns
        -------
        dict
            The case and, under ``"peers"``, for each peer that has finished: ``first_s`` (with
            building and compilation), and ``seconds``, ``call_seconds`` and ``losses`` with one
            number per round.
        """
        self._at = case.title
        rows = {}
        for member in list(self.members):
            if time.monotonic() > until:
                self._leave_out(member, f"{self._at}: no time was left to build it")
            elif row := self._warm(member, case):
                rows[member.name] = row
        for k in range(rounds):
            if k and time.monotonic() > until:
                break
            turns = [member for member in self.members if member.name in rows]
            first = k % max(len(turns), 1)  # each round begins with another peer
            for member in turns[first:] + turns[:first]:
                answer = self._ask(member, "train")
                if answer is None:
                    del rows[member.name]
                    continue
                for key, value in (
                    ("seconds", answer["seconds"]),
                    ("call_seconds", answer["call_seconds"]),
                    ("losses", answer["loss"]),
                ):
                    rows[member.name][key].append(value)
        about = case.message()
        del about["folder"]
        return {**about, "network": case.network, "peers": rows}

    def memory(self) -> dict[str, float]:
        """Return each peer's peak memory so far, in MB."""
        peaks = {member.name: self._ask(member, "memory") for member in list(self.members)}
        return {name: answer["peak_mb"] for name, answer in peaks.items() if answer}

    def _warm(self, member: Member, case: Case) -> dict[str, Any] | None:
        """Build a peer and train it once; return its row, or None if it is left out."""
        built = self._ask(member, "build", case=case.message())
        if built is None:
            return None
        if "left_out" in built:
            self._leave_out(member, f"{case.name}: {built['left_out']}")
            return None
        if built["note"]:
            self.notes[member.name] = built["note"]
        first = self._ask(member, "train")
        if first is None:
            return None
        row: dict[str, Any] = {"first_s": built["seconds"] + first["call_seconds"]}
        row["has_optimizer"] = built["has_optimizer"]
        row["first_loss"] = first["loss"]
        return row | {"seconds": [], "call_seconds": [], "losses": []}

    def _leave_out(self, member: Member, why: str) -> None:
        reasons = self.left_out.setdefault(member.name, [])
        if why not in reasons:
            reasons.append(why)

    def _ask(self, member: Member, do: str, **more: Any) -> dict[str, Any] | None:
        """Ask a member; remove it if its process has failed."""
        try:
            answer = member.ask(do, **more)
        except DiedError as error:
            self._leave_out(member, f"{self._at}: {error}")
            self.say(f"\n{member.name} died: {error}\n")
            member.end()
            self.members.remove(member)
            return None
        self.say(".")
        return answer
