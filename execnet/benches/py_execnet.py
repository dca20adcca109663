"""py.execnet at the work of popen.rs: reads `WORK ROUNDS` lines, answers with seconds."""

import sys
import time

import execnet

DICT = {"id": 1, "name": "x", "ok": True}
MIB = b"x" * (1 << 20)

RECEIVE = """
item = channel.receive()
while True:
    for _ in range(channel.receive()): channel.send(item)
"""
SEND = """
while True:
    n = channel.receive()
    for _ in range(n): channel.receive()
    channel.send(n)
"""


def start(rounds):
    took = 0
    for _ in range(rounds):
        group = execnet.Group()
        begin = time.perf_counter()
        channel = group.makegateway("popen").remote_exec("channel.send(1)")
        assert channel.receive() == 1
        took += time.perf_counter() - begin
        group.terminate(5)
    return took


def channel_for(source, _kept={}):
    if source not in _kept:
        _kept[source] = execnet.makegateway("popen").remote_exec(source)
    return _kept[source]


def roundtrip(rounds):
    channel = channel_for("while True: channel.send(channel.receive())")
    begin = time.perf_counter()
    for _ in range(rounds):
        channel.send(42)
        assert channel.receive() == 42
    return time.perf_counter() - begin


def remote_exec():
    gateway = execnet.makegateway("popen")

    def work(rounds):
        begin = time.perf_counter()
        for _ in range(rounds):
            assert gateway.remote_exec("channel.send(1)").receive() == 1
        return time.perf_counter() - begin

    return work


def receive(item):
    channel = execnet.makegateway("popen").remote_exec(RECEIVE)
    channel.send(item)

    def work(rounds):
        begin = time.perf_counter()
        channel.send(rounds)
        for _ in range(rounds):
            channel.receive()
        return time.perf_counter() - begin

    return work


def send(item):
    channel = execnet.makegateway("popen").remote_exec(SEND)

    def work(rounds):
        begin = time.perf_counter()
        channel.send(rounds)
        for _ in range(rounds):
            channel.send(item)
        assert channel.receive() == rounds
        return time.perf_counter() - begin

    return work


MAKERS = {
    "start": lambda: start,
    "roundtrip": lambda: roundtrip,
    "remote-exec": remote_exec,
    "receive-small-dicts": lambda: receive(DICT),
    "send-small-dicts": lambda: send(DICT),
    "receive-1-MiB": lambda: receive(MIB),
    "send-1-MiB": lambda: send(MIB),
}


def main():
    workers = {}
    print("ready", flush=True)
    for line in sys.stdin:
        work, rounds = line.split()
        if work == "exit":
            break
        if work not in workers:
            workers[work] = MAKERS[work]()
        print(workers[work](int(rounds)), flush=True)
    execnet.default_group.terminate(1)


main()
