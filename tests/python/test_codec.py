"""What a shared function's arguments and results look like in memory."""

import datetime
import enum
import math
import random
import struct
import unittest
import zoneinfo

import latchkey
import lkpy


class Point:
    """A user's type."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __eq__(self, other):
        return type(other) is Point and (self.x, self.y) == (other.x, other.y)

    def __hash__(self):
        return hash((self.x, self.y))


class Colour(enum.IntEnum):
    """An int that is more than an int."""
    RED = 1


def same(a, b):
    """Equal, of the same types all the way down; floats by their bits."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    return a == b


def random_object(draw, depth=0):
    """Anything that can be encoded."""
    kind = draw.randrange(9 if depth < 4 else 6)
    if kind == 0:
        return draw.choice([None, True, False])
    if kind == 1:
        return draw.randrange(-1 << draw.randrange(1, 200), 1 << draw.randrange(1, 200))
    if kind == 2:
        return draw.choice([0.0, -0.0, math.inf, -math.inf, draw.random(), 1e300, 5e-324])
    if kind == 3:
        return "".join(chr(draw.choice([65, 233, 0x20ac, 0x1f600, 0, 0xd800]))
                       for _ in range(draw.randrange(20)))
    if kind == 4:
        return draw.randbytes(draw.randrange(40))
    if kind == 5:
        return datetime.datetime(2026, 1, 1) + datetime.timedelta(seconds=draw.randrange(1 << 30))
    items = [random_object(draw, depth + 1) for _ in range(draw.randrange(5))]
    if kind == 6:
        return items
    if kind == 7:
        return tuple(items)
    return {draw.choice([1, "a", b"b", (1, 2), None]): item for item in items}


class Codec(lkpy.PythonTest):
    """encode() and decode()."""

    def test_every_type_comes_back(self):
        zone = zoneinfo.ZoneInfo("Europe/Berlin")
        hour = datetime.timedelta(hours=1)
        objects = [None, True, False, 0, -1, 255, 2**63 - 1, -2**63, 2**63, -2**63 - 1, 2**10000,
                   -2**10000, 0.0, -0.0, 1.5, math.inf, "", "a", "\u00e9", "\ud800", "\0", b"",
                   b"\xff",
                   (), (1,), [], [[]], {}, {"a": {1: None}}, {1: 2, "b": (3, [4])},
                   datetime.date(2026, 11, 22), datetime.timedelta(-5, 3, 7),
                   datetime.datetime(2026, 11, 22, 1, 2, 3, 4),
                   datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc),
                   datetime.datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=1),
                   datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone(-hour, "named")),
                   datetime.time(1, 2, 3, 4), datetime.time(1, tzinfo=datetime.timezone(hour))]
        for each in objects:
            again = latchkey.decode(latchkey.encode(each))
            self.assertTrue(same(again, each), (each, again))
            if isinstance(each, (datetime.datetime, datetime.time)):
                self.assertEqual((again.fold, again.tzname()), (each.fold, each.tzname()))
        encoded = [latchkey.encode(each) for each in objects]
        self.assertEqual(len(set(encoded)), len(encoded))

    def test_nan_comes_back(self):
        self.assertTrue(math.isnan(latchkey.decode(latchkey.encode(math.nan))))

    def test_random_objects_come_back(self):
        draw = random.Random(7)
        for _ in range(3000):
            each = random_object(draw)
            self.assertTrue(same(latchkey.decode(latchkey.encode(each)), each), each)

    def test_what_cannot_be_encoded(self):
        deep = []
        for _ in range(200):
            deep = [deep]
        loop = []
        loop.append(loop)
        tuples = type("Named", (tuple,), {})
        for each in (object(), {1, 2}, 1j, Colour.RED, tuples((1,)), deep, loop, [object()],
                     {"k": object()}, self, len):
            self.assertRaises(TypeError, latchkey.encode, each)
        strange = datetime.datetime(2026, 1, 1, tzinfo=type("Zone", (datetime.tzinfo,), {
            "utcoffset": lambda self, when: datetime.timedelta(0)})())
        self.assertRaises(TypeError, latchkey.encode, strange)

    def test_registered_types(self):
        latchkey.register(Point, "tests.Point", lambda p: (p.x, p.y), lambda xy: Point(*xy))
        each = [Point(1, "a"), {"p": Point(None, Point(1, 2))}]
        self.assertEqual(latchkey.decode(latchkey.encode(each)), each)
        with self.assertRaisesRegex(TypeError, "object"):
            latchkey.encode(Point(1, object()))
        self.assertRaises(TypeError, latchkey.register, Point, "p", 1, 2)
        self.assertRaises(TypeError, latchkey.register, "Point", "p", len, len)

    def test_an_encoder_that_raises(self):
        class Odd:
            """Its encoder fails."""

        def fail(_):
            raise LookupError("odd")

        latchkey.register(Odd, "tests.Odd", fail, fail)
        self.assertRaises(LookupError, latchkey.encode, Odd())
        self.assertRaises(LookupError, latchkey.decode, b"u\x09\0\0\0tests.OddN")

    def test_a_list_that_changes_meanwhile(self):
        class Shrinks:
            """Its encoder empties the list that it is in."""

        items = []
        latchkey.register(Shrinks, "tests.Shrinks", lambda _: items.clear(), lambda _: None)
        items.extend([Shrinks(), 1, 2])
        self.assertRaises(TypeError, latchkey.encode, items)

    def test_damaged_bytes_are_refused(self):
        """Every prefix, and every byte changed: an object or ValueError, never more."""
        whole = latchkey.encode([1, 2**100, 1.5, "\u00e9", b"b", (None, True), {"k": {1: [2]}},
                                 datetime.datetime(2026, 1, 1)])
        draw = random.Random(11)
        refused = 0
        tries = [whole[:n] for n in range(len(whole))]
        for at in range(len(whole)):
            for value in (0, 255, draw.randrange(256), whole[at] ^ 1 << draw.randrange(8)):
                tries.append(whole[:at] + bytes([value]) + whole[at + 1:])
        tries += [draw.randbytes(draw.randrange(60)) for _ in range(20000)]
        tries += [b"l\xff\xff\xff\xff", b"t\xff\xff\xff\x7f" + b"N" * 9, b"b\xff\xff\xff\xff",
                  b"l\1\0\0\0" * 5000 + b"N", b"d\1\0\0\0l\0\0\0\0N"]
        for each in tries:
            try:
                latchkey.decode(each)
            except (ValueError, TypeError, OverflowError, LookupError):
                refused += 1
        self.assertGreater(refused, len(whole))
        self.assertRaises(TypeError, latchkey.decode, "text")


if __name__ == "__main__":
    unittest.main()
