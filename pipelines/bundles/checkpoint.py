"""The weights of a bundle, read without running what they may hold."""

import io
from pathlib import PurePosixPath

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from pipelines.bundles.install import Installed
from pipelines.bundles.lock import read_lock, read_pinned
from pipelines.bundles.shortage import is_shortage
from pipelines.errors import BundleDrift, BundleRefused, BundleUntrusted


def load_weights(network: nn.Module, installed: Installed, path: str, *, trusted: bool) -> None:
    """The pinned checkpoint into `network`: safetensors where there is one, else a state dict without code in it, or of
    a site that trusts the bundle, that of its TorchScript."""
    pinned = read_lock(installed.lock)
    name = PurePosixPath(path).as_posix()
    safe = PurePosixPath(name).with_suffix(".safetensors").as_posix()
    name = safe if safe in pinned else name
    if name not in pinned:
        raise BundleDrift(f"its weights {name} are not there: download them as its large_files.yml says, then add it")
    content = read_pinned(installed.folder, name, pinned)
    if name.endswith(".ts") and not trusted:
        raise BundleUntrusted(f'{name} is TorchScript, which is a program; bundles.NAME.trust = "code" allows it')
    if name == safe:
        state = load_safetensors(content)
    else:
        state = _read_script(content, name) if name.endswith(".ts") else _unpickle(content, name)
    if lost := [key for key, one in state.items() if isinstance(one, Tensor) and bool(one.isnan().any())]:
        raise BundleDrift(f"{name} holds NaN, which is no number, in {lost[0]} and {len(lost) - 1} more of its tensors")
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        line = str(error).splitlines()[1].strip() if len(str(error).splitlines()) > 1 else str(error)
        raise BundleDrift(f"{name} does not fit its network: {line[:200]}") from error


def _read_script(content: bytes, name: str) -> dict[str, Tensor]:
    """The state dict of a TorchScript program. Loading one runs code of its own: only where the site trusts it."""
    try:
        script = torch.jit.load(io.BytesIO(content), map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:  # torch raises what the bytes provoke
        if is_shortage(error):
            raise MemoryError from error
        raise BundleDrift(f"{name} is no TorchScript, or is damaged: {type(error).__name__}") from error
    return dict(script.state_dict())


def _unpickle(content: bytes, name: str) -> dict[str, Tensor]:
    """Tensors alone: whatever else a pickle asks for is refused before it is made (torch.load, weights_only)."""
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what the bytes provoke
        if is_shortage(error):
            raise MemoryError from error
        raise BundleRefused(f"{name} holds more than tensors, or is damaged: {type(error).__name__}") from error
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict):
        raise BundleDrift(f"{name} holds no state dict")
    return state
