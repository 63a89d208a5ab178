"""What the static analyses share: which files, with which flags, several at once, and a self-test
that plants a bug and expects it to be named."""

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

import lintlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("src", "tools/lk")
PACKAGES = ["jansson", "ncursesw", "liblzma", "lmdb", "libxxhash"]


def flags():
    """What every C file is compiled with, warnings apart."""
    asked = subprocess.run(["pkg-config", "--cflags", *PACKAGES], capture_output=True, text=True,
                           check=True)
    return ["-std=gnu11", "-D_GNU_SOURCE=", "-DXXH_INLINE_ALL", '-DLK_VERSION_TEXT="0"',
            "-fexceptions", f"-I{ROOT}/include", f"-I{ROOT}/src",
            f"-I{ROOT}/tools/lk", *asked.stdout.split()]


def run_all(command_of, paths):
    """Run command_of(path) for each.  Returns [(path, exit code, output)], in the paths' order."""
    def run(path):
        done = subprocess.run(command_of(path), cwd=ROOT, capture_output=True, text=True,
                              check=False, env={**os.environ, "LC_ALL": "C"})
        return path, done.returncode, done.stdout + done.stderr

    jobs = int(os.environ.get("ANALYZE_JOBS", "1"))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(run, paths))


def main(name, command_of, planted, expected):
    """command_of(path) is the analyser's command line for one file; `planted` is a bug that it must
    find, naming `expected`."""
    if "--self-test" in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as place:
            path = pathlib.Path(place, "planted.c")
            path.write_text(planted, encoding="utf-8")
            _, code, said = run_all(command_of, [path])[0]
        if code == 0 or expected not in said:
            print(f"{name}: self-test: the planted bug was not found (exit {code}):\n{said}")
            return 1
        print(f"{name}: self-test passed")
        return 0
    paths = [p for a in sys.argv[1:] for p in [pathlib.Path(a)]] or [
        p for p in lintlib.files(ROOT, {".c"}, FOLDERS)]
    bad = 0
    for path, code, said in run_all(command_of, paths):
        if code != 0:
            bad += 1
            print(f"{path}:\n{said.strip()}")
    print(f"{name}: {len(paths)} files, {bad} with findings")
    return 1 if bad or not paths else 0
