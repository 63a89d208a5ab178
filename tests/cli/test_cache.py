#!/usr/bin/env python3
"""Each action of lk cache does what its help says, with the exit code that it lists."""
import json
import os
import signal
import subprocess
import time
import unittest

from lktest import SCALE, LkTest


class Cache(LkTest):
    def setUp(self):
        super().setUp()
        self.lk("cache", "create", "web", "--size=4M", "--quiet")

    def get(self, key, **kw):
        return self.lk("cache", "get", "web", key, **kw)

    def test_set_get_delete(self):
        self.get("k", code=1, error="lk cache get: web: no key 'k'")
        self.get("k", code=1, error="no key")
        self.lk("cache", "get", "-q", "web", "k", code=1)
        self.lk("cache", "set", "web", "k", "value")
        self.assertEqual(self.get("k"), b"value")
        self.assertEqual(self.lk("cache", "get", "-r", "web", "k"), b"value")
        self.lk("cache", "set", "web", "k", "-", stdin=b"from stdin")
        self.assertEqual(self.get("k"), b"from stdin")
        self.lk("cache", "set", "web", "k", stdin=b"")
        self.assertEqual(self.get("k"), b"")
        self.lk("cache", "delete", "web", "k")
        self.get("k", code=1, error="no key")

    def test_delete_takes_many_and_says_which_were_absent(self):
        for key in "abc":
            self.lk("cache", "set", "web", key, "1")
        self.lk("cache", "delete", "web", "a", "x", "b", code=1, error="no key 'x'")
        self.assertEqual(self.lk("cache", "list", "web"), b"c\n")

    def test_add_and_replace(self):
        self.lk("cache", "replace", "web", "k", "1", code=1, error="no key 'k'")
        self.lk("cache", "add", "web", "k", "1")
        self.lk("cache", "add", "web", "k", "2", code=1, error="key 'k' is there")
        self.lk("cache", "add", "-q", "web", "k", "2", code=1)
        self.assertEqual(self.get("k"), b"1")
        self.lk("cache", "replace", "web", "k", "3")
        self.assertEqual(self.get("k"), b"3")
        self.assertEqual(self.lk_json("cache", "add", "web", "k", "2", "-q", code=1),
                         {"stored": False})
        self.assertEqual(self.lk_json("cache", "set", "web", "k", "2"), {"stored": True})

    def test_cas(self):
        self.lk("cache", "cas", "web", "k", "--if-version=1", "x", code=1, error="no key")
        self.lk("cache", "set", "web", "k", "old")
        version = self.lk_json("cache", "get", "web", "k")["version"]
        self.lk("cache", "cas", "web", "k", f"--if-version={version}", "new")
        self.assertEqual(self.get("k"), b"new")
        self.lk("cache", "cas", "web", "k", f"--if-version={version}", "newer", code=1,
                error="another version")
        self.assertEqual(self.get("k"), b"new")

    def test_incr(self):
        self.assertEqual(self.lk("cache", "incr", "web", "n"), b"1\n")
        self.assertEqual(self.lk("cache", "incr", "web", "n", "41"), b"42\n")
        self.assertEqual(self.lk("cache", "incr", "web", "n", "-50"), b"-8\n")
        self.assertEqual(self.lk("cache", "incr", "web", "m", "5", "--initial", "-3"), b"-3\n")
        self.assertEqual(self.lk_json("cache", "incr", "web", "m", "5"), {"value": 2})
        self.lk("cache", "incr", "web", "n", "-q")
        self.assertEqual(self.get("n"), b"-7")
        self.lk("cache", "set", "web", "n", str(2**63 - 2))
        self.assertEqual(self.lk("cache", "incr", "web", "n", "9"), b"%d\n" % (2**63 - 1))
        self.lk("cache", "set", "web", "word", "twelve")
        self.lk("cache", "incr", "web", "word", code=1, error="no integer of 64 bits")

    def test_time_to_live(self):
        self.lk("cache", "set", "web", "short", "x", "--ttl", "150ms")
        self.lk("cache", "set", "web", "long", "x", "--ttl", "1h")
        self.lk("cache", "set", "web", "ever", "x", "--ttl", "never")
        left = self.lk_json("cache", "get", "web", "long")
        self.assertTrue(3500e9 < left["ttl_ns"] <= 3600e9, left)
        boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self.assertLess(abs(left["expire_ns"] - left["ttl_ns"] - boot), 10e9)
        self.assertIsNone(self.lk_json("cache", "get", "web", "ever")["ttl_ns"])
        time.sleep(0.2)
        self.get("short", code=1, error="no key")
        self.lk("cache", "touch", "web", "ever", "--ttl", "100ms")
        self.lk("cache", "touch", "web", "absent", "--ttl", "1s", code=1, error="no key 'absent'")
        self.lk("cache", "set", "web", "long", "y", "--ttl", "keep")
        self.assertGreater(self.lk_json("cache", "get", "web", "long")["ttl_ns"], 3400e9)
        time.sleep(0.15)
        self.get("ever", code=1, error="no key")

    def test_list(self):
        for key in ("a:1", "a:2", "b:1"):
            self.lk("cache", "set", "web", key, "v" + key)
        self.assertEqual(sorted(self.lk("cache", "list", "web").split()),
                         [b"a:1", b"a:2", b"b:1"])
        self.assertEqual(sorted(self.lk("cache", "list", "web", "--prefix", "a:").split()),
                         [b"a:1", b"a:2"])
        self.assertEqual(self.lk("cache", "each", "web", "-p", "b", "--values"), b"b:1\tvb:1\n")
        self.assertEqual(self.lk("cache", "list", "web", "-p", "zzz"), b"")
        header, *rows = self.lk("cache", "list", "web", "-l").decode().splitlines()
        self.assertEqual(header.split(), ["SIZE", "VERSION", "EXPIRES", "KEY"])
        self.assertEqual({row.split()[3]: row.split()[0] for row in rows},
                         {"a:1": "4", "a:2": "4", "b:1": "4"})
        items = self.lk_lines("cache", "list", "web", "--json")
        self.assertEqual({item["key"] for item in items}, {"a:1", "a:2", "b:1"})
        for item in items:
            self.assertEqual(set(item), {"key", "size", "version", "expire_ns", "ttl_ns"})
            self.assertEqual(item["version"],
                             self.lk_json("cache", "get", "web", item["key"])["version"])

    def test_list_of_segments(self):
        self.lk("cache", "create", "other cache", "--size=1M", "-q")
        with open(self.path("stranger"), "wb") as file:
            file.write(b"x" * 8192)
        os.chmod(self.path("stranger"), 0o600)
        self.assertEqual(self.lk("cache", "list", "--names"), b"other cache\nstranger\nweb\n")
        rows = self.lk_json("cache", "list")
        self.assertEqual([row["kind"] for row in rows], ["cache", "error", "cache"])
        self.assertEqual(rows[0]["stat"]["entries"], 0)
        text = self.lk("cache", "list").decode()
        self.assertRegex(text, r"(?m)^other cache +cache .* 1 MiB +0$")
        self.assertRegex(text, r"(?m)^stranger +- +\S")
        self.lk("cache", "list", "web", "--names", code=2, error="--names")

    def test_stat(self):
        self.lk("cache", "set", "web", "k", "v")
        self.get("k")
        self.get("absent", code=1, error="no key")
        stat = self.lk_json("cache", "stat", "web")
        self.assertEqual((stat["entries"], stat["hits"], stat["misses"], stat["sets"]),
                         (1, 1, 1, 1))
        self.assertEqual(stat["hit_ratio"], 0.5)
        self.assertLessEqual(stat["options"]["capacity_bytes"], stat["capacity_bytes"])
        text = self.lk("cache", "stat", "web").decode()
        self.assertRegex(text, r"hit ratio +50\.00 %")
        self.lk("cache", "get", "-r", "web", "k")  # read-only reads are not counted
        self.assertEqual(self.lk_json("cache", "stat", "web")["hits"], 1)

    def test_flush_and_unlink(self):
        for i in range(10):
            self.lk("cache", "set", "web", f"k{i}", "v")
        self.lk("cache", "flush", "web")
        self.assertEqual(self.lk_json("cache", "stat", "web")["entries"], 0)
        self.lk("cache", "unlink", "web")
        self.assertEqual(os.listdir(self.dir), [])
        self.lk("cache", "unlink", "web", code=1, error="no cache 'web' in " + self.dir)
        self.lk("cache", "unlink", "web", "--quiet", code=1)
        self.lk("cache", "unlink", "web", "--force")

    def test_create_again(self):
        self.lk("cache", "create", "web", "--size=4M", "-q")
        self.assertIs(self.lk_json("cache", "create", "web")["made"], False)
        self.assertIs(self.lk_json("cache", "create", "new")["made"], True)
        self.assertEqual(self.lk("cache", "create", "web"),
                         b"web: there already, 4 MiB in 4 shards\n")
        self.lk("cache", "create", "web", "--size=8M", code=3, error="capacity_bytes")
        self.lk("cache", "create", "web", "--shards=7", code=3, error="shards")
        self.lk("cache", "create", "web", "-x", code=3, error="File exists")
        made = self.lk_json("cache", "create", "all", "--size=1M", "--shards=2", "--ttl=90s",
                            "--granule=64", "--entry=200", "--threads=16", "--checksum")
        self.assertEqual((made["shards"], made["ttl_ns"], made["granule_bytes"],
                          made["entry_bytes"], made["threads"], made["checksum"]),
                         (2, 90 * 10**9, 64, 200, 16, True))

    def test_too_large(self):
        self.lk("cache", "set", "web", "k", "small")
        self.lk("cache", "set", "web", "k", stdin=bytes(2 << 20), code=1, error="too large")
        self.assertEqual(self.get("k"), b"small")
        self.lk("cache", "set", "web", "--key-file", "/dev/stdin", "v", stdin=b"k" * 65536, code=2,
                error="65536 bytes")

    def test_large_value(self):
        value = os.urandom(200000)
        self.lk("cache", "set", "web", "k", stdin=value)
        self.assertEqual(self.get("k"), value)

    def test_a_stopped_holder_ends_in_a_time_out(self):
        """A process stopped inside a change holds its shard; --timeout bounds the wait, and reads
        do not wait at all."""
        self.lk("cache", "create", "one", "--size=16M", "--shards=1", "--quiet")
        lines = b"".join(b'{"key":"k%d","value":"v"}\n' % i for i in range(60000))
        self.lk("cache", "import", "one", "-q", stdin=lines)
        stopped = self.signal_inside_a_change("one", signal.SIGSTOP, "shards_locked")
        self.lk("cache", "set", "one", "k1", "x", "--timeout", "50ms", code=1, error="timed out")
        self.lk("cache", "flush", "one", "--timeout", "50ms", code=1, error="stayed locked")
        self.lk("repair", "one", "--all-shards", "--timeout", "50ms", code=1, error="stayed locked")
        self.assertEqual(self.lk("cache", "get", "one", "k2"), b"v")
        stopped.kill()
        stopped.wait()
        self.lk("cache", "set", "one", "k1", "x")
        self.assertEqual(self.lk("cache", "get", "one", "k1"), b"x")


class Once(LkTest):
    def setUp(self):
        super().setUp()
        self.lk("cache", "create", "web", "--size=1M", "--quiet")

    def once(self, script, *options, **kw):
        return self.lk("cache", "once", *options, "web", "k", "--", "sh", "-c", script, **kw)

    def test_runs_once_and_serves_the_rest(self):
        self.assertEqual(self.once("printf 'a\\000b'"), b"a\0b")
        self.assertEqual(self.once("echo never"), b"a\0b")

    def test_a_command_that_fails_stores_nothing(self):
        self.once("echo half; exit 7", code=7, error="sh: exit code 7; nothing stored")
        self.lk("cache", "get", "-q", "web", "k", code=1)
        self.lk("cache", "once", "web", "k", "/nonexistent", code=3, error="No such file")
        self.assertEqual(self.once("echo whole"), b"whole\n")

    def test_of_many_one_runs_it(self):
        ran = os.path.join(self.dir, ".ran")
        askers = [self.start("cache", "once", "web", "k", "--", "sh", "-c",
                             f"echo >> {ran}; sleep 0.3; echo value", stdout=subprocess.PIPE)
                  for _ in range(8)]
        self.assertEqual([asker.communicate()[0] for asker in askers], [b"value\n"] * 8)
        with open(ran, encoding="ascii") as file:
            self.assertEqual(file.read(), "\n")

    def test_a_killed_one_is_replaced_at_once(self):
        ran = os.path.join(self.dir, ".ran")
        first = self.start("cache", "once", "web", "k", "--", "sh", "-c",
                           f"echo >> {ran}; while [ -e {ran} ]; do sleep 0.1; done",
                           stdout=subprocess.DEVNULL)
        while not os.path.exists(ran):
            time.sleep(0.005)
        second = self.start("cache", "once", "web", "k", "--", "echo", "second",
                            stdout=subprocess.PIPE)
        time.sleep(0.1)
        self.assertIsNone(second.poll(), "waits for the first")
        begun = time.monotonic()
        first.kill()
        self.assertEqual(second.communicate()[0], b"second\n")
        self.assertLess(time.monotonic() - begun, 2.0 * SCALE)
        self.assertEqual(self.lk_json("cache", "stat", "web")["lease_deaths"], 1)

    def test_timeout(self):
        self.start("cache", "once", "web", "k", "--", "sleep", "2", stdout=subprocess.DEVNULL)
        while self.lk_json("cache", "stat", "web")["leases_held"] == 0:
            time.sleep(0.005)
        self.once("echo x", "--timeout", "50ms", code=1, error="timed out")


class Copy(LkTest):
    def test_export_and_import(self):
        self.lk("cache", "create", "from", "--size=1M", "-q")
        self.lk("cache", "create", "to", "--size=1M", "-q")
        self.lk("cache", "set", "from", "text", "välue")
        self.lk("cache", "set", "from", "--key-hex", "00ff0a", stdin=bytes(range(256)))
        self.lk("cache", "set", "from", "timed", "x", "--ttl", "1h")
        lines = self.lk("cache", "export", "from")
        self.assertEqual(len(lines.splitlines()), 3)
        for line in lines.splitlines():
            json.loads(line)
        self.lk("cache", "import", "to", stdin=lines, error="to: 3 entries stored")
        self.assertEqual(self.lk("cache", "get", "to", "text").decode(), "välue")
        self.assertEqual(self.lk("cache", "get", "to", "--key-hex", "00ff0a"), bytes(range(256)))
        left = self.lk_json("cache", "get", "to", "timed")["ttl_ns"]
        self.assertTrue(3500e9 < left < 3600e9)
        self.assertEqual(len(self.lk("cache", "export", "from", "-p", "t").splitlines()), 2)

    def test_import_names_the_bad_line(self):
        self.lk("cache", "create", "web", "--size=1M", "-q")
        good = b'{"key":"a","value":"1"}\n'
        for bad in (b"{}", b"[1]", b"nonsense", b'{"key":"k"}', b'{"key":"k","value":7}',
                    b'{"key":"k","value_base64":"a"}', b'{"key":"k","value":"v","ttl_ns":"x"}'):
            with self.subTest(bad=bad):
                self.lk("cache", "import", "web", stdin=good + bad + b"\n", code=1,
                        error="line 2: no entry")
        self.lk("cache", "import", "web", stdin=b'{"key":"","value":"1"}\n', code=1,
                error="line 1: the key")
        self.assertEqual(self.lk("cache", "list", "web"), b"a\n")


if __name__ == "__main__":
    unittest.main()
