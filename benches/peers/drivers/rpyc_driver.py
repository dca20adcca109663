"""rpyc, classic mode: what it passes by value, the rest would be another kind of work."""

import os
import sys

import rpyc

import common

_kept = {}
SERVER = os.path.join(os.path.dirname(sys.executable), "rpyc_classic")


def connect():
    command = [sys.executable, "-u", SERVER, "-q", "-m", "stdio"]
    return rpyc.utils.factory.connect_subproc(command, rpyc.ClassicService)


def start_many(n):
    connections = []

    def run():
        connections.extend(connect() for _ in range(n))
        for connection in connections:
            assert connection.eval("1") == 1
    took = common.timed(run)
    for connection in connections:
        connection.close()
    return took


def connection():
    if "connection" not in _kept:
        _kept["connection"] = there = connect()
        there.execute("def echo(x): return x\nmib = lambda: b'x' * (1 << 20)\ntake = len")
    return _kept["connection"]


def function(name):
    if name not in _kept:
        _kept[name] = connection().namespace[name]
    return _kept[name]


def round_trip(n):
    echo = function("echo")
    return common.timed(lambda: [echo(42) for _ in range(n)])


def mib_up(n):
    mib = function("mib")
    return common.timed(lambda: [mib() for _ in range(n)])


def mib_down(n):
    take = function("take")
    return common.timed(lambda: [take(common.MIB) for _ in range(n)])


def obtained(text):
    def work(n):
        there = connection()
        if text not in _kept:
            there.execute("value = %s" % text)
            _kept[text] = there.namespace["value"]
        value = _kept[text]
        return common.timed(lambda: [rpyc.classic.obtain(value) for _ in range(n)])
    return work


def delivered(make):
    def work(n):
        value = make()
        return common.timed(lambda: [rpyc.classic.deliver(connection(), value) for _ in range(n)])
    return work


def remote_exec(n):
    there = connection()
    return common.timed(lambda: [there.eval("1") for _ in range(n)])


def memory(n):
    round_trip(1000)
    return {"worker": common.resident(connection().modules.os.getpid()), "controller": common.resident()}


common.serve({
    "start_first": start_many, "start_later": lambda n: sum(start_many(1) for _ in range(n)),
    "start_many": start_many, "round_trip": round_trip, "remote_exec": remote_exec, "mib_up": mib_up,
    "mib_down": mib_down, "ints_up": obtained("list(range(%d))" % common.INTS),
    "ints_down": delivered(common.ints), "memory": memory,
    "big_dicts_up": obtained("[{'id': i, 'name': 'item %%d' %% i, 'ok': True} for i in range(%d)]" % common.DICTS),
    "big_dicts_down": delivered(common.dicts),
})
