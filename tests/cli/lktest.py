"""What the tests of the command share: they run the real lk ($LK), each test in its own LK_DIR."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

LK = os.environ.get("LK", "lk")
SOURCE = os.environ.get("LK_SOURCE", os.path.join(os.path.dirname(__file__), "..", ".."))
SCALE = int(os.environ.get("T_TIMEOUT_SCALE", "1"))


class LkTest(unittest.TestCase):
    """One temporary directory of segments per test, and ways to run lk in it."""

    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="lk-cli-", dir="/dev/shm")
        self.env = {**os.environ, "LK_DIR": self.dir, "LC_ALL": "C.UTF-8"}
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def run_lk(self, *args, stdin=b""):
        """Run lk; bytes in, bytes out."""
        return subprocess.run([LK, *args], input=stdin, capture_output=True, env=self.env,
                              timeout=60 * SCALE, check=False)

    def lk(self, *args, stdin=b"", code=0, error=None):
        """Run lk, require its exit code and (a part of) its message; return standard output.
        Without `error` nothing may be on standard error."""
        done = self.run_lk(*args, stdin=stdin)
        message = done.stderr.decode()
        self.assertEqual(done.returncode, code, f"{args}: {message}{done.stdout[:500]!r}")
        if error is None:
            self.assertEqual(message, "", args)
        else:
            self.assertIn(error, message, args)
        return done.stdout

    def lk_json(self, *args, **kw):
        """The one JSON value that lk prints."""
        return json.loads(self.lk(*args, "--json", **kw))

    def lk_lines(self, *args, **kw):
        """JSON, one value on each line."""
        return [json.loads(line) for line in self.lk(*args, **kw).splitlines()]

    def start(self, *args, **kw):
        """lk in the background; killed at the end of the test if it still runs."""
        process = subprocess.Popen([LK, *args], env=self.env, **kw)

        def stop():
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

        self.addCleanup(stop)
        return process

    def signal_inside_a_change(self, name, number, field):
        """Send the signal to lk repair --all-shards of a cache with one shard, at one moment after
        another, until it came while the shard was locked: stat's `field` is 1.  The process."""
        begun = time.monotonic()
        self.lk("repair", name, "--all-shards")
        whole = time.monotonic() - begun
        for attempt in range(400):
            process = self.start("repair", name, "--all-shards", stdout=subprocess.DEVNULL)
            time.sleep(whole * (attempt * 7 % 40) / 40)
            process.send_signal(number)
            if number == signal.SIGKILL:
                process.wait()
            if self.lk_json("cache", "stat", name)[field] == 1:
                return process
            process.kill()
            process.wait()
        self.fail("never caught inside a change")

    def path(self, name):
        """The file of a segment."""
        return os.path.join(self.dir, name)
