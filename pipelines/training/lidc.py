"""The LIDC-IDRI nodules as cut-outs with outlines and ratings: a folder with VOIs/image, VOIs/nodule_mask (NIfTI, HU)
and MetadatabyNoduleMaxVoting.xlsx."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from defusedxml.ElementTree import fromstring
from numpy.typing import NDArray

from pipelines.terms import Mask

SHEET = "MetadatabyNoduleMaxVoting.xlsx"
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@dataclass(frozen=True, slots=True, eq=False)
class Voi:
    """A cut-out: voxels, HU (k, j, i) with the nodule in `mask`; it ends in k where the nodule does. spacing: mm.

    malignancy, texture: 1 to 5, what most radiologists said; texture 1 is ground glass, 3 part solid, 5 solid.
    """

    name: str
    patient: str
    voxels: NDArray[np.float32]
    mask: Mask
    spacing: tuple[float, float, float]
    malignancy: int
    texture: int
    diameter_mm: float


def read_vois(folder: Path) -> Iterator[Voi]:
    """Every nodule of the sheet that has an image and an outline of the same shape, in the order of the sheet."""
    import nibabel

    for row in _read_rows(folder / SHEET):
        name = f"{row['patient_id']}_R_{row['nodule_id']}"
        paths = [folder / "VOIs" / kind / f"{name}.nii.gz" for kind in ("image", "nodule_mask")]
        if not all(path.is_file() for path in paths):
            continue
        image, outline = (nibabel.load(path) for path in paths)
        voxels = np.ascontiguousarray(np.asarray(image.dataobj, dtype=np.float32).T)
        mask = np.asarray(outline.dataobj).T > 0
        i, j, k = (float(mm) for mm in image.header.get_zooms()[:3])
        if mask.shape == voxels.shape and mask.any():
            malignancy, texture = (int(float(row[f"{key}_value"])) for key in ("Malignancy", "Texture"))
            spacing, mm = (k, j, i), float(row["diameter_mm"])
            yield Voi(name, row["patient_id"], voxels, mask, spacing, malignancy, texture, mm)


def _read_rows(path: Path) -> Iterator[dict[str, str]]:
    """The first sheet, a dict a row by the names in its first row."""
    with zipfile.ZipFile(path) as book:
        words = [
            "".join(part.text or "" for part in item.iter(f"{MAIN}t"))
            for item in fromstring(book.read("xl/sharedStrings.xml"))
        ]
        rows = fromstring(book.read("xl/worksheets/sheet1.xml")).iter(f"{MAIN}row")
        head: list[str] | None = None
        for row in rows:
            cells = []
            for cell in row:
                value = cell.find(f"{MAIN}v")
                text = "" if value is None else value.text or ""
                cells.append(words[int(text)] if cell.get("t") == "s" else text)
            if head is None:
                head = cells
            else:
                yield dict(zip(head, cells, strict=False))
