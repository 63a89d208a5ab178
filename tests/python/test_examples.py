"""The examples, run: the torture in a short form (LK_PYTHON_KILLS), the prefork server."""

import json
import os
import signal
import subprocess
import sys
import time
import unittest

import lkpy

SOURCE = os.environ.get("LK_SOURCE", os.path.join(os.path.dirname(__file__), "..", ".."))
EXAMPLES = os.path.join(SOURCE, "examples", "python")
KILLS = int(os.environ.get("LK_PYTHON_KILLS", "400"))
SECONDS = float(os.environ.get("LK_PYTHON_SECONDS", "6"))
# Where the machine is busy the time is over first; fewer than this say nothing.
KILLS_MIN = int(os.environ.get("LK_PYTHON_KILLS_MIN", "30"))


class Examples(lkpy.PythonTest):
    """What a user would copy works."""

    def start(self, name, *args):
        # Whoever runs the tests in the background may ignore SIGINT, and children inherit that.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen([sys.executable, os.path.join(EXAMPLES, name), *args],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        finally:
            signal.signal(signal.SIGINT, before)

    def test_torture(self):
        program = self.start("torture.py", "--json", "--kills", str(KILLS), "--seconds",
                             str(SECONDS))
        out, errors = program.communicate(timeout=SECONDS + 120 * lkpy.SCALE)
        print(out.strip())
        result = json.loads(out)
        self.assertEqual((errors, result["wrong"], result["hangs"], result["problems"]),
                         ("", 0, 0, []))
        self.assertGreaterEqual(result["kills"], KILLS_MIN)
        self.assertGreater(result["deaths_inside"], 0)

    def test_torture_ends_on_an_interrupt(self):
        program = self.start("torture.py", "--kills", "1000000")
        children = f"/proc/{program.pid}/task/{program.pid}/children"

        def workers():
            with open(children, encoding="ascii") as file:
                return len(file.read().split())

        self.eventually(lambda: workers() >= 4)
        time.sleep(0.2)
        program.send_signal(signal.SIGINT)
        out, errors = program.communicate(timeout=60 * lkpy.SCALE)
        self.assertEqual((program.returncode, out, errors), (130, "", ""))

    def test_prefork(self):
        program = self.start("prefork.py")
        out, errors = program.communicate(timeout=120 * lkpy.SCALE)
        self.assertEqual((program.returncode, errors), (0, ""), out)
        self.assertRegex(out, r"^\d+ pages served by 4 workers, 3 killed and replaced; "
                              r"rendered 2\d times; \d+ connections lost .*, 0 wrong; "
                              r"cache sound\n$")


if __name__ == "__main__":
    unittest.main()
