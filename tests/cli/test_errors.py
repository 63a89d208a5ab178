#!/usr/bin/env python3
"""What can be wrong with a segment's file or directory has its own exit code and a message that
names the file and the trouble."""
import os
import shutil
import socket
import subprocess
import tempfile
import unittest

from lktest import LkTest

ROOT = os.geteuid() == 0


class Errors(LkTest):
    def setUp(self):
        super().setUp()
        self.lk("cache", "create", "web", "--size=64k", "-q")
        self.file = self.path("web")

    def refused(self, *words, name="web"):
        """Every way to open it fails with code 3, the name and each of the words."""
        for args in (["cache", "get", name, "k"], ["cache", "stat", name], ["cache", "list", name],
                     ["verify", name], ["repair", name], ["cache", "set", name, "k", "v"]):
            with self.subTest(args=args):
                done = self.run_lk(*args)
                message = done.stderr.decode()
                self.assertEqual(done.returncode, 3, message)
                for word in (*words, name):
                    self.assertIn(word, message)

    def test_missing_segment(self):
        self.refused("nosuch", name="nosuch")
        self.lk("cache", "get", "nosuch", "k", code=3,
                error=f"no cache 'nosuch' in {self.dir}; lk cache create makes one")

    def test_directory_that_does_not_exist(self):
        shutil.rmtree(self.dir)
        self.assertEqual(self.lk("cache", "list", "--names"), b"")
        self.lk("cache", "get", "web", "k", code=3, error="no cache 'web'")
        self.lk("verify", "--all")
        self.assertFalse(os.path.exists(self.dir), "looking makes no directory")

    def test_names(self):
        for name in ("a/b", "../web", ".hidden", "", "n" * 201, "new\nline", "\x1b[2J"):
            with self.subTest(name=name):
                self.lk("cache", "create", name, code=3, error="not a segment name")
                self.lk("verify", name, code=3, error="not a segment name")
        self.lk("cache", "create", "n" * 200, "--size=64k", "-q")
        self.lk("cache", "create", "späße & $(x)", "--size=64k", "-q")
        self.lk("cache", "unlink", "a/b", code=3, error="not a segment name")

    def test_symbolic_link(self):
        os.rename(self.file, self.path(".real"))
        os.symlink(self.path(".real"), self.file)
        self.refused("not a regular file")

    def test_hard_link(self):
        os.link(self.file, self.path("second"))
        self.refused("second name")

    def test_mode(self):
        os.chmod(self.file, 0o666)
        self.refused("group or others")

    def test_world_writable_directory(self):
        os.chmod(self.dir, 0o777)
        self.refused("group or others")
        self.lk("cache", "create", "new", code=3, error="group or others")

    def test_directory_that_is_a_link(self):
        os.symlink(self.dir, self.dir + "-link")
        self.addCleanup(os.unlink, self.dir + "-link")
        self.env["LK_DIR"] = self.dir + "-link"
        self.refused(self.dir + "-link")

    def test_directory_that_is_a_file(self):
        self.env["LK_DIR"] = self.file
        self.refused(self.file)

    def test_other_kinds_of_file(self):
        os.mkdir(self.path("folder"))
        os.mkfifo(self.path("fifo"))
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(self.path("socket"))
        for name in ("folder", "fifo", "socket"):
            self.refused("not a regular file", name=name)

    @unittest.skipUnless(ROOT, "only root can give files away")
    def test_other_users(self):
        os.chown(self.file, 12345, -1)
        self.refused("another user")
        os.chown(self.file, 0, -1)
        os.chown(self.dir, 12345, -1)
        self.refused("another user")
        os.chown(self.dir, 0, -1)

    def write(self, offset, data):
        with open(self.file, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def code_of(self, *args):
        return self.run_lk(*args).returncode

    def test_wrong_size(self):
        os.truncate(self.file, os.path.getsize(self.file) - 4096)
        done = self.run_lk("verify", "web")
        self.assertEqual(done.returncode, 1, "damaged: a problem, not a segment out of reach")
        self.assertIn(b"web", done.stdout)
        self.lk("cache", "get", "web", "k", code=3, error="size")
        os.truncate(self.file, 10)
        self.lk("cache", "get", "web", "k", code=3, error="web")

    def test_no_segment(self):
        self.write(0, b"\0" * 8)
        self.refused("not a latchkey segment")

    def test_random_file(self):
        with open(self.file, "wb") as file:
            file.write(os.urandom(65536))
        self.refused("not a latchkey segment")

    def test_every_damaged_header_byte_is_an_answer(self):
        """Never a signal, never a usage error: 0, 1 or 3 whatever the header says."""
        with open(self.file, "rb") as file:
            header = file.read(256)
        for offset in range(0, 256, 7):
            self.write(offset, bytes([header[offset] ^ 0xff]))
            done = self.run_lk("verify", "web")
            self.assertIn(done.returncode, (0, 1, 3), f"byte {offset}: {done}")
            self.write(offset, header[offset:offset + 1])
        self.lk("verify", "web")

    @unittest.skipUnless(ROOT, "mounting needs root")
    def test_full_file_system(self):
        mount = tempfile.mkdtemp(prefix="lk-full-")
        self.addCleanup(os.rmdir, mount)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "lk", mount],
                              capture_output=True, check=False)
        if done.returncode != 0:
            self.skipTest("mount: " + done.stderr.decode().strip())
        self.addCleanup(subprocess.run, ["umount", mount], check=True)
        self.env["LK_DIR"] = mount
        self.lk("cache", "create", "big", "--size=64M", code=3, error="No space left")
        self.assertEqual(os.listdir(mount), [], "nothing is left behind")
        self.lk("cache", "create", "small", "--size=64k", "-q")


if __name__ == "__main__":
    unittest.main()
