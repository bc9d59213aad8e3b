"""Report registers, spills and shared memory of the CUDA kernels, as the compiler states them.

    python -m bench.kernels --save kernels-cuda

It covers float32 and float64 on seven GPU architectures. It needs no GPU, only NVRTC
(``pip install nvidia-cuda-nvrtc``).
"""

import argparse
import sys

from xpnet.backends.cuda.kernels import source

from . import machine, nvrtc, output, written


def main() -> int:
    """Compile, print the table and save it; return 1 if there is no compiler."""
    parser = argparse.ArgumentParser(prog="python -m bench.kernels", description=__doc__)
    parser.add_argument(
        "--save",
        type=output.file_name,
        metavar="NAME",
        help="write bench/results/NAME.json and .md",
    )
    options = parser.parse_args()
    if nvrtc.find_library() is None:
        print("NVRTC is not installed: pip install nvidia-cuda-nvrtc", file=sys.stderr)
        return 1
    rows = nvrtc.resources(source())
    for real, dtype in zip(nvrtc.REALS, ("float32", "float64"), strict=True):
        for kind in written.KINDS:
            rows += nvrtc.resources(written.text_of(written.kernels(kind, dtype)), [real])
    about = machine.describe(("xpnet", "nvidia-cuda-nvrtc"))
    command = output.command("kernels")
    text = "\n".join(
        [
            "Registers per thread (a multiprocessor has 65,536), and spilled bytes.",
            "",
            nvrtc.as_markdown(rows),
            f"{machine.sentence(about)}",
            f"Repeat it with `{command}`.",
        ]
    )
    print(text)
    if options.save:
        result = {"command": command, "machine": about, "rows": [row._asdict() for row in rows]}
        output.save(options.save, result, text)
        output.say_where(options.save)
    return 0


if __name__ == "__main__":
    sys.exit(main())
