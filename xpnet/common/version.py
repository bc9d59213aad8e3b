"""The version of this package, which files and pickles name."""

VERSION = "0.1.0"
