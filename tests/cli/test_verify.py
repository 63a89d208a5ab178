#!/usr/bin/env python3
"""lk verify finds what is damaged and changes nothing; lk repair mends what killed writers left."""
import json
import os
import random
import signal
import subprocess
import unittest

from lktest import LkTest


def entries(n):
    return b"".join(b'{"key":"key:%d","value":"%d"}\n' % (i, i) for i in range(n))


class Verify(LkTest):
    def make(self, name="web", n=300, size="256k"):
        self.lk("cache", "create", name, f"--size={size}", "-q")
        self.lk("cache", "import", name, "-q", stdin=entries(n))

    def bytes_of(self, name="web"):
        with open(self.path(name), "rb") as file:
            return file.read()

    def test_sound(self):
        self.make()
        before = self.bytes_of()
        self.assertRegex(self.lk("verify", "web").decode(),
                         r"^web: sound, 1 shard, 300 entries, [\d.]+ KiB\n$")
        self.assertEqual(self.lk("verify", "-q", "web"), b"")
        self.assertEqual(self.bytes_of(), before, "verify changes nothing")

    def test_json_and_all(self):
        self.make()
        self.make("other", 5)
        rows = self.lk_json("verify", "--all")
        self.assertEqual({(row["name"], row["kind"], row["sound"], row["entries"])
                          for row in rows},
                         {("web", "cache", True, 300), ("other", "cache", True, 5)})
        self.assertEqual([row["problems"] for row in rows], [[], []])
        rows = self.lk_json("verify", "web", "nosuch", code=3)
        self.assertEqual([row["sound"] for row in rows], [True, False])
        self.assertEqual(rows[1]["error"], "No such file or directory")
        self.lk("verify", "web", "nosuch", code=3, error="nosuch")

    def test_damage_is_found_told_and_left_alone(self):
        """Random bytes over the middle of the segment: problems with places, exit 1, and the
        bytes stay as they were."""
        self.make()
        size = os.path.getsize(self.path("web"))
        chance = random.Random(1)
        found = 0
        for _ in range(12):
            sound = self.bytes_of()
            with open(self.path("web"), "r+b") as file:
                file.seek(chance.randrange(size // 4, size - 4096))
                file.write(chance.randbytes(2048))
            damaged = self.bytes_of()
            done = self.run_lk("verify", "web")
            self.assertIn(done.returncode, (0, 1), done)
            self.assertEqual(self.bytes_of(), damaged, "verify changes nothing")
            if done.returncode == 1:
                found += 1
                *problems, summary = done.stdout.decode().splitlines()
                for line in problems:
                    self.assertRegex(line, r"^web: [^:]+: .+")
                self.assertRegex(summary, r"^web: [\d,]+ problems?$")
                row = self.lk_json("verify", "web", code=1)[0]
                self.assertFalse(row["sound"])
                self.assertEqual(len(row["problems"]), len(problems))
                self.lk("verify", "--all", "-q", code=1)
            with open(self.path("web"), "r+b") as file:
                file.write(sound)
        self.assertGreater(found, 2)
        self.lk("verify", "web")

    def test_repair_mends_damage(self):
        self.make()
        size = os.path.getsize(self.path("web"))
        chance = random.Random(2)
        mended = 0
        for _ in range(10):
            sound = self.bytes_of()
            with open(self.path("web"), "r+b") as file:
                file.seek(chance.randrange(size // 4, size - 4096))
                file.write(chance.randbytes(512))
            if self.run_lk("verify", "web").returncode == 1:
                done = self.run_lk("repair", "--all-shards", "web")
                self.assertEqual(done.returncode, 0, done)
                self.assertIn(b"web: 1 shard rebuilt", done.stdout)
                self.lk("verify", "web")
                mended += 1
            with open(self.path("web"), "r+b") as file:
                file.write(sound)
        self.assertGreater(mended, 2)

    def test_a_dead_holder_is_no_problem_and_repair_repairs_it(self):
        self.lk("cache", "create", "web", "--size=16M", "--shards=1", "-q")
        self.lk("cache", "import", "web", "-q", stdin=entries(30000))
        self.signal_inside_a_change("web", signal.SIGKILL, "shards_dead")
        self.assertIn(b"web: 1 shard of a dead holder; the next writer repairs",
                      self.lk("verify", "web"))
        self.assertEqual(self.lk_json("verify", "web")[0]["shards_dead"], 1)
        self.assertEqual(self.lk("cache", "get", "web", "key:7"), b"7")
        row = self.lk_json("repair", "web")
        self.assertEqual((row["shards_repaired"], row["entries"], row["sound"]), (1, 30000, True))
        self.assertEqual(self.lk_json("verify", "web")[0]["shards_dead"], 0)
        self.signal_inside_a_change("web", signal.SIGKILL, "shards_dead")
        self.lk("cache", "set", "web", "key:7", "new")  # the next writer repairs by itself
        stat = self.lk_json("cache", "stat", "web")
        self.assertEqual((stat["shards_dead"], stat["entries"]), (0, 30000))
        self.assertEqual(stat["deaths"], 2)
        self.assertEqual(self.lk("repair", "web").decode().splitlines()[0].split(" in ")[0],
                         "web: 0 shards rebuilt")

    def test_plain_memory(self):
        """A segment of a program's own, made by the library through the test's own process."""
        if not os.path.exists(os.environ.get("LK_SHARED", "")):
            self.skipTest("no shared library in $LK_SHARED")
        make = ("import ctypes, os; lk = ctypes.CDLL(os.environ['LK_SHARED']); "
                "out = ctypes.c_void_p(); "
                "assert lk.lk_seg_create(ctypes.byref(out), b'bank', "
                "ctypes.c_size_t(5000), 0) == 0")
        subprocess.run(["python3", "-c", make], env=self.env, check=True)
        self.assertEqual(self.lk("verify", "bank"),
                         b"bank: sound (plain memory: only its header can be checked)\n")
        self.assertEqual(self.lk_json("verify", "--all")[0]["kind"], "memory")
        self.lk("repair", "bank", code=3, error="plain memory")
        self.lk("cache", "get", "bank", "k", code=3, error="bank")
        row = self.lk_json("cache", "list")[0]
        self.assertEqual((row["kind"], row["name"]), ("memory", "bank"))
        self.assertGreaterEqual(row["size_bytes"], 5000)
        top = json.loads(self.lk("top", "--json", "-n1", "-i", "100ms"))
        self.assertEqual(top["segments"][0]["kind"], "memory")

    def test_verify_of_a_busy_cache(self):
        self.make()
        busy = self.start("cache", "import", "web", "-q", stdin=subprocess.PIPE)
        data = entries(300) * 100
        pid = os.fork()
        if pid == 0:
            try:
                busy.stdin.write(data)
                busy.stdin.close()
            finally:
                os._exit(0)
        busy.stdin.close()
        while busy.poll() is None:
            self.lk("verify", "web")
        os.waitpid(pid, 0)
        self.assertEqual(busy.returncode, 0)

    def test_interrupted(self):
        process = self.start("verify", "--all", stdout=subprocess.DEVNULL)
        process.send_signal(signal.SIGINT)
        self.assertIn(process.wait(), (0, 130, -signal.SIGINT))


if __name__ == "__main__":
    unittest.main()
