"""Cached coroutine functions.

A hit returns without suspending.  Of the tasks of one loop that miss, one computes and the others
await its result; between processes the lease decides, and who does not get it looks again after
a while: the loop never waits for a lock.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

from . import _core

_VALUE, _LEASE, _BUSY = 0, 1, 2
_FIRST_DELAY, _LONGEST_DELAY = 0.0005, 0.02

_missing = _core.missing


def _nothing() -> None:
    """What the tables of flights would compute: they are only looked up."""


class _Flights:
    """What is being computed, for each loop: arguments -> future."""

    def __init__(self) -> None:
        self._tables: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _core.MemoryFunction]
        self._tables = weakref.WeakKeyDictionary()

    async def run(self, compute: Callable[[], Awaitable[Any]], joined: Callable[[], None],
                  args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of compute(), or of one that runs already.  A leader that is cancelled leaves
        its place to one of those that wait."""
        loop = asyncio.get_running_loop()
        table = self._tables.get(loop)
        if table is None:
            table = self._tables[loop] = _core.MemoryFunction(_nothing, None, None)
        while (flight := table.peek(*args, **kwargs)) is not _missing:
            try:
                value = await asyncio.shield(flight)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if flight.cancelled() and not (task is not None and task.cancelling()):
                    continue
                raise
            joined()
            return value
        flight = loop.create_future()
        table.store(flight, *args, **kwargs)
        try:
            value = await compute()
            flight.set_result(value)
        except asyncio.CancelledError:
            flight.cancel()
            raise
        except BaseException as error:
            flight.set_exception(error)
            flight.exception()  # nobody may be waiting: then it is no news
            raise
        finally:
            table.cache_delete(*args, **kwargs)
        return value


def _finish(wrapper: Any, core: Any) -> Any:
    for method in ("cache_info", "cache_clear", "cache_delete", "cache_parameters"):
        setattr(wrapper, method, getattr(core, method))
    if isinstance(core, _core.SharedFunction):
        wrapper.cache = core.cache
    return wrapper


def _in_memory(function: Callable[..., Awaitable[Any]], core: _core.MemoryFunction) -> Any:
    flights = _Flights()

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        value = core.peek(*args, **kwargs)
        if value is not _missing:
            return value

        async def compute() -> Any:
            core.count(0, 1)
            result = await function(*args, **kwargs)
            core.store(result, *args, **kwargs)
            return result

        return await flights.run(compute, lambda: core.count(1, 0), args, kwargs)

    return _finish(wrapper, core)


async def _lease(core: _core.SharedFunction, key: bytes, seconds: float | None) -> tuple[int, Any]:
    """(_VALUE, value) or (_LEASE, lease); lease None: the time is over, compute without."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    delay = _FIRST_DELAY
    while True:
        state, got = core.try_lease(key)
        if state != _BUSY:
            return state, got
        if seconds is not None and loop.time() - begun >= seconds:
            return _LEASE, None
        await asyncio.sleep(delay)
        delay = min(delay * 2, _LONGEST_DELAY)


def _in_segment(function: Callable[..., Awaitable[Any]], core: _core.SharedFunction,
                single_flight: bool, seconds: float | None) -> Any:
    flights = _Flights()

    async def compute(key: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        lease = None
        if single_flight:
            state, lease = await _lease(core, key, seconds)
            if state == _VALUE:
                return lease
        core.count(0, 1)
        try:
            result = await function(*args, **kwargs)
        except BaseException:
            core.release(lease)
            raise
        core.keep(key, result, lease)
        return result

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        value = core.peek(*args, **kwargs)
        if value is not _missing:
            return value
        key = core.key(*args, **kwargs)
        if key is None:  # too large; peek() has counted it
            core.count(0, 1)
            return await function(*args, **kwargs)
        return await flights.run(functools.partial(compute, key, args, kwargs),
                                 lambda: core.count(1, 0), (key,), {})

    return _finish(wrapper, core)


def asynchronous(function: Callable[..., Awaitable[Any]],
                 core: _core.MemoryFunction | _core.SharedFunction, single_flight: bool,
                 lease_timeout: float | datetime.timedelta | None) -> Any:
    """The coroutine function that looks into `core` first."""
    if isinstance(core, _core.MemoryFunction):
        return _in_memory(function, core)
    if isinstance(lease_timeout, datetime.timedelta):
        lease_timeout = lease_timeout.total_seconds()
    return _in_segment(function, core, single_flight, lease_timeout)
