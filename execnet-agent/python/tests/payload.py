"""The worker as the crate carries it: the line for `python -c`, and what follows on the link."""

import os

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8", newline="") as file:
        return file.read().encode()


def _block():
    block = b""
    for name in sorted(os.listdir(os.path.join(ROOT, "execnet_worker"))):
        stem, extension = os.path.splitext(name)
        if extension == ".py":
            module = "execnet_worker" + ("" if stem == "__init__" else "." + stem)
            for width, part in (2, module.encode()), (4, _read("execnet_worker", name)):
                block += len(part).to_bytes(width, "big") + part
    return len(block).to_bytes(4, "big") + block


STUB = _read("stub.py")
LINE = "import os,io;f=io.BufferedReader(io.FileIO(os.dup(0)));exec(f.read(%d))" % len(STUB)
_BLOCK = _block()


def source_with(compiled):
    """What follows, with what an interpreter has compiled of it before."""
    return STUB + len(compiled).to_bytes(4, "big") + compiled + _BLOCK


SOURCE = source_with(b"")
