"""The text of what runs here, for tracebacks.

Importing linecache costs as much as starting the worker. So it is filled when somebody imports it.
"""

import sys

_MOST = 128
_texts = {}


def remember(filename, text):
    """Lets tracebacks show the lines of `text`, the last of several under one name."""
    _texts.pop(filename, None)
    _texts[filename] = text
    linecache = sys.modules.get("linecache")
    for old in list(_texts)[:-_MOST]:
        _texts.pop(old, None)
        if linecache:
            linecache.cache.pop(old, None)
    if linecache:
        _fill(linecache, filename, text)


def _fill(linecache, filename, text):
    linecache.cache[filename] = len(text), None, text.splitlines(True), filename


def _fill_all(linecache):
    for filename, text in list(_texts.items()):
        _fill(linecache, filename, text)
    for name, text in getattr(__loader__, "texts", {}).items():
        _fill(linecache, "<%s>" % name, text)


class _Filler:
    """Among the finders of modules: fills linecache once it is loaded."""

    def find_spec(self, name, path=None, target=None):
        if name != "linecache":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, None)
            if spec:
                break
        load = spec.loader.exec_module

        def load_and_fill(module):
            load(module)
            _fill_all(module)

        spec.loader.exec_module = load_and_fill
        return spec


if "linecache" in sys.modules:
    _fill_all(sys.modules["linecache"])
else:
    sys.meta_path.insert(0, _Filler())
