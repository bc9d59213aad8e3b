"""Threads for the engine that sleep until there is something to do."""

import ctypes
import os
import threading
from queue import SimpleQueue
from typing import Any

from ._numba_loop import run_steps

Job = tuple[Any, ...]
"""The arguments of ``run_steps``; the third is the address of what ends the waiting of all."""


class Team:
    """Threads that run the compiled loop.

    Parameters
    ----------
    n : int
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._members: list[tuple[threading.Thread, SimpleQueue[Any]]] = []
        self._failed: list[BaseException] = []
        self._process = os.getpid()

    def start(self, jobs: list[Job]) -> None:
        """Give each thread its job; they are made when they are first needed."""
        if self._process != os.getpid():  # this is a fork, which has no other threads
            self._members, self._process = [], os.getpid()
        self._failed.clear()
        while len(self._members) < self._n:
            tasks: SimpleQueue[Any] = SimpleQueue()
            arguments = tasks, self._failed
            thread = threading.Thread(target=_member, args=arguments, name="xpnet", daemon=True)
            thread.start()
            self._members.append((thread, tasks))
        for (_, tasks), job in zip(self._members, jobs, strict=True):
            tasks.put(job)

    def wait(self) -> None:
        """Return when all are done, an interrupt from the keyboard notwithstanding.

        Each is given a bell to ring, behind whatever it was given before. An interrupt may come
        anywhere, so nothing is counted: after one there are new bells.
        """
        interrupted: BaseException | None = None
        while True:
            try:
                bells = [threading.Event() for _ in self._members]
                for (_, tasks), bell in zip(self._members, bells, strict=True):
                    tasks.put(bell)
                for bell in bells:
                    bell.wait()
                break
            except KeyboardInterrupt as error:
                interrupted = error
        if interrupted is not None or self._failed:
            raise interrupted or self._failed[0]

    def close(self) -> None:
        """End the threads."""
        members, self._members, self._n = self._members, [], 0
        if self._process != os.getpid():
            return
        for _, tasks in members:
            tasks.put(None)
        for thread, _ in members:
            if thread is not threading.current_thread():  # the last reference may end in a member
                thread.join()


def _member(tasks: "SimpleQueue[Any]", failed: list[BaseException]) -> None:
    """Do jobs and ring bells until there is a None."""
    while (task := tasks.get()) is not None:
        if isinstance(task, threading.Event):
            task.set()
            continue
        try:
            run_steps(*task)
        except BaseException as error:
            ctypes.c_int64.from_address(task[2]).value = 1  # ends the others' waiting
            failed.append(error)
        del task  # its arrays are not kept while the thread sleeps
