"""@latchkey.cache on plain functions: both backends."""

import copy
import gc
import math
import os
import pickle
import random
import subprocess
import sys
import textwrap
import threading
import time
import unittest
import warnings
import weakref

import latchkey
import lkpy
from test_codec import Point


def counted(**options):
    """A cached function that tells its arguments, and the list of the calls that were computed."""
    calls = []

    @latchkey.cache(**options)
    def function(*args, **kwargs):
        calls.append((args, kwargs))
        return repr((args, kwargs))

    return function, calls


@latchkey.cache
def top_level(number):
    """Doc."""
    return number + 1


class Both:
    """What holds for each backend; `options` choose it."""

    options = {}

    def make(self, **more):
        return counted(**{**self.options, **more})

    def test_a_second_call_computes_nothing(self):
        function, calls = self.make()
        for _ in range(3):
            for args in ((), (1,), ("a",), (1, 2), (b"x", None, 1.5, (1, (2,)))):
                self.assertEqual(function(*args), repr((args, {})))
        self.assertEqual(len(calls), 5)
        info = function.cache_info()
        self.assertEqual(info[:4], (10, 5, 128, 5))
        self.assertEqual((info.hits, info.misses, info.maxsize, info.currsize), info[:4])

    def test_keys_are_unambiguous(self):
        function, calls = self.make()
        keys = [((1,), {}), ((1.0,), {}), ((True,), {}), (("1",), {}), ((b"1",), {}),
                ((1, 1), {}), (((1, 1),), {}), ((), {}), (((),), {}), ((None,), {}),
                ((1,), {"b": 2}), (((1,), (("b", 2),)), {}), ((1, "b", 2), {}),
                ((1, ("b", 2)), {}), ((), {"a": 1, "b": 2}), ((), {"a": 1}), ((), {"b": 1}),
                (("a", 1), {}), ((0.0,), {}), ((-0.0,), {}), ((0,), {}), ((False,), {}),
                (("",), {}),
                (((1,),), {}), (((1.0,),), {}), (((True,),), {}), ((-1,), {}), ((-2,), {}),
                ((2**61 - 2,), {}), ((2**64,), {}), ((2.0**64,), {}), (("a\0",), {}), (("a",), {}),
                ((1,), {"c": 2}), ((1,), {"b": 2.0})]
        for _ in range(2):
            for args, kwargs in keys:
                self.assertEqual(function(*args, **kwargs), repr((args, kwargs)))
        self.assertEqual(len(calls), len(keys))

    def test_the_order_of_keywords_does_not_matter(self):
        function, calls = self.make()
        function(1, a=1, b=2, c=3)
        function(1, c=3, b=2, a=1)
        function(1, b=2, a=1, c=3)
        self.assertEqual(len(calls), 1)
        function(1, a=2, b=1, c=3)
        self.assertEqual(len(calls), 2)
        self.assertTrue(function.cache_delete(1, b=2, c=3, a=1))
        self.assertEqual(function.peek(1, b=1, a=2, c=3), repr(((1,), {"a": 2, "b": 1, "c": 3})))

    def test_unhashable_arguments_are_refused(self):
        function, calls = self.make()
        for wrong in ([1], {}, set(), ([],)):
            self.assertRaises(TypeError, function, wrong)
            self.assertRaises(TypeError, function, 1, k=wrong)
        self.assertEqual(calls, [])

    def test_delete_and_clear(self):
        function, calls = self.make()
        function(1)
        function(2)
        self.assertTrue(function.cache_delete(1))
        self.assertFalse(function.cache_delete(1))
        function(1)
        function(2)
        self.assertEqual(len(calls), 3)
        function.cache_clear()
        self.assertEqual(function.cache_info()[:4], (0, 0, 128, 0))
        function(2)
        self.assertEqual(len(calls), 4)

    def test_small_capacities_are_exact(self):
        for capacity in (1, 2, 3, 5, 10, 31, 64, 128):
            function, calls = self.make(max_size=capacity)
            for _ in range(3):
                for number in range(capacity):
                    function(number)
            self.assertEqual(len(calls), capacity, capacity)
            for number in range(capacity + 1, capacity + 50):
                function(number)
                self.assertEqual(function.cache_info().currsize, capacity)

    def test_popular_keys_stay(self):
        function, calls = self.make(max_size=20)
        for number in range(1000):
            function("popular")
            function(number)
        self.assertEqual(sum(args == ("popular",) for args, _ in calls), 1)

    def test_time_to_live(self):
        function, calls = self.make(ttl=0.1)
        function(1)
        function(1)
        self.assertEqual(len(calls), 1)
        time.sleep(0.12)
        function(1)
        self.assertEqual(len(calls), 2)
        self.assertEqual(function.cache_parameters()["ttl"], 0.1)

    def test_exceptions_are_not_cached(self):
        calls = []

        @latchkey.cache(**self.options)
        def fails(number):
            calls.append(number)
            raise LookupError(number)

        for _ in range(2):
            self.assertRaises(LookupError, fails, 1)
        self.assertEqual(len(calls), 2)
        self.assertEqual(fails.cache_info()[:2], (0, 2))

    def test_recursion(self):
        @latchkey.cache(**{**self.options, "max_size": 1000})
        def fibonacci(number):
            return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)

        self.assertEqual(fibonacci(90), 2880067194370816120)
        self.assertEqual(fibonacci.cache_info().misses, 91)

    def test_it_looks_like_the_function(self):
        def plain(number: int) -> int:
            """Says what it does."""
            return number

        function = latchkey.cache(**self.options)(plain)
        self.assertIs(function.__wrapped__, plain)
        self.assertEqual((function.__name__, function.__qualname__, function.__doc__,
                          function.__module__, function.__annotations__),
                         (plain.__name__, plain.__qualname__, plain.__doc__, plain.__module__,
                          plain.__annotations__))
        self.assertIn("plain", repr(function))
        function.mark = 1
        self.assertEqual(function.mark, 1)
        self.assertIs(copy.deepcopy(function), function)
        self.assertIs(copy.copy(function), function)

    def test_threads(self):
        function, _ = self.make(max_size=50)
        wrong = []

        def work(seed):
            draw = random.Random(seed)
            for _ in range(3000):
                number = draw.randrange(200)
                if function(number) != repr(((number,), {})):
                    wrong.append(number)
                if number == 7:
                    function.cache_delete(draw.randrange(200))
                elif number == 3:
                    function.cache_clear()

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60 * lkpy.SCALE)
            self.assertFalse(thread.is_alive())
        self.assertEqual(wrong, [])
        self.assertLessEqual(function.cache_info().currsize, 50)

    def test_functions_that_are_dropped_are_collected(self):
        function, _ = self.make()
        function.me = function
        function(1)
        gone = weakref.ref(function)
        del function
        gc.collect()
        self.assertIsNone(gone())

    def test_wrong_options(self):
        def plain():
            pass

        for wrong in ({"max_size": -1}, {"max_size": "1"}, {"max_size": 2**40}, {"ttl": -1},
                      {"backend": "disk"}, {"max_size": 1.5}):
            self.assertRaises(ValueError, latchkey.cache(**{**self.options, **wrong}), plain)
        self.assertRaises(TypeError, latchkey.cache(**self.options), 5)

        def generator():
            yield 1

        self.assertRaises(TypeError, latchkey.cache(**self.options), generator)


class Memory(Both, lkpy.PythonTest):
    """backend="memory"."""

    options = {"backend": "memory"}

    def test_without_arguments_it_is_a_decorator(self):
        self.assertEqual([top_level(1), top_level(1)], [2, 2])
        self.assertEqual(top_level.__doc__, "Doc.")
        self.assertIs(pickle.loads(pickle.dumps(top_level)), top_level)

    def test_any_result_and_the_same_object(self):
        function = latchkey.cache(lambda kind: object() if kind else [])
        self.assertIs(function(1), function(1))
        self.assertIs(function(0), function(0))

    def test_no_limit_and_none_at_all(self):
        function, calls = self.make(max_size=None)
        for _ in range(2):
            for number in range(5000):
                function(number)
        self.assertEqual((len(calls), function.cache_info().maxsize), (5000, None))
        function, calls = self.make(max_size=0)
        function(1)
        function(1)
        self.assertEqual((len(calls), function.cache_info()[:4]), (2, (0, 2, 0, 0)))
        self.assertFalse(function.cache_delete(1))

    def test_methods(self):
        class Shop:
            """Has a cached method."""

            @latchkey.cache
            def price(self, item):
                """Of one."""
                return (id(self), item)

        one, two = Shop(), Shop()
        self.assertEqual(one.price("a"), one.price("a"))
        self.assertNotEqual(one.price("a"), two.price("a"))
        self.assertEqual(Shop.price.cache_info()[:2], (2, 2))
        self.assertEqual(Shop.price(one, item="a"), one.price(item="a"))

    def test_equality_of_user_types_decides(self):
        function, calls = self.make()
        function(Point(1, 2))
        function(Point(1, 2))
        function((Point(1, 2), 3))
        function((Point(1, 2), 3))
        self.assertEqual(len(calls), 2)
        nan = math.nan
        function(nan)
        function(nan)
        self.assertEqual(len(calls), 3)

    def test_keys_whose_comparison_changes_the_cache(self):
        """__eq__ clears the cache, fills it, and raises, in the middle of a search."""
        function, _ = self.make(max_size=8)
        draw = random.Random(5)

        class Nasty:
            """Of one hash, all of them."""
            depth = 0

            def __init__(self, number):
                self.number = number

            def __hash__(self):
                return 1

            def __repr__(self):
                return "nasty"

            def __eq__(self, other):
                what = draw.randrange(12)
                if Nasty.depth < 3:
                    Nasty.depth += 1
                    try:
                        if what == 0:
                            function.cache_clear()
                        elif what == 1:
                            function(Nasty(draw.randrange(20)))
                        elif what == 2:
                            function.cache_delete(Nasty(draw.randrange(20)))
                        elif what == 3:
                            raise LookupError
                        elif what == 4:
                            for number in range(20):
                                function(number)
                    finally:
                        Nasty.depth -= 1
                return self.number == other.number

        raised = 0
        for _ in range(5000):
            try:
                self.assertEqual(function(Nasty(draw.randrange(20))), "((nasty,), {})")
            except LookupError:
                raised += 1
        self.assertGreater(raised, 0)
        self.assertLessEqual(function.cache_info().currsize, 8)

    def test_results_whose_end_calls_the_cache(self):
        class Ends:
            """Calls the function when it is released."""

            def __del__(self):
                ended.append(1)
                if len(ended) < 500:
                    function(len(ended) % 7)

        ended = []
        function = latchkey.cache(max_size=3)(lambda number: Ends())
        for number in range(200):
            function(number % 9)
        function.cache_clear()
        self.assertGreater(len(ended), 200)

    def test_hit_ratio_is_not_below_lru(self):
        import functools
        draw = random.Random(9)
        keys = [int(draw.paretovariate(0.8)) % 2000 for _ in range(60000)]
        ours = latchkey.cache(max_size=256)(lambda number: number)
        theirs = functools.lru_cache(256)(lambda number: number)
        for key in keys:
            self.assertEqual(ours(key), theirs(key))
        self.assertGreater(ours.cache_info().hits, theirs.cache_info().hits * 0.995)


class Shared(Both, lkpy.PythonTest):
    """backend="shared", in one process; more in test_processes.py."""

    options = {"backend": "shared"}

    def test_methods_of_encodable_objects(self):
        latchkey.register(Point, "tests.Point", lambda p: (p.x, p.y), lambda xy: Point(*xy))
        function, calls = self.make()
        function(Point(1, 2))
        function(Point(1, 2))
        self.assertEqual(len(calls), 1)
        with self.assertRaisesRegex(TypeError, "register"):
            function(object())

    def test_results_are_new_objects(self):
        function = latchkey.cache(backend="shared")(lambda number: [number])
        first = function(1)
        first.append(2)
        self.assertEqual(function(1), [1])

    def test_a_result_that_cannot_be_encoded_is_returned_and_counted(self):
        function = latchkey.cache(backend="shared")(lambda number: {number})
        with self.assertWarnsRegex(RuntimeWarning, "set.*serializer=\"pickle\""):
            self.assertEqual(function(1), {1})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.assertEqual(function(1), {1})
        info = function.cache_info()
        self.assertEqual((info.misses, info.uncacheable, info.currsize), (2, 2, 0))

    def test_keys_and_values_that_are_too_large(self):
        function, calls = self.make(max_key_size=64, max_value_size=300)
        for _ in range(2):
            function("k" * 100)
            self.assertEqual(function("v", "k" * 10), repr((("v", "k" * 10), {})))
        self.assertEqual(len(calls), 3)
        self.assertEqual(function.cache_info().oversize, 2)
        large = latchkey.cache(backend="shared", max_value_size=100)(lambda n: "x" * n)
        self.assertEqual([len(large(n)) for n in (10, 10, 1000, 1000)], [10, 10, 1000, 1000])
        self.assertEqual(large.cache_info()[:7], (1, 3, 128, 1, 2, 0, 0))
        self.assertFalse(function.cache_delete("k" * 100))

    def test_the_largest_values_fit_exactly(self):
        for capacity, size in ((1, 4096), (2, 100000), (3, 4096), (128, 4096)):
            calls = []

            def function(number, size=size, calls=calls):
                calls.append(number)
                return bytes(size - 5)

            cached = latchkey.cache(backend="shared", max_size=capacity,
                                    max_value_size=size)(function)
            for _ in range(2):
                for number in range(capacity):
                    self.assertEqual(len(cached(number)), size - 5)
            self.assertEqual((len(calls), cached.cache_info().oversize), (capacity, 0), capacity)

    def test_large_capacities(self):
        function, calls = self.make(max_size=50000)
        for _ in range(2):
            for number in range(20000):
                function(number)
        self.assertEqual(len(calls), 20000)

    def test_serializers(self):
        import json
        value = {"a": [1, {2}]}
        function = latchkey.cache(backend="shared", serializer="pickle")(lambda: value)
        self.assertEqual([function(), function()], [value, value])
        self.assertEqual(function.cache_info()[:2], (1, 1))
        function = latchkey.cache(backend="shared", serializer=json)(lambda n: {"n": [n]})
        self.assertEqual([function(1), function(1)], [{"n": [1]}] * 2)
        self.assertEqual(function.cache_info()[:2], (1, 1))
        with self.assertRaisesRegex(ValueError, "'pickle'"):
            latchkey.cache(backend="shared", serializer="marshal")(len)

    def test_pickle_is_used_only_when_asked_for(self):
        class Evil:
            """Would be run by whoever unpickles it."""

            def __reduce__(self):
                return (os.abort, ())

        function = latchkey.cache(backend="shared", name="pickle")(lambda: 1)
        key = function.key()
        function.keep(key, 5, None)
        self.assertEqual(function(), 5)
        raw = latchkey._core.SharedFunction(len, function.cache, 128, None, 512, 4096,
                                            lambda value: value, bytes, False, False)
        raw.keep(key, pickle.dumps(Evil()), None)
        self.assertEqual(function(), 1)

    def test_damaged_values_are_computed_again(self):
        function = latchkey.cache(backend="shared")(lambda number: number)
        raw = latchkey._core.SharedFunction(len, function.cache, 128, None, 512, 4096,
                                            lambda value: value, bytes, False, False)
        draw = random.Random(3)
        for number in range(300):
            raw.keep(function.key(number), draw.randbytes(draw.randrange(1, 40)), None)
            self.assertEqual(function(number), number)
        self.assertGreater(function.cache_info().errors, 200)

    def test_a_cache_that_turns_over_keeps_cheap_results_that_are_asked_for_again(self):
        function, calls = self.make(max_size=16)
        for number in range(16 * 30):
            function(number)
        calls.clear()
        for number in range(1000, 1020):
            for _ in range(400):
                self.assertEqual(function(number), repr(((number,), {})))
        self.assertLessEqual(len(calls), 20 * 256)  # at most 255, and one for who was there before
        function.cache_clear()  # from the beginning
        calls.clear()
        for number in (1, 1, 2, 2):
            function(number)
        self.assertEqual(len(calls), 2)

    def test_a_result_that_took_long_is_kept_at_once(self):
        calls = []

        @latchkey.cache(backend="shared", max_size=4)
        def slow(number):
            calls.append(number)
            time.sleep(0.0001)
            return number

        for number in range(200):
            slow(number)
            slow(number)
        self.assertEqual(len(calls), 200)

    def test_closed_segments_do_no_harm(self):
        function, calls = self.make()
        function(1)
        function.cache.close()
        function(1)
        self.assertEqual((len(calls), function.cache is not None), (2, True))
        self.assertRaises(ValueError, function.cache_info)

    def test_every_result_type(self):
        values = [None, True, 0, 2**100, 1.5, "t", b"b", (1, [2]), {"k": None}]
        function = latchkey.cache(backend="shared")(lambda at: values[at])
        for _ in range(2):
            for at, value in enumerate(values):
                got = function(at)
                self.assertEqual((got, type(got)), (value, type(value)))
        self.assertEqual(function.cache_info()[:2], (len(values), len(values)))


class Names(lkpy.PythonTest):
    """Which functions share a segment, and which never do."""

    def run_program(self, folder, text):
        """Run a program file of that text; its standard output."""
        path = os.path.join(self.dir, folder)
        os.makedirs(path, exist_ok=True)
        file = os.path.join(path, "program.py")
        with open(file, "w", encoding="utf-8") as out:
            out.write(textwrap.dedent(text))
        segments = os.path.join(self.dir, "segments")
        os.makedirs(segments, mode=0o700, exist_ok=True)
        done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=False,
                              env={**os.environ, "LK_DIR": segments})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    PROGRAM = """
        import latchkey
        @latchkey.cache(backend="shared")
        def f(x):
            return "{}"
        print(f(1), f.cache_info().hits)
    """

    def test_the_same_program_finds_its_results(self):
        self.assertEqual(self.run_program("a", self.PROGRAM.format("one")), "one 0\n")
        self.assertEqual(self.run_program("a", self.PROGRAM.format("one")), "one 1\n")

    def test_functions_of_one_name_in_different_programs(self):
        self.assertEqual(self.run_program("a", self.PROGRAM.format("one")), "one 0\n")
        self.assertEqual(self.run_program("b", self.PROGRAM.format("one")), "one 0\n")

    def test_a_new_version_of_a_program(self):
        self.assertEqual(self.run_program("a", self.PROGRAM.format("one")), "one 0\n")
        self.assertEqual(self.run_program("a", self.PROGRAM.format("two")), "two 0\n")

    def test_closures_do_not_collide(self):
        def make(factor):
            @latchkey.cache(backend="shared")
            def times(number):
                return number * factor
            return times

        functions = [make(factor) for factor in (2, 3)]
        for _ in range(2):
            self.assertEqual([f(10) for f in functions], [20, 30])

    def test_defaults_and_lambdas_do_not_collide(self):
        functions = []
        for factor in (2, 3):
            def times(number, factor=factor):
                return number * factor
            functions.append(latchkey.cache(backend="shared")(times))
        functions.append(latchkey.cache(backend="shared")(lambda number: number * 5))
        functions.append(latchkey.cache(backend="shared")(lambda number: number * 7))
        for _ in range(2):
            self.assertEqual([f(10) for f in functions], [20, 30, 50, 70])

    def test_names_of_ones_own(self):
        one = latchkey.cache(backend="shared", name="mine")(lambda: 1)
        two = latchkey.cache(backend="shared", name="mine")(lambda: 2)
        self.assertEqual((one(), two(), one.cache.name), (1, 1, "mine"))
        with self.assertRaises(ValueError):
            latchkey.cache(backend="shared", name="mine", max_size=500)(lambda: 3)

    def test_builtin_functions_and_methods(self):
        function = latchkey.cache(backend="shared")(len)
        self.assertEqual([function("abc"), function("abc"), function.cache_info().hits], [3, 3, 1])
        self.assertIsNone(function.cache.name)


if __name__ == "__main__":
    unittest.main()
