"""The command line of the studies."""

import argparse
import sys
import time
from importlib import import_module

from .study import say, write

STUDIES = ("mnist-ladder", "mnist-optimizers", "worksheet", "digits-lab", "imdb", "search")


def main() -> None:
    """Do the studies that are asked for, print their tables and write them."""
    parser = argparse.ArgumentParser(prog="python -m bench.studies")
    parser.add_argument("name", choices=[*STUDIES, "all"])
    parser.add_argument("--data", metavar="FOLDER", help="with mnist/ and imdb/ in it")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="few data and epochs, one seed")
    parser.add_argument("--out", metavar="FOLDER", help="default: bench/results/studies")
    options = parser.parse_args()
    if options.quick:
        options.seeds = 1
    for name in STUDIES if options.name == "all" else [options.name]:
        say(f"{name} ...")
        started = time.perf_counter()
        study = import_module(f".{name.replace('-', '_')}", __package__).run(options)
        print(write(name, study, options, started))


if __name__ == "__main__":
    sys.exit(main())
