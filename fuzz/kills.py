"""Kill training processes at random moments, resume them, and compare results bit for bit.

``python -m fuzz.kills --n 100`` runs 100 trainings. Each is killed up to three times, by SIGKILL,
SIGTERM or SIGINT, then resumed to its end. The moment is drawn from the whole time, or is just
after an epoch is saved. The result must be the same as without interruption. All callbacks of the
library take part. After a failure, the training's folder is kept, its seed is printed (repeat it
with ``--seed``), and the exit status is 1.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from subprocess import Popen

import numpy as np

from tests.resuming import EPOCHS, KINDS, differences, start

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def finish(kind: str, folder: Path) -> tuple[float, str]:
    """Train to the end; return the seconds after the imports, and the error output."""
    process = start(kind, folder)
    began = time.monotonic()
    errors = process.communicate(timeout=600)[1]
    return time.monotonic() - began, errors if process.returncode else ""


def _wait_for_checkpoint(folder: Path, at_least: int, process: "Popen[str]") -> None:
    """Wait until an epoch is saved, or the process has ended.

    Most of the time is before the first epoch and after the last one, so a random moment is rarely
    within an epoch or while a checkpoint is written.
    """
    while process.poll() is None:
        newest = max((path.stem for path in folder.glob("run/checkpoint-*")), default="")
        if newest >= f"checkpoint-{at_least:06}":
            return
        time.sleep(0.0005)


def one(seed: int, whole: dict[str, tuple[Path, float]], folder: Path) -> tuple[str, Counter[str]]:
    """Kill and resume one training; return its failure (or ""), and counts of what was done."""
    rng = np.random.default_rng(seed)
    kind = str(rng.choice(list(KINDS)))
    expected, seconds = whole[kind]
    done: Counter[str] = Counter([kind])
    for _ in range(rng.integers(1, 4)):
        number = SIGNALS[rng.integers(len(SIGNALS))]
        process = start(kind, folder)
        if rng.integers(2):
            time.sleep(rng.uniform(0, 1.1 * seconds))
        else:
            _wait_for_checkpoint(folder, int(rng.integers(EPOCHS)), process)
            time.sleep(rng.uniform(0, 0.02))
        process.send_signal(number)
        errors = process.communicate(timeout=600)[1]
        status = process.returncode
        ended_by_it = status in (-number, 128 + number) or "KeyboardInterrupt" in errors
        newest = max((path.stem for path in folder.glob("run/checkpoint-*")), default="none")
        done[number.name if status else "ended before"] += 1
        done[f"newest {newest}"] += 1
        if status and not ended_by_it:
            return f"{number.name}: status {status}\n{errors}", done
    _, errors = finish(kind, folder)
    if errors:
        return f"could not be resumed:\n{errors}", done
    with np.load(folder / "result.npz") as found, np.load(expected) as wanted:
        different = differences(dict(found), dict(wanted))
    return ", ".join(different) and f"{kind}: different results: {different}", done


def main() -> int:
    """Run the trainings; return 1 if any result is wrong."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.kills", description=__doc__)
    parser.add_argument("--n", type=int, default=100, help="the number of trainings")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first training")
    options = parser.parse_args()
    failed, done = 0, Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        whole = {}
        for kind in KINDS:
            folder = Path(name) / kind
            folder.mkdir()
            seconds, errors = finish(kind, folder)
            if errors:
                raise RuntimeError(errors)
            whole[kind] = folder / "result.npz", seconds
        for seed in range(options.seed, options.seed + options.n):
            folder = Path(tempfile.mkdtemp(prefix=f"kills-{seed}-"))
            wrong, what = one(seed, whole, folder)
            done += what
            if wrong:
                failed += 1
                print(f"seed {seed}, in {folder}: {wrong}", flush=True)
            else:
                shutil.rmtree(folder)
    for what, times in sorted(done.items()):
        print(f"{times:5} {what}")
    print(f"{options.n} trainings, {failed} wrong")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
