"""Worker threads of the engine, which sleep while there is no work."""

import ctypes
import os
import threading
from queue import SimpleQueue
from typing import Any

from .blas_threads import one_blas_thread
from .loop import run_steps

Job = tuple[Any, ...]
"""The arguments of ``run_steps``; the third is the address of a flag that stops all threads."""


class Team:
    """Threads that run the compiled loop.

    Parameters
    ----------
    n : int
        The number of threads, not counting the calling thread.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._members: list[tuple[threading.Thread, SimpleQueue[Any]]] = []
        self._failed: list[BaseException] = []
        self._process = os.getpid()

    def start(self, jobs: list[Job]) -> None:
        """Give each thread its job; start threads that do not exist yet."""
        if self._process != os.getpid():  # threads do not survive a fork
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
        """Wait until all threads are done, even if Ctrl-C is pressed.

        Each thread gets an event to set, queued after its job. Ctrl-C may interrupt the wait at any
        point; the wait is then repeated with new events.
        """
        interrupted: BaseException | None = None
        while True:
            try:
                events = [threading.Event() for _ in self._members]
                for (_, tasks), event in zip(self._members, events, strict=True):
                    tasks.put(event)
                for event in events:
                    event.wait()
                break
            except KeyboardInterrupt as error:
                interrupted = error
        if interrupted is not None or self._failed:
            raise interrupted or self._failed[0]

    def close(self) -> None:
        """Stop the threads."""
        members, self._members, self._n = self._members, [], 0
        if self._process != os.getpid():
            return
        for _, tasks in members:
            tasks.put(None)
        for thread, _ in members:
            if thread is not threading.current_thread():  # garbage collection may run in a member
                thread.join()


def _member(tasks: "SimpleQueue[Any]", failed: list[BaseException]) -> None:
    """Run jobs and set events until the task is None."""
    while (task := tasks.get()) is not None:
        if isinstance(task, threading.Event):
            task.set()
            continue
        try:
            with one_blas_thread():  # for libraries that have a limit per thread
                run_steps(*task)
        except BaseException as error:
            ctypes.c_int64.from_address(task[2]).value = 1  # stops threads waiting for this one
            failed.append(error)
        del task  # do not keep its arrays alive while the thread sleeps
