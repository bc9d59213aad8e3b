"""The dtypes of features that kernels read directly; other features are converted."""

FEATURE_TYPES = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32",
    "float64",
)  # fmt: skip
