#!/usr/bin/env python3
"""lk bench as a command: what it accepts, what it prints, that it leaves nothing behind."""
import glob
import json
import lzma
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from lktest import LK, SCALE, SOURCE, LkTest  # noqa: E402  pylint: disable=wrong-import-position

QUICK = ["--rounds", "2", "--window", "2ms", "-q"]


def left_behind(pid):
    return glob.glob(f"/dev/shm/lk-bench-{pid}-*") + glob.glob(f"/tmp/lk-bench-{pid}-*")


def commands_of_group(group):
    """Names of the live processes of a process group."""
    names = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as f:
                text = f.read()
        except OSError:
            continue
        name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
        if int(rest[2]) == group and rest[0] != "Z":
            names.append(name)
    return names


class Bench(LkTest):
    def lk_quiet(self, *args, code=0):
        process = self.start("bench", *args, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True)
        out, error = process.communicate(timeout=400 * SCALE)
        self.assertEqual(process.returncode, code, error)
        self.assertEqual(left_behind(process.pid), [])
        return out, error

    def trace(self, name, ids):
        """A trace file, raw or compressed."""
        path = os.path.join(self.dir, name)
        raw = struct.pack(f"<{len(ids)}I", *ids)
        with open(path, "wb") as f:
            f.write(lzma.compress(raw) if name.endswith(".xz") else raw)
        return path

    def test_bad_usage(self):
        for args, message in (
                ((), "what to measure"), (("gett",), "did you mean 'get'"),
                (("zzz",), "unknown measurement"), (("get", "--shard", "0"), "--shard"),
                (("peers", "--shards", "3"), "does not take --shards"),
                (("get", "--entries", "0"), "--entries"), (("get", "--value", "4"), "--value"),
                (("get", "--skew", "x"), "--skew"), (("get", "--seconds", "0"), "--seconds"),
                (("get", "extra"), "unexpected"), (("replay", "--objects", "3"), "one trace file"),
                (("get", "--threads", "1", "--processes", "1"), "either"),
                (("replay", "nothing.u32"), "--objects")):
            _, error = self.lk_quiet(*args, code=2)
            self.assertIn(message, error, args)

    def test_replay_counts_hits_exactly(self):
        # 300 objects that all fit, five times round: every request but the first 300 is a hit.
        ids = list(range(300)) * 5
        for name in ("loop.u32", "loop.u32.xz"):
            out, _ = self.lk_quiet("replay", self.trace(name, ids), "--objects", "300", "--json")
            got = json.loads(out)
            self.assertEqual((got["requests"], got["hits"], got["entries"]), (1500, 1200, 300))
            self.assertEqual((got["trace"], got["evictions"]), ("loop", 0))
        # One object less than the loop is long: the capacity is exact, so something is evicted.
        out, _ = self.lk_quiet("replay", self.trace("less.u32", ids), "--objects", "299",
                               "--shards", "1", "--json")
        got = json.loads(out)
        self.assertEqual(got["entries"], 299)
        self.assertGreater(got["evictions"], 0)
        self.assertLess(got["hits"], 1200)
        out, _ = self.lk_quiet("replay", self.trace("text.u32", ids), "--objects", "300")
        self.assertIn("1,500 requests, 1,200 hits, hit ratio 0.8000", out)

    def test_replay_compares_with_a_table(self):
        path = self.trace("mine.u32", [1, 1, 2, 1])
        table = os.path.join(self.dir, "table.csv")
        with open(table, "w") as f:
            f.write("trace,requests,unique,frac,capacity,policy,hits,hit_ratio\n"
                    "mine,4,2,0.5,128,LRU,1,0.25\nmine,4,2,0.5,64,FIFO,1,0.25\n"
                    "other,4,2,0.5,128,LRU,1,0.25\n")
        out, _ = self.lk_quiet("replay", path, "--objects", "128", "--policy-compare", table,
                               "--json")
        self.assertEqual(json.loads(out)["policies"], [{"policy": "LRU", "hits": 1}])
        out, _ = self.lk_quiet("replay", path, "--objects", "128", "--policy-compare", table)
        self.assertIn("LRU", out)
        self.assertIn("+25.00 points", out)

    def test_replay_refuses_what_is_no_trace(self):
        path = self.trace("bad.u32", [1, 2, 3])
        with open(path, "ab") as f:
            f.write(b"x")
        _, error = self.lk_quiet("replay", path, "--objects", "128", code=3)
        self.assertIn("32-bit", error)
        os.rename(path, path + ".xz")
        _, error = self.lk_quiet("replay", path + ".xz", "--objects", "128", code=3)
        self.assertIn("xz", error)
        self.lk_quiet("replay", path, "--objects", "128", code=3)

    def test_rates_add_up(self):
        for args in (("get", "--threads", "2"), ("set", "--processes", "2"), ("get",)):
            out, _ = self.lk_quiet(*args, "--entries", "2000", "--seconds", "100ms", "--json")
            got = json.loads(out)
            self.assertEqual(got["wrong"], 0)
            self.assertGreater(got["operations"], 0)
            values = list(got["latency_ns"].values())
            self.assertEqual(values, sorted(values))
            self.assertEqual(got["n"], 2 if len(args) > 1 else 1)

    def test_workers_may_all_begin_at_once(self):
        """The first to ask for the CPUs was asked by the second before it knew: divided by 0."""
        for _ in range(20):
            self.lk_quiet("get", "--threads", "2", "--entries", "100", "--seconds", "2ms", "--json")

    def test_every_measurement_prints_json_and_limits(self):
        for args, limits in ((("memory",), 1), (("collide", "--rounds", "1"), 8),
                             (("repair", "--rounds", "1", "--kills", "3"), 2),
                             (("scale", "--entries", "1000", *QUICK[:-1]), 0)):
            out, _ = self.lk_quiet(*args, "--json", "-q")
            got = json.loads(out)
            self.assertEqual(got["bench"], args[0])
            self.assertEqual(len(got.get("limits", [])), limits)
            for limit in got.get("limits", []):
                self.assertIn(limit["bound"], ("at most", "at least"))
                if limit["measured"] is not None:
                    holds = (limit["measured"] <= limit["limit"] if limit["bound"] == "at most"
                             else limit["measured"] >= limit["limit"])
                    self.assertEqual(limit["holds"], holds)

    def test_peers_are_measured_and_leave_nothing(self):
        out, _ = self.lk_quiet("peers", "--entries", "1000", *QUICK, "--json")
        got = json.loads(out)
        self.assertEqual([(c["operation"], c["value_bytes"]) for c in got["contests"]],
                         [("get", 100), ("set", 100), ("get", 4096), ("set", 4096)])
        for contest in got["contests"]:
            names = [p["name"] for p in contest["peers"]]
            self.assertEqual(names[:3], ["plain", "latchkey", "LMDB"])
            for peer in contest["peers"]:
                self.assertGreater(peer["median_ns"], 1)
                self.assertLessEqual(peer["least_ns"], peer["median_ns"])
                self.assertEqual(peer["rounds"], 2)
        self.assertEqual(len(got["limits"]), 7)

    def test_a_peer_that_is_not_installed_is_said_and_fails_the_check(self):
        self.env["PATH"] = self.dir
        out, _ = self.lk_quiet("peers", "--entries", "1000", *QUICK, "--check", code=1)
        self.assertIn("redis-server is not installed", out)
        self.assertIn("not measured: DOES NOT HOLD", out)
        self.lk_quiet("peers", "--entries", "1000", *QUICK)

    def test_an_interrupted_run_leaves_no_server(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, None)):
            process = self.start("bench", "peers", "--rounds", "1000", "-q",
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                 start_new_session=True)
            time.sleep(2)
            process.send_signal(number)
            process.wait(timeout=20 * SCALE)
            if code is not None:
                self.assertEqual(process.returncode, code, process.stderr.read())
                self.assertEqual(left_behind(process.pid), [])
            end = time.monotonic() + 10
            while commands_of_group(process.pid) and time.monotonic() < end:
                time.sleep(0.05)
            self.assertEqual(commands_of_group(process.pid), [])
            for path in left_behind(process.pid):  # killed while a peer was being started
                shutil.rmtree(path)

    def test_the_page_is_whole_and_refers_to_nothing_outside(self):
        for name, args in (("memory", ()), ("peers", ("--entries", "1000", *QUICK)),
                           ("scale", ("--entries", "1000", *QUICK))):
            out, _ = self.lk_quiet(name, *args, "--json", "-q")
            with open(os.path.join(self.dir, f"bench-{name}.json"), "w") as f:
                f.write(out)
        page = os.path.join(self.dir, "bench.html")
        done = subprocess.run([sys.executable, os.path.join(SOURCE, "bench", "report"), "--dir",
                               self.dir, "--out", page], capture_output=True, text=True, check=True)
        self.assertIn("memory per entry", done.stdout)
        with open(page) as f:
            text = f.read()
        self.assertEqual(text.count("<svg"), text.count("</svg>"))
        self.assertEqual(text.count("<svg"), 6)
        for outside in ("src=", "href=", "url(", "<script"):
            self.assertNotIn(outside, text)

    def test_the_page_of_locks_is_whole_and_has_every_lock(self):
        out, _ = self.lk_quiet("locks", "--sweep", "--rounds", "1", "--window", "1ms", "-q")
        sweep = json.loads(out)
        self.assertEqual({p["threads"] for p in sweep["points"]}, {1, 2, 4, 8, 16})
        self.assertEqual({p["write_percent"] for p in sweep["points"]}, {0, 10, 50})
        self.assertEqual({p["section_ns"] > 40 for p in sweep["points"]}, {True, False})
        names = [lock["name"] for lock in sweep["points"][0]["locks"]]
        for name in ("lk_mutex", "lk prefer-reader", "lk_brlock", "glibc default"):
            self.assertIn(name, names)
        # A window of a loaded machine may be over before a thread has run.
        for name in names:
            rates = [lock["per_second"] for point in sweep["points"] for lock in point["locks"]
                     if lock["name"] == name]
            self.assertGreater(max(rates), 0, name)
            self.assertGreaterEqual(len(rates), 9, name)
        data, page = os.path.join(self.dir, "sweep.json"), os.path.join(self.dir, "locks.html")
        with open(data, "w") as f:
            f.write(out)
        subprocess.run([sys.executable, os.path.join(SOURCE, "bench", "locks"), "--json", data,
                        "--out", page], capture_output=True, text=True, check=True)
        with open(page) as f:
            text = f.read()
        # Two sweeps, three mixes, three plots; a line and a row of the table for each lock.
        self.assertEqual((text.count("<svg"), text.count("</svg>")), (18, 18))
        for name in names:
            self.assertGreaterEqual(text.count(f"<td>{name}</td>"), 2, name)
        for outside in ("src=", "href=", "url(", "<script"):
            self.assertNotIn(outside, text)


if __name__ == "__main__":
    unittest.main()
