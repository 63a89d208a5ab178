#!/usr/bin/env python3
"""lk top: the table, the objects, and the live view on a real pseudo-terminal."""
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
import unittest

from lktest import LK, SCALE, LkTest


class Top(LkTest):
    def setUp(self):
        super().setUp()
        self.lk("cache", "create", "web", "--size=1M", "-q")

    def test_once_prints_a_table(self):
        self.lk("cache", "create", "other", "--size=64k", "-q")
        header, *rows = self.lk("top", "--once", "-i", "100ms").decode().splitlines()
        self.assertEqual(header.split(),
                         "SEGMENT GET/S SET/S HIT EVICT/S ENTRIES USED OF THREADS DEAD LOCKED "
                         "ORPHAN DEATHS REPAIRS BACKSTOPS".split())
        self.assertEqual([row.split()[0] for row in rows], ["other", "web"])
        self.assertEqual(rows[1].split()[1:4], ["0", "0", "-"])
        self.assertEqual(len({len(row) for row in [header, *rows]}), 1, "columns line up")

    def test_no_segments(self):
        self.lk("cache", "unlink", "web")
        self.assertEqual(self.lk("top", "-1", "-i", "100ms").decode(),
                         f"no segments in {self.dir}\n")
        os.rmdir(self.dir)
        self.lk("top", "-1", "-i", "100ms")
        self.assertFalse(os.path.exists(self.dir), "looking makes no directory")

    def test_a_pipe_gets_one_table_an_interval(self):
        text = self.lk("top", "-i", "100ms", "--count", "3").decode()
        self.assertEqual(text.count("SEGMENT"), 3)
        self.assertEqual(text.count("\n\n"), 2)

    def test_rates(self):
        """Rates summed over the time are what was done: 5 sets, 5 misses, 5 hits."""
        top = self.start("top", "--json", "-i", "200ms", stdout=subprocess.PIPE)
        last = json.loads(top.stdout.readline())
        script = 'for i in 1 2 3 4 5; do "$0" cache get -q web "$i"; "$0" cache set web "$i" x; ' \
                 '"$0" cache get web "$i"; done'
        subprocess.run(["sh", "-c", script, LK], env=self.env, stdout=subprocess.DEVNULL,
                       check=True)
        gets = sets = hits = 0
        while last["segments"][0]["stat"]["hits"] < 5:
            now = json.loads(top.stdout.readline())
            row, seconds = now["segments"][0], (now["time_ms"] - last["time_ms"]) / 1000
            gets += row["gets_per_s"] * seconds
            sets += row["sets_per_s"] * seconds
            hits += row["gets_per_s"] * seconds * (row["hit_ratio"] or 0)
            last = now
        self.assertAlmostEqual(gets, 10, delta=1)
        self.assertAlmostEqual(sets, 5, delta=0.5)
        self.assertAlmostEqual(hits, 5, delta=0.5)

    def test_json_is_one_object_a_line(self):
        lines = self.lk("top", "--json", "-i", "100ms", "-n", "2").splitlines()
        self.assertEqual(len(lines), 2)
        first, second = (json.loads(line) for line in lines)
        self.assertEqual(first["directory"], self.dir)
        self.assertLess(first["time_ms"], second["time_ms"])
        row = first["segments"][0]
        self.assertEqual((row["name"], row["kind"], row["hit_ratio"]), ("web", "cache", None))
        self.assertEqual(row["stat"], {key: value for key, value
                                       in self.lk_json("cache", "stat", "web").items()
                                       if key not in ("name", "hit_ratio", "options")})

    def test_it_leaves_no_trace(self):
        self.lk("cache", "set", "web", "k", "v")
        with open(self.path("web"), "rb") as file:
            before = file.read()
        self.lk("top", "--json", "-i", "100ms", "-n", "3")
        with open(self.path("web"), "rb") as file:
            self.assertEqual(file.read(), before)

    def test_segments_come_go_and_are_replaced(self):
        top = self.start("top", "--json", "-i", "100ms", stdout=subprocess.PIPE)

        def wait_for(what):
            for _ in range(100):
                segments = json.loads(top.stdout.readline())["segments"]
                if what({row["name"]: row for row in segments}):
                    return
            self.fail(segments)

        wait_for(lambda rows: set(rows) == {"web"})
        self.lk("cache", "create", "new", "--size=64k", "-q")
        wait_for(lambda rows: set(rows) == {"web", "new"})
        self.lk("cache", "set", "web", "k", "v")
        wait_for(lambda rows: rows["web"]["stat"]["entries"] == 1)
        self.lk("cache", "unlink", "web")
        self.lk("cache", "create", "web", "--size=2M", "-q")
        wait_for(lambda rows: "web" in rows and rows["web"]["stat"]["entries"] == 0)
        self.lk("cache", "unlink", "web", "new")
        wait_for(lambda rows: not rows)
        with open(self.path("broken"), "wb") as file:
            file.write(b"no segment")
        os.chmod(self.path("broken"), 0o600)
        wait_for(lambda rows: "broken" in rows and "error" in rows["broken"])
        top.send_signal(signal.SIGINT)
        self.assertEqual(top.wait(), 130)


class Terminal:
    """lk top in a pseudo-terminal of the given size; what it writes is collected."""

    def __init__(self, test, *args, size=(24, 80), term="xterm-256color"):
        self.parent, child = pty.openpty()
        test.addCleanup(os.close, self.parent)
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.before = termios.tcgetattr(child)
        test.env["TERM"] = term
        self.process = test.start("top", *args, stdin=child, stdout=child, stderr=child,
                                  start_new_session=True)
        self.child = child
        test.addCleanup(os.close, child)
        self.text = b""

    def read(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.parent], [], [], left)[0]:
                self.text += os.read(self.parent, 65536)

    def wait_for(self, word, seconds=5 * SCALE):
        end = time.monotonic() + seconds
        while word not in self.text and time.monotonic() < end:
            self.read(0.05)
        return word in self.text

    def wait_for_output(self):
        for _ in range(100 * SCALE):
            self.read(0.05)
            if self.text:
                return True
        return False

    def key(self, keys):
        self.text = b""
        os.write(self.parent, keys)

    def end(self):
        """Exit code and whether the terminal is as it was."""
        for _ in range(100 * SCALE):
            self.read(0.05)
            if self.process.poll() is not None:
                break
        return self.process.returncode, termios.tcgetattr(self.child) == self.before


class Screen(LkTest):
    def setUp(self):
        super().setUp()
        for name in ("alpha", "beta", "gamma"):
            self.lk("cache", "create", name, "--size=1M", "-q")

    def test_it_shows_segments_and_ends_with_q(self):
        t = Terminal(self)
        self.assertTrue(t.wait_for(b"q quit"), t.text)
        for word in (b"lk top", self.dir.encode(), b"3 segments", b"alpha", b"beta", b"gamma",
                     b"GET/S", b"backstops"):
            self.assertIn(word, t.text)
        t.key(b"q")
        self.assertEqual(t.end(), (0, True))

    def test_sigint_and_sigterm_restore_the_terminal(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            t = Terminal(self)
            self.assertTrue(t.wait_for(b"q quit"))
            t.process.send_signal(number)
            self.assertEqual(t.end(), (130, True))
            self.assertIn(b"\x1b[?1049l", t.text, "leaves the alternate screen")

    def test_keys(self):
        t = Terminal(self, "-i", "10s")
        self.assertTrue(t.wait_for(b"q quit"))
        t.key(b"-")
        self.assertTrue(t.wait_for(b"5"), t.text)
        t.key(b"j")
        self.assertTrue(t.wait_for(b"beta"), "the chosen row is drawn again")
        t.key(b"s")
        self.assertTrue(t.wait_for(b"gets"), t.text)
        t.key(b"\x1b[B\x1b[A\x1b[6~\x1b[5~  +s")
        t.read(0.3)
        self.assertIsNone(t.process.poll())
        t.key(b"q")
        self.assertEqual(t.end(), (0, True))

    def test_new_segments_and_new_sizes_appear(self):
        t = Terminal(self, "-i", "100ms")
        self.assertTrue(t.wait_for(b"q quit"))
        self.lk("cache", "create", "omega", "--size=1M", "-q")
        self.assertTrue(t.wait_for(b"omega"))
        fcntl.ioctl(t.child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
        t.text = b""
        t.process.send_signal(signal.SIGWINCH)
        self.assertTrue(t.wait_for(b"BACKSTOPS"), "a wide terminal has every column")
        t.key(b"q")
        self.assertEqual(t.end(), (0, True))

    def test_small_and_poor_terminals(self):
        for size in ((5, 20), (2, 5), (1, 1), (10, 300)):
            for term in ("xterm-256color", "vt100", "dumb"):
                with self.subTest(size=size, term=term):
                    t = Terminal(self, "-i", "100ms", size=size, term=term)
                    self.assertTrue(t.wait_for_output())
                    t.read(0.3)
                    self.assertIsNone(t.process.poll(), t.text)
                    t.process.send_signal(signal.SIGINT)
                    code, _ = t.end()
                    self.assertEqual(code, 130, t.text)

    def test_an_unknown_terminal_gets_tables(self):
        t = Terminal(self, "-i", "100ms", term="no-such-terminal")
        self.assertTrue(t.wait_for(b"SEGMENT"), t.text)
        t.process.send_signal(signal.SIGINT)
        self.assertEqual(t.end()[0], 130)

    def test_it_ends_with_its_terminal(self):
        t = Terminal(self)
        self.assertTrue(t.wait_for(b"q quit"))
        used = time.process_time()
        t.process.send_signal(signal.SIGHUP)
        self.assertEqual(t.end()[0], -signal.SIGHUP)
        self.assertLess(time.process_time() - used, 1)


if __name__ == "__main__":
    unittest.main()
