#!/usr/bin/python3
"""Measure the Python package beside its peers, in one run on this machine.

usage: bench.py [--rounds N] [--skew S] [--check] [--json | --markdown]

  get-or-compute  Zipf keys, 2,000 of them, capacity 256, a function that returns a small int:
                  functools.lru_cache, lru_cache under a threading.Lock, the memory backend, the
                  shared backend; the shared backend in two processes at once
  hit             100,000 values of 64 bytes, keys at random: the shared mapping, the shared
                  decorator, python3-diskcache, python3-redis over a unix socket

Every round measures every peer once, one after the other, and begins with another of them;
the figures are medians of the rounds, ratios are of medians.  The garbage collector is off
meanwhile, as in timeit.  Redis is our own instance, without TCP and without saving; diskcache lies
in tmpfs.  A peer that is not installed is left out.
  --check   exit 1 if one of the printed limits does not hold
exit: 0 measured, 1 a limit does not hold or a value was wrong, 2 bad usage
"""

import argparse
import bisect
import functools
import gc
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.environ.get("LATCHKEY_PACKAGE", os.path.join(HERE, "..", "..", "build", "release",
                                                          "python"))
sys.path.insert(0, PACKAGE)

import latchkey  # noqa: E402  (the path above)

KEYS, CAPACITY, CALLS, PIECE = 2000, 256, 100_000, 4000
VALUES, VALUE_BYTES, GETS = 100_000, 64, 100_000
FAST_PIECE, SLOW_PIECE = 2000, 100


def zipf(count, keys, skew, seed=1):
    """`count` keys; the k-th most popular is drawn 1/k^skew as often as the first."""
    sums = list(itertools.accumulate(1 / (k + 1) ** skew for k in range(keys)))
    draw = random.Random(seed)
    order = list(range(keys))
    draw.shuffle(order)
    return [order[bisect.bisect(sums, draw.random() * sums[-1])] for _ in range(count)]


def compute(number):
    """What is worth keeping, in the benchmark."""
    return number * 2 + 1


def timed(function, keys):
    """Nanoseconds per call of function(key)."""
    begun = time.perf_counter_ns()
    for key in keys:
        function(key)
    return (time.perf_counter_ns() - begun) / len(keys)


def by_pieces(function, keys, piece):
    """A measurement of the next `piece` keys, round and round.  Short, so that on a busy machine
    most of them are not interrupted."""
    pieces = itertools.cycle([keys[at:at + piece] for at in range(0, len(keys) - piece + 1, piece)])
    return lambda: timed(function, next(pieces))


def under_lock(function):
    """The function, by one thread at a time."""
    lock = threading.Lock()

    def locked(number):
        with lock:
            return function(number)
    return locked


def interleaved(peers, rounds):
    """{name: nanoseconds}: medians of rounds over peers = {name: function without arguments}."""
    measured = {name: [] for name in peers}
    names = list(peers)
    for each in range(rounds + 1):
        for name in names[each % len(names):] + names[:each % len(names)]:
            figure = peers[name]()
            if each > 0:  # the first round warms up
                measured[name].append(figure)
    return {name: statistics.median(figures) for name, figures in measured.items()}


# ---- get-or-compute ------------------------------------------------------------------------------

def get_or_compute(rounds, skew):
    keys = zipf(CALLS, KEYS, skew)
    lru = functools.lru_cache(CAPACITY)(compute)
    locked = under_lock(functools.lru_cache(CAPACITY)(compute))
    memory = latchkey.cache(max_size=CAPACITY)(compute)
    shared = latchkey.cache(max_size=CAPACITY, backend="shared", name="bench-one")(compute)
    for function in (lru, locked, memory, shared):
        for key in keys:
            if function(key) != compute(key):
                sys.exit("a wrong value")
    result = interleaved({
        "lru_cache": by_pieces(lru, keys, PIECE),
        "lru_cache, lock": by_pieces(locked, keys, PIECE),
        "memory": by_pieces(memory, keys, PIECE),
        "shared": by_pieces(shared, keys, PIECE),
    }, rounds)
    ratios = {name: f.cache_info() for name, f in
              (("lru_cache", lru), ("memory", memory), ("shared", shared))}
    return result, {n: i.hits / (i.hits + i.misses) for n, i in ratios.items()}


# ---- two processes -------------------------------------------------------------------------------

WINDOW_NS = 10_000_000


def worker(cpu, skew, orders, results):
    """Call in a loop from when to when each order says; tell how many calls that were."""
    os.sched_setaffinity(0, {cpu})
    function = latchkey.cache(max_size=CAPACITY, backend="shared", name="bench-two")(compute)
    keys = zipf(CALLS, KEYS, skew, seed=cpu + 2)
    pieces = [keys[i:i + 100] for i in range(0, len(keys), 100)]
    timed(function, keys)
    gc.disable()
    os.write(results, b"0\n")
    at = 0
    for order in os.fdopen(orders):
        begin = int(order)
        if begin == 0:
            return
        calls = 0
        now = begin
        while time.monotonic_ns() < begin:
            pass
        while now < begin + WINDOW_NS:
            for key in pieces[at]:
                function(key)
            calls += len(pieces[at])
            at = (at + 1) % len(pieces)
            now = time.monotonic_ns()
        os.write(results, f"{calls * 1000000000 // (now - begin)}\n".encode())


def start_worker(cpu, skew):
    order_read, order_write = os.pipe()
    result_read, result_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(order_write)
            os.close(result_read)
            worker(cpu, skew, order_read, result_write)
        finally:
            os._exit(0)
    os.close(order_read)
    os.close(result_write)
    return pid, os.fdopen(order_write, "w", buffering=1), os.fdopen(result_read)


def two_processes(rounds, skew):
    """Calls a second of one process (the mean of either alone) and of two at once."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    if len(cpus) < 2:
        return None
    workers = [start_worker(cpu, skew) for cpu in cpus]

    def window(*chosen):
        begin = time.monotonic_ns() + 1_000_000
        for w in chosen:
            w[1].write(f"{begin}\n")
        return sum(int(w[2].readline()) for w in chosen)

    for w in workers:
        w[2].readline()
    figures = interleaved({"first": lambda: window(workers[0]),
                           "second": lambda: window(workers[1]),
                           "both": lambda: window(*workers)}, rounds)
    for pid, orders, results in workers:
        orders.write("0\n")
        orders.close()
        os.waitpid(pid, 0)
        results.close()
    return {"one": (figures["first"] + figures["second"]) / 2, "two": figures["both"]}


# ---- hits of a large cache -----------------------------------------------------------------------

def start_redis(place):
    """(client, process), or None."""
    try:
        import redis
    except ImportError:
        return None
    if shutil.which("redis-server") is None:
        return None
    path = os.path.join(place, "redis")
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "",
                               "--appendonly", "no", "--dir", place],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = redis.Redis(unix_socket_path=path)
    for _ in range(200):
        try:
            client.ping()
            return client, server
        except redis.ConnectionError:
            time.sleep(0.05)
    server.kill()
    server.wait()
    return None


def hits(rounds, place):
    draw = random.Random(3)
    names = [f"key:{number}" for number in range(VALUES)]
    values = [draw.randbytes(VALUE_BYTES) for _ in names]
    some = draw.choices(range(VALUES), k=GETS)
    keys = [names[number] for number in some]
    mapping = latchkey.Cache("bench-hits", size=64 << 20)
    function = latchkey.cache(max_size=2 * VALUES, backend="shared", name="bench-function")(
        lambda number: values[number])
    for name, value in zip(names, values):
        mapping[name] = value
    for number in range(VALUES):
        function(number)
    wrong = [n for n in some if mapping[names[n]] != values[n] or function(n) != values[n]]
    if wrong:
        sys.exit(f"{len(wrong)} wrong values")
    peers = {"latchkey.Cache": by_pieces(mapping.get, keys, FAST_PIECE),
             "shared function": by_pieces(function, some, FAST_PIECE)}
    closers = []
    try:
        import diskcache
        disk = diskcache.Cache(os.path.join(place, "disk"), eviction_policy="none")
        closers.append(disk.close)
        with disk.transact():
            for name, value in zip(names, values):
                disk[name] = value
        peers["diskcache"] = by_pieces(disk.get, keys, SLOW_PIECE)
    except ImportError:
        print("diskcache is not installed (python3-diskcache)", file=sys.stderr)
    started = start_redis(place)
    if started is not None:
        client, server = started
        pipe = client.pipeline(transaction=False)
        for name, value in zip(names, values):
            pipe.set(name, value)
        pipe.execute()
        peers["redis"] = by_pieces(client.get, keys, SLOW_PIECE)
    else:
        print("redis is not installed (python3-redis, redis-server)", file=sys.stderr)
    try:
        return interleaved(peers, rounds)
    finally:
        if started is not None:
            started[1].terminate()
            started[1].wait()
        for close in closers:
            close()


# ---- the report ----------------------------------------------------------------------------------

def report(calls, ratios, scale, hit):
    """[(line, holds or None)]"""
    lines = []

    def line(text, holds=None):
        mark = "" if holds is None else "   holds" if holds else "   DOES NOT HOLD"
        lines.append((text + mark, holds))

    base = calls["lru_cache"]
    line(f"get-or-compute, {KEYS} keys, capacity {CAPACITY}, hit ratio "
         + ", ".join(f"{name} {ratio:.3f}" for name, ratio in ratios.items()))
    line(f"  lru_cache                 {base:8.1f} ns")
    line(f"  lru_cache under a lock    {calls['lru_cache, lock']:8.1f} ns")
    limits = (("memory", base, "lru_cache", 1.2),
              ("memory", calls["lru_cache, lock"], "lru_cache under a lock", 0.6),
              ("shared", base, "lru_cache", 2.2))
    for name, beside, what, limit in limits:
        ratio = calls[name] / beside
        line(f"  {name:8}                  {calls[name]:8.1f} ns   {ratio:5.2f} x {what}, "
             f"at most {limit}", ratio <= limit)
    if scale is not None:
        ratio = scale["two"] / scale["one"]
        line(f"  shared, one process       {scale['one'] / 1e6:8.2f} M calls/s")
        line(f"  shared, two processes     {scale['two'] / 1e6:8.2f} M calls/s {ratio:5.2f} x one, "
             "at least 1.7", ratio >= 1.7)
    line(f"hit, {VALUES:,} values of {VALUE_BYTES} bytes")
    for name, figure in hit.items():
        text = f"  {name:24}{figure:10.1f} ns"
        if name in ("latchkey.Cache", "shared function"):
            line(text + "   at most 1000", figure <= 1000)
        else:
            ratio = figure / hit["latchkey.Cache"]
            limit = {"diskcache": 10, "redis": 20}[name]
            line(f"{text}   {ratio:5.1f} x latchkey.Cache, at least {limit}", ratio >= limit)
    return lines


def markdown(load, rounds, calls, scale, hit):
    """The table of docs/PYTHON.md."""
    base, locked = calls["lru_cache"], calls["lru_cache, lock"]
    rows = [("`functools.lru_cache`", base, 1), ("`lru_cache` under a `threading.Lock`", locked, 1),
            ("`latchkey.cache`, memory", calls["memory"], 1),
            ("`latchkey.cache`, shared", calls["shared"], 1)]
    lines = [f"{os.cpu_count()} CPUs, Python {sys.version.split()[0]}, load average {load:.2f}, "
             f"medians of {rounds} rounds.", "",
             "| get-or-compute | ns a call | beside lru_cache |", "|---|---|---|"]
    lines += [f"| {name} | {ns:.0f} | {ns / base:.2f} |" for name, ns, _ in rows]
    if scale is not None:
        lines += [f"| the same, two processes at once | {2e9 / scale['two']:.0f} each | "
                  f"{scale['two'] / scale['one']:.2f} x the calls of one |"]
    lines += ["", f"| hit, {VALUES:,} values of {VALUE_BYTES} bytes | ns a call | "
              "beside latchkey.Cache |", "|---|---|---|"]
    lines += [f"| {name} | {ns:.0f} | {ns / hit['latchkey.Cache']:.1f} |"
              for name, ns in hit.items()]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--rounds", type=int, default=151)
    parser.add_argument("--skew", type=float, default=0.99)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    place = tempfile.mkdtemp(prefix="lk-bench-", dir="/dev/shm")
    os.environ["LK_DIR"] = os.path.join(place, "segments")
    os.mkdir(os.environ["LK_DIR"], 0o700)
    try:
        scale = two_processes(options.rounds, options.skew)
        gc.disable()
        calls, ratios = get_or_compute(options.rounds, options.skew)
        hit = hits(options.rounds, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    lines = report(calls, ratios, scale, hit)
    if options.json:
        print(json.dumps({"load": load, "calls_ns": calls, "hit_ratios": ratios,
                          "calls_per_second": scale, "hits_ns": hit,
                          "holds": all(holds is not False for _, holds in lines)}))
    elif options.markdown:
        print(markdown(load, options.rounds, calls, scale, hit))
    else:
        print(f"machine: {os.cpu_count()} CPUs, Python {sys.version.split()[0]}, load average at "
              f"the start {load:.2f}; medians of {options.rounds} rounds, skew {options.skew}")
        print("\n".join(text for text, _ in lines))
    if options.check and any(holds is False for _, holds in lines):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
