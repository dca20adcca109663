"""py.execnet."""

import sys
import time

import execnet

import common

SPEC = "popen//python=" + sys.executable
_kept = {}

UP = """
from_worker = eval(channel.receive())
while True:
    for _ in range(channel.receive()): channel.send(from_worker)
"""
DOWN = """
while True:
    n = channel.receive()
    for _ in range(n): channel.receive()
    channel.send(n)
"""


def gateway():
    if "gateway" not in _kept:
        _kept["gateway"] = execnet.makegateway(SPEC)
    return _kept["gateway"]


def channel_for(source, *first):
    if (source, first) not in _kept:
        _kept[source, first] = channel = gateway().remote_exec(source)
        for item in first:
            channel.send(item)
    return _kept[source, first]


def start_many(n):
    group = execnet.Group()

    def run():
        channels = [group.makegateway(SPEC).remote_exec("channel.send(1)") for _ in range(n)]
        for channel in channels:
            channel.receive()
    took = common.timed(run)
    group.terminate(5)
    return took


def start_later(n):
    return sum(start_many(1) for _ in range(n))


def round_trip(n):
    channel = channel_for("while True: channel.send(channel.receive())")

    def run():
        for _ in range(n):
            channel.send(42)
            channel.receive()
    return common.timed(run)


def up(text):
    def work(n):
        channel = channel_for(UP, text)

        def run():
            channel.send(n)
            for _ in range(n):
                channel.receive()
        return common.timed(run)
    return work


def down(item):
    def work(n):
        channel = channel_for(DOWN)
        value = item() if callable(item) else item

        def run():
            channel.send(n)
            for _ in range(n):
                channel.send(value)
            channel.receive()
        return common.timed(run)
    return work


def remote_exec(n):
    gw = gateway()
    return common.timed(lambda: [gw.remote_exec("channel.send(1)").receive() for _ in range(n)])


def pid():
    return gateway().remote_exec("import os; channel.send(os.getpid())").receive()


def memory(n):
    round_trip(1000)
    return {"worker": common.resident(pid()), "controller": common.resident()}


def slow_reader(n):
    pids = {"worker": pid(), "controller": "self"}
    idle = {name: common.resident(pid) for name, pid in pids.items()}
    channel = gateway().remote_exec("item = b'x' * (1 << 20)\nfor _ in range(%d): channel.send(item)" % n)
    peaks = common.watch_peak(pids, 5)
    for _ in range(n):
        channel.receive()
    return {name: peaks[name] - idle[name] for name in pids}


INTS = "list(range(%d))" % common.INTS
DICTS = "[{'id': i, 'name': 'item %%d' %% i, 'ok': True} for i in range(%d)]" % common.DICTS
common.serve({
    "start_first": start_many, "start_later": start_later, "start_many": start_many,
    "round_trip": round_trip, "dicts_up": up(repr(common.DICT)), "dicts_down": down(common.DICT),
    "mib_up": up("b'x' * (1 << 20)"), "mib_down": down(common.MIB), "ints_up": up(INTS),
    "ints_down": down(common.ints), "big_dicts_up": up(DICTS), "big_dicts_down": down(common.dicts),
    "remote_exec": remote_exec, "memory": memory, "slow_reader": slow_reader,
})
