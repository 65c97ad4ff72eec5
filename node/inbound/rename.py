"""A file gets its final name unless that is taken: in one step with renameat2 (Linux 3.15), else in two."""

import ctypes
import errno
import os
from collections.abc import Callable
from typing import cast

AT_FDCWD = -100
NO_REPLACE = 1
UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})


def rename_new(source: str, target: str) -> None:
    """Renames `source` to `target`. Raises FileExistsError when `target` is there: both stay as they are."""
    if _RENAME is not None:
        if _RENAME(AT_FDCWD, os.fsencode(source), AT_FDCWD, os.fsencode(target), NO_REPLACE) == 0:
            return
        code = ctypes.get_errno()
        if code not in UNSUPPORTED:
            raise OSError(code, os.strerror(code), source, None, target)
    os.link(source, target)
    os.unlink(source)  # noqa: PTH108


def _find_rename() -> Callable[..., int] | None:
    """The C library's own; None where it has none."""
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    function.restype = ctypes.c_int
    return cast("Callable[..., int]", function)


_RENAME = _find_rename()
