"""`python -m workers.doctor DEVICE PIPELINE...`: tab-separated lines "well|ill, what, what was seen"."""

import sys

from node.config import load_settings
from pipelines.errors import PipelineError
from pipelines.terms import get_manifest
from workers.device import pick_device
from workers.warm import Warm


def main(device: str, *names: str) -> None:
    """Loads torch and every named pipeline as a worker would."""
    import torch

    load_settings()
    chosen = pick_device(device, 0)
    _say("well", "device", f"{chosen}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    warm = Warm(chosen)
    for name in names:
        try:
            warm.get(name)
        except PipelineError as error:
            _say("ill", f"pipeline {name}", str(error))
        else:
            manifest = get_manifest(name)
            _say("well", f"pipeline {name}", f"{manifest.version}, weights {manifest.weights_sha256[:12]} checked")


def _say(well: str, what: str, seen: str) -> None:
    sys.stdout.write(f"{well}\t{what}\t{seen}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
