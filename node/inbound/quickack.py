"""TCP tuning at the door: an unchanged sender waits for our delayed acknowledgements; we do not delay them."""

import socket
from typing import Any

from pynetdicom import evt


def acknowledge_quickly(event: evt.Event) -> None:
    """TCP_NODELAY, and TCP_QUICKACK armed again after every read: Linux disarms it by itself.

    A sender with Nagle's algorithm on (the usual `storescu`) then no longer stalls 40 ms per image.
    """
    link: Any = event.assoc.dul.socket
    connection: socket.socket = link.socket
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    quickack = getattr(socket, "TCP_QUICKACK", None)
    if quickack is None:
        return
    read = link.recv

    def read_and_acknowledge(size: int) -> bytearray:
        data: bytearray = read(size)
        if link.socket is not None:
            link.socket.setsockopt(socket.IPPROTO_TCP, quickack, 1)
        return data

    link.recv = read_and_acknowledge
