"""What keeps this node from doing its work right now, one sentence each."""

import shutil
import socket

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from node.config import Settings
from node.ledger import Ledger


def find_troubles(settings: Settings, ledger: Ledger) -> list[str]:
    """Empty when the ledger answers, the door is open, has room for images, and the broker is there."""
    troubles = []
    try:
        ledger.find_overdue(0.0, 0.0)
    except SQLAlchemyError as error:
        troubles.append(f"the ledger does not answer ({type(error).__name__})")
    host, port = settings.node.listen.rsplit(":", 1)
    if not _is_open("127.0.0.1" if host == "0.0.0.0" else host, int(port)):  # noqa: S104  compared, not bound
        troubles.append(f"nothing listens on {settings.node.listen}")
    if shortage := find_shortage(settings):
        troubles.append(shortage)
    if not broker_answers(settings.queue.url):
        troubles.append("the broker does not answer; new jobs wait in the ledger")
    return troubles


def find_shortage(settings: Settings) -> str:
    """Why the door takes no images for want of space, "" while there is room."""
    place = settings.spool if settings.spool.is_dir() else settings.node.home
    least = settings.listen.min_free_mb
    try:
        free = shutil.disk_usage(place).free / 1e6
    except OSError as error:
        return f"the spool cannot be looked at: {error.strerror}"
    return f"images are refused: {free:.0f} MB free in {place}, listen.min_free_mb is {least}" if free < least else ""


def broker_answers(url: str) -> bool:
    """True when a PING comes back."""
    try:
        # kombu's name for a unix socket, redis-py's name for it
        plain = (
            url.split("?", maxsplit=1)[0].replace("redis+socket://", "unix://")
            if url.startswith("redis+socket")
            else url
        )
        client = Redis.from_url(plain, socket_timeout=2)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except (RedisError, OSError, ValueError, AttributeError):  # the last when what answers speaks something else
        return False


def _is_open(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
