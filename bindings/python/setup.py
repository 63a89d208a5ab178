"""Build the extension with CMake, the way `make python` does: one description of the build.

setuptools and wheel, because Debian 12 ships them and not scikit-build-core; both work without a
network.  Everything else is in pyproject.toml."""

import os
import subprocess
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = os.path.dirname(os.path.abspath(__file__))
# A clone has the library two folders up.
SOURCE = os.environ.get("LATCHKEY_SOURCE", os.path.dirname(os.path.dirname(HERE)))


class CMakeExtension(build_ext):
    """CMake's target `python`; setuptools packs what comes out."""

    def build_extension(self, ext):
        target = os.path.abspath(self.get_ext_fullpath(ext.name))
        build = os.environ.get("LATCHKEY_BUILD")  # a build tree that is there already
        if build is None:
            build = os.path.abspath(os.path.join(self.build_temp, "cmake"))
            subprocess.run(["cmake", "-S", SOURCE, "-B", build, "-DCMAKE_BUILD_TYPE=Release",
                            "-DLATCHKEY_TESTS=OFF", "-DLATCHKEY_COMMAND=OFF",
                            f"-DLATCHKEY_PYTHON={sys.executable}"], check=True)
        subprocess.run(["cmake", "--build", build, "--target", "python", "--parallel",
                        os.environ.get("JOBS", str(os.cpu_count() or 1))], check=True)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        self.copy_file(os.path.join(build, "python", "latchkey", os.path.basename(target)), target)


setup(ext_modules=[Extension("latchkey._core", sources=[])],
      cmdclass={"build_ext": CMakeExtension})
