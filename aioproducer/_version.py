"""The version of this package, written down once; pyproject.toml reads it from here."""

__version__ = "0.1.0"
