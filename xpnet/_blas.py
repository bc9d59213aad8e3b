"""How OpenBLAS's threads wait; imported before NumPy, which brings OpenBLAS.

Between two products OpenBLAS's threads look for the next one without a pause, for 2**26 cycles,
which is longer than a training step, and that slows down what the step does meanwhile: epochs took
up to 1.7 times as long, in some processes and not in others. After 2**20 cycles, less than a
millisecond, they sleep here, and epochs took the shorter time in all.

It is an environment variable, and OpenBLAS reads it once. Where NumPy was imported before xpnet it
has no effect, and one that is set already is left alone.
"""

import os
import sys

if "numpy" not in sys.modules:
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")
