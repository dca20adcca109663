"""What all drivers share: they read jobs as lines of JSON, and answer each with one.

A job is {"work": NAME, "n": COUNT}; the answer {"seconds": …} for all of it, or {"values": {…}}, or
{"error": …}. What is started for a work is kept for its next job.
"""

import json
import sys
import time
import traceback

DICT = {"id": 17, "name": "worker-17", "ok": True}
MIB = b"x" * (1 << 20)
INTS = 1000000
DICTS = 200000


def ints():
    return list(range(INTS))


def dicts():
    return [{"id": i, "name": "item %d" % i, "ok": True} for i in range(DICTS)]


def timed(function, *args):
    begin = time.perf_counter()
    function(*args)
    return time.perf_counter() - begin


def resident(pid="self", key="VmRSS"):
    """In MiB."""
    with open("/proc/%s/status" % pid) as file:
        for line in file:
            if line.startswith(key + ":"):
                return int(line.split()[1]) / 1024
    return 0.0


def watch_peak(pids, seconds, step=0.02):
    """The most that each process takes while `seconds` pass."""
    peaks = {name: 0.0 for name in pids}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, pid in pids.items():
            peaks[name] = max(peaks[name], resident(pid))
        time.sleep(step)
    return peaks


def serve(works):
    print(json.dumps({"works": sorted(works)}), flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            result = works[job["work"]](job["n"])
            answer = {"values": result} if isinstance(result, dict) else {"seconds": result}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": "%s: %s" % (type(error).__name__, error)}
        print(json.dumps(answer), flush=True)
