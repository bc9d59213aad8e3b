"""The first checks and timings to run on a GPU; each saves its result as soon as it is done."""
