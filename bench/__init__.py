"""Benchmarks of xpnet, to run from a checkout: ``python -m bench.epoch_time --help``."""
