"""Tools for those who work on xpnet; they are not shipped."""
