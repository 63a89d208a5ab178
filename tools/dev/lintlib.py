"""What the lints share: the list of source files, C comments and code told apart, reporting, and
self-tests that plant a violation in a small tree and expect the lint to find just that one."""

import argparse
import os
import pathlib
import re
import sys
import tempfile

TOP_FOLDERS = ("src", "include", "tools", "bench", "bindings", "tests", "scripts", "docs")
SKIPPED_FOLDERS = {"build", "__pycache__", ".git"}


class Report:
    """Problems as "path:line: text", and how much was looked at."""

    def __init__(self):
        self.problems = []
        self.checked = 0

    def add(self, path, line, text):
        self.problems.append(f"{path}:{line}: {text}")


def files(root, suffixes, folders=TOP_FOLDERS):
    """Paths relative to root, sorted, of files under the folders with one of the suffixes."""
    found = []
    for folder in folders:
        for here, names, leaves in os.walk(root / folder):
            names[:] = [n for n in names if n not in SKIPPED_FOLDERS]
            for leaf in leaves:
                path = pathlib.Path(here, leaf)
                if not path.is_symlink() and (suffixes is None or path.suffix in suffixes):
                    found.append(path.relative_to(root))
    return sorted(found)


def c_files(root, folders=TOP_FOLDERS):
    return files(root, {".c", ".h"}, folders)


def read(path):
    return path.read_text(encoding="utf-8", errors="replace")


TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""",
    re.S | re.X,
)


def code_of(text):
    """The text with comments and the insides of literals blanked; lines stay where they are."""

    def blank(match):
        if match.group("comment"):
            return re.sub(r"[^\n]", " ", match.group(0))
        literal = match.group(0)
        return literal[0] + " " * (len(literal) - 2) + literal[-1]

    return TOKEN.sub(blank, text)


def comments_of(text):
    """(first line, last line, flowing text) of each comment; lines count from 1."""
    found = []
    for match in TOKEN.finditer(text):
        if not match.group("comment"):
            continue
        first = text.count("\n", 0, match.start()) + 1
        body = match.group(0)
        last = first + body.count("\n")
        body = re.sub(r"^/[*/]+|\*/$", "", body)
        body = re.sub(r"\n\s*\*?\s*", " ", body)
        found.append((first, last, body.strip()))
    return found


def self_test(name, check, cases):
    """cases: (what, {path: text}, [expected part of a problem...]).  An empty list: no problem."""
    failed = 0
    for what, tree, expected in cases:
        with tempfile.TemporaryDirectory() as place:
            root = pathlib.Path(place)
            for path, text in tree.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            report = Report()
            check(root, report)
        missing = [e for e in expected if not any(e in p for p in report.problems)]
        if missing or len(report.problems) != len(expected):
            failed += 1
            print(f"{name}: self-test '{what}': expected {expected}, got {report.problems}")
    print(f"{name}: self-test: {len(cases)} cases, {failed} failed")
    return 1 if failed or not cases else 0


def main(name, check, cases):
    """Run as a lint (default) or as its self-test."""
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test(name, check, cases)
    report = Report()
    check(options.root, report)
    for problem in report.problems:
        print(problem)
    print(f"{name}: {report.checked} checked, {len(report.problems)} problems")
    if report.checked == 0:
        print(f"{name}: nothing to check under {options.root}", file=sys.stderr)
        return 1
    return 1 if report.problems else 0
