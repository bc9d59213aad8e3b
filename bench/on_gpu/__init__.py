"""The first checks and timings to run on a GPU, in minutes; each writes its results at once."""
