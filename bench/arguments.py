"""How the command lines of the measurements are read."""


def words(text: str) -> list[str]:
    """Read ``a,b,c``."""
    return text.split(",")


def numbers(text: str) -> list[int]:
    """Read ``1,2,3``."""
    return [int(part) for part in text.split(",")]
