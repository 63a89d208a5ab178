#!/usr/bin/env python3
"""Bytes come out as they went in, and what list shows stands for one key only."""
import base64
import os
import random
import unittest

from lktest import LkTest

ALL = bytes(range(256))


class Binary(LkTest):
    def setUp(self):
        super().setUp()
        self.lk("cache", "create", "bin", "--size=4M", "--checksum", "-q")

    def set(self, key, value):
        self.lk("cache", "set", "bin", "--key-hex", key.hex(), stdin=value)

    def set_many(self, entries):
        """All in one run of lk."""
        lines = ""
        for pair in entries:
            key, value = (base64.b64encode(part).decode() for part in pair)
            lines += f'{{"key_base64":"{key}","value_base64":"{value}"}}\n'
        self.lk("cache", "import", "bin", "-q", stdin=lines.encode())

    def test_every_byte_value_in_values(self):
        for value in (ALL, ALL[::-1], b"", b"\0", b"\n", b"x\n", b"\xff" * 1000, ALL * 300):
            self.set(b"k", value)
            self.assertEqual(self.lk("cache", "get", "bin", "k"), value)

    def test_every_byte_value_in_keys(self):
        self.set_many((bytes([byte]), bytes([255 - byte])) for byte in range(256))
        self.set(ALL, b"all")
        for byte in range(0, 256, 15):
            got = self.lk("cache", "get", "bin", "--key-hex", f"{byte:02X}")
            self.assertEqual(got, bytes([255 - byte]))
        self.assertEqual(self.lk("cache", "get", "bin", "--key-hex", ALL.hex(" ")), b"all")
        self.assertEqual(len(self.lk("cache", "list", "bin").splitlines()), 257)

    def test_key_file(self):
        key = os.path.join(self.dir, ".key")
        with open(key, "wb") as file:
            file.write(ALL)
        self.lk("cache", "set", "bin", "--key-file", key, "v")
        self.assertEqual(self.lk("cache", "get", "bin", "--key-hex", ALL.hex()), b"v")
        self.assertEqual(self.lk("cache", "get", "bin", "--key-file", "-", stdin=ALL), b"v")
        self.lk("cache", "set", "bin", "--key-file", "-", code=2, error="both", stdin=ALL)
        self.lk("cache", "get", "bin", "--key-file", "/nonexistent", code=3, error="No such file")
        self.lk("cache", "get", "bin", "--key-file", key, "--key-hex", "00", code=2,
                error="exclude")

    def keys(self):
        chance = random.Random(8)
        keys = {ALL, b"\\", b"\\n", b"\n", b"\\x0a", "é".encode(), b"\xc3", b"\xc3\xa9\xa9",
                "\u202eevil".encode(), "\u200b".encode(), b"\x1b[31m", b"\xed\xa0\x80",
                b"\xf4\x90\x80\x80", b"\xc0\x80", "漢字".encode(), "🦆".encode(), b" ", b"a b"}
        while len(keys) < 200:
            keys.add(bytes(chance.choice((chance.randrange(256), 92, 110, 10, 0xc3, 0xa9))
                           for _ in range(chance.randrange(1, 12))))
        return keys

    def test_list_is_unambiguous_and_reads_back(self):
        keys = self.keys()
        self.set_many((key, key) for key in keys)
        shown = self.lk("cache", "list", "bin").decode().splitlines()
        self.assertEqual(len(set(shown)), len(keys))
        for text in shown:
            self.assertTrue(text.isprintable(), repr(text))
        self.assertIn("é", shown)
        self.assertIn("漢字", shown)
        self.assertIn("\\x1b[31m", shown)
        self.assertIn("\\xe2\\x80\\xaeevil", shown)
        for text in random.Random(9).sample(shown, 20):
            value = self.lk("cache", "get", "bin", "-e", "--", text)
            self.assertIn(value, keys)
            keys.remove(value)

    def test_json_holds_any_bytes(self):
        keys = self.keys()
        self.set_many((key, key[::-1]) for key in keys)
        items = self.lk_lines("cache", "list", "bin", "--json", "--values")
        self.assertEqual(len(items), len(keys))
        for item in items:
            key, value = (item[name].encode() if name in item
                          else base64.b64decode(item[name + "_base64"])
                          for name in ("key", "value"))
            self.assertIn(key, keys)
            self.assertEqual(value, key[::-1])
            self.assertEqual(item["size"], len(value))


if __name__ == "__main__":
    unittest.main()
