"""No reference leaks.  With the debug interpreter every reference is counted
(sys.gettotalrefcount); with the ordinary one blocks of memory are (sys.getallocatedblocks)."""

import asyncio
import gc
import os
import pickle
import sys
import unittest
import warnings

import latchkey
import lkpy

# A million calls in all, whatever is called.
CALLS = int(os.environ.get("LK_PYTHON_CALLS", "1000000"))
COUNT = getattr(sys, "gettotalrefcount", sys.getallocatedblocks)


class References(lkpy.PythonTest):
    """Each kind of call, again and again, leaves as many references as before."""

    def steady(self, calls, *actions):
        """Run the actions `calls` times in all; the count must not grow with it."""
        def run(times):
            for _ in range(times):
                for action in actions:
                    action()
            gc.collect()
            return COUNT()

        each = max(400, calls // 2 // len(actions))
        run(200)
        before = run(each)
        after = run(each)
        # A leak in any of them would be `each` references; the interpreter's own caches are some.
        self.assertLess(after - before, each // 2, (before, after, each))

    def test_memory_functions(self):
        function = latchkey.cache(max_size=64)(lambda *args, **kwargs: [args])
        state = [0]

        def fresh():
            state[0] += 1
            function(state[0])
            function(state[0] % 100, "b", k=2, a=1.5)
            function(str(state[0] % 50), (1, 2.5, ("c",)))
            function.cache_delete(state[0] % 70)

        def refused():
            try:
                function([])
            except TypeError:
                pass

        self.steady(CALLS // 4, fresh, refused, function.cache_info, lambda: function(1))

    def test_shared_functions(self):
        values = [None, True, 2**80, 1.5, "text\u00e9", b"b", (1, [2, {"k": (3,)}]), {1: "a"}]
        function = latchkey.cache(max_size=64, backend="shared")(lambda n, **k: values[n % 8])
        leased = latchkey.cache(max_size=64, backend="shared", single_flight=True)(
            lambda n: values[n % 8])
        pickled = latchkey.cache(max_size=16, backend="shared", serializer="pickle")(
            lambda n: {n, 1})
        odd = latchkey.cache(max_size=16, backend="shared", max_key_size=100)(lambda n: {n})
        state = [0]

        def fresh():
            state[0] += 1
            function(state[0] % 100)
            function(state[0] % 90, z=1, a=("x", 2**70))
            leased(state[0] % 100)
            function.cache_delete(state[0] % 100)
            if state[0] % 8 == 0:
                pickled(state[0] % 40)

        def failing():
            odd(state[0] % 20)
            odd("x" * 200)
            try:
                odd(object())
            except TypeError:
                pass

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.steady(CALLS // 4, fresh, failing, function.cache_info, lambda: function(1))

    def test_the_mapping(self):
        cache = latchkey.Cache(size=1 << 20)
        state = [0]

        def use():
            state[0] += 1
            number = state[0] % 200
            cache[number] = "v" * number
            cache[str(number)] = number
            cache[b"%d" % number] = b"\1" * (number * 30)
            cache.get(number)
            cache.get("absent", cache)
            cache.incr("n")
            cache.add(number, 1, ttl=5)
            cache.entry(number)
            cache.cas(number, 2, 1)
            cache.touch(number)
            cache.delete(number)
            with cache.lease(number) as lease:
                if lease.held and number % 2:
                    lease.fill(number)

        def seldom():
            if state[0] % 100 == 0:
                cache.stats()
                cache.verify()
                dict(cache)
                list(cache.keys("1"))
                cache.get_many([1, "1", b"1"])
                latchkey.Cache().close()

        def wrong():
            for call in (lambda: cache.get(1.5), lambda: cache.set("a", []),
                         lambda: cache["absent"], lambda: cache.set("k" * 70000, 1),
                         lambda: cache.get("a", 1, 2), lambda: cache.set(key="a"),
                         lambda: latchkey.Cache("/"), lambda: latchkey.Cache(nothing=1)):
                try:
                    call()
                except (TypeError, ValueError, KeyError):
                    pass

        self.steady(CALLS // 8, use, seldom, wrong)

    def test_making_and_dropping(self):
        def make():
            for backend in ("memory", "shared"):
                function = latchkey.cache(backend=backend, max_size=3)(lambda n: n)
                function(1)
                function.me = function
            cache = latchkey.Cache("dropped")
            cache.me = cache
            pickle.loads(pickle.dumps(cache)).close()
            latchkey.decode(latchkey.encode([1, {"a": (2.5, None)}, "x", 2**90]))
            try:
                latchkey.decode(b"l\3\0\0\0i")
            except ValueError:
                pass

        self.steady(CALLS // 1000, make)

    def test_coroutines(self):
        @latchkey.cache(max_size=8)
        async def memory(number):
            await asyncio.sleep(0)
            return [number]

        @latchkey.cache(max_size=8, backend="shared")
        async def shared(number):
            await asyncio.sleep(0)
            return [number]

        async def main():
            for number in range(5):
                await asyncio.gather(memory(number), memory(number), shared(number), shared(number))

        self.steady(CALLS // 1000, lambda: asyncio.run(main()))


if __name__ == "__main__":
    unittest.main()
