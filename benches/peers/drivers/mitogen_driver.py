"""mitogen."""

import sys

import mitogen.core
import mitogen.master
import mitogen.utils

import common
import mitogen_tasks

mitogen.utils.log_to_file(level="ERROR")
broker = mitogen.master.Broker()
router = mitogen.master.Router(broker)
_kept = {}


def start_many(n):
    contexts = []

    def run():
        contexts.extend(router.local(python_path=[sys.executable]) for _ in range(n))
        for receiver in [context.call_async(mitogen_tasks.first) for context in contexts]:
            receiver.get().unpickle()
    took = common.timed(run)
    for context in contexts:
        context.shutdown(wait=True)
    return took


def context():
    if "context" not in _kept:
        _kept["context"] = router.local(python_path=[sys.executable])
        _kept["context"].call(mitogen_tasks.first)
    return _kept["context"]


def round_trip(n):
    there = context()
    return common.timed(lambda: [there.call(mitogen_tasks.echo, 42) for _ in range(n)])


def up(text):
    def work(n):
        receiver = mitogen.core.Receiver(router)

        def run(n):
            done = context().call_async(mitogen_tasks.up, receiver.to_sender(), text, n)
            for _ in range(n):
                receiver.get().unpickle()
            done.get().unpickle()
        run(1)
        return common.timed(run, n)
    return work


def down(item):
    def work(n):
        value = item() if callable(item) else item
        receiver = mitogen.core.Receiver(router)

        def run():
            done = context().call_async(mitogen_tasks.sink, receiver.to_sender(), n)
            sender = receiver.get().unpickle()
            for _ in range(n):
                sender.send(value)
            receiver.get().unpickle()
            done.get().unpickle()
        return common.timed(run)
    return work


def memory(n):
    round_trip(1000)
    return {"worker": common.resident(context().call(mitogen_tasks.pid)), "controller": common.resident()}


def slow_reader(n):
    pids = {"worker": context().call(mitogen_tasks.pid), "controller": "self"}
    idle = {name: common.resident(pid) for name, pid in pids.items()}
    receiver = mitogen.core.Receiver(router)
    done = context().call_async(mitogen_tasks.up, receiver.to_sender(), "MIB", n)
    peaks = common.watch_peak(pids, 5)
    for _ in range(n):
        receiver.get().unpickle()
    done.get().unpickle()
    return {name: peaks[name] - idle[name] for name in pids}


if __name__ == "__main__":
    INTS = "list(range(%d))" % common.INTS
    DICTS = "[{'id': i, 'name': 'item %%d' %% i, 'ok': True} for i in range(%d)]" % common.DICTS
    try:
        common.serve({
            "start_first": start_many, "start_later": lambda n: sum(start_many(1) for _ in range(n)),
            "start_many": start_many, "round_trip": round_trip, "remote_exec": round_trip,
            "dicts_up": up(repr(common.DICT)), "dicts_down": down(common.DICT), "mib_up": up("MIB"),
            "mib_down": down(mitogen.core.Blob(common.MIB)), "ints_up": up(INTS),
            "ints_down": down(common.ints), "big_dicts_up": up(DICTS), "big_dicts_down": down(common.dicts),
            "memory": memory, "slow_reader": slow_reader,
        })
    finally:
        broker.shutdown()
        broker.join()
