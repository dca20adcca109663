"""What no library can beat: bare processes, a bare pipe, marshal alone."""

import marshal
import os
import socket
import subprocess
import sys
import time

import common

ECHO = """
import os
while True:
    data = os.read(0, 65536)
    if not data: break
    os.write(1, data)
"""
_kept = {}


def start(n):
    return common.timed(lambda: [subprocess.run([sys.executable, "-c", "pass"]) for _ in range(n)])


def start_many(n):
    def run():
        for process in [subprocess.Popen([sys.executable, "-c", "pass"]) for _ in range(n)]:
            process.wait()
    return common.timed(run)


def round_trip(n):
    if "echo" not in _kept:
        near, far = socket.socketpair()
        _kept["echo"] = near, subprocess.Popen([sys.executable, "-c", ECHO], stdin=far, stdout=far)
        far.close()
        near.send(b"x")
        near.recv(1)
    near = _kept["echo"][0].fileno()

    def run():
        for _ in range(n):
            os.write(near, b"12345678\0\0\0\0*")
            os.read(near, 100)
    return common.timed(run)


def mib(n):
    """Bytes through a socketpair, in pieces of 256 KiB."""
    source = "import os\nfor _ in range(%d): os.write(1, b'x' * 262144)" % (4 * n)
    near, far = socket.socketpair()
    process = subprocess.Popen([sys.executable, "-c", source], stdout=far)
    far.close()
    near.recv_into(bytearray(1))
    room, left = bytearray(1 << 20), (n << 20) - 1

    begin = time.perf_counter()
    while left > 0:
        left -= near.recv_into(room)
    took = time.perf_counter() - begin
    process.wait()
    return took


def marshalled(make):
    def work(n):
        value = _kept.setdefault(make, make())
        return common.timed(lambda: [marshal.loads(marshal.dumps(value, 2)) for _ in range(n)])
    return work


common.serve({
    "start_first": start, "start_later": start, "start_many": start_many, "round_trip": round_trip,
    "mib_up": mib, "mib_down": mib, "ints_up": marshalled(common.ints), "ints_down": marshalled(common.ints),
    "big_dicts_up": marshalled(common.dicts), "big_dicts_down": marshalled(common.dicts),
})
