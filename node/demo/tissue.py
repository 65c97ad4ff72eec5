"""What a CT shows of the chest's tissues: Hounsfield units painted plane by plane, then bones, blood and airways."""

import numpy as np
from numpy.typing import NDArray

from node.demo.torso import (
    LEVELS,
    LUNG,
    Field,
    Level,
    find_body,
    find_cavity,
    find_diaphragm,
    find_heart,
    find_lung,
    find_mediastinum,
    find_spine,
    measure,
)
from node.demo.tubes import Tube, follow

AIR, FAT, SKIN, MUSCLE, WATER = -1000.0, -100.0, 15.0, 55.0, 10.0
LUNG_TISSUE, WALL = -862.0, -60.0
BLOOD, HEART_MUSCLE, LIVER, SPLEEN, STOMACH = 150.0, 85.0, 95.0, 100.0, 25.0
CORTEX, MARROW, CARTILAGE, DISC = 620.0, 190.0, 110.0, 75.0
TABLE, FOAM = -120.0, -940.0

VERTEBRA_MM, DISC_MM = 24.0, 5.0


def paint_plane(level: Level, grain: Field) -> tuple[Field, NDArray[np.uint8]]:
    """Hounsfield units (j, i) of one plane and where the lungs are (1 right, 2 left, 0 elsewhere).

    grain: (j, i), smooth, mean 0, deviation 1: no tissue is all alike.
    """
    hu = np.full((level.y.shape[0], level.x.shape[1]), AIR, dtype=np.float32)
    lungs = np.zeros(hu.shape, dtype=np.uint8)
    _paint_table(hu, level)
    _paint_wall(hu, level, grain)
    _paint_abdomen(hu, level, grain)
    _paint_middle(hu, level, grain)
    for side, label in ((-1, 1), (1, 2)):
        lung = find_lung(level, side)
        # Blood sinks to the back of a lung that lies: a denser lung there.
        tissue = LUNG_TISSUE + 0.25 * level.y + 16.0 * grain
        hu[lung] = tissue[lung]
        lungs[lung] = label
    _paint_spine(hu, level)
    _paint_plates(hu, level)
    return hu, lungs


def make_ribs() -> tuple[list[Tube], list[Tube]]:
    """Ten pairs of ribs, and the cartilage that joins them to the breastbone."""
    ribs: list[Tube] = []
    cartilage: list[Tube] = []
    for side in (-1, 1):
        for number in range(10):
            behind = 40.0 + 23.0 * number
            line = [_place_on_rib(side, behind, angle) for angle in np.linspace(-1.45, 0.95, 26)]
            line.insert(0, (19.0 * side, 82.0, behind + 3.0))
            line = [point for point in line if point[2] > -10.0]
            ribs += follow(line, [4.6] * len(line))
            x, y, z = line[-1]
            if 60.0 < z < 205.0:
                cartilage += follow([(x, y, z), (20.0 * side, -90.0 + 0.12 * max(0.0, z - 150.0), z + 4.0)], [4.6, 4.4])
    return ribs, cartilage


def make_shoulders() -> list[Tube]:
    """Clavicles and the heads of the upper arms."""
    bones: list[Tube] = []
    for side in (-1, 1):
        bones += follow([(22 * side, -52, 236), (90 * side, -52, 250), (146 * side, -18, 262)], [7.5, 6.0, 7.0])
        bones += follow([(150 * side, 14, 282), (152 * side, 14, 300)], [21.0, 20.0])
    return bones


def make_great_vessels() -> list[Tube]:
    """Aorta, pulmonary arteries, upper caval vein and the vessels of the neck."""
    aorta = follow(
        [(-13, -20, 105), (-15, -18, 180), (-7, 0, 198), (9, 24, 200), (21, 44, 184), (21, 46, -20)],
        [16, 16, 14, 13, 12.5, 11.5],
    )
    trunk = follow([(10, -34, 118), (14, -14, 150)], [14, 13])
    right = follow([(14, -12, 148), (-44, 12, 140)], [11, 8.5])
    left = follow([(14, -12, 152), (46, 18, 146)], [11, 8.5])
    veins = follow([(-31, -6, 90), (-31, -10, 216), (-34, -14, 300)], [9, 9, 7])
    atrium = follow([(-36, 18, 116), (36, 20, 118)], [11, 11])
    neck = follow([(-8, -4, 198), (-24, 2, 300)], [6, 5]) + follow([(8, 20, 200), (24, 8, 300)], [5, 4.5])
    return aorta + trunk + right + left + veins + atrium + neck


def make_airways() -> list[Tube]:
    """The lumen of the windpipe and of both main bronchi."""
    windpipe = follow([(0, 18, 310), (0, 24, 200), (0, 28, 176)], [9.0, 9.0, 9.5])
    right = follow([(0, 28, 174), (-38, 18, 144)], [7.5, 6.5])
    left = follow([(0, 28, 174), (43, 22, 148)], [7.0, 6.0])
    return windpipe + right + left


def _place_on_rib(side: int, behind: float, angle: float) -> tuple[float, float, float]:
    """A point of the rib that starts at the height `behind` at the spine; angle: -pi/2 back, 0 side, pi/2 front."""
    z = behind - 21.0 * (angle + 1.45)
    size = measure(LUNG, LEVELS, float(np.clip(z, 0.0, 250.0)))
    cosine, sine = np.cos(angle), np.sin(angle)
    x = size["center"] + (size["lateral"] + 8.5) * cosine**0.91
    y = size["back"] - (size["depth"] + 8.5) * np.sign(sine) * abs(sine) ** 0.91
    return side * float(x), float(y), z


def _paint_table(hu: Field, level: Level) -> None:
    top, bottom = 131.0 - level.x**2 / 1000.0, 152.0 - level.x**2 / 2600.0
    inside = (level.y > top) & (level.y < bottom) & (np.abs(level.x) < 186.0)
    hu[inside] = FOAM
    edge = ((level.y - top < 2.2) | (bottom - level.y < 2.2)) & inside
    hu[edge] = TABLE


def _paint_wall(hu: Field, level: Level, grain: Field) -> None:
    hu[find_body(level)] = SKIN
    hu[find_body(level, 2.2)] = FAT
    # Fat is thickest on the flanks and lies in streaks between the muscles.
    muscle = find_body(level, 11.0) & (grain > -1.35)
    hu[muscle] = (MUSCLE + 4.0 * grain)[muscle]
    for side in (-1, 1):
        near = find_cavity(level, side, 14.0) & ~find_cavity(level, side, 3.0) & find_body(level, 5.0)
        hu[near] = MUSCLE
        hu[find_cavity(level, side, 3.0)] = FAT


def _paint_abdomen(hu: Field, level: Level, grain: Field) -> None:
    for side in (-1, 1):
        below = find_cavity(level, side) & find_diaphragm(level, side)
        hu[below] = (LIVER + 5.0 * grain)[below]
    left = find_cavity(level, 1) & find_diaphragm(level, 1) & (level.x > 14.0)
    hu[left] = FAT
    hu[left & level.ball((62.0, -24.0, 18.0), (46.0, 42.0, 40.0))] = STOMACH
    hu[left & level.ball((86.0, 46.0, 22.0), (34.0, 34.0, 34.0))] = SPLEEN
    dome = left & ~find_diaphragm(Level(level.x, level.y, level.z + 5.0), 1)
    hu[dome] = MUSCLE


def _paint_middle(hu: Field, level: Level, grain: Field) -> None:
    middle = find_mediastinum(level) & find_body(level, 14.0)
    chest = find_cavity(level, -1, 3.0) | find_cavity(level, 1, 3.0)
    hu[middle & chest] = (FAT + 60.0 * np.clip(grain, 0.0, 2.0))[middle & chest]
    hu[find_heart(level)] = HEART_MUSCLE
    septum = np.abs((level.x - 31.0) * 0.5 - (level.y + 24.0)) < 6.0
    hu[find_heart(level, 9.0) & ~septum] = BLOOD
    hu[level.ellipse(6.0, 35.0, 8.0, 5.0)] = MUSCLE - 15.0
    behind = find_spine(level) & find_body(level, 12.0)
    hu[behind] = MUSCLE


def _paint_spine(hu: Field, level: Level) -> None:
    phase = level.z % VERTEBRA_MM
    waist = 1.0 - 0.1 * np.sin(np.pi * phase / VERTEBRA_MM)
    arch = 4.0 < phase < 18.0
    if arch:
        hu[level.ellipse(0.0, 84.0, 14.0, 13.0)] = CORTEX * 0.8
        hu[level.ellipse(0.0, 83.0, 31.0, 4.5, 4.0) & (np.abs(level.x) > 9.0)] = 330.0
    if phase < 14.0:
        hu[level.ellipse(0.0, 100.0, 3.2, 11.0, 4.0)] = 420.0
    hu[level.ellipse(0.0, 84.0, 10.0, 8.5)] = WATER + 15.0
    body = level.ellipse(0.0, 62.0, 19.0 * waist, 14.5 * waist, 2.6)
    hu[body] = DISC if phase < DISC_MM else CORTEX
    if phase >= DISC_MM:
        plate = phase < DISC_MM + 1.5 or phase > VERTEBRA_MM - 1.5
        hu[level.ellipse(0.0, 62.0, 19.0 * waist - 2.0, 14.5 * waist - 2.0, 2.6)] = 380.0 if plate else MARROW


def _paint_plates(hu: Field, level: Level) -> None:
    """Breastbone and shoulder blades."""
    if 68.0 < level.z < 226.0:
        y = float(np.interp(level.z, [70.0, 150.0, 225.0], [-92.0, -88.0, -74.0]))
        width = 26.0 if level.z > 196.0 else 17.0
        hu[level.ellipse(0.0, y, width, 6.5, 3.0)] = CORTEX * 0.8
        hu[level.ellipse(0.0, y, width - 2.0, 4.7, 3.0)] = MARROW * 0.7
    if 128.0 < level.z < 246.0:
        grown = min(1.0, (level.z - 118.0) / 60.0)
        for side in (-1, 1):
            blade = level.ball(
                (99.0 * side, 92.0 - 0.09 * (level.z - 170.0), level.z), (36.0 * grown, 3.4, 1.0), -0.46 * side
            )
            hu[blade] = 480.0
