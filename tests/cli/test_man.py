#!/usr/bin/env python3
"""The manual pages are well-formed and say what the headers and the help texts say: every public
function with its parameters, every error, every option."""
import pathlib
import re
import shutil
import subprocess
import unittest

from lktest import SOURCE, LkTest

PAGES = pathlib.Path(SOURCE, "docs/man")
HEADERS = pathlib.Path(SOURCE, "include/latchkey")
# header: page
CONCEPTS = {"cache": "lk_cache.3", "seg": "lk_seg.3", "rmutex": "lk_rmutex.3",
            "err": "lk_strerror.3"}


def page(name):
    return (PAGES / name).read_text(encoding="utf-8")


def squeeze(text):
    """Spaces do not matter, nor where the * stands."""
    return re.sub(r"\s+", " ", text).replace("* ", "*").strip()


def prototypes(header):
    """name -> parameters, of the functions that a header exports."""
    text = re.sub(r"/\*.*?\*/", "", (HEADERS / (header + ".h")).read_text(encoding="utf-8"),
                  flags=re.S)
    found = re.findall(r"LK_API[^;{]*?\b(lk_\w+)\((.*?)\);", text, re.S)
    return {name: squeeze(parameters) for name, parameters in found}


def synopsis(text):
    """name -> parameters, of the functions in a page's SYNOPSIS."""
    part = re.search(r"^\.Sh SYNOPSIS\n(.*?)^\.Sh ", text, re.S | re.M).group(1)
    found = {}
    for name, rest in re.findall(r"^\.Fn (\w+)(.*)$", part, re.M):
        found[name] = ", ".join(re.findall(r'"([^"]*)"', rest))
    for name, rest in re.findall(r"^\.Fo (\w+)\n(.*?)^\.Fc", part, re.S | re.M):
        found[name] = ", ".join(re.findall(r'"([^"]*)"', rest))
    return {name: squeeze(parameters) for name, parameters in found.items()}


class Manual(LkTest):
    def test_mandoc_has_nothing_to_say(self):
        if shutil.which("mandoc") is None:
            self.skipTest("mandoc is not installed")
        pages = sorted(PAGES.glob("*.[137]"))
        self.assertGreaterEqual(len(pages), 11)
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages],
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.stdout + done.stderr, done.returncode), ("", 0))

    def test_cross_references_lead_somewhere(self):
        own = {path.name for path in PAGES.glob("*.[137]")}
        for path in sorted(PAGES.glob("*.[137]")):
            for name, section in re.findall(r"^\.Xr (\S+) (\d)", path.read_text(), re.M):
                if name.startswith(("lk", "latchkey")):
                    self.assertIn(f"{name}.{section}", own, path.name)

    def test_every_function_is_there_as_declared(self):
        for header, name in CONCEPTS.items():
            with self.subTest(page=name):
                declared, shown = prototypes(header), synopsis(page(name))
                self.assertGreater(len(declared), 2)
                self.assertEqual(shown, declared)
                names = re.search(r"^\.Sh NAME\n(.*?)^\.Nd", page(name), re.S | re.M).group(1)
                for function in declared:
                    self.assertRegex(names, rf"(?m)^\.Nm {function}\b")

    def test_every_header_has_its_page(self):
        headers = {path.stem for path in HEADERS.glob("*.h")} - {"latchkey", "check", "word"}
        for header in headers - set(CONCEPTS):
            self.assertTrue((PAGES / f"lk_{header}.3").exists(), f"no page for {header}.h")

    def test_every_error_of_the_enum(self):
        text = (HEADERS / "err.h").read_text(encoding="utf-8")
        errors = re.findall(r"^    (LK_E\w+) = -\d+", text, re.M)
        self.assertGreater(len(errors), 10)
        self.assertEqual(re.findall(r"^\.It Dv (LK_E\w+)$", page("lk_strerror.3"), re.M), errors)

    def test_every_option_of_the_structure(self):
        text = (HEADERS / "cache.h").read_text(encoding="utf-8")
        body = re.search(r"struct lk_cache_options \{(.*?)\n\};", text, re.S).group(1)
        fields = re.findall(r"^    uint\d+_t (\w+);", body, re.M)
        self.assertGreater(len(fields), 7)
        for field in fields:
            self.assertRegex(page("lk_cache.3"), rf"(?m)^\.It Va {field}$")

    def options(self, *args):
        return set(re.findall(r"--[a-z][a-z-]*", self.lk(*args, "--help").decode()))

    def shown(self, name):
        return set("--" + option for option in
                   re.findall(r"\bFl Fl ([a-z][a-z-]*)", page(name)))

    def test_every_option_of_the_commands(self):
        for command in ("top", "storm", "bench", "check"):
            with self.subTest(command=command):
                self.assertEqual(self.shown(f"lk-{command}.1"), self.options(command))
        self.assertEqual(self.shown("lk-verify.1"),
                         self.options("verify") | self.options("repair"))
        actions = re.findall(r"(?m)^  ([a-z]+) ", self.lk("cache", "--help").decode())
        self.assertGreater(len(actions), 14)
        everything = set()
        for action in actions:
            everything |= self.options("cache", action)
            self.assertRegex(page("lk-cache.1"), rf"(?m)^\.It Cm {action}$")
        self.assertEqual(self.shown("lk-cache.1"), everything)


if __name__ == "__main__":
    unittest.main()
