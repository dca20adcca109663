"""The text of what runs here, for tracebacks.

Importing linecache costs as much as starting the worker. So it is filled when somebody imports it.
"""

import sys

_MOST = 128
_texts = {}
_linecache = None  # once it is loaded: while a thread imports it, it is in sys.modules already


def remember(filename, text):
    """Lets tracebacks show the lines of `text`, the last of several under one name."""
    _texts.pop(filename, None)
    _texts[filename] = text
    for old in list(_texts)[:-_MOST]:
        _texts.pop(old, None)
        if _linecache:
            _linecache.cache.pop(old, None)
    if _linecache:
        _fill(filename, text)


def _fill(filename, text):
    _linecache.cache[filename] = len(text), None, text.splitlines(True), filename


def _fill_all(linecache):
    global _linecache
    _linecache = linecache
    for filename, text in list(_texts.items()):
        _fill(filename, text)
    for name in getattr(__loader__, "places", ()):
        _fill("<%s>" % name, __loader__.get_source(name))


class _Filler:
    """Among the finders of modules: fills linecache once it is loaded.

    It stays there: a thread that goes through the finders would miss one if another were removed.
    """

    def find_spec(self, name, path=None, target=None):
        if name != "linecache":
            return None
        for finder in list(sys.meta_path):
            spec = None if finder is self else finder.find_spec(name, None)
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
