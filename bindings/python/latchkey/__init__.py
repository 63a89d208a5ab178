"""A cache that many processes share and that no ``kill -9`` can wedge.

``@latchkey.cache`` keeps the results of a function, in this process (``backend="memory"``) or in
memory that all worker processes share (``backend="shared"``).  ``latchkey.Cache`` is the shared
memory itself: a mapping of ``bytes``, ``str`` and ``int``.  docs/PYTHON.md is the guide.
"""

from . import _types as _types  # registers datetime and its relatives
from ._cache import Cache
from ._core import CacheInfo, Lease, decode, encode, library_version, register, unlink
from ._functions import cache

__version__ = library_version()
__all__ = ["Cache", "CacheInfo", "Lease", "cache", "decode", "encode", "register", "unlink"]
