"""The decorator latchkey.cache."""

from __future__ import annotations

import datetime
import functools
import hashlib
import inspect
import os
import pickle
import re
import sys
import types
from collections.abc import Awaitable, Callable
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, cast, overload

from . import _core
from ._async import asynchronous
from ._cache import Cache

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

Seconds = float | datetime.timedelta


class Serializer(Protocol):
    """Anything with these two functions: json, marshal, a module of your own."""

    def dumps(self, value: Any, /) -> Any: ...
    def loads(self, data: Any, /) -> Any: ...


class Cached(Protocol[P, R_co]):
    """A cached function."""

    __wrapped__: Callable[..., Any]
    __name__: str
    __qualname__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Callable[..., R_co]: ...
    def cache_info(self) -> _core.CacheInfo: ...
    def cache_clear(self) -> None: ...
    def cache_delete(self, *args: P.args, **kwargs: P.kwargs) -> bool: ...
    def cache_parameters(self) -> dict[str, Any]: ...


# Changes when what is stored changes its form.
_FORMAT = 1

# Of an entry in the segment (cache.h): its header, the unit it is stored in, the largest average.
_HEADER = 24
_BLOCK = 48
_ENTRY_MAX = 1 << 20
# Up to so many bytes every entry has room for the largest key and value; beyond it, memory is set
# aside for entries of so many bytes on the average.
_FULL_ROOM = 16 << 20
_AVERAGE = 288  # whole blocks
# Up to so many entries are in one shard, and the capacity is exact.
_EXACT = 128


def _geometry(max_size: int, max_key_size: int, max_value_size: int) -> dict[str, Any]:
    """Options of a segment that keeps `max_size` entries."""
    full = _HEADER + max_key_size + max_value_size
    if max_size * full > _FULL_ROOM and max_size > _EXACT:
        each = max(_AVERAGE, _FULL_ROOM // max_size)
    else:
        # A value may be a quarter of a shard at most, so a shard is four full entries at least.
        each = full * -(-4 // max_size)
    each += -each % _BLOCK
    return {"size": max_size * each, "block_size": _BLOCK,
            "entry_size": min(each - _HEADER, _ENTRY_MAX),
            "shards": 1 if max_size <= _EXACT else min(64, max_size // (_EXACT // 2))}


def _add_code(digest: Any, code: types.CodeType) -> None:
    for part in (code.co_code, code.co_names, code.co_varnames, code.co_argcount,
                 code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags):
        digest.update(repr(part).encode("utf-8", "surrogatepass") + b"\0")
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _add_code(digest, constant)
        else:
            digest.update(repr((type(constant), constant)).encode("utf-8", "surrogatepass") + b"\0")


def _segment_name(function: Callable[..., Any], options: Any) -> str | None:
    """A name that the same function has in every process, and no other function has.  None: there
    is none, as for closures and for what was typed in; then the segment is shared with child
    processes only."""
    if not isinstance(function, types.FunctionType) or function.__closure__:
        return None
    code = function.__code__
    path = os.path.realpath(code.co_filename)
    if not os.path.isfile(path):
        return None
    try:
        defaults = _core.encode((function.__defaults__, function.__kwdefaults__))
    except TypeError:
        return None
    digest = hashlib.blake2b(digest_size=10)
    digest.update(repr((_FORMAT, sys.version_info[:2], path, function.__qualname__,
                        code.co_firstlineno, options)).encode("utf-8", "surrogatepass"))
    digest.update(defaults)
    _add_code(digest, code)
    readable = re.sub(r"[^A-Za-z0-9_.-]", "_", function.__qualname__)[:80].lstrip(".")
    return f"py-{readable}-{digest.hexdigest()}"


def _serializer(serializer: str | Serializer | None) -> tuple[str, Any, Any]:
    if serializer is None:
        return "", None, None
    if serializer == "pickle":
        return ("pickle", functools.partial(pickle.dumps, protocol=pickle.HIGHEST_PROTOCOL),
                pickle.loads)
    if isinstance(serializer, str):
        raise ValueError(f"serializer is None, 'pickle' or an object with dumps() and loads(), "
                         f"not {serializer!r}")
    dumps, loads = serializer.dumps, serializer.loads
    name = getattr(serializer, "__name__", type(serializer).__qualname__)
    return str(name), dumps, loads


def _shared(function: Callable[..., Any], max_size: int | None, ttl: Seconds | None,
            max_key_size: int, max_value_size: int, name: str | None,
            serializer: str | Serializer | None, single_flight: bool | Literal["auto"],
            lease_timeout: Seconds | None) -> _core.SharedFunction:
    if not isinstance(max_size, int) or max_size < 1:
        raise ValueError("max_size of a shared cache is a number of entries, at least 1")
    if max_key_size < 8 or max_value_size < 1:
        raise ValueError("max_key_size is at least 8, max_value_size at least 1")
    if single_flight not in (True, False, "auto"):
        raise ValueError(f"single_flight is True, False or 'auto', not {single_flight!r}")
    form, dumps, loads = _serializer(serializer)
    geometry = _geometry(max_size, max_key_size, max_value_size)
    if name is None:
        name = _segment_name(function, (max_size, max_key_size, max_value_size, form))
    segment = Cache(name, **geometry)
    return _core.SharedFunction(function, segment, max_size, ttl, max_key_size, max_value_size,
                                dumps, loads, lease_timeout if single_flight else False,
                                single_flight is True)


def _refuse_generators(function: Callable[..., Any]) -> None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError("what a generator yields can be taken once only: it cannot be cached")


@overload
def cache(function: Callable[P, R], /) -> Cached[P, R]: ...
@overload
def cache(*, max_size: int | None = 128, ttl: Seconds | None = None,
          backend: Literal["memory", "shared"] = "memory", max_key_size: int = 512,
          max_value_size: int = 4096, name: str | None = None,
          serializer: Literal["pickle"] | Serializer | None = None,
          single_flight: bool | Literal["auto"] = "auto", lease_timeout: Seconds | None = 60.0,
          ) -> Callable[[Callable[P, R]], Cached[P, R]]: ...
def cache(function: Any = None, /, *, max_size: int | None = 128, ttl: Seconds | None = None,
          backend: str = "memory", max_key_size: int = 512, max_value_size: int = 4096,
          name: str | None = None, serializer: Any = None,
          single_flight: bool | Literal["auto"] = "auto",
          lease_timeout: Seconds | None = 60.0) -> Any:
    """Keep the results of a function, plain or asynchronous.

    max_size        how many results (None: no limit, memory only)
    ttl             seconds that a result is kept (None: until it is evicted)
    backend         "memory": this process;  "shared": all processes that run this function
    For shared ones:
    max_key_size, max_value_size    bytes; calls beyond them are computed every time, and counted
    name            of the segment; by default one of the function's own
    serializer      None: None, bool, int, float, str, bytes, tuple, list, dict, dates and times,
                    and types given to register();  "pickle";  or an object with dumps, loads
    single_flight   True: of all processes that miss, one computes and the others wait;
                    "auto": not while computing takes less than a wait would;  False: never
    lease_timeout   seconds to wait for another process that computes, then compute as well

    The arguments are the key, with their types: 1, 1.0 and True are three keys.
    """
    if function is None:
        return functools.partial(cache, max_size=max_size, ttl=ttl, backend=backend,
                                 max_key_size=max_key_size, max_value_size=max_value_size,
                                 name=name, serializer=serializer, single_flight=single_flight,
                                 lease_timeout=lease_timeout)
    if not callable(function):
        raise TypeError("@latchkey.cache is for functions; options are given by name")
    _refuse_generators(function)
    core: _core.MemoryFunction | _core.SharedFunction
    if backend == "memory":
        if max_size is not None and (not isinstance(max_size, int) or max_size < 0):
            raise ValueError("max_size is a number of entries, or None")
        core = _core.MemoryFunction(function, max_size, ttl)
    elif backend == "shared":
        core = _shared(function, max_size, ttl, max_key_size, max_value_size, name, serializer,
                       single_flight, lease_timeout)
    else:
        raise ValueError(f"backend is 'memory' or 'shared', not {backend!r}")
    if inspect.iscoroutinefunction(function):
        return asynchronous(cast(Callable[..., Awaitable[Any]], function), core,
                            bool(single_flight), lease_timeout)
    return functools.update_wrapper(core, function)
