"""What the network's classes are called, whether they come in pairs, and how large they are in people.

Codes are those of PS3.16 CID 7140, Brain Structure for Volumetric Measurement.
"""

from dataclasses import dataclass

from pipelines.terms import Code


@dataclass(frozen=True, slots=True)
class Structure:
    """label: the network's class. usual_ml: both sides together; nearly every adult's lies between, ill or well."""

    label: int
    key: str
    code: Code
    paired: bool
    usual_ml: tuple[float, float]
    color: tuple[int, int, int]


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


WHITE_MATTER, CORTEX, LATERAL_VENTRICLE = 1, 2, 3

STRUCTURES = (
    Structure(1, "cerebral-white-matter", _sct("68523003", "Cerebral White Matter"), True, (250, 800), (235, 235, 225)),
    Structure(2, "cerebral-cortex", _sct("40146001", "Cerebral Gray Matter"), True, (300, 800), (200, 90, 110)),
    Structure(3, "lateral-ventricle", _sct("66720007", "Lateral Ventricle"), True, (3, 200), (110, 40, 160)),
    Structure(
        4, "inferior-horn", _sct("53118009", "Inferior Horn of Lateral Ventricle"), True, (0.05, 25), (190, 80, 240)
    ),
    Structure(
        5, "cerebellar-white-matter", _sct("33060004", "Cerebellar White Matter"), True, (10, 55), (220, 220, 150)
    ),
    Structure(6, "cerebellar-cortex", _sct("25991003", "Cerebellar Cortex"), True, (50, 190), (230, 150, 50)),
    Structure(7, "thalamus", _sct("119406000", "Thalamus"), True, (7, 25), (20, 130, 60)),
    Structure(8, "caudate-nucleus", _sct("11000004", "Caudate Nucleus"), True, (3, 15), (120, 190, 240)),
    Structure(9, "putamen", _sct("89278009", "Putamen"), True, (4, 17), (240, 40, 170)),
    Structure(10, "globus-pallidus", _sct("14738005", "Globus Pallidus"), True, (1.5, 7), (30, 60, 230)),
    Structure(11, "third-ventricle", _sct("49841001", "Third ventricle"), False, (0.2, 10), (200, 190, 250)),
    Structure(12, "fourth-ventricle", _sct("35918002", "Fourth Ventricle"), False, (0.4, 10), (50, 160, 200)),
    Structure(13, "brain-stem", _sct("119238007", "Brain Stem"), False, (10, 40), (120, 150, 170)),
    Structure(14, "hippocampus", _sct("5366008", "Hippocampus"), True, (3, 13), (230, 220, 30)),
    Structure(15, "amygdala", _sct("4958002", "Amygdala"), True, (1, 6), (100, 250, 240)),
    Structure(16, "nucleus-accumbens", _sct("427667007", "Nucleus Accumbens"), True, (0.3, 2.5), (255, 165, 20)),
    Structure(17, "ventral-diencephalon", Code("110700", "DCM", "Ventral Diencephalon"), True, (4, 15), (165, 60, 40)),
)
"""In the order of the network's classes 1 to 17; class 0 is everything else."""

VENTRICLES = (3, 4, 11, 12)
NUCLEI = (8, 9, 10, 14, 15, 16)
"""Pairs of which neither touches the middle: they tell where it is."""
