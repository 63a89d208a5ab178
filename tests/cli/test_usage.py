#!/usr/bin/env python3
"""Help, version, bad usage: every command explains itself in one screen and refuses what it does
not know, with a suggestion."""
import re
import subprocess
import unittest

from lktest import LK, LkTest

COMMANDS = ["cache", "top", "verify", "repair", "bench", "storm", "check",
            "completion"]
ACTIONS = ["create", "get", "set", "add", "replace", "cas", "delete", "incr", "touch", "list",
           "each", "stat", "once", "flush", "unlink", "export", "import"]


class Usage(LkTest):
    def check_help(self, text, lines):
        self.assertTrue(text.startswith("usage: lk"), text)
        self.assertRegex(text, r"(?m)^exit: 0 ")
        self.assertIn("2 bad usage", text)
        rows = text.splitlines()
        self.assertLessEqual(len(rows), lines, "more than a screen")
        for row in rows:
            self.assertLessEqual(len(row), 100, row)

    def test_help_fits_a_screen_and_lists_the_exit_codes(self):
        text = self.lk("--help").decode()
        self.check_help(text, 24)
        self.assertEqual(text, self.lk("-h").decode())
        self.assertEqual(text, self.lk("help").decode())
        for command in COMMANDS:
            self.assertRegex(text, rf"(?m)^  {command} ")

    def test_every_command_has_help(self):
        for command in COMMANDS:
            with self.subTest(command=command):
                text = self.lk(command, "--help").decode()
                self.check_help(text, 48)
                self.assertEqual(text, self.lk("help", command).decode())

    def test_every_action_has_help_with_what_it_takes(self):
        overview = self.lk("cache", "--help").decode()
        self.check_help(overview, 24)
        for action in ACTIONS:
            with self.subTest(action=action):
                text = self.lk("cache", action, "--help").decode()
                self.check_help(text, 24)
                self.assertTrue(text.startswith(f"usage: lk cache {action} "))
                if action != "each":  # another name of list
                    self.assertRegex(overview, rf"(?m)^  {action} ")

    def test_version(self):
        self.assertRegex(self.lk("--version").decode(), r"^lk \d+\.\d+\.\d+\n$")
        self.assertEqual(self.lk("-V"), self.lk("--version"))

    def test_no_command_is_bad_usage(self):
        self.lk(code=2, error="usage: lk COMMAND")

    def test_unknown_words_get_a_suggestion(self):
        self.lk("vreify", code=2, error="unknown command 'vreify'; did you mean 'verify'?")
        self.lk("xyzzy", code=2, error="unknown command 'xyzzy'\ntry 'lk --help'")
        self.lk("help", "tpo", code=2, error="did you mean 'top'?")
        self.lk("--hlep", code=2, error="unknown option '--hlep'")
        self.lk("cache", "gte", "web", "k", code=2, error="did you mean 'get'?")
        self.lk("cache", code=2, error="no action given")
        self.lk("cache", "get", "web", "k", "--jsn", code=2,
                error="unknown option '--jsn'; did you mean '--json'?\ntry 'lk cache get --help'")
        self.lk("cache", "get", "web", "k", "-z", code=2, error="unknown option '-z'")
        self.lk("top", "--onec", code=2, error="did you mean '--once'?")
        self.lk("verify", "--al", code=2, error="did you mean '--all'?")

    def test_options_of_another_action_are_refused(self):
        self.lk("cache", "get", "web", "k", "--size", "4M", code=2, error="unknown option '--size'")
        self.lk("cache", "list", "web", "--checksum", code=2, error="unknown option")

    def test_missing_and_superfluous_words(self):
        self.lk("cache", "get", code=2, error="no NAME")
        self.lk("cache", "get", "web", code=2, error="no KEY")
        self.lk("cache", "get", "web", "k", "x", code=2, error="'x' is one word too many")
        self.lk("cache", "set", "web", "k", "v", "w", code=2, error="'w' is one word too many")
        self.lk("cache", "create", "a", "b", code=2, error="'b' is one word too many")
        self.lk("cache", "create", "web", "--size", code=2, error="option '--size' needs BYTES")
        self.lk("cache", "create", "web", "--checksum=1", code=2, error="takes no argument")
        self.lk("verify", code=2, error="no SEGMENT")
        self.lk("verify", "--all", "web", code=2, error="exclude")
        self.lk("repair", code=2, error="no SEGMENT")
        self.lk("repair", "a", "b", code=2, error="one SEGMENT")
        self.lk("top", "web", code=2, error="takes no words")
        self.lk("completion", code=2, error="which shell")
        self.lk("completion", "fish", code=2, error="fish")

    def test_numbers_sizes_and_times_are_checked(self):
        bad = [("--size", "12q", "not a size"), ("--size", "", "not a size"),
               ("--size", "0", "no capacity"), ("--size", "99999999999G", "not a size"),
               ("--shards", "0", "not within"), ("--shards", "-3", "not a number"),
               ("--shards", "x", "not a number"), ("--granule", "33", "granule"),
               ("--granule", "5G", "out of range"), ("--threads", "4000", "threads"),
               ("--ttl", "5 years", "not a time"), ("--ttl", "0", "no time to live"),
               ("--ttl", "1.", "not a time"), ("--ttl", "99999999999d", "not a time"),
               ("--size", "16", "capacity")]
        for option, value, message in bad:
            with self.subTest(option=option, value=value):
                self.lk("cache", "create", "web", f"{option}={value}", code=2, error=message)
        self.lk("top", "--interval", "1ms", "--once", code=2, error="100ms")
        self.lk("top", "--count", "0", code=2, error="not within")
        self.lk("cache", "create", "web")
        self.lk("cache", "incr", "web", "n", "1.5", code=2, error="no integer")
        self.lk("cache", "incr", "web", "n", "--initial=x", code=2, error="no integer")
        self.lk("cache", "touch", "web", "n", code=2, error="touch needs --ttl")
        self.lk("cache", "cas", "web", "n", "v", code=2, error="cas needs --if-version")
        self.lk("cache", "get", "web", "", code=2, error="1 to 65535")
        self.lk("cache", "get", "web", "--key-hex", "4", code=2, error="hexadecimal")
        self.lk("cache", "get", "web", "-e", "\\q", code=2, error="backslash")
        self.lk("cache", "once", "web", "k", code=2, error="no COMMAND")

    def test_sizes_and_times_that_are_right(self):
        for size, shown in (("4k", 4096), ("64KiB", 65536), ("1M", 1 << 20), ("2MB", 2 << 20)):
            with self.subTest(size=size):
                made = self.lk_json("cache", "create", "size" + size, "--size", size, "--shards=1")
                self.assertGreaterEqual(made["capacity_bytes"], shown)
                self.assertLess(made["capacity_bytes"], shown + 64)
        for time, ns in (("1.5", 1500000000), ("150ms", 150000000), ("2m", 120000000000),
                         ("0.25h", 900000000000), ("7ns", 7), ("3us", 3000),
                         ("1d", 86400000000000)):
            with self.subTest(time=time):
                made = self.lk_json("cache", "create", "ttl" + time, "--size=4k", "--ttl", time)
                self.assertEqual(made["ttl_ns"], ns)

    def test_a_full_disk_is_an_error(self):
        with open("/dev/full", "wb") as full:
            for args in (["--help"], ["--version"], ["cache", "--help"], ["completion", "bash"]):
                done = subprocess.run([LK, *args], stdout=full, stderr=subprocess.PIPE,
                                      env=self.env, check=False)
                self.assertEqual(done.returncode, 3, args)
                self.assertIn(b"No space left on device", done.stderr)

    def test_no_colour_in_a_pipe(self):
        self.lk("cache", "create", "web")
        for args in (["--help"], ["cache", "list"], ["cache", "stat", "web"], ["verify", "web"],
                     ["top", "--once", "-i", "100ms"]):
            self.assertIsNone(re.search(rb"[\x00-\x09\x0b-\x1f]", self.lk(*args)), args)


if __name__ == "__main__":
    unittest.main()
