"""The command line of the studies."""

import argparse
import sys
import time
from importlib import import_module

from .. import output
from .study import say, write

RESULTS = output.RESULTS / "studies"

STUDIES = ("mnist-ladder", "mnist-optimizers", "worksheet", "digits-lab", "imdb", "search")


def main() -> None:
    """Run the requested studies; print and save their tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.studies")
    parser.add_argument("name", choices=[*STUDIES, "all"])
    parser.add_argument("--data", metavar="FOLDER", help="a folder with mnist/ and imdb/")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="fewer data and epochs, one seed")
    output.add_folder(parser, RESULTS)
    options = parser.parse_args()
    if options.quick:
        options.seeds = 1
        if options.out and options.out.resolve() == RESULTS.resolve():
            parser.error(
                f"--quick cannot write to {RESULTS}: omit --quick or choose another folder"
            )
    options.out = output.folder_of(options)
    for name in STUDIES if options.name == "all" else [options.name]:
        say(f"{name} ...")
        started = time.perf_counter()
        study = import_module(f".{name.replace('-', '_')}", __package__).run(options)
        print(write(name, study, options, started))


if __name__ == "__main__":
    sys.exit(main())
