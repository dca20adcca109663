#!/usr/bin/env python3
"""execnet beside its peers, in one run: `benches/peers/run.py`. BENCHMARKS.md tells what each row shows.

Makes a virtual environment with the packages of requirements.txt, builds ours, then measures row by row, the peers in
turn with ours. What a row gave is written at once; `--only ROW` measures that row anew and keeps the others.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.join(HERE, "target")
COLUMNS = {
    "execnet": None, "py.execnet": "py_execnet.py", "multiprocessing": "mp.py",
    "mitogen": "mitogen_driver.py", "rpyc": "rpyc_driver.py", "limit": "limits.py",
}


class Row:
    """`n` of each column, or one for all: about as much as takes half a second. `show` makes a text of seconds and n."""

    def __init__(self, title, work, n, show, pinned=False, fresh=False, samples=None, warm=True):
        self.title, self.work, self.n, self.show = title, work, n, show
        self.pinned, self.fresh, self.samples, self.warm = pinned, fresh, samples, warm and not fresh


def ms(seconds):
    return "%.3g ms" % (seconds * 1e3)


def us(seconds):
    return "%.3g µs" % (seconds * 1e6)


def seconds_(seconds):
    return "%.3g s" % seconds


def rate(seconds):
    return "{:,.0f}/s".format(1 / seconds)


def mib(seconds):
    return "{:,.0f} MiB/s".format(1 / seconds)


def each(default, **others):
    return lambda column: others.get(column.replace(".", "_"), default)


ROWS = {
    "start_first": Row("first gateway of a program, first item", "start_first", each(1), ms, fresh=True),
    "start_later": Row("a later gateway, first item", "start_later", each(3), ms),
    "start_16": Row("16 gateways at once, first items of all", "start_many", each(16), seconds_, warm=False),
    "start_100": Row("100 gateways at once, first items of all", "start_many", each(100), seconds_, warm=False),
    "start_prefork_16": Row("16 gateways at once, prefork", "start_prefork", each(16), seconds_),
    "round_trip": Row("round trip of an int, one core", "round_trip", each(5000, mitogen=1500), us, pinned=True),
    "dicts_up": Row("small dicts from the worker", "dicts_up", each(60000, execnet=200000, mitogen=10000, py_execnet=25000), rate),
    "dicts_down": Row("small dicts to the worker", "dicts_down", each(60000, execnet=200000, mitogen=10000, py_execnet=25000), rate),
    "mib_up": Row("1 MiB bytes from the worker", "mib_up", each(150, execnet=800, limit=800), mib),
    "mib_down": Row("1 MiB bytes to the worker", "mib_down", each(150, execnet=800, limit=800), mib),
    "ints_up": Row("1,000,000 ints in one item from the worker", "ints_up", each(1), seconds_),
    "ints_down": Row("1,000,000 ints in one item to the worker", "ints_down", each(1), seconds_),
    "big_dicts_up": Row("200,000 dicts in one item from the worker", "big_dicts_up", each(1), seconds_),
    "big_dicts_down": Row("200,000 dicts in one item to the worker", "big_dicts_down", each(1), seconds_),
    "remote_exec": Row("run source and get its answer", "remote_exec", each(1500, rpyc=1500, mitogen=1000), rate),
    "memory": Row("resident memory, worker and controller", "memory", each(1), None, fresh=True),
    "slow_reader": Row("nobody reads for 5 s: growth of worker and controller", "slow_reader",
                       each(512, execnet=2048, multiprocessing=2048), None, fresh=True, samples=1),
}
# Only ours. What grows, and the work that is given it.
SCALING = {"channels": [1, 10, 100, 1000], "gateways": [1, 16, 100],
           "size": [8, 64, 512, 4096, 32768, 262144, 1048576, 8388608, 67108864], "delay": [0, 1, 20]}
# Worth a call to mitogen and an eval to rpyc, which is not the same.
SIMILAR = {"remote_exec": {"mitogen", "rpyc"}}


class Driver:
    """A process that does works."""

    def __init__(self, column, python, pinned=False, cbor=False):
        script = COLUMNS[column]
        command = [os.path.join(TARGET, "release", "ours")] if script is None else [python, script]
        if pinned:
            command = ["taskset", "-c", "0"] + command
        environment = dict(os.environ, EXECNET_BENCH_PYTHON=python)
        self.process = subprocess.Popen(command, cwd=os.path.join(HERE, "drivers"), env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=LOG)
        self.works = self.answer()["works"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the driver ended, see %s" % LOG.name)
        return json.loads(line)

    def measure(self, work, n):
        self.process.stdin.write(json.dumps({"work": work, "n": n}) + "\n")
        self.process.stdin.flush()
        answer = self.answer()
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer.get("values") or answer["seconds"]

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def measure_row(row, python, samples):
    """Seconds for one, or values, by column: all samples."""
    found = {column: [] for column in COLUMNS}
    drivers, failed = {}, set()
    samples = row.samples or samples
    warm_up = row.warm and samples > 1
    for sample in range(samples + warm_up):
        for column in COLUMNS:
            if column in failed:
                continue
            n = row.n(column)
            try:
                if column not in drivers:
                    drivers[column] = Driver(column, python, row.pinned)
                if row.work not in drivers[column].works:
                    failed.add(column)
                    continue
                value = drivers[column].measure(row.work, n)
                # The first sample warms up, unless the first is what counts.
                if sample or not warm_up:
                    whole = isinstance(value, dict) or row.work in ("start_many", "start_prefork")
                    found[column].append(value if whole else value / n)
            except Exception as error:
                print("  %s: %s" % (column, error), file=sys.stderr)
                failed.add(column)
            if row.fresh and column in drivers:
                drivers.pop(column).end()
    for driver in drivers.values():
        driver.end()
    return {column: values for column, values in found.items() if values}


def median(values):
    if isinstance(values[0], dict):
        return {key: statistics.median(value[key] for value in values) for key in values[0]}
    return statistics.median(values)


def table(results):
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for name, row in ROWS.items():
        found = results["rows"].get(name)
        if not found:
            continue
        cells = []
        for column in COLUMNS:
            if column not in found:
                cells.append("–")
                continue
            value = median(found[column])
            if isinstance(value, dict):
                cells.append("%.0f + %.0f MiB" % (value["worker"], value["controller"]))
                continue
            ours = found.get("execnet") and median(found["execnet"])
            ratio = "" if column == "execnet" or not ours else " (%.2g ×)" % (value / ours)
            cells.append(("≈ " if column in SIMILAR.get(name, ()) else "") + row.show(value) + ratio)
        lines.append("| %s | %s |" % (row.title, " | ".join(cells)))
    for name, points in sorted(results["scaling"].items()):
        keys = list(points[0]["values"])
        lines += ["", "| %s | %s |" % (name, " | ".join(keys)), "|---:|" + "---:|" * len(keys)]
        for point in points:
            lines.append("| {:,} | {} |".format(point["n"], " | ".join(
                "{:,.0f}".format(point["values"][key]) if point["values"][key] >= 100 else "%.3g" % point["values"][key]
                for key in keys)))
    return "\n".join(lines) + "\n"


def prepare(options):
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=HERE, check=True)
    if options.python:
        return options.python
    folder = os.path.join(TARGET, "venv")
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r",
                    os.path.join(HERE, "requirements.txt")], check=True)
    return python


def main():
    global LOG
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="ROW", choices=list(ROWS) + list(SCALING),
                        help="measure this row and keep the others; may be given several times: " + ", ".join(list(ROWS) + list(SCALING)))
    parser.add_argument("--samples", type=int, default=5, help="of each cell; default 5")
    parser.add_argument("--python", help="an interpreter that has the packages; default: one of a virtual environment made for it")
    parser.add_argument("--table", action="store_true", help="measure nothing, show what is there")
    options = parser.parse_args()
    os.makedirs(TARGET, exist_ok=True)
    path = os.path.join(TARGET, "results.json")
    results = {"rows": {}, "scaling": {}}
    if os.path.exists(path):
        with open(path) as file:
            results = json.load(file)
    if not options.table:
        LOG = open(os.path.join(TARGET, "drivers.log"), "w")
        python = prepare(options)
        begin = time.monotonic()
        wanted = options.only or list(ROWS) + list(SCALING)
        if not options.only:
            results = {"rows": {}, "scaling": {}}
        for name in wanted:
            print("[%4.0f s] %s" % (time.monotonic() - begin, name), file=sys.stderr)
            if name in ROWS:
                results["rows"][name] = measure_row(ROWS[name], python, options.samples)
            else:
                points = []
                for n in SCALING[name]:
                    driver = Driver("execnet", python)
                    values = [driver.measure(name, n) for _ in range(options.samples)]
                    points.append({"n": n, "values": median(values)})
                    driver.end()
                results["scaling"][name] = points
            results["run"] = {"date": datetime.date.today().isoformat(), "python": platform.python_version(),
                              "machine": "%s, %d cores" % (platform.machine(), os.cpu_count()), "samples": options.samples}
            with open(path + ".new", "w") as file:
                json.dump(results, file, indent=1)
            os.replace(path + ".new", path)
    print(table(results))
    with open(os.path.join(TARGET, "table.md"), "w") as file:
        file.write(table(results))
    subprocess.run([os.path.join(TARGET, "release", "plot"), path, TARGET], check=True)


main()
