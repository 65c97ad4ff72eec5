"""The questions about a series and their answers, as codes."""

from pipelines.terms import Code, Kernel, Region, Role, Weighting


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


def _own(value: str, meaning: str) -> Code:
    return Code(value, "99WETREAD", meaning)


SERIES = Code("113015", "DCM", "Series")
MODALITY = Code("121139", "DCM", "Modality")
REGION = Code("123014", "DCM", "Target Region")
PLANE = Code("113764", "DCM", "Acquisition Plane")
CONTRAST = Code("122086", "DCM", "Contrast administered")
WEIGHTING = _own("WEIGHTING", "Weighting")
KERNEL = _own("KERNEL", "Reconstruction kernel")
ROLE = _own("IMAGEROLE", "How the images came to be")

YES, NO = _sct("373066001", "Yes"), _sct("373067005", "No")
MODALITIES = {
    "CT": Code("CT", "DCM", "Computed Tomography"),
    "MR": Code("MR", "DCM", "Magnetic Resonance"),
    "PT": Code("PT", "DCM", "Positron emission tomography"),
    "NM": Code("NM", "DCM", "Nuclear Medicine"),
    "CR": Code("CR", "DCM", "Computed Radiography"),
    "DX": Code("DX", "DCM", "Digital Radiography"),
    "MG": Code("MG", "DCM", "Mammography"),
    "US": Code("US", "DCM", "Ultrasound"),
    "XA": Code("XA", "DCM", "X-Ray Angiography"),
}
"""PS3.16 CID 29."""
PLANES = (_sct("30730003", "Sagittal"), _sct("81654009", "Coronal"), _sct("24422004", "Axial"))
"""By the axis of LPS across which they lie: x, y, z."""

HEAD, NECK, CHEST, ABDOMEN, PELVIS, SPINE, ARM, LEG = Region
REGIONS: dict[frozenset[Region], Code] = {
    frozenset({HEAD}): _sct("69536005", "Head"),
    frozenset({NECK}): _sct("45048000", "Neck"),
    frozenset({HEAD, NECK}): _sct("774007", "Head and Neck"),
    frozenset({CHEST}): _sct("816094009", "Chest"),
    frozenset({NECK, CHEST}): _sct("417437006", "Neck and Chest"),
    frozenset({ABDOMEN}): _sct("818981001", "Abdomen"),
    frozenset({PELVIS}): _sct("816092008", "Pelvis"),
    frozenset({CHEST, ABDOMEN}): _sct("416550000", "Chest and Abdomen"),
    frozenset({ABDOMEN, PELVIS}): _sct("818982008", "Abdomen and Pelvis"),
    frozenset({CHEST, ABDOMEN, PELVIS}): _sct("416775004", "Chest, Abdomen and Pelvis"),
    frozenset({NECK, CHEST, ABDOMEN}): _sct("416152001", "Neck, Chest and Abdomen"),
    frozenset({NECK, CHEST, ABDOMEN, PELVIS}): _sct("416319003", "Neck, Chest, Abdomen and Pelvis"),
    frozenset({ARM}): _sct("66019005", "Extremity"),
    frozenset({LEG}): _sct("66019005", "Extremity"),
    frozenset({ARM, LEG}): _sct("66019005", "Extremity"),
    frozenset(Region): _sct("38266002", "Entire body"),
}
"""PS3.16 CID 4031."""
SPINE_CODE = _sct("421060004", "Spine")
WEIGHTINGS = {
    Weighting.T1: Code("110804", "DCM", "T1 Weighted MR Signal Intensity"),
    Weighting.T2: Code("110805", "DCM", "T2 Weighted MR Signal Intensity"),
    Weighting.T2_STAR: Code("110806", "DCM", "T2* Weighted MR Signal Intensity"),
    Weighting.PROTON_DENSITY: Code("110803", "DCM", "Proton Density Weighted MR Signal Intensity"),
    Weighting.DIFFUSION: Code("113043", "DCM", "Diffusion weighted"),
    Weighting.FLAIR: _own("FLAIR", "Fluid attenuated inversion recovery"),
    Weighting.STIR: _own("STIR", "Short inversion time inversion recovery"),
}
KERNELS = {Kernel.SOFT: _own("SOFTKERNEL", "Soft"), Kernel.SHARP: _own("SHARPKERNEL", "Sharp")}
ROLES = {
    Role.ORIGINAL: _own("ORIGINAL", "Original"),
    Role.DERIVED: _own("DERIVED", "Derived"),
    Role.LOCALIZER: Code("121311", "DCM", "Localizer"),
}


def name_regions(regions: frozenset[Region]) -> Code | None:
    """`regions` as one concept; None where no concept is exactly that. A spine is itself, whatever lies before it."""
    return SPINE_CODE if SPINE in regions and len(regions) < len(Region) else REGIONS.get(regions)
