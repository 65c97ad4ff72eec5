"""Which device a worker's child computes on."""

import shutil
import subprocess


def count_gpus() -> int:
    """NVIDIA GPUs that the driver shows, counted without torch (the parent must not import it)."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    answer = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=30, check=False)
    return sum(line.startswith("GPU ") for line in answer.stdout.splitlines()) if answer.returncode == 0 else 0


def pick_device(wanted: str, child: int) -> str:
    """`wanted` as it is, or for "auto" the GPU of this child, the CPU when torch can use none. Call in a child only."""
    import torch

    if wanted != "auto":
        return wanted
    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{child % torch.cuda.device_count()}"
