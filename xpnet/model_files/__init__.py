"""Networks as files: describing the parts, comparing them, writing."""
