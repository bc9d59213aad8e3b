"""The error of a formula that cannot be traced."""


class UntraceableError(TypeError):
    """A formula uses what symbols cannot follow; the message names it, and what to write instead.

    Such a formula still works on arrays.
    """


class UntraceableAttributeError(UntraceableError, AttributeError):
    """The same, for an attribute or a function that symbols do not have."""
