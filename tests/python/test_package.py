"""The package as a whole: type stubs, wheel, leaks, interpreters."""

import glob
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest
import zipfile

import latchkey
import lkpy

SOURCE = os.environ.get("LK_SOURCE", os.path.join(os.path.dirname(__file__), "..", ".."))
PACKAGE = os.path.dirname(latchkey.__file__)

USE = """
    import asyncio
    import latchkey

    @latchkey.cache
    def plain(a: int, b: str = "") -> float:
        return 1.0

    @latchkey.cache(backend="shared", ttl=5, serializer="pickle")
    async def later(a: int) -> str:
        return "x"

    def use() -> None:
        number: float = plain(1, b="x") + plain.cache_info().hits
        plain.cache_delete(1)
        text: str = asyncio.run(wrap())
        cache = latchkey.Cache("a", size=5)
        got: bytes | str | int | None = cache.get("k")
        other: bytes | str | int | float = cache.get("k", 1.5)
        for key in cache.keys("prefix"):
            print(key, number, text, got, other)
        with cache.lease("k", timeout=1) as lease:
            if not lease.hit:
                lease.fill(b"v", ttl=2)

    async def wrap() -> str:
        return await later(1)
"""

MISUSE = """
    import latchkey

    @latchkey.cache
    def plain(a: int) -> float:
        return 1.0

    plain("text")
    text: str = plain(1)
    plain.cache_delete("text")
    latchkey.cache(backend="disk")
    latchkey.Cache("a").get(1.5)
    latchkey.Cache("a")["k"] = 1.5
"""


def have(module):
    """Can this interpreter import it?"""
    return subprocess.run([sys.executable, "-c", f"import {module}"], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0


class Types(lkpy.PythonTest):
    """The stubs say what is there, and types are checked through the decorator."""

    def mypy(self, *args):
        environment = {**os.environ, "MYPYPATH": os.path.dirname(PACKAGE)}
        return subprocess.run([sys.executable, "-m", *args], capture_output=True, text=True,
                              check=False, env=environment, cwd=self.dir)

    def setUp(self):
        super().setUp()
        if not have("mypy"):
            self.skipTest("no mypy")

    def test_stubs_agree_with_the_module(self):
        # The other modules carry their types themselves: the next test.
        allowed = os.path.join(self.dir, "allowed")
        with open(allowed, "w", encoding="utf-8") as file:
            # What a structure sequence has besides is the interpreter's matter.
            file.write(r"latchkey._core.CacheInfo.*" + "\n")
        done = self.mypy("mypy.stubtest", "latchkey._core", "--allowlist", allowed)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_package_and_use_are_typed(self):
        use = os.path.join(self.dir, "use.py")
        with open(use, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(USE))
        done = self.mypy("mypy", "--strict", "-p", "latchkey")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = self.mypy("mypy", "--strict", use)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_misuse_is_found(self):
        misuse = os.path.join(self.dir, "misuse.py")
        with open(misuse, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(MISUSE))
        done = self.mypy("mypy", "--strict", misuse)
        self.assertIn("Found 6 errors", done.stdout)


class Wheel(lkpy.PythonTest):
    """pyproject.toml builds a wheel without a network, and the wheel works."""

    def test_wheel(self):
        environment = {**os.environ, "LATCHKEY_SOURCE": SOURCE, "JOBS": "2", "PYTHONPATH": ""}
        # A build tree that is there saves building the library again; the campaign builds it.
        if "LK_BUILD_DIR" in os.environ:
            environment["LATCHKEY_BUILD"] = os.environ["LK_BUILD_DIR"]
        if not have("wheel") or not have("setuptools"):
            self.skipTest("no setuptools or no wheel")
        with tempfile.TemporaryDirectory() as place:
            copy = os.path.join(place, "package")
            subprocess.run(["cp", "-r", os.path.join(SOURCE, "bindings", "python") + "/.", copy],
                           check=True)
            # What pip and build call, without them.
            build = ("import sys; from setuptools import build_meta; "
                     "print(build_meta.build_wheel(sys.argv[1]))")
            done = subprocess.run([sys.executable, "-c", build, place], cwd=copy,
                                  capture_output=True, text=True, check=False,
                                  env=environment)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            wheel, = glob.glob(os.path.join(place, "*.whl"))
            with zipfile.ZipFile(wheel) as archive:
                names = archive.namelist()
                archive.extractall(os.path.join(place, "site"))
            for name in ("__init__.py", "_core.pyi", "py.typed"):
                self.assertIn(f"latchkey/{name}", names)
            test = ("import latchkey; c = latchkey.Cache('w'); c['k'] = 1; "
                    "print(c['k'], latchkey.__file__)")
            done = subprocess.run([sys.executable, "-c", test], capture_output=True, text=True,
                                  check=True, env={**os.environ,
                                                   "PYTHONPATH": os.path.join(place, "site")})
            self.assertTrue(done.stdout.startswith("1 " + place), done.stdout)


class Interpreters(lkpy.PythonTest):
    """Two interpreters in one process do not disturb each other."""

    PROGRAM = """
        import latchkey, random
        class Point:
            def __init__(self, x): self.x = x
        latchkey.register(Point, "interpreters.Point", lambda p: (WHO, p.x), lambda p: p)
        cache = latchkey.Cache("interpreters", size=1 << 20)
        @latchkey.cache(max_size=50)
        def memory(n): return (WHO, n)
        @latchkey.cache(backend="shared", name="both")
        def shared(n): return n * 2
        @latchkey.cache(backend="shared", name="points")
        def points(n): return Point(n)
        draw = random.Random(WHO)
        for step in range(4000):
            n = draw.randrange(200)
            assert memory(n) == (WHO, n)
            assert shared(n) == n * 2
            got = points(n)
            assert type(got) is Point or got[1] == n, got
            cache[n] = n
            assert cache.get(n) == n
            cache.incr("steps")
            if step % 1000 == 0:
                with cache.lease(("lease", WHO)[0]) as lease:
                    if lease.held: lease.fill(WHO)
    """

    def test_interpreters_at_once(self):
        import _xxsubinterpreters as interpreters
        import threading
        program = textwrap.dedent(self.PROGRAM)
        errors = []

        def run(who):
            number = interpreters.create()
            try:
                interpreters.run_string(number, f"WHO = {who}\n{program}")
            except BaseException as error:  # pylint: disable=broad-except
                errors.append(error)
            finally:
                interpreters.destroy(number)

        for turn in range(3):
            threads = [threading.Thread(target=run, args=(turn * 2 + n,)) for n in range(2)]
            for thread in threads:
                thread.start()
            namespace = {"WHO": 100 + turn}
            exec(program, namespace)  # pylint: disable=exec-used
            for thread in threads:
                thread.join()
        self.assertEqual(errors, [])
        cache = latchkey.Cache("interpreters")
        self.assertEqual(cache["steps"], 9 * 4000)
        self.assertEqual(cache.verify(), [])


if __name__ == "__main__":
    unittest.main()
