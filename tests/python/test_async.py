"""Cached coroutine functions."""

import asyncio
import inspect
import threading
import unittest

import latchkey
import lkpy


class Asynchronous:
    """What holds for each backend."""

    options = {}

    def make(self, seconds=0.01, **more):
        """A cached coroutine function that sleeps, and the list of its calls."""
        calls = []

        @latchkey.cache(**{**self.options, **more})
        async def function(*args, **kwargs):
            calls.append((args, kwargs))
            await asyncio.sleep(seconds)
            if args == ("fail",):
                raise LookupError("failed")
            return repr((args, kwargs))

        return function, calls

    def test_it_is_a_coroutine_function(self):
        function, _ = self.make()
        self.assertTrue(inspect.iscoroutinefunction(function))
        self.assertTrue(inspect.iscoroutinefunction(function.__wrapped__))

    def test_a_hit_returns_without_suspending(self):
        function, calls = self.make()
        asyncio.run(function(1, k=2))
        call = function(1, k=2)
        with self.assertRaises(StopIteration) as ended:
            call.send(None)
        self.assertEqual(ended.exception.value, repr(((1,), {"k": 2})))
        self.assertEqual((len(calls), function.cache_info()[:2]), (1, (1, 1)))

    def test_of_many_tasks_one_computes(self):
        function, calls = self.make(0.05)

        async def main():
            return await asyncio.gather(*(function(n % 3) for n in range(90)))

        self.assertEqual(asyncio.run(main()), [repr(((n % 3,), {})) for n in range(90)])
        self.assertEqual((len(calls), function.cache_info()[:2]), (3, (87, 3)))

    def test_an_exception_reaches_all_that_wait(self):
        function, calls = self.make()

        async def main():
            return await asyncio.gather(*(function("fail") for _ in range(5)),
                                        return_exceptions=True)

        self.assertEqual([type(e) for e in asyncio.run(main())], [LookupError] * 5)
        self.assertEqual(len(calls), 1)
        self.assertEqual([type(e) for e in asyncio.run(main())], [LookupError] * 5)

    def test_a_cancelled_leader_leaves_its_place(self):
        function, calls = self.make(0.05)

        async def main():
            leader = asyncio.create_task(function(1))
            await asyncio.sleep(0.01)
            others = [asyncio.create_task(function(1)) for _ in range(4)]
            await asyncio.sleep(0.01)
            leader.cancel()
            others[3].cancel()
            return await asyncio.gather(leader, *others, return_exceptions=True)

        results = asyncio.run(main())
        self.assertIsInstance(results[0], asyncio.CancelledError)
        self.assertIsInstance(results[4], asyncio.CancelledError)
        self.assertEqual(results[1:4], [repr(((1,), {}))] * 3)
        self.assertEqual(len(calls), 2)

    def test_loops_in_several_threads(self):
        function, calls = self.make(0.02)
        results = []

        def work():
            async def main():
                return await asyncio.gather(*(function(n % 5) for n in range(20)))
            results.append(asyncio.run(main()))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60 * lkpy.SCALE)
        self.assertEqual(results, [[repr(((n % 5,), {})) for n in range(20)]] * 4)
        self.assertLessEqual(len(calls), 20)

    def test_delete_clear_methods(self):
        class Shop:
            """Has a cached method."""

            def __hash__(self):
                return 1

            @latchkey.cache
            async def price(self, item):
                """Of one."""
                return item

        shop = Shop()
        self.assertEqual(asyncio.run(shop.price("a")), "a")
        self.assertEqual(Shop.price.cache_info().currsize, 1)
        function, calls = self.make()
        asyncio.run(function(1))
        self.assertTrue(function.cache_delete(1))
        asyncio.run(function(1))
        function.cache_clear()
        self.assertEqual((len(calls), function.cache_info().currsize), (2, 0))

    def test_generators_are_refused(self):
        async def generator():
            yield 1

        self.assertRaises(TypeError, latchkey.cache(**self.options), generator)


class Memory(Asynchronous, lkpy.PythonTest):
    """backend="memory"."""
    options = {"backend": "memory"}


class Shared(Asynchronous, lkpy.PythonTest):
    """backend="shared"."""
    options = {"backend": "shared"}

    def test_of_many_processes_one_computes(self):
        computed = latchkey.Cache()

        @latchkey.cache(backend="shared")
        async def slow(number):
            computed.incr("calls")
            await asyncio.sleep(0.3)
            return number

        def child():
            async def main():
                ticks = 0

                async def tick():
                    nonlocal ticks
                    while True:
                        await asyncio.sleep(0.005)
                        ticks += 1

                ticking = asyncio.create_task(tick())
                values = await asyncio.gather(*(slow(5) for _ in range(10)))
                ticking.cancel()
                computed.incr("ticks", ticks)
                return 0 if values == [5] * 10 else 1
            return asyncio.run(main())

        children = [self.fork(child) for _ in range(4)]
        for pid in children:
            self.join(pid)
        self.assertEqual(computed["calls"], 1)
        # The loops went on while another process computed.
        self.assertGreaterEqual(computed["ticks"], 5)

    def test_too_large_keys(self):
        function, calls = self.make(max_key_size=20)
        for _ in range(2):
            asyncio.run(function("k" * 50))
        self.assertEqual((len(calls), function.cache_info().oversize), (2, 4))

    def test_a_holder_elsewhere_is_not_waited_for_longer_than_asked(self):
        function, calls = self.make(lease_timeout=0.1)
        core = latchkey._core.SharedFunction(len, function.cache, 128, None, 512, 4096, None, None,
                                             None, True)
        ready = latchkey.Cache()

        def child():
            core.try_lease(core.key(1))
            ready["held"] = 1
            while "over" not in ready:
                pass

        pid = self.fork(child)
        self.eventually(lambda: "held" in ready)
        self.assertEqual(asyncio.run(function(1)), repr(((1,), {})))
        self.assertEqual(len(calls), 1)
        ready["over"] = 1
        self.join(pid)


if __name__ == "__main__":
    unittest.main()
