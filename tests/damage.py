"""Ways to damage a file's content, for Hypothesis."""

from hypothesis import strategies as st


def changes(content, longest=12, most_replaced=12):
    """Return a strategy that removes bytes, flips one bit, or inserts bytes.

    Parameters
    ----------
    content : bytes
    longest : int, default 12
        The most bytes that are put in.
    most_replaced : int, default 12
        How many bytes those may take the place of.
    """
    places = st.integers(0, len(content))
    cut = st.tuples(places, places).map(sorted).map(lambda p: content[: p[0]] + content[p[1] :])
    new = st.binary(min_size=1, max_size=longest)
    put = st.tuples(places, new, st.integers(0, most_replaced)).map(
        lambda p: content[: p[0]] + p[1] + content[p[0] + p[2] :]
    )
    flip = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 7)).map(
        lambda p: content[: p[0]] + bytes([content[p[0]] ^ 1 << p[1]]) + content[p[0] + 1 :]
    )
    return st.one_of(cut, put, flip)
