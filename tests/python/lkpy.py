"""What the tests of the Python package share: each test has a directory of segments of its own."""

import os
import shutil
import signal
import sys
import tempfile
import time
import unittest

SCALE = int(os.environ.get("T_TIMEOUT_SCALE", "1"))
DEBUG = hasattr(sys, "gettotalrefcount")
SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")


class PythonTest(unittest.TestCase):
    """A fresh LK_DIR; children that a test leaves are killed and fail it."""

    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="lk-python-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        before = os.environ.get("LK_DIR")
        os.environ["LK_DIR"] = self.dir
        self.addCleanup(self._restore, before)
        self.children = set()
        self.addCleanup(self._reap)

    @staticmethod
    def _restore(before):
        if before is None:
            del os.environ["LK_DIR"]
        else:
            os.environ["LK_DIR"] = before

    def _reap(self):
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        if self.children:
            self.fail(f"{len(self.children)} children were left")

    def fork(self, function):
        """A child that runs function() and ends with what it returns (None: 0).  Its pid."""
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                code = function() or 0
            except BaseException:  # pylint: disable=broad-except
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        self.children.add(pid)
        return pid

    def join(self, pid, seconds=30, code=0):
        """Wait for a child; it must end with `code` (negative: by that signal) in time."""
        end = time.monotonic() + seconds * SCALE
        while time.monotonic() < end:
            got, status = os.waitpid(pid, os.WNOHANG)
            if got == pid:
                self.children.discard(pid)
                self.assertEqual(os.waitstatus_to_exitcode(status), code)
                return
            time.sleep(0.002)
        self.fail(f"child {pid} hangs")

    def eventually(self, question, seconds=20):
        """question() becomes true."""
        end = time.monotonic() + seconds * SCALE
        while not question():
            self.assertLess(time.monotonic(), end, "did not happen in time")
            time.sleep(0.002)
