"""What registration and follow-up measure on real chests: the figures of docs/registration.md, of docs/explanations.md
those on `consistency`, and a picture.

    python -m tests.bench.registration DATA PICTURE.png

DATA: the folder that WETREAD_TEST_DATA names. Motion, breath and nodules are made, so that the truth is known; of the
second kernel of one scan the noise is real. Minutes on two cores.
"""

import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.stats import spearmanr

from pipelines.errors import RegistrationFailed
from pipelines.follow_up.explain import lay_back
from pipelines.follow_up.findings import CHANGE
from pipelines.follow_up.pipeline import pipeline
from pipelines.registration.consistency import NOTHING, draw_inverse_errors
from pipelines.registration.deformable import refine
from pipelines.registration.points import to_fixed, to_moving
from pipelines.registration.rigid import register_rigid
from pipelines.terms import Code, Context, PriorStudy, Registration, Segment, Volume
from tests.pipelines.registration.test_rigid import load
from tests.pipelines.registration.volumes import breathe, cut, make_motion, measure_error, move

LESION, NODULE = Code("49755003", "SCT", "Morphologically Abnormal Structure"), Code("27925004", "SCT", "Nodule")
RADII = ((4, 5), (5, 5), (6, 9), (7, 5), (0, 6), (6, 0), (5, 8), (8, 8))
"""mm in the earlier study and in this one; 0: not there."""


def main(data: Path, picture: Path) -> None:
    soft = load(data / "ct_chest_LungDx_A0001" / "series3_soft_kernel")
    sharp = load(data / "ct_chest_LungDx_A0001" / "series2_lung_kernel")
    other, third = load(data / "ct_chest_CMB-CRC_01068"), load(data / "ct_chest_LungFCP_0001")
    tell_rigid("another kernel, moved", soft, sharp, make_motion((4, -3, 6), (30, -40, 250)))
    tell_rigid(
        "and its lower third cut off", soft, cut(sharp, slice(20, None)), make_motion((-5, 2, 3), (-12, 30, -1500))
    )
    for name, one, another in (("1, 2", soft, other), ("1, 3", soft, third), ("2, 3", other, third)):
        start = time.perf_counter()
        try:
            said = f"not refused, correlation {register_rigid(one, another).correlation:.2f}"
        except RegistrationFailed as error:
            said = f"{type(error).__name__}: {error}"
        print(f"two patients ({name}): {said} ({time.perf_counter() - start:.0f} s)", flush=True)
    for name, fixed, source in (("1, another kernel", soft, sharp), ("2", other, other)):
        tell_bent(name, fixed, source)
        tell_consistency(name, fixed, source)
    tell_follow_up(soft, sharp, picture)


def tell_rigid(name: str, fixed: Volume, moving: Volume, motion: np.ndarray) -> None:
    start = time.perf_counter()
    found = register_rigid(fixed, move(moving, motion))
    print(
        f"{name}: worst error {measure_error(found.matrix, motion, fixed):.2f} mm, correlation {found.correlation:.3f},"
        f" disagreement {found.disagreement_mm:.2f} mm ({time.perf_counter() - start:.0f} s)", flush=True,
    )  # fmt: skip


def tell_bent(name: str, fixed: Volume, source: Volume) -> None:
    moving, where = breathe(source)
    motion = make_motion((3, -2, 4), (20, -10, 60))
    lungs = np.argwhere((moving.voxels > -900) & (moving.voxels < -400))
    lungs = lungs[np.random.default_rng(0).choice(len(lungs), 5000)]
    points = lungs @ moving.affine[:3, :3].T + moving.affine[:3, 3]
    truth, points = where(points), points @ motion[:3, :3].T + motion[:3, 3]
    moving = move(moving, motion)
    rigid = register_rigid(fixed, moving)
    start = time.perf_counter()
    bent = refine(fixed, moving, rigid.matrix)
    seconds = time.perf_counter() - start
    errors = [
        np.linalg.norm(to_fixed(points, Registration("p", "1", "p", rigid.matrix, field)) - truth, axis=1)
        for field in (None, bent.field)
    ]
    said = "; ".join(f"{e.mean():.2f} mean, {np.percentile(e, 95):.2f} 95 %" for e in errors)
    print(
        f"breath of 18 mm, patient {name}: rigid {said} with the field, correlation {bent.before:.3f} ->"
        f" {bent.after:.3f}, least Jacobian {bent.least_jacobian:.2f}, at most {bent.largest_mm:.1f} mm"
        f" ({seconds:.0f} s)",
        flush=True,
    )


def tell_consistency(name: str, fixed: Volume, source: Volume) -> None:
    """The inverse consistency error beside the true miss, at 20000 places of the patient."""
    moving, where = breathe(source)
    motion = make_motion((3, -2, 4), (20, -10, 60))
    moving, undo = move(moving, motion), np.linalg.inv(motion)
    matrix = register_rigid(fixed, moving).matrix
    there = Registration("there", "1", "there", matrix, refine(fixed, moving, matrix).field)
    start = time.perf_counter()
    values = draw_inverse_errors(fixed, moving, there, lay_back(fixed, moving, bent=True), lambda _: None)
    seconds = time.perf_counter() - start
    index = np.argwhere(values != NOTHING)
    index = index[np.random.default_rng(0).choice(len(index), 20000, replace=False)]
    points = index @ fixed.affine[:3, :3].T + fixed.affine[:3, 3]
    reached = to_moving(points, there) @ undo[:3, :3].T + undo[:3, 3]
    errors, miss = values[tuple(index.T)], np.linalg.norm(where(reached) - points, axis=1)
    gray = fixed.voxels[tuple(index.T)]
    for part, kept in (("patient", gray > -2000), ("lungs", (gray > -950) & (gray < -500))):
        e, m = errors[kept], miss[kept]
        print(
            f"consistency, patient {name}, {part}: error {e.mean():.2f} mean, {np.percentile(e, 95):.2f} 95 %;"
            f" true miss {m.mean():.2f} mean, {np.percentile(m, 95):.2f} 95 %; correlation"
            f" {np.corrcoef(e, m)[0, 1]:.2f}, of ranks {spearmanr(e, m)[0]:.2f} ({seconds:.0f} s)"
        )
        for low, high in ((0, 1), (1, 2), (2, 4), (4, np.inf)):
            within = m[(e >= low) & (e < high)]
            print(
                f"  error {low} to {high}: {len(within) / len(m):.1%} of places, true miss {within.mean():.2f} mean,"
                f" more than 5 mm in {(within > 5).mean():.1%}"
            )
        far = e[m > 5]
        print(f"  true miss above 5 mm: {len(far) / len(m):.1%}; of these error below 2 mm in {(far < 2).mean():.1%}")


def tell_follow_up(soft: Volume, sharp: Volume, picture: Path) -> None:
    centers = find_places(soft, len(RADII))
    now, masks = put_balls(soft, centers, [later for _, later in RADII])
    still, _ = put_balls(sharp, centers, [earlier for earlier, _ in RADII])
    moving, where = breathe(still)
    motion = make_motion((3, -2, 4), (20, -10, 60))
    earlier = move(moving, motion)
    before = find_balls(moving, where, centers, [radius for radius, _ in RADII])
    study = PriorStudy(90, lambda: earlier, lambda: before)
    start = time.perf_counter()
    result = pipeline.run_with(now, Context((study,), masks, True), lambda *_: None)
    print(f"follow-up with {len(RADII)} balls ({time.perf_counter() - start:.0f} s)")
    for finding in result.findings:
        numbers = "; ".join(f"{m.concept.meaning} {m.value:g} {m.unit.value}" for m in finding.measurements)
        change = dict(finding.qualifiers).get(CHANGE)
        print(f"  {finding.key}: {change.meaning if change else finding.concept.meaning}: {numbers}")
    for note in result.notes:
        print(f"  {note.text}")
    draw(now, earlier, result, masks, before, picture)


def find_places(volume: Volume, count: int) -> list[np.ndarray]:
    """Places (mm) deep in the lungs, far from each other."""
    lung = (volume.voxels > -950) & (volume.voxels < -700)
    opened = ndimage.binary_opening(lung[:, ::4, ::4], iterations=1)
    deep = ndimage.distance_transform_edt(opened, (5, 3.4, 3.4)) > 12
    inside = np.argwhere(deep[12:-12]) + np.array((12, 0, 0))
    inside = inside[np.abs(inside[:, 2] - deep.shape[2] / 2) < deep.shape[2] * 0.36]
    chosen: list[np.ndarray] = []
    for index in np.random.default_rng(2).permutation(inside):
        place = volume.affine[:3, :3] @ (index * (1, 4, 4)) + volume.affine[:3, 3]
        if all(np.linalg.norm(place - one) > 35 for one in chosen):
            chosen.append(place)
        if len(chosen) == count:
            break
    return chosen


def put_balls(volume: Volume, centers: list, radii: list) -> tuple[Volume, dict[str, Segment]]:
    voxels, segments = volume.voxels.copy(), {}
    for n, (center, radius) in enumerate(zip(centers, radii, strict=True), 1):
        mask = make_ball(volume, center, radius)
        voxels[mask] = 40
        if radius:
            segments[f"nodule-{n}"] = Segment(f"nodule-{n}", f"Nodule {n}", LESION, NODULE, mask)
    return Volume(voxels, volume.affine, volume.frame_of_reference_uid, "CT"), segments


def make_ball(volume: Volume, center: np.ndarray, radius: float, where=lambda points: points) -> np.ndarray:
    j, i = np.mgrid[: volume.shape[1], : volume.shape[2]]
    mask = np.zeros(volume.shape, bool)
    for k, plane in enumerate(mask):
        index = np.stack([np.full(j.size, k), j.ravel(), i.ravel()], axis=1)
        places = where(index @ volume.affine[:3, :3].T + volume.affine[:3, 3])
        plane[:] = (np.linalg.norm(places - center, axis=1) <= radius).reshape(j.shape) if radius else False
    return mask


def find_balls(volume: Volume, where, centers: list, radii: list) -> dict[str, Segment]:
    """Where the balls are after the breath."""
    return {
        f"old-{n}": Segment(f"old-{n}", f"Nodule {n}", LESION, NODULE, make_ball(volume, center, radius, where))
        for n, (center, radius) in enumerate(zip(centers, radii, strict=True), 1)
        if radius
    }


def draw(now: Volume, earlier: Volume, result, masks: dict, before: dict, picture: Path) -> None:
    """Planes of this study, of the earlier one laid on it rigidly, and with the field: this in red, that in cyan."""
    (registration,) = result.registrations
    rigid = Registration("r", "1", "r", registration.matrix)
    tiles = []
    plane_k, plane_j = now.shape[0] // 2, now.shape[1] // 2
    for axial in (True, False):
        grid = np.mgrid[: now.shape[1], : now.shape[2]] if axial else np.mgrid[: now.shape[0], : now.shape[2]]
        rows, columns = grid[0].ravel(), grid[1].ravel()
        fixed = np.full(rows.size, plane_k if axial else plane_j)
        index = np.stack([fixed, rows, columns] if axial else [rows, fixed, columns], axis=1)
        points = index @ now.affine[:3, :3].T + now.affine[:3, 3]
        here = now.voxels[tuple(index.T)].reshape(grid[0].shape)
        row = [paint(here, here)]
        for one in (rigid, registration):
            places = np.column_stack([to_moving(points, one), np.ones(len(points))]) @ np.linalg.inv(earlier.affine).T
            there = ndimage.map_coordinates(earlier.voxels, places[:, :3].T, order=1, cval=-1000).reshape(here.shape)
            row.append(paint(here, there))
        if not axial:
            height = round(now.shape[0] * now.spacing[0] / now.spacing[2])
            row = [tile[::-1].copy() for tile in row]
            row = [np.asarray(Image.fromarray(tile).resize((now.shape[2], height))) for tile in row]
        tiles.append(np.concatenate(row, axis=1))
    page = Image.fromarray(np.concatenate(tiles))
    pen = ImageDraw.Draw(page)
    for n, text in enumerate(("this study", "and the earlier one, rigid", "and the earlier one, with the field")):
        pen.text((10 + n * now.shape[2], 10), text, fill=(255, 255, 0))
    page.resize((page.width * 2 // 3, page.height * 2 // 3)).save(picture)


def paint(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    one, other = (np.clip((gray + 1000) / 1300, 0, 1) * 255 for gray in (here, there))
    return np.stack([one, other, other], axis=-1).astype(np.uint8)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
