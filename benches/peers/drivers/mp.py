"""multiprocessing, with the start method spawn: a fresh interpreter, as everybody else starts."""

import multiprocessing

import common
import mp_tasks

_kept = {}


def start_many(n):
    context = multiprocessing.get_context("spawn")

    def start():
        near, far = context.Pipe()
        process = context.Process(target=mp_tasks.first, args=(far,))
        process.start()
        far.close()
        return near, process

    processes = []

    def run():
        processes.extend(start() for _ in range(n))
        for near, _ in processes:
            near.recv()
    took = common.timed(run)
    for _, process in processes:
        process.join()
    return took


def connection():
    if "near" not in _kept:
        context = multiprocessing.get_context("spawn")
        _kept["near"], far = context.Pipe()
        process = context.Process(target=mp_tasks.worker, args=(far,), daemon=True)
        process.start()
        far.close()
    return _kept["near"]


def job(name, item=None, receive=True):
    def work(n):
        near = connection()
        argument = item if name == "up" else None
        near.send((name, argument, 0))  # it is up, and has made its value
        if name.startswith("down"):
            near.recv()
        if name == "up":
            near.send(("up", item, 1))
            near.recv()
        value = item() if callable(item) else item

        def run():
            near.send((name, argument, n))
            if name == "echo":
                for _ in range(n):
                    near.send(42)
                    near.recv()
            elif name == "up":
                for _ in range(n):
                    near.recv()
            elif name == "up_bytes":
                for _ in range(n):
                    near.recv_bytes()
            else:
                send = near.send_bytes if name == "down_bytes" else near.send
                for _ in range(n):
                    send(value)
                near.recv()
        return common.timed(run)
    return work


def memory(n):
    near = connection()
    near.send(("pid", None, 0))
    return {"worker": common.resident(near.recv()), "controller": common.resident()}


def slow_reader(n):
    near = connection()
    near.send(("pid", None, 0))
    pids = {"worker": near.recv(), "controller": "self"}
    idle = {name: common.resident(pid) for name, pid in pids.items()}
    near.send(("up_bytes", None, n))
    peaks = common.watch_peak(pids, 5)
    for _ in range(n):
        near.recv_bytes()
    return {name: peaks[name] - idle[name] for name in pids}


if __name__ == "__main__":
    INTS = "list(range(%d))" % common.INTS
    DICTS = "[{'id': i, 'name': 'item %%d' %% i, 'ok': True} for i in range(%d)]" % common.DICTS
    common.serve({
        "start_first": start_many, "start_later": lambda n: sum(start_many(1) for _ in range(n)),
        "start_many": start_many, "round_trip": job("echo"), "dicts_up": job("up", repr(common.DICT)),
        "dicts_down": job("down", common.DICT), "mib_up": job("up_bytes"),
        "mib_down": job("down_bytes", common.MIB), "ints_up": job("up", INTS),
        "ints_down": job("down", common.ints), "big_dicts_up": job("up", DICTS),
        "big_dicts_down": job("down", common.dicts), "memory": memory, "slow_reader": slow_reader,
    })
