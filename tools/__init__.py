"""Tools for xpnet's developers; they are not shipped."""
