"""``python -m xpnet``: train a network, predict with one, or tell what this machine offers."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
