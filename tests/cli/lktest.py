"""What the tests of the command share: they run the real lk ($LK), each test in its own LK_DIR."""
import json
import os
import shutil
import subprocess
import tempfile
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

    def path(self, name):
        """The file of a segment."""
        return os.path.join(self.dir, name)
