"""The far end of an execnet gateway in Python, standard library only."""

__version__ = "0.1.0"
