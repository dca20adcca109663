import sys
if sys.version_info < (3, 6):
    sys.exit("execnet needs Python 3.6 or newer; %s is %s" % (sys.executable, sys.version))
from _frozen_importlib import ModuleSpec


class Sources:
    """Finds and loads the worker's modules, whose text follows this stub on the link."""

    def __init__(self, block):
        self.texts = {}
        at = 0
        while at < len(block):
            parts = []
            for width in 2, 4:
                size = int.from_bytes(block[at:at + width], "big")
                at += width + size
                parts.append(block[at - size:at].decode())
            self.texts[parts[0]] = parts[1]

    def find_spec(self, name, path=None, target=None):
        if name in self.texts:
            return ModuleSpec(name, self, is_package=name == "execnet_worker")

    def create_module(self, spec):
        pass

    def exec_module(self, module):
        name = module.__name__
        module.__file__ = "<%s>" % name
        exec(compile(self.texts[name], module.__file__, "exec", 0, True), module.__dict__)

    def get_source(self, name):
        return self.texts[name]


sys.meta_path.insert(0, Sources(f.read(int.from_bytes(f.read(4), "big"))))
import execnet_worker.main
execnet_worker.main.run(f)
