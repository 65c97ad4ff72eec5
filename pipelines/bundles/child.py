"""`python -m pipelines.bundles.child HOME DEVICE SCRATCH MEMORY_GB TRUSTED SPARING`: the process of one bundle.

Reads volumes on standard input and answers on what was standard output; whatever a bundle prints goes nowhere. It ends
when its input does.
"""

import os
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from pipelines.bundles.boxes import Reported
from pipelines.bundles.confine import confine, limit_memory
from pipelines.bundles.heap import find_give_back
from pipelines.bundles.install import read_installed
from pipelines.bundles.shortage import is_shortage
from pipelines.bundles.wire import Message, receive, send
from pipelines.errors import BundleCrashed, BundleOutOfMemory, PipelineError
from pipelines.repeatable import make_repeatable

if TYPE_CHECKING:
    from pipelines.bundles.program import Program


def main(home: str, device: str, scratch: str, memory_gb: str, trusted: str, sparing: str) -> None:
    """Loads the bundle, says so, and answers volumes until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    give_back = find_give_back()
    if device == "cpu":
        limit_memory(float(memory_gb))
    try:
        program = _load(home, device, scratch, trusted=trusted == "code", sparing=sparing == "sparing")
    except Exception as error:  # noqa: BLE001  told by name to the worker, which judges
        _tell(answers, error, device)
        return
    send(answers, Message({"ready": True}))
    while (message := receive(sys.stdin.buffer)) is not None:
        try:
            _answer(program, message, answers)
        except Exception as error:  # noqa: BLE001
            _tell(answers, error, device)
        del message
        give_back()


def _load(home: str, device: str, scratch: str, *, trusted: bool, sparing: bool) -> "Program":
    installed = read_installed(Path(home))
    if installed.make_recipe(trusted=trusted).wants_torchvision:
        from pipelines.bundles.torchvision_ops import import_torchvision

        import_torchvision()
    from pipelines.bundles.program import Program  # torch and monai, before the doors close

    _warm_up(device)
    confine(Path(scratch))
    program = Program(installed, device, trusted=trusted, sparing=sparing)
    make_repeatable()  # last: most bundles ask for cuDNN's race, and a trusted one may have had it
    return program


def _warm_up(device: str) -> None:
    """What loads shared libraries at first use is used once, before it could not."""
    import torch

    torch.nn.functional.grid_sample(torch.zeros(1, 1, 2, 2, 2), torch.zeros(1, 2, 2, 2, 3), align_corners=True)
    torch.zeros(1, device=device).sum().item()


def _answer(program: "Program", message: Message, answers: IO[bytes]) -> None:
    start = time.perf_counter()
    volumes = [message.arrays[f"volume{n}"] for n in range(int(message.words["volumes"]))]
    affine = np.asarray(message.words["affine"], np.float64)

    def tell(share: float, what: str) -> None:
        send(answers, Message({"share": share, "what": what}))

    way = str(message.words.get("explain", ""))
    if way:
        reported = Reported(message.arrays["boxes"], message.arrays["same"]) if "boxes" in message.arrays else None
        found = program.explain(volumes, affine, way, tell, reported)
    else:
        found = program.run(volumes, affine, tell)
    words = {"seconds": time.perf_counter() - start, "spared": program.is_spared}
    send(answers, Message(words, found.arrays))


def _tell(answers: IO[bytes], error: Exception, device: str) -> None:
    """The error's name and, of ours alone, its sentence. That memory was used up has a name of its own: the worker
    tries such a job again, on the CPU."""
    root: BaseException | None = error
    while root is not None and not isinstance(root, PipelineError):
        root = root.__cause__ or root.__context__
    if root is not None:
        name, text = type(root).__name__, str(root)
    elif is_shortage(error):
        given = "it is given: bundles.NAME.memory_gb" if device == "cpu" else f"there is left on {device}"
        name, text = BundleOutOfMemory.__name__, f"the bundle wants more memory than {given}"
    else:
        first = str(error).strip().splitlines() or [""]
        name, text = BundleCrashed.__name__, f"{type(error).__name__} in MONAI or torch: {first[-1][:200]}"
    send(answers, Message({"error": name, "text": text}))


if __name__ == "__main__":
    main(*sys.argv[1:])
