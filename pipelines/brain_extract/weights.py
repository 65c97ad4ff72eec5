"""The two networks of deepbet 1.0.2 (MIT license): found in the installed wheel, checked, and only then read.

They are TorchScript: a file that is a program. So the bytes that are hashed are the very bytes that are loaded,
and nothing of the `deepbet` package itself is imported (its wheel also wants a window system).
"""

import hashlib
import io
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from torch.jit import ScriptModule

from pipelines.errors import WeightsMismatch, WeightsMissing

INSTALL = "pip install --no-deps deepbet==1.0.2"

DIGESTS = {
    "bbox_model.pt": "39a7b2b5f799faa1391ea97bfcdc0b9299f20d84f2316a4ff8918dc4685e40aa",
    "model.pt": "de8ee7c69654d0dd3935dc4a5d84571d8ecf4637a6bfc01df399c4c2bc86e0fd",
}
"""File -> sha256: the network that finds the brain's box, and the one that outlines the brain in it."""


def combine_digests(digests: dict[str, str]) -> str:
    """What the manifest pins for several files: the sha256 of their hex digests, joined in the order given."""
    return hashlib.sha256("".join(digests.values()).encode("ascii")).hexdigest()


def find_weights() -> dict[str, Path]:
    """File name -> path in the installed wheel. Raises WeightsMissing that says how to install it."""
    try:
        wheel = distribution("deepbet")
    except PackageNotFoundError as error:
        raise WeightsMissing(f"brain-extract needs the weights of deepbet: {INSTALL}") from error
    paths = {name: Path(str(wheel.locate_file(f"data/models/{name}"))) for name in DIGESTS}
    for name, path in paths.items():
        if not path.is_file():
            raise WeightsMissing(f"deepbet is installed, but without {name}: {INSTALL}")
    return paths


def load_networks(paths: dict[str, Path], device: str) -> list[ScriptModule]:
    """The networks of `paths` on `device`, ready to infer. Raises WeightsMismatch that names the file at fault."""
    contents = {name: path.read_bytes() for name, path in paths.items()}
    for name, content in contents.items():
        found = hashlib.sha256(content).hexdigest()
        if found != DIGESTS[name]:
            raise WeightsMismatch(f"{name} of deepbet has sha256 {found}, pinned is {DIGESTS[name]}; {INSTALL}")
    return [_load_network(content, device) for content in contents.values()]


def _load_network(content: bytes, device: str) -> ScriptModule:
    network: ScriptModule = torch.jit.load(io.BytesIO(content), map_location=device)  # type: ignore[no-untyped-call]
    return network.eval()
