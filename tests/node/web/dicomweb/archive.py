"""A DICOMweb service over a spool of its own, on a port of loopback."""

import shutil
import time
from contextlib import contextmanager
from threading import Thread

import uvicorn
from dicomweb_client import DICOMwebClient
from starlette.applications import Starlette
from starlette.routing import Mount

from node.config import Settings
from node.dicom.identity import read_identity, read_syntax
from node.dicom.write import write_dicom
from node.inbound.spool import Spool, digest_dataset, name_kept
from node.ledger import SqlLedger
from node.model.batch import Batch
from node.model.study import Instance
from node.web.dicomweb.service import Reading, make_dicomweb

BASE = "/dicom-web"


class Store:
    """Spool, ledger and what reads them, in `folder`."""

    def __init__(self, folder, **web):
        self.settings = Settings.model_validate({"node": {"home": str(folder / "home")}, "web": web})
        self.spool = Spool(self.settings.spool)
        self.ledger = SqlLedger(self.settings.ledger_url)
        self.reading = Reading(self.settings, self.ledger, self.spool, BASE)
        self.application = Starlette(routes=[Mount(BASE, make_dicomweb(self.reading))])
        self.folder = folder

    def keep(self, path):
        """Takes a Part 10 file in, as the door does."""
        identity = read_identity(path)
        syntax, offset = read_syntax(path)
        digest = digest_dataset(path, offset, syntax)
        name = name_kept(digest)
        shutil.copy(path, self.spool.root / name)
        size = path.stat().st_size
        uids = (identity.sop_instance_uid, identity.sop_class_uid, identity.study_uid, identity.series_uid)
        row = Instance(*uids, syntax, digest, size, name, identity.is_image, time.time())
        assert not self.ledger.record(Batch(instances=[(row, "")]))
        return row

    def keep_dataset(self, ds):
        """The same of a dataset."""
        path = self.folder / "sent.dcm"
        write_dicom(ds, path)
        return self.keep(path)

    def path_of(self, row):
        """Where its file is."""
        return self.spool.root / row.path


@contextmanager
def serve(store):
    """The base URL of a running service over `store`."""
    config = uvicorn.Config(store.application, host="127.0.0.1", port=0, log_level="warning", lifespan="auto")
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}{BASE}"
    finally:
        server.should_exit = True
        thread.join(10)


def make_client(url):
    """What the readers of this service use."""
    return DICOMwebClient(url)
