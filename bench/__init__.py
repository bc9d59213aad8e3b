"""How fast xpnet is, measured; run from a checkout: ``python -m bench.epoch_time --help``."""
