"""Many processes: leases, deaths, signals."""

import os
import random
import signal
import sys
import threading
import time
import unittest

import latchkey
import lkpy


class Leases(lkpy.PythonTest):
    """Cache.lease() and the single flight of cached functions."""

    def test_a_lease_is_filled_or_given_back(self):
        cache = latchkey.Cache()
        with cache.lease("k") as lease:
            self.assertEqual((lease.hit, lease.held, lease.value), (False, True, None))
            self.assertTrue(lease.fill(5))
            self.assertEqual((lease.held, lease.value, cache["k"]), (False, 5, 5))
            self.assertRaises(RuntimeError, lease.fill, 6)
        with cache.lease("k") as lease:
            self.assertEqual((lease.hit, lease.value), (True, 5))
        with self.assertRaises(ZeroDivisionError), cache.lease("l"):
            raise ZeroDivisionError
        self.assertEqual(cache.stats()["leases_held"], 0)
        with cache.lease("l") as lease:
            cache["l"] = 1
            self.assertFalse(lease.fill(2))
        self.assertEqual(cache["l"], 1)
        lease = cache.lease("m")
        lease.__enter__()
        self.assertEqual(cache.stats()["leases_held"], 1)
        del lease
        self.assertEqual(cache.stats()["leases_held"], 0)
        self.assertRaises(TypeError, cache.lease, "k", 1, True)
        with self.assertRaises(TypeError), cache.lease(1.5):
            pass

    def test_time_out_and_stale_values(self):
        cache = latchkey.Cache()
        cache.set("k", "old", ttl=0.01)
        time.sleep(0.02)

        def child():
            with cache.lease("k"):
                cache["held"] = 1
                time.sleep(60)

        pid = self.fork(child)
        self.eventually(lambda: "held" in cache)
        begun = time.monotonic()
        with self.assertRaises(TimeoutError), cache.lease("k", timeout=0.1):
            pass
        self.assertGreaterEqual(time.monotonic() - begun, 0.1)
        with cache.lease("k", stale=True) as lease:
            self.assertEqual((lease.hit, lease.stale, lease.value), (True, True, "old"))
        os.kill(pid, signal.SIGKILL)
        self.join(pid, code=-signal.SIGKILL)
        with cache.lease("k", timeout=10 * lkpy.SCALE) as lease:
            self.assertTrue(lease.held)
            lease.fill("new")
        self.assertEqual(cache.stats()["lease_deaths"], 1)

    def test_of_many_processes_one_computes(self):
        for way in ("auto", True):
            cache = latchkey.Cache()

            @latchkey.cache(backend="shared", single_flight=way)
            def slow(number):
                cache.incr("calls")
                time.sleep(0.2)
                return number * 2

            children = [self.fork(lambda: 0 if slow(21) == 42 else 1) for _ in range(8)]
            for pid in children:
                self.join(pid)
            self.assertEqual(cache["calls"], 1)

    def test_of_many_threads_one_computes(self):
        calls = []

        @latchkey.cache(backend="shared")
        def slow(number):
            calls.append(number)
            time.sleep(0.2)
            return number

        threads = [threading.Thread(target=slow, args=(n % 2,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30 * lkpy.SCALE)
        self.assertEqual(sorted(calls), [0, 1])

    def test_leases_come_back_when_computing_gets_slow(self):
        cache = latchkey.Cache()

        @latchkey.cache(backend="shared", max_size=2000)
        def function(number):
            if number < 0:
                cache.incr(number)
                time.sleep(0.05)
            return number

        before, numbers = -1, iter(range(20000))
        leases = 0
        while leases != before:  # until fifty calls in a row took none
            before = leases
            for _ in range(50):
                function(next(numbers))
            leases = function.cache.stats()["leases"]
        function(-1)  # unforeseen, and seen
        children = [self.fork(lambda: 0 if function(-2) == -2 else 1) for _ in range(6)]
        for pid in children:
            self.join(pid)
        self.assertEqual(cache[-2], 1)
        self.assertGreater(function.cache.stats()["leases"], leases)

    def test_a_killed_leader_is_replaced(self):
        cache = latchkey.Cache()

        @latchkey.cache(backend="shared")
        def function(number):
            if cache.incr("calls") == 1:
                time.sleep(60)
            return number

        leader = self.fork(lambda: function(1) and 0)
        self.eventually(lambda: cache.get("calls") == 1)
        waiting = [self.fork(lambda: 0 if function(1) == 1 else 1) for _ in range(3)]
        time.sleep(0.05)
        os.kill(leader, signal.SIGKILL)
        self.join(leader, code=-signal.SIGKILL)
        for pid in waiting:
            self.join(pid, seconds=10)
        self.assertEqual(cache["calls"], 2)

    def test_a_leader_that_takes_too_long(self):
        cache = latchkey.Cache()

        @latchkey.cache(backend="shared", lease_timeout=0.1)
        def function(number):
            if cache.incr("calls") == 1:
                time.sleep(60)
            return number

        leader = self.fork(lambda: function(1) and 0)
        self.eventually(lambda: cache.get("calls") == 1)
        self.assertEqual(function(1), 1)
        self.assertEqual(cache["calls"], 2)
        os.kill(leader, signal.SIGKILL)
        self.join(leader, code=-signal.SIGKILL)


class Signals(lkpy.PythonTest):
    """Ctrl-C always works, and who waits lets others run."""

    def holder(self, cache, key):
        """A process that holds the key's lease and sleeps."""
        def child():
            with cache.lease(key):
                cache["held"] = 1
                time.sleep(60)

        pid = self.fork(child)
        self.eventually(lambda: "held" in cache)
        return pid

    def end(self, pid):
        os.kill(pid, signal.SIGKILL)
        self.join(pid, code=-signal.SIGKILL)

    def test_who_waits_for_a_lease_can_be_interrupted(self):
        cache = latchkey.Cache()
        holder = self.holder(cache, "k")

        def waits():
            signal.signal(signal.SIGINT, signal.default_int_handler)
            cache["waits"] = 1
            try:
                with cache.lease("k"):
                    return 1
            except KeyboardInterrupt:
                return 0

        begun = []
        for _ in range(5):
            cache.delete("waits")
            pid = self.fork(waits)
            self.eventually(lambda: "waits" in cache)
            time.sleep(0.1)
            begun.append(time.monotonic())
            os.kill(pid, signal.SIGINT)
            self.join(pid, seconds=2)
            begun[-1] = time.monotonic() - begun[-1]
        print(f"interrupted within {max(begun) * 1000:.0f} ms")
        self.end(holder)

    def test_who_waits_in_a_cached_function_can_be_interrupted(self):
        cache = latchkey.Cache()

        @latchkey.cache(backend="shared")
        def function():
            cache["computing"] = 1
            time.sleep(60)

        leader = self.fork(function)
        self.eventually(lambda: "computing" in cache)

        def waits():
            signal.signal(signal.SIGINT, signal.default_int_handler)
            cache["waits"] = 1
            try:
                function()
            except KeyboardInterrupt:
                return 0
            return 1

        pid = self.fork(waits)
        self.eventually(lambda: "waits" in cache)
        time.sleep(0.1)
        os.kill(pid, signal.SIGINT)
        self.join(pid, seconds=2)
        # The one that computes, too; its lease is given back.
        os.kill(leader, signal.SIGKILL)
        self.join(leader, code=-signal.SIGKILL)

    def test_an_interrupted_leader_gives_its_lease_back(self):
        cache = latchkey.Cache()

        @latchkey.cache(backend="shared")
        def function():
            if cache.incr("calls") == 1:
                # A signal just before a long sleep would be noticed at its end only.
                for _ in range(6000):
                    time.sleep(0.01)
            return 5

        def leads():
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                function()
            except KeyboardInterrupt:
                cache["interrupted"] = 1
                while "over" not in cache:  # alive, without the lease
                    time.sleep(0.01)
            return 0

        leader = self.fork(leads)
        self.eventually(lambda: "calls" in cache)
        os.kill(leader, signal.SIGINT)
        self.eventually(lambda: "interrupted" in cache)
        self.assertEqual(function(), 5)
        self.assertEqual(function.cache.stats()["lease_deaths"], 0)
        cache["over"] = 1
        self.join(leader)

    def test_other_threads_run_while_one_waits(self):
        cache = latchkey.Cache()
        holder = self.holder(cache, "k")
        got = []

        def waits():
            with cache.lease("k") as lease:
                got.append(lease.held)

        thread = threading.Thread(target=waits)
        thread.start()
        begun = time.monotonic()
        sums = 0
        while time.monotonic() - begun < 0.2:
            sums += 1
        self.assertEqual(got, [])
        self.assertGreater(sums, 10000 // lkpy.SCALE)
        self.end(holder)
        thread.join(20)
        self.assertEqual(got, [True])

    def test_a_stopped_writer_stops_nobody_s_interrupt(self):
        """A process is stopped inside a change: writers wait, and can be interrupted; reads go on;
        other threads run."""
        cache = latchkey.Cache(size=1 << 20, shards=1)
        told = latchkey.Cache()
        cache["k"] = 1
        big = b"x" * 200000

        def writes():
            while True:
                cache["big"] = big

        def wants():
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                told["wants"] = 1
                while True:
                    cache["other"] = 1
            except KeyboardInterrupt:
                return 0

        writer = self.fork(writes)
        for attempt in range(1000):
            time.sleep(0.0005 * (attempt % 7))
            os.kill(writer, signal.SIGSTOP)
            os.waitpid(writer, os.WUNTRACED)
            if cache.stats()["shards_locked"]:
                break
            os.kill(writer, signal.SIGCONT)
        self.assertEqual(cache.stats()["shards_locked"], 1)
        self.assertEqual(cache["k"], 1)
        pid = self.fork(wants)
        self.eventually(lambda: "wants" in told)
        time.sleep(0.1)
        os.kill(pid, signal.SIGINT)
        self.join(pid, seconds=3)
        ran = []
        thread = threading.Thread(target=lambda: ran.append(cache.set("late", 1)))
        thread.start()
        time.sleep(0.05)
        self.assertEqual(ran, [])
        self.end(writer)
        thread.join(20)
        self.assertEqual((ran, cache["late"]), ([None], 1))
        self.assertEqual(cache.verify(), [])

    def test_a_cache_closed_while_others_wait_in_it(self):
        cache = latchkey.Cache()
        holder = self.holder(cache, "k")
        errors = []

        def waits():
            try:
                with cache.lease("k"):
                    pass
            except ValueError as error:
                errors.append(str(error))

        threads = [threading.Thread(target=waits) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        cache.close()
        for thread in threads:
            thread.join(20)
        self.assertEqual(errors, ["the cache is closed"] * 3)
        self.end(holder)


class Model(lkpy.PythonTest):
    """100,000 random operations beside a dict."""

    def test_mapping_against_a_dict(self):
        cache = latchkey.Cache(size=8 << 20)
        model = {}
        draw = random.Random(2026)
        keys = [f"k{n}" for n in range(60)] + list(range(60)) + [b"%d" % n for n in range(60)]

        def value():
            kind = draw.randrange(4)
            if kind == 0:
                return draw.randrange(-1 << 70, 1 << 70)
            if kind == 1:
                return draw.randrange(-100, 100)
            if kind == 2:
                return "v" * draw.randrange(50) + chr(draw.randrange(1, 300))
            return draw.randbytes(draw.randrange(draw.choice([10, 6000])))

        for step in range(20_000 if lkpy.SANITIZED else 100_000):
            act = draw.randrange(12)
            key = draw.choice(keys)
            new = value()
            if act <= 3:
                self.assertEqual(cache.get(key), model.get(key), step)
            elif act <= 5:
                cache[key] = model[key] = new
            elif act == 6:
                self.assertEqual(cache.delete(key), model.pop(key, None) is not None)
            elif act == 7:
                self.assertEqual(cache.add(key, new), key not in model)
                model.setdefault(key, new)
            elif act == 8:
                self.assertEqual(cache.replace(key, new), key in model)
                if key in model:
                    model[key] = new
            elif act == 9:
                old = model.get(key, 0)
                if isinstance(old, int) and -2**63 <= old < 2**63:
                    model[key] = max(-2**63, min(2**63 - 1, old + 7))
                    self.assertEqual(cache.incr(key, 7), model[key])
                else:
                    self.assertRaises(TypeError, cache.incr, key, 7)
            elif act == 10:
                entry = cache.entry(key)
                self.assertEqual(entry and entry[0], model.get(key))
                if entry:
                    self.assertTrue(cache.cas(key, new, entry[1]))
                    model[key] = new
            elif step % 50 == 0:
                self.assertEqual(dict(cache), model)
                self.assertEqual(len(cache), len(model))
                some = draw.sample(keys, 20)
                self.assertEqual(cache.get_many(some), {k: model[k] for k in some if k in model})
            else:
                self.assertEqual(key in cache, key in model)
        self.assertEqual(dict(cache), model)
        self.assertEqual((cache.verify(), cache.stats()["evictions"]), ([], 0))

    def test_functions_against_the_plain_ones(self):
        draw = random.Random(1)

        def plain(*args, **kwargs):
            return [args, kwargs]

        functions = [latchkey.cache(max_size=size, backend=backend)(plain)
                     for backend in ("memory", "shared") for size in (1, 7, 100)]
        atoms = [0, 1, 1.0, True, "a", "b", b"a", None, (1,), (1.0,), 2**70, -1, 0.0, -0.0]
        for _ in range(20_000):
            args = [draw.choice(atoms) for _ in range(draw.randrange(4))]
            kwargs = {k: draw.choice(atoms) for k in draw.sample("abc", draw.randrange(3))}
            function = draw.choice(functions)
            got = function(*args, **kwargs)
            self.assertEqual(repr((got[0], sorted(got[1].items()))),
                             repr((tuple(args), sorted(kwargs.items()))))
            if draw.randrange(10) == 0:
                function.cache_delete(*args, **kwargs)


if __name__ == "__main__":
    sys.exit(unittest.main())
