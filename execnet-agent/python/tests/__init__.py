"""Run with `python -m unittest discover -s python/tests -t python` in the crate's directory."""
