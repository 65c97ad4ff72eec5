"""The least that giving a series whole can cost: the kernel gives the files in a folder to whoever asks (sendfile).

web_limit.py PORT FOLDER

There is no catalog, no check and no second connection at a time: it is the limit of this kernel and of the client.
"""

import os
import socket
import sys
from pathlib import Path

HEAD = b"\r\n--limit\r\nContent-Type: application/dicom\r\n\r\n"
END = b"\r\n--limit--\r\n"


def main():
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    with socket.create_server(("127.0.0.1", port)) as door:
        while True:
            connection, _ = door.accept()
            with connection:
                _serve(connection, sorted(folder.iterdir()))


def _serve(connection, paths):
    sizes = [path.stat().st_size for path in paths]
    length = sum(sizes) + len(HEAD) * len(paths) + len(END)
    asked = b""
    while piece := connection.recv(1 << 16):
        asked += piece
        if asked.endswith(b"\r\n\r\n"):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
            for path, size in zip(paths, sizes, strict=True):
                connection.send(HEAD, socket.MSG_MORE)
                _send_file(connection, path, size)
            connection.sendall(END)
            asked = b""


def _send_file(connection, path, size):
    with path.open("rb") as file:
        at = 0
        while at < size:
            at += os.sendfile(connection.fileno(), file.fileno(), at, size - at)


if __name__ == "__main__":
    main()
