"""OHIF's pages and, under /dicom-web of the same origin, an Orthanc behind them."""

import json
import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

SETTINGS = {
    "routerBasename": "/",
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "showCPUFallbackMessage": False,
    "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "dicomweb",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "dicomweb",
            "configuration": {
                "friendlyName": "PACS",
                "name": "PACS",
                "qidoRoot": "/dicom-web",
                "wadoRoot": "/dicom-web",
                "wadoUriRoot": "/wado",
                "qidoSupportsIncludeField": False,
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "enableStudyLazyLoad": True,
                "omitQuotationForMultipartRequest": True,
                "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
            },
        }
    ],
}


@contextmanager
def serve(dist: Path, pacs: str) -> Iterator[str]:
    """The address of OHIF, whose pages are in `dist`, over the Orthanc at `pacs`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, kind, body = fetch(self.path) if self.path.startswith("/dicom-web") else read(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            # Without these the browser gives OHIF's decoders no shared memory.
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Says nothing: a picture takes hundreds of requests."""

    def fetch(path: str) -> tuple[int, str, bytes]:
        asked = Request(f"{pacs}{path}", headers={"Accept": accepted(path)})
        try:
            with urlopen(asked, timeout=60) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read()
        except HTTPError as error:
            return error.code, "text/plain", error.read()

    def accepted(path: str) -> str:
        if "/frames/" in path:
            return 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
        return "*/*" if "/bulk" in path else "application/dicom+json"

    def read(path: str) -> tuple[int, str, bytes]:
        name = path.split("?", maxsplit=1)[0].lstrip("/")
        if name == "app-config.js":
            return 200, "text/javascript", f"window.config = {json.dumps(SETTINGS)};".encode()
        file = (dist / name).resolve()
        if not file.is_file() or dist.resolve() not in file.parents:
            file = dist / "index.html"  # a page of the application, which finds its way by itself
        kind = "application/wasm" if file.suffix == ".wasm" else mimetypes.guess_type(file)[0]
        return 200, kind or "application/octet-stream", file.read_bytes()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
