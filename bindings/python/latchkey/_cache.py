"""The shared cache as a mapping."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, KeysView, MutableMapping, ItemsView, ValuesView
from multiprocessing import reduction
from typing import Any, overload

from . import _core

Plain = bytes | str | int


def _reopen(cls: type[Cache], name: str, options: dict[str, Any]) -> Cache:
    return cls(name, **options)


def _reopen_descriptor(cls: type[Cache], descriptor: Any, options: dict[str, Any]) -> Cache:
    fd = descriptor.detach()
    try:
        return cls(fd=fd, **options)
    finally:
        os.close(fd)


class Cache(_core.Cache, MutableMapping[Plain, Plain]):
    """Cache(name=None, *, size=0, ttl=None, create=True, exclusive=False, read_only=False, ...)

    Attach the cache `name`, or make it with `size` bytes for entries that live `ttl` seconds.
    Without a name it is shared with child processes, and with those it is sent to by pickling.
    Keys and values are bytes, str or int; a key of one type never equals one of another.

    Processes fork as they like: children go on with the handle they inherited.
    """

    _name: str | None
    _options: dict[str, Any]

    def __init__(self, name: str | None = None, *, size: int = 0,
                 ttl: float | datetime.timedelta | None = None, create: bool = True,
                 exclusive: bool = False, read_only: bool = False, shards: int = 0,
                 threads: int = 0, entry_size: int = 0, block_size: int = 0,
                 checksum: bool = False, fd: int = -1) -> None:
        self._name = name
        # A copy of the handle asks for the name only: the options are those of the cache.
        self._options = {"read_only": True} if read_only else {}

    @property
    def name(self) -> str | None:
        """The cache's name; None if it has none."""
        return self._name

    def __repr__(self) -> str:
        if self.closed:
            return f"<latchkey.Cache {self._name!r}, closed>"
        return f"<latchkey.Cache {self._name!r}, {len(self)} entries, {self.capacity} bytes>"

    # Two handles are the same or not; dict(cache) is there to compare contents.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._name is not None:
            return _reopen, (type(self), self._name, {**self._options, "create": False})
        return _reopen_descriptor, (type(self), reduction.DupFd(self.fileno()), self._options)

    def __iter__(self) -> Iterator[Plain]:
        return iter(self.scan(None, "keys"))

    @overload
    def keys(self) -> KeysView[Plain]: ...
    @overload
    def keys(self, prefix: str | bytes) -> Iterator[Plain]: ...
    def keys(self, prefix: str | bytes | None = None) -> KeysView[Plain] | Iterator[Plain]:
        """The keys; with a prefix, those of its type that begin with it."""
        return KeysView(self) if prefix is None else iter(self.scan(prefix, "keys"))

    @overload
    def values(self) -> ValuesView[Plain]: ...
    @overload
    def values(self, prefix: str | bytes) -> Iterator[Plain]: ...
    def values(self, prefix: str | bytes | None = None) -> ValuesView[Plain] | Iterator[Plain]:
        """The values; with a prefix, those whose key begins with it."""
        return ValuesView(self) if prefix is None else iter(self.scan(prefix, "values"))

    @overload
    def items(self) -> ItemsView[Plain, Plain]: ...
    @overload
    def items(self, prefix: str | bytes) -> Iterator[tuple[Plain, Plain]]: ...
    def items(self, prefix: str | bytes | None = None
              ) -> ItemsView[Plain, Plain] | Iterator[tuple[Plain, Plain]]:
        """(key, value) pairs; with a prefix, those whose key begins with it."""
        return _Items(self) if prefix is None else iter(self.scan(prefix, "items"))

    def setdefault(  # type: ignore[override]
            self, key: Plain, default: Plain | None = None) -> Plain:
        """The value; an absent key is stored as `default` first.  Atomic."""
        if default is None:
            return self[key]
        while True:
            value = self.get(key)
            if value is not None:
                return value
            if self.add(key, default):
                return default


class _Items(ItemsView[Plain, Plain]):
    """Items read together: an entry that is evicted meanwhile is left out, not a KeyError."""

    _mapping: Cache

    def __iter__(self) -> Iterator[tuple[Plain, Plain]]:
        return iter(self._mapping.scan(None, "items"))
