"""The least that giving a series whole can cost: the kernel gives the files in a folder to whoever asks (sendfile).

web_limit.py PORT FOLDER

There is no catalog, no check and no second connection at a time, and the files are open before it is asked: it is the
limit of this kernel and of the client.
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
            files = [os.open(path, os.O_RDONLY) for path in sorted(folder.iterdir())]
            with connection:
                _serve(connection, files)
            for file in files:
                os.close(file)


def _serve(connection, files):
    sizes = [os.fstat(file).st_size for file in files]
    length = sum(sizes) + len(HEAD) * len(files) + len(END)
    asked = b""
    while piece := connection.recv(1 << 16):
        asked += piece
        if asked.endswith(b"\r\n\r\n"):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
            for file, size in zip(files, sizes, strict=True):
                connection.send(HEAD, socket.MSG_MORE)
                _send_file(connection, file, size)
            connection.sendall(END)
            asked = b""


def _send_file(connection, file, size):
    at = 0
    while at < size:
        at += os.sendfile(connection.fileno(), file, at, size - at)


if __name__ == "__main__":
    main()
