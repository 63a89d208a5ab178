#!/usr/bin/env python3
"""Kill workers of a shared cache at random moments, thousands of times, and look for harm.

usage: torture.py [--kills N] [--workers N] [--seconds N] [--json]

Workers call functions cached in shared memory and use a shared mapping; SIGKILL meets random ones
at random moments, and new ones take their place.  Looked for: a wrong value, a worker that stands
still (hang), a cache that does not verify, a lease that nobody gives back.  Ctrl-C ends it cleanly.
exit: 0 no harm, 1 harm, 130 interrupted
"""

import argparse
import json
import mmap
import os
import random
import signal
import struct
import sys
import time
import traceback

import latchkey

KEYS = 300
HANG_SECONDS = 5.0


def value_of(number):
    """What is cached: found again from its number alone, of all sizes and types."""
    kind = number % 5
    if kind == 0:
        return number * number
    if kind == 1:
        return "text" * (number % 40)
    if kind == 2:
        return [number, {"k": number / 3}, (None, True)]
    if kind == 3:
        return bytes([number % 256]) * (number * 37 % 3000)
    return number << 90


class Worker:
    """One process's work; tells that it goes on through a word of shared memory."""

    def __init__(self, mapping, functions, progress, slot):
        self.mapping, self.functions = mapping, functions
        self.progress, self.slot = progress, slot
        self.draw = random.Random(os.urandom(8))

    def step(self, count):
        """A few calls; complains of a wrong value."""
        number = int(self.draw.paretovariate(0.7)) % KEYS
        function = self.draw.choice(self.functions)
        if function(number) != value_of(number):
            raise AssertionError(f"wrong value of {number}")
        what = self.draw.randrange(12)
        if what == 0:
            self.mapping[number] = b"%d " % number * (number % 300)
        elif what == 1:
            got = self.mapping.get(number)
            if got is not None and got != b"%d " % number * (number % 300):
                raise AssertionError(f"wrong bytes of {number}")
        elif what == 2:
            self.mapping.incr("counter")
        elif what == 3:
            function.cache_delete(number)
        elif what == 4:
            with self.mapping.lease(f"lease {number}") as lease:
                if lease.held and self.draw.randrange(4):
                    lease.fill(number)
                elif lease.hit and lease.value != number:
                    raise AssertionError(f"wrong lease of {number}")
        elif what == 5:
            self.mapping.delete(f"lease {number}")
        elif what == 6 and count % 100 == 0:
            function.cache_clear()
        struct.pack_into("Q", self.progress, self.slot * 64, count)

    def run(self):
        """Until killed."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        count = 0
        while True:
            count += 1
            self.step(count)


class Torture:
    """The workers, and what became of them."""

    def __init__(self, workers):
        self.progress = mmap.mmap(-1, workers * 64)
        self.mapping = latchkey.Cache(size=256 << 10, shards=2)
        options = {"backend": "shared", "max_size": 100}
        self.functions = [
            latchkey.cache(**options)(lambda number: value_of(number)),
            latchkey.cache(**options, single_flight=True)(lambda number: value_of(number)),
            latchkey.cache(**options, serializer="pickle", ttl=0.01)(lambda number: value_of(number)),
        ]
        self.pids = [0] * workers
        self.dying = set()
        self.seen = [(0, time.monotonic())] * workers
        self.kills = self.wrong = self.hangs = 0
        self.longest = 0.0
        self.draw = random.Random()

    def start(self, slot):
        """A new worker."""
        struct.pack_into("Q", self.progress, slot * 64, 0)
        # An interrupt between the fork and the note would leave a worker that nobody ends.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        pid = os.fork()
        if pid == 0:
            try:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                Worker(self.mapping, self.functions, self.progress, slot).run()
            except BaseException:  # pylint: disable=broad-except
                traceback.print_exc()
            finally:
                os._exit(1)
        self.pids[slot] = pid
        self.seen[slot] = (0, time.monotonic())
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def end(self, slot):
        """Kill it, if it lives."""
        if self.pids[slot]:
            os.kill(self.pids[slot], signal.SIGKILL)
            self.dying.add(self.pids[slot])
            self.pids[slot] = 0

    def reap(self, wait):
        """Count how the killed have ended."""
        for pid in list(self.dying):
            try:
                ended, status = os.waitpid(pid, 0 if wait else os.WNOHANG)
            except ChildProcessError:  # an interrupt came when it was waited for, and not yet noted
                self.dying.discard(pid)
                continue
            if ended == pid:
                self.dying.discard(pid)
                self.wrong += os.WIFEXITED(status)

    def watch(self):
        """Who has not gone on since long?"""
        now = time.monotonic()
        for slot, (count, since) in enumerate(self.seen):
            at, = struct.unpack_from("Q", self.progress, slot * 64)
            if at != count:
                self.seen[slot] = (at, now)
            elif self.pids[slot]:
                self.longest = max(self.longest, now - since)
                if now - since > HANG_SECONDS:
                    self.hangs += 1
                    self.end(slot)
                    self.start(slot)

    def run(self, kills, seconds):
        """Kill until there were enough kills, or the time is over."""
        end = time.monotonic() + seconds
        for slot in range(len(self.pids)):
            self.start(slot)
        while self.kills < kills and time.monotonic() < end:
            time.sleep(self.draw.random() * 0.003)
            slot = self.draw.randrange(len(self.pids))
            if self.draw.randrange(3) or struct.unpack_from("Q", self.progress, slot * 64)[0]:
                self.end(slot)
                self.kills += 1
                self.start(slot)
            self.reap(False)
            self.watch()

    def close(self):
        """End all; then everything must be whole and usable."""
        for slot in range(len(self.pids)):
            self.end(slot)
        self.reap(True)
        problems = []
        stats = {}
        for cache in [self.mapping] + [f.cache for f in self.functions]:
            cache.repair()
            problems += cache.verify()
            for name, number in cache.stats().items():
                stats[name] = stats.get(name, 0) + number
            cache.clear()
            if cache.stats()["used_bytes"]:
                problems.append("bytes in use after clear()")
        for function in self.functions:
            for number in range(KEYS):
                if function(number) != value_of(number):
                    self.wrong += 1
        return {"kills": self.kills, "wrong": self.wrong, "hangs": self.hangs,
                "longest_stall_ms": round(self.longest * 1000, 1), "problems": problems,
                "deaths_inside": stats["deaths"] + stats["lease_deaths"],
                "repairs": stats["repairs"], "calls": stats["hits"] + stats["misses"]}


def torture(kills=2000, workers=4, seconds=60.0):
    """Kill workers; what was seen, as a dict.  No harm: wrong, hangs are 0 and problems is empty."""
    state = Torture(workers)
    try:
        state.run(kills, seconds)
    finally:
        result = state.close()
    return result


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--kills", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    begun = time.monotonic()
    try:
        result = torture(options.kills, options.workers, options.seconds)
    except KeyboardInterrupt:
        return 130
    result["seconds"] = round(time.monotonic() - begun, 1)
    if options.json:
        print(json.dumps(result))
    else:
        print("{kills} workers killed in {seconds} s, {deaths_inside} of them inside the cache; "
              "{calls} calls, {wrong} wrong; {hangs} hangs, longest stall {longest_stall_ms} ms"
              .format(**result))
        print("\n".join(result["problems"]) or "caches sound")
    harm = result["wrong"] or result["hangs"] or result["problems"]
    return 1 if harm or result["kills"] < options.kills else 0


if __name__ == "__main__":
    sys.exit(main())
