#!/usr/bin/env python3
"""The completion scripts, run by the real shells."""
import os
import shutil
import subprocess
import unittest

from lktest import LK, LkTest

# Completes "$@" (its last word is under the cursor) as bash does, prints the candidates.
BASH = r"""
source <("$LK" completion bash) || exit 1
complete -p lk >/dev/null || exit 1
shopt -u expand_aliases
COMP_WORDS=("$LK" "$@"); COMP_CWORD=$#
_lk 2>"$LK_DIR/.errors"
[[ ${#COMPREPLY[@]} -eq 0 ]] || printf '%s\n' "${COMPREPLY[@]}"
"""
# compadd and _files are the completion system's; here they print.
ZSH = r"""
emulate -L zsh
compdef() { }
compadd() { shift; for w in "$@"; do [[ $w != ${words[CURRENT]}* ]] || print -r -- $w; done }
_files() { print -r -- FILES }
source <($LK completion zsh) || exit 1
words=($LK "$@"); CURRENT=$(( $# + 1 ))
_lk
"""


class Completion:
    """What holds for both shells."""

    shell = ""

    def setUp(self):
        super().setUp()
        if shutil.which(self.shell) is None:
            self.skipTest(self.shell + " is not installed")
        for name in ("web", "web two", "$(touch PWNED)", "ärger", "`x`"):
            self.lk("cache", "create", name, "--size=64k", "-q")

    def test_syntax(self):
        done = subprocess.run([self.shell, "-n"], input=self.lk("completion", self.shell),
                              capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    def test_commands(self):
        self.assertEqual(set(self.complete("")),
                         {"cache", "top", "verify", "repair", "bench", "storm", "check", "db",
                          "completion", "order", "--help", "--version"})
        self.assertEqual(set(self.complete("ver")), {"verify"})
        self.assertEqual(set(self.complete("completion", "")), {"bash", "zsh"})
        self.assertEqual(set(self.complete("help", "s")), {"storm"})

    def test_actions(self):
        actions = set(self.complete("cache", ""))
        self.assertTrue({"create", "get", "set", "list", "once", "import"} <= actions, actions)
        self.assertEqual(set(self.complete("cache", "un")), {"unlink"})

    def test_options(self):
        self.assertIn("--interval", self.complete("top", "--"))
        self.assertEqual(self.complete("cache", "create", "--ch"), ["--checksum"])
        self.assertEqual(self.complete("cache", "get", "--ch"), [])
        self.assertIn("--seconds", self.complete("storm", "--s"))
        self.assertIn("--objects", self.complete("bench", "--o"))

    def test_names_are_never_run(self):
        self.complete("verify", "")
        self.complete("cache", "get", "$")
        self.assertFalse(os.path.exists(os.path.join(self.dir, "PWNED")))


class Bash(Completion, LkTest):
    shell = "bash"

    def complete(self, *words):
        done = subprocess.run(["bash", "--norc", "-c", BASH, "bash", *words], cwd=self.dir,
                              env={**self.env, "LK": LK}, capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout.decode().splitlines()

    def test_segments_are_quoted(self):
        self.assertEqual(set(self.complete("verify", "web")), {"web", "web\\ two"})
        self.assertEqual(self.complete("cache", "get", "$"), ["\\$\\(touch\\ PWNED\\)"])
        self.assertEqual(self.complete("cache", "unlink", "web", "ä"), ["ärger"])

    def test_a_real_tab(self):
        """Interactive bash with the script loaded; TAB completes what is unique."""
        script = f"source <('{LK}' completion bash); lk() {{ '{LK}' \"$@\"; }}\n"
        rc = os.path.join(self.dir, ".rc")
        with open(rc, "w", encoding="utf-8") as file:
            file.write("PS1=; bind 'set enable-bracketed-paste off'\n" + script)
        done = subprocess.run(["script", "-qec", f"bash --rcfile {rc} -i", "/dev/null"],
                              input=b"lk comp\t zs\t | head -1\nexit\n", cwd=self.dir,
                              env={**self.env, "LK": LK, "TERM": "dumb"}, capture_output=True,
                              timeout=60, check=False)
        self.assertIn(b"#compdef lk", done.stdout)


class Zsh(Completion, LkTest):
    shell = "zsh"

    def complete(self, *words):
        done = subprocess.run(["zsh", "-f", "-c", ZSH, "zsh", *words], cwd=self.dir,
                              env={**self.env, "LK": LK}, capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout.decode().splitlines()

    def test_segments(self):
        self.assertEqual(set(self.complete("verify", "web")), {"web", "web two"})
        self.assertEqual(self.complete("cache", "get", "ä"), ["ärger"])


if __name__ == "__main__":
    unittest.main()
