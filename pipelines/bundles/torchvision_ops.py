"""torchvision beside a torch that it was not built for.

The wheel of torchvision on PyPI is built for CUDA. Beside a torch for the CPU its compiled operators cannot be loaded,
and then the import of the whole package fails, since it describes operators that do not exist. Declaring their names
first lets the Python part be imported: its classification networks, and what MONAI's RetinaNet borrows at its making,
call none of them.
"""

import sys
from importlib import import_module
from typing import Any

import torch

from pipelines.errors import BundleDrift

OPERATORS = (
    "nms", "qnms", "roi_align", "_roi_align_backward", "roi_pool", "_roi_pool_backward", "ps_roi_align",
    "_ps_roi_align_backward", "ps_roi_pool", "_ps_roi_pool_backward", "deform_conv2d", "_deform_conv2d_backward",
)  # fmt: skip
_held: list[Any] = []
"""A torch library lives as long as somebody holds it."""


def import_torchvision() -> None:
    """Imports torchvision, its operators declared where they are missing. Before MONAI, which looks for it once.

    Raises BundleDrift when it is not installed.
    """
    try:
        import_module("torchvision")
    except ImportError as error:
        raise BundleDrift("it needs torchvision: pip install --no-deps torchvision") from error
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        _declare()
        import_module("torchvision")


def _declare() -> None:
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in OPERATORS:
        library.define(f"{name}(Tensor x) -> Tensor")  # type: ignore[no-untyped-call]
    _held.append(library)
