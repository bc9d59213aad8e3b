"""The error of a formula that cannot be traced."""


class UntraceableError(TypeError):
    """A formula uses an operation that cannot be traced.

    The message names the operation and says what to write instead. The formula still works on
    arrays.
    """


class UntraceableAttributeError(UntraceableError, AttributeError):
    """A formula uses an attribute or a function that symbols do not have."""
