"""latchkey.Cache: the mapping, its calls, its errors."""

import copy
import gc
import math
import multiprocessing
import os
import pickle
import subprocess
import sys
import time
import unittest
import weakref
from collections.abc import MutableMapping

import latchkey
import lkpy


def _set_in_child(cache, key, value):
    cache[key] = value


class Mapping(lkpy.PythonTest):
    """What a mapping does."""

    def setUp(self):
        super().setUp()
        self.cache = latchkey.Cache("m", size=1 << 20)

    def test_types_of_keys_and_values_come_back(self):
        values = [0, 1, -1, 17, 2**63 - 1, -2**63, 2**63, -2**200, b"", b"x", b"\0\xff",
                  b"17", b"-3",
                  b"\1a", b"\2", b"\3", b"007", b"+1", b"-0", "", "text", "17", "\1",
                  "\u00e9\U0001f600",
                  b"1" * 20, b"9223372036854775808", "a" * 10000, b"b" * 50000]
        for value in values:
            for key in (value, "k"):
                if isinstance(key, (str, bytes)) and len(key) > 60000:
                    continue
                self.cache[key] = value
                got = self.cache[key]
                self.assertEqual((type(got), got), (type(value), value))
        self.assertEqual(len(set(values)), len(values))
        self.cache.clear()
        for value in values:
            self.cache[value] = value
        found = dict(self.cache)
        self.assertEqual(found, {v: v for v in values})
        self.assertEqual({type(k) for k in found}, {int, str, bytes})

    def test_keys_of_different_types_are_different(self):
        self.cache["1"] = "text"
        self.cache[b"1"] = "bytes"
        self.cache[1] = "int"
        self.assertEqual([self.cache[k] for k in ("1", b"1", 1, True)],
                         ["text", "bytes", "int", "int"])

    def test_get_in_len_del(self):
        self.assertIsNone(self.cache.get("k"))
        self.assertEqual(self.cache.get("k", 5), 5)
        self.assertEqual(self.cache.get(key="k", default=6), 6)
        self.assertNotIn("k", self.cache)
        with self.assertRaises(KeyError) as caught:
            self.cache["k"]
        self.assertEqual(caught.exception.args, ("k",))
        with self.assertRaises(KeyError):
            del self.cache["k"]
        self.cache["k"] = b"v" * 9000
        self.assertIn("k", self.cache)
        self.assertEqual(self.cache["k"], b"v" * 9000)
        self.assertEqual(len(self.cache), 1)
        del self.cache["k"]
        self.assertEqual((len(self.cache), bool(self.cache.keys())), (0, False))

    def test_mutable_mapping(self):
        self.assertIsInstance(self.cache, MutableMapping)
        self.cache.update({"a": 1, "b": 2})
        self.assertEqual(self.cache.pop("a"), 1)
        self.assertEqual(self.cache.pop("a", None), None)
        self.assertEqual(self.cache.setdefault("b", 3), 2)
        self.assertEqual(self.cache.setdefault("c", 3), 3)
        self.assertEqual(sorted(self.cache.items()), [("b", 2), ("c", 3)])
        self.assertEqual(sorted(self.cache.keys()), ["b", "c"])
        self.assertEqual(sorted(self.cache.values()), [2, 3])
        self.assertIn(self.cache.popitem(), [("b", 2), ("c", 3)])
        self.cache.clear()
        self.assertRaises(KeyError, self.cache.popitem)

    def test_iteration_by_prefix(self):
        for key in ("user:1", "user:2", "used", "\1odd", b"user:3", 5):
            self.cache[key] = key
        self.assertEqual(sorted(self.cache.keys("user:")), ["user:1", "user:2"])
        self.assertEqual(sorted(self.cache.items("use")),
                         [(k, k) for k in ("used", "user:1", "user:2")])
        self.assertEqual(list(self.cache.values("\1")), ["\1odd"])
        self.assertEqual(list(self.cache.keys(b"user")), [b"user:3"])
        self.assertEqual(len(list(self.cache.keys(""))), 4)
        self.assertEqual(len(list(self.cache)), 6)
        self.assertRaises(TypeError, self.cache.keys, 5)
        self.assertRaises(ValueError, self.cache.scan, None, "what")

    def test_add_replace_cas(self):
        self.assertFalse(self.cache.replace("k", 0))
        self.assertTrue(self.cache.add("k", 1))
        self.assertFalse(self.cache.add("k", 2))
        self.assertTrue(self.cache.replace("k", 3))
        value, version, ttl = self.cache.entry("k")
        self.assertEqual((value, ttl), (3, None))
        self.assertTrue(self.cache.cas("k", 4, version))
        self.assertFalse(self.cache.cas("k", 5, version))
        self.assertFalse(self.cache.cas("absent", 5, version))
        self.assertEqual(self.cache["k"], 4)
        self.assertIsNone(self.cache.entry("absent"))

    def test_incr(self):
        self.assertEqual(self.cache.incr("n"), 1)
        self.assertEqual(self.cache.incr("n", 10), 11)
        self.assertEqual(self.cache.incr("n", -20), -9)
        self.assertEqual(self.cache["n"], -9)
        self.assertEqual(self.cache.incr("m", 5, initial=100), 105)
        self.cache["n"] = 2**63 - 2
        self.assertEqual(self.cache.incr("n", 5), 2**63 - 1)
        self.assertEqual(self.cache.incr("low", -2**63, initial=-5), -2**63)
        self.cache["text"] = "abc"
        self.assertRaises(TypeError, self.cache.incr, "text")
        self.assertRaises(OverflowError, self.cache.incr, "n", 2**64)

    def test_time_to_live(self):
        self.cache.set("short", 1, ttl=0.05)
        self.cache.set("long", 2, 60)
        self.cache.set("ever", 3, ttl=math.inf)
        self.assertEqual(self.cache["short"], 1)
        self.assertAlmostEqual(self.cache.entry("long")[2], 60, delta=5 * lkpy.SCALE)
        time.sleep(0.06)
        self.assertNotIn("short", self.cache)
        self.assertTrue(self.cache.touch("long", math.inf))
        self.assertIsNone(self.cache.entry("long")[2])
        self.assertFalse(self.cache.touch("short", 1))
        default = latchkey.Cache("ttl", ttl=0.05)
        default["k"] = 1
        time.sleep(0.06)
        self.assertIsNone(default.get("k"))
        for wrong in (-1, math.nan):
            self.assertRaises(ValueError, self.cache.set, "k", 1, wrong)
        self.assertRaises(TypeError, self.cache.set, "k", 1, "soon")

    def test_get_many(self):
        big = b"x" * 5000
        self.cache.update({f"k{i}": i for i in range(100)})
        self.cache["big"] = big
        asked = [f"k{i}" for i in range(0, 200, 3)] + ["big", b"k3"]
        self.assertEqual(self.cache.get_many(asked),
                         {**{f"k{i}": i for i in range(0, 100, 3)}, "big": big})
        self.assertEqual(self.cache.get_many(iter([])), {})
        self.assertRaises(TypeError, self.cache.get_many, ["a", 1.5])
        self.assertRaises(TypeError, self.cache.get_many, 5)

    def test_wrong_arguments(self):
        for call in (lambda: self.cache.get(), lambda: self.cache.get(1.5),
                     lambda: self.cache.get(None), lambda: self.cache.set("a"),
                     lambda: self.cache.set("a", 1.5), lambda: self.cache.set("a", [1]),
                     lambda: self.cache.set("a", 1, key="b"), lambda: self.cache.set("a", 1, tt=3),
                     lambda: self.cache.get("a", 1, 2), lambda: self.cache.__setitem__((1,), 1)):
            self.assertRaises(TypeError, call)
        self.assertRaises(ValueError, self.cache.set, "k" * 70000, 1)
        self.assertRaises(ValueError, self.cache.set, "k", b"v" * (1 << 20))
        self.assertRaises(UnicodeEncodeError, self.cache.set, "\ud800", 1)
        self.assertEqual(len(self.cache), 0)

    def test_statistics_verify_repair(self):
        self.cache["k"] = 1
        self.cache.get("k")
        self.cache.get("l")
        stats = self.cache.stats()
        self.assertEqual([stats[n] for n in ("entries", "hits", "misses", "sets", "threads")],
                         [1, 1, 1, 1, 1])
        self.assertEqual((self.cache.verify(), self.cache.repair()), ([], 0))
        self.assertEqual(self.cache.capacity, 1 << 20)
        self.assertIn("'m', 1 entries", repr(self.cache))


class Handles(lkpy.PythonTest):
    """Opening, closing, forking, pickling."""

    def test_names_and_options(self):
        first = latchkey.Cache("a", size=1 << 20, ttl=60)
        first["k"] = "v"
        self.assertEqual(latchkey.Cache("a")["k"], "v")
        self.assertRaisesRegex(ValueError, "capacity_bytes", latchkey.Cache, "a", size=2 << 20)
        with self.assertRaises(FileExistsError):
            latchkey.Cache("a", exclusive=True)
        with self.assertRaises(FileNotFoundError):
            latchkey.Cache("b", create=False)
        for name in ("", ".a", "a/b", "x" * 300):
            self.assertRaises(ValueError, latchkey.Cache, name)
        self.assertRaises(ValueError, latchkey.Cache, "c", size=1)
        self.assertRaises(TypeError, latchkey.Cache, "c", colour=1)
        latchkey.unlink("a")
        with self.assertRaises(FileNotFoundError):
            latchkey.unlink("a")
        self.assertEqual(first["k"], "v")

    def test_wrong_files_and_directories(self):
        latchkey.Cache("a", size=1 << 20).close()
        with open(os.path.join(self.dir, "junk"), "wb") as file:
            file.write(bytes(8192))
        os.chmod(os.path.join(self.dir, "junk"), 0o600)
        self.assertRaises(OSError, latchkey.Cache, "junk")
        os.chmod(os.path.join(self.dir, "a"), 0o644)
        self.assertRaises(PermissionError, latchkey.Cache, "a")
        os.chmod(self.dir, 0o755)
        self.assertRaises(PermissionError, latchkey.Cache, "new")

    def test_read_only(self):
        latchkey.Cache("a")["k"] = 1
        reader = latchkey.Cache("a", read_only=True)
        self.assertEqual((reader["k"], dict(reader)), (1, {"k": 1}))
        with self.assertRaises(OSError):
            reader["k"] = 2
        self.assertRaises(OSError, pickle.loads(pickle.dumps(reader)).clear)

    def test_close(self):
        with latchkey.Cache("a") as cache:
            cache["k"] = 1
        self.assertTrue(cache.closed)
        for call in (lambda: cache["k"], lambda: cache.set("k", 1), lambda: len(cache),
                     lambda: "k" in cache, lambda: list(cache), cache.stats, cache.clear,
                     cache.verify, cache.fileno, lambda: cache.lease("k"),
                     lambda: cache.get_many(["k"]), lambda: cache.incr("k")):
            self.assertRaisesRegex(ValueError, "closed", call)
        cache.close()
        self.assertIn("closed", repr(cache))

    def test_identity_weak_references_and_collection(self):
        cache = latchkey.Cache()
        other = copy.copy(latchkey.Cache("a"))
        self.assertNotEqual(cache, other)
        self.assertEqual({cache: 1}[cache], 1)
        cache.me = cache
        gone = weakref.ref(cache)
        del cache
        gc.collect()
        self.assertIsNone(gone())

    def test_children_go_on_with_the_handle(self):
        for cache in (latchkey.Cache("a"), latchkey.Cache()):
            cache["parent"] = 1

            def child(cache=cache):
                cache["child"] = cache["parent"] + 1
                return 0 if cache.stats()["threads"] >= 2 else 1

            self.join(self.fork(child))
            self.assertEqual(cache["child"], 2)
            self.assertEqual(cache.verify(), [])

    def test_pickled_handles_lead_to_the_same_cache(self):
        named = latchkey.Cache("a", size=1 << 20)
        again = pickle.loads(pickle.dumps(named))
        again["k"] = 1
        self.assertEqual((named["k"], again.name), (1, "a"))
        if lkpy.SANITIZED or lkpy.DEBUG:
            return
        context = multiprocessing.get_context("spawn")
        for number, cache in enumerate((named, latchkey.Cache())):
            process = context.Process(target=_set_in_child, args=(cache, "spawned", number))
            process.start()
            process.join(60)
            self.assertEqual((process.exitcode, cache.get("spawned")), (0, number))

    def test_other_programs_find_what_python_stores(self):
        lk = os.environ.get("LK")
        if not lk or lkpy.SANITIZED:
            self.skipTest("no lk")
        cache = latchkey.Cache("a")
        cache["greeting"] = b"hello"
        cache["n"] = 41

        def run(*args):
            return subprocess.run([lk, "cache", *args], capture_output=True, check=True).stdout

        self.assertEqual(run("get", "a", "greeting").strip(), b"hello")
        run("incr", "a", "n")
        run("set", "a", "from", "outside")
        self.assertEqual((cache["n"], cache["from"]), (42, b"outside"))


if __name__ == "__main__":
    sys.exit(unittest.main())
