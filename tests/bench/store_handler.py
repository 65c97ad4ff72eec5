"""A Storage SCP as pynetdicom's documentation writes it, the receiver that most Python nodes start from.

    store_handler.py PORT FOLDER synced|unsynced

Beyond the documented lines: more associations than ten at once; `synced` syncs the file and its folder before success.
"""

import os
import sys
from pathlib import Path

from pynetdicom import AE, AllStoragePresentationContexts, evt


def main():
    port, folder, mode = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    folder.mkdir(parents=True, exist_ok=True)
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def handle_store(event):
        ds = event.dataset
        ds.file_meta = event.file_meta
        path = folder / f"{ds.SOPInstanceUID}.dcm"
        ds.save_as(path, enforce_file_format=True)
        if mode == "synced":
            with path.open("rb+") as file:
                os.fsync(file.fileno())
            os.fsync(directory)
        return 0x0000

    ae = AE()
    ae.maximum_associations = 1000
    ae.supported_contexts = AllStoragePresentationContexts
    ae.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, handle_store)])


if __name__ == "__main__":
    main()
