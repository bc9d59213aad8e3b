"""Types of command-line arguments for the benchmarks."""


def words(text: str) -> list[str]:
    """Split ``a,b,c`` into a list of words."""
    return text.split(",")


def numbers(text: str) -> list[int]:
    """Split ``1,2,3`` into a list of integers."""
    return [int(part) for part in text.split(",")]
