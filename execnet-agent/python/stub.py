import sys
if sys.version_info < (3, 6):
    sys.exit("execnet needs Python 3.6 or newer; %s is %s" % (sys.executable, sys.version))
from _frozen_importlib import ModuleSpec
from marshal import dumps, loads


class Sources:
    """Finds and loads the worker's modules, whose text follows this stub on the link.

    Before the text may come what the very same interpreter made of it at another time.
    """

    def __init__(self, compiled, block):
        self.mark = b"%s %s %d\n" % (sys.implementation.name.encode(), sys.version.encode(),
                                     sys.flags.optimize)
        self.from_source = not compiled.startswith(self.mark)
        self.codes = {} if self.from_source else loads(compiled[len(self.mark):])
        self.block = block
        self.places = {}
        at = 0
        while at < len(block):
            parts = []
            for width in 2, 4:
                size = int.from_bytes(block[at:at + width], "big")
                at += width + size
                parts.append(slice(at - size, at))
            self.places[block[parts[0]].decode()] = parts[1]

    def find_spec(self, name, path=None, target=None):
        if name in self.places:
            return ModuleSpec(name, self, is_package=name == "execnet_worker")

    def create_module(self, spec):
        pass

    def exec_module(self, module):
        name = module.__name__
        module.__file__ = "<%s>" % name
        if name not in self.codes:
            self.codes[name] = compile(self.get_source(name), module.__file__, "exec", 0, True)
        exec(self.codes[name], module.__dict__)

    def get_source(self, name):
        return self.block[self.places[name]].decode()

    def compiled(self):
        return self.mark + dumps(self.codes)


def part():
    return f.read(int.from_bytes(f.read(4), "big"))


def inflated(block):
    # As it is, it begins with a small length.
    if not block[0]:
        return block
    try:
        from zlib import decompress
    except ImportError:
        sys.exit("execnet needs zlib to start from so far away; %s has none" % sys.executable)
    return decompress(block)


sys.meta_path.insert(0, Sources(part(), inflated(part())))
import execnet_worker.main
execnet_worker.main.run(f)
