"""Has anybody written to a SQLite file? Asked without reading a table, so that who waits for news looks at no rows.

`PRAGMA data_version` differs after a commit of any other connection, of this process or another. The connection here
writes nothing itself, so it misses none. It costs some microseconds, a look at the tables a thousand times as much.
"""

import sqlite3
from itertools import count
from threading import Lock

from sqlalchemy import URL


class Watch:
    """Of the database at `url`. Of one that is no SQLite file every look says that there may be news. For many threads.

    Raises sqlite3.Error when a look fails, as any other look at the file does.
    """

    def __init__(self, url: URL) -> None:
        self._path = url.database if url.get_backend_name() == "sqlite" else None
        self._looks = count()
        self._lock = Lock()
        self._db: sqlite3.Connection | None = None

    def look(self) -> int:
        """A number that is another one as soon as anybody wrote since the last look."""
        with self._lock:
            if not self._path:
                return next(self._looks)
            if self._db is None:
                self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Gives the connection back."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None
