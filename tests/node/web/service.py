"""The web role on a port of loopback, in a thread: real sockets, spool and ledger."""

import http.client
import json
import socket
import threading
import time

import uvicorn

from node.config import Settings
from node.inbound.spool import Spool
from node.ledger import SqlLedger
from node.web.app import make_web
from node.web.server import configure_server

BOUNDARY = "-=bound=-"


class Service:
    """One web role with a home of its own, inside `with`; sections: of its settings. port: 0 for any."""

    def __init__(self, home, port=0, **sections):
        node = {"home": home, "listen": "127.0.0.1:1"}
        self.settings = Settings.model_validate({"node": node, "routes": [], **sections})
        self.ledger = SqlLedger(self.settings.ledger_url)
        self.spool = Spool(self.settings.spool, self.settings.listen.min_free_mb)
        app = make_web(self.settings, self.ledger, self.spool)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        self._server = uvicorn.Server(configure_server(self.settings, app))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self):
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()
        self.ledger.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, headers=()):
        """(status, headers, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def store(self, parts, path="/dicom-web/studies", headers=(), kind="application/dicom", body=None):
        """STOWs; parts: bytes, or (headers, bytes). (status, headers, the JSON answered)."""
        head = {"Content-Type": f'multipart/related; type="{kind}"; boundary="{BOUNDARY}"'} | dict(headers)
        body = make_body(parts) if body is None else body
        status, said, answer = self.ask("POST", path, body, head)
        return status, said, json.loads(answer) if "json" in said.get("Content-Type", "") else answer

    def audit(self):
        """The audit's lines."""
        path = self.settings.node.home / "audit.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def kept(self):
        """Names of the files in spool/kept."""
        return list(self.spool.find_kept())

    def incoming(self):
        """What lies half-written."""
        return list(self.spool.incoming.iterdir())


def make_body(parts):
    out = []
    for part in parts:
        head, data = part if isinstance(part, tuple) else ({"Content-Type": "application/dicom"}, part)
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        out += [f"--{BOUNDARY}\r\n{lines}\r\n".encode(), data, b"\r\n"]
    return b"".join([*out, f"--{BOUNDARY}--\r\n".encode()])
