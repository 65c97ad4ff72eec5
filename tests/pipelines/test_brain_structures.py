"""Brain structures without the real weights: a made head, a network whose weights are written down, wrong inputs."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy import ndimage

from pipelines.brain_structures import __main__ as program
from pipelines.brain_structures.chain import clean, find_cuts
from pipelines.brain_structures.conform import SIZE, conform
from pipelines.brain_structures.findings import LIMITS, list_parts
from pipelines.brain_structures.network import CHANNELS, CLASSES, MeshNet, find_classes
from pipelines.brain_structures.pipeline import StructuresModel, make_model, pipeline
from pipelines.brain_structures.plausible import check_brain, check_contrast
from pipelines.brain_structures.sides import LEFT, between_nuclei, find_midplane, tell_sides
from pipelines.brain_structures.structures import STRUCTURES
from pipelines.brain_structures.weights import NAME, VARIABLE, find_weights, install
from pipelines.catalog import get_pipeline
from pipelines.errors import UnsuitableVolume, WeightsMismatch, WeightsMissing
from pipelines.terms import Volume, use_shelf

BY_GRAY = (0, 3, 4, 11, 12, 2, 6, 16, 8, 15, 14, 9, 7, 17, 10, 13, 5, 1)
GRAY = dict(zip(BY_GRAY, np.linspace(0, 1, CLASSES), strict=True))
"""Gray value of each class in the made head: fluid dark, gray matter between, white matter bright."""

SHAPES = {
    2: [((0, 0, 0), (65, 80, 60))],
    1: [((0, 0, 0), (54, 69, 49))],
    6: [((20, -50, -40), (24, 22, 17))],
    5: [((20, -50, -40), (12, 11, 10))],
    7: [((13, -10, 2), (10, 14, 10))],
    8: [((14, 22, 10), (6, 11, 7))],
    9: [((32, 5, 2), (6, 16, 8))],
    10: [((21, 8, -3), (5, 9, 6))],
    14: [((30, -22, -22), (6, 16, 8))],
    15: [((26, 8, -22), (7, 7, 7))],
    16: [((10, 26, -9), (4.5, 4.5, 4.5))],
    17: [((11, -2, -16), (8, 8, 8))],
    3: [((9, -4, 24), (6, 25, 8))],
    4: [((40, -22, -24), (3, 8, 4))],
    13: [((0, -28, -30), (11, 11, 22))],
    11: [((0, -8, 0), (2, 10, 8))],
    12: [((0, -40, -34), (5, 4, 8))],
}
"""Class -> ellipsoids (center, radii) in mm to the left, front and head; those off the middle are mirrored."""


def quiet(share, activity):
    """Progress that nobody watches."""


def paint(shape=(180, 190, 170), tilt=0.0):
    """Classes of the made head, (x, y, z) to the left, back and head, 1 mm; turned by `tilt` about the front axis."""
    angle = np.deg2rad(tilt)
    k, j, i = (np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in shape)
    x, y, z = k[:, None, None], -j[None, :, None], i[None, None]
    x, z = np.cos(angle) * x + np.sin(angle) * z, -np.sin(angle) * x + np.cos(angle) * z
    classes = np.zeros(shape, dtype=np.uint8)
    for label, bodies in SHAPES.items():
        for (a, b, c), (p, q, r) in bodies:
            for side in {a, -a}:
                inside = ((x - side) / p) ** 2 + ((y - b) / q) ** 2 + ((z - c) / r) ** 2 < 1
                classes[inside] = label
    return classes


def shade(classes):
    return (1000 * np.array([GRAY[label] for label in range(CLASSES)])[classes]).astype(np.float32)


def make_volume(voxels, affine=None, modality="MR"):
    if affine is None:
        affine = np.diag([1.0, 1.0, 1.0, 1.0])
    return Volume(np.ascontiguousarray(voxels, dtype=np.float32), affine, "1.2.3", modality)


def write_network():
    """A network that passes the gray value on and takes the class whose gray value is nearest: written, not trained."""
    network = MeshNet((1,))
    first, last = network.model[0], network.model[2]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        first.weight[0, 0, 1, 1, 1] = 1.0
        for label, gray in GRAY.items():
            last.weight[label, 0] = 2 * gray
            last.bias[label] = -(gray**2)
    return network.eval()


@pytest.fixture(scope="module")
def model():
    return StructuresModel(write_network(), "cpu")


@pytest.fixture(scope="module")
def classes():
    return paint()


@pytest.fixture(scope="module")
def answer(model, classes):
    told = []
    return model.run(make_volume(shade(classes)), lambda share, activity: told.append(share)), told


@pytest.fixture(scope="module")
def cube(classes):
    """The made head's classes on the network's cube."""
    aligned = np.zeros((SIZE, SIZE, SIZE), dtype=np.uint8)
    turned = classes[:, ::-1, ::-1].transpose(0, 2, 1)
    where = tuple(slice((SIZE - n) // 2, (SIZE - n) // 2 + n) for n in turned.shape)
    aligned[where] = turned
    return aligned


def volumes_of(result):
    return {finding.key: finding.measurements[0].value for finding in result.findings}


def test_the_manifest_gives_the_code_of_every_structure():
    assert get_pipeline("brain-structures") is pipeline
    given = {(code.value, code.scheme) for code in pipeline.manifest.gives}
    assert {(structure.code.value, structure.code.scheme) for structure in STRUCTURES} < given
    assert [structure.label for structure in STRUCTURES] == list(range(1, CLASSES))


def test_the_codes_are_those_that_the_standard_has_for_volumes_of_the_brain():
    from pydicom.sr._cid_dict import cid_concepts
    from pydicom.sr._concepts_dict import concepts

    for structure in STRUCTURES:
        scheme, value = structure.code.scheme, structure.code.value
        assert any(value in concepts[scheme][name] for name in cid_concepts[7140][scheme]), structure.key


def test_a_volume_computed_in_steps_has_the_classes_of_one_computed_at_once():
    torch.manual_seed(1)
    network = MeshNet().eval()
    for layer in network.model:
        if isinstance(layer, torch.nn.Conv3d):
            torch.nn.init.kaiming_normal_(layer.weight)
    image = torch.rand(45, 12, 14)
    steps = []
    found = find_classes(network, image, steps.append)
    with torch.inference_mode():
        expected = network(image[None, None])[0].argmax(dim=0)
    assert (found == expected).float().mean() > 0.9999
    assert len(found.unique()) > 1
    assert steps == list(range(1, 10))


def test_the_network_has_the_published_number_of_parameters():
    assert sum(parameter.numel() for parameter in MeshNet().parameters()) == 96_408


def test_a_head_is_conformed_with_its_axes_to_the_left_down_and_front():
    voxels = np.zeros((60, 60, 60), dtype=np.float32)
    voxels[10:50, 10:50, 10:50] = 100
    voxels[40, 20, 30] = 200  # up (k), to the front (j) and a little to the left (i) of the middle
    affine = np.array([[0.0, 0, 2, 5], [0, 2, 0, -7], [2, 0, 0, 11], [0, 0, 0, 1]])
    head = conform(make_volume(voxels, affine), "cpu")
    spot = np.array([40.0, 20, 30, 1])
    k, j, i = np.linalg.inv(head.grid.affine)[:3] @ affine @ spot
    center = (SIZE - 1) / 2
    assert (k > center, j < center, i > center) == (True, True, True)
    assert head.image.shape == (SIZE, SIZE, SIZE)
    assert float(head.image.min()) == 0.0
    assert float(head.image.max()) == 1.0
    assert np.count_nonzero(head.known) == pytest.approx(120**3, rel=0.02)


def test_with_a_long_neck_in_view_the_cube_ends_above_the_head():
    voxels = np.zeros((100, 50, 50), dtype=np.float32)
    voxels[:90, 15:35, 15:35] = 100  # 400 mm from foot to head, 40 mm of air above
    affine = np.diag([4.0, 4.0, 4.0, 1.0])[:, [2, 1, 0, 3]]
    head = conform(make_volume(voxels, affine), "cpu")
    top = head.grid.affine[2, 3]
    assert 360 < top < 380


def test_the_made_head_comes_back_with_every_structure_on_either_side(answer, classes):
    result, told = answer
    assert [segment.key for segment in result.segments] == [part.key for part in list_parts()]
    found = volumes_of(result)
    for structure in STRUCTURES:
        expected = np.count_nonzero(classes == structure.label) / 1000
        if structure.paired:
            assert found[f"right-{structure.key}"] == pytest.approx(expected / 2, rel=0.03, abs=0.02)
            assert found[f"left-{structure.key}"] == pytest.approx(expected / 2, rel=0.03, abs=0.02)
        else:
            assert found[structure.key] == pytest.approx(expected, rel=0.02)
    assert result.notes == (LIMITS,)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_left_is_on_the_patients_left_and_the_outline_on_the_right_voxels(answer, classes):
    masks = {segment.key: segment.mask for segment in answer[0].segments}
    middle = (classes.shape[0] - 1) / 2
    assert np.argwhere(masks["left-hippocampus"])[:, 0].min() > middle
    assert np.argwhere(masks["right-hippocampus"])[:, 0].max() < middle
    both = masks["left-putamen"] | masks["right-putamen"]
    np.testing.assert_array_equal(both, classes == 9)


def test_a_sagittal_left_handed_copy_gives_the_same_volumes(answer, classes, model):
    voxels = shade(classes)
    affine = np.eye(4)
    affine[:3, 3] += affine[:3, 1] * (voxels.shape[1] - 1)
    affine[:3, 1] *= -1
    turned = make_volume(voxels[:, ::-1].transpose(0, 2, 1), affine[:, [0, 2, 1, 3]])
    assert np.linalg.det(make_volume(voxels).affine[:3, :3]) * np.linalg.det(turned.affine[:3, :3]) > 0
    turned = make_volume(voxels[:, ::-1], affine)
    assert np.linalg.det(turned.affine[:3, :3]) < 0
    again = volumes_of(model.run(turned, quiet))
    assert again == pytest.approx(volumes_of(answer[0]), rel=0.01)


def test_segments_share_one_label_volume(answer):
    held = [segment.label_mask for segment in answer[0].segments]
    assert all(mask is not None and mask.labels is held[0].labels for mask in held)


@pytest.mark.parametrize("tilt", [-20, 12])
def test_a_head_held_askew_is_divided_along_its_own_middle(tilt):
    labels = paint((150, 100, 150), tilt)[:, ::-1, ::-1].transpose(0, 2, 1)
    told = tell_sides(labels, find_midplane(labels))
    for structure in STRUCTURES:
        left, right = (np.count_nonzero(told == structure.label + side) for side in (LEFT, 0))
        assert (left == 0) == (not structure.paired)
        if structure.paired:
            assert left == pytest.approx(right, rel=0.05)


def test_uneven_nuclei_do_not_turn_the_plane_between_the_hemispheres(cube):
    moved = np.where(cube[:128] == 8, 1, cube[:128])  # the right caudate lies farther back than the left
    moved = np.concatenate([moved, cube[128:]])
    right = np.argwhere(cube[:128] == 8) - [0, 0, 12]
    moved[tuple(right.T)] = 8
    assert between_nuclei(moved).normal[2] > 0.03
    assert abs(find_midplane(moved).normal[2]) < 0.01


def test_half_a_head_has_no_sides(cube):
    half = cube.copy()
    half[:122] = 0  # the right one is gone
    with pytest.raises(UnsuitableVolume, match="right and left cannot be told"):
        find_midplane(half)


def test_specks_go_to_their_neighbor_and_islands_away(cube):
    tidy = clean(cube)
    assert np.count_nonzero(tidy != cube) < 20  # voxels that painting left alone
    dirty = tidy.copy()
    white = np.argwhere(ndimage.binary_erosion(tidy == 1, iterations=2))
    k, j, i = white[len(white) // 2]
    dirty[k, j, i] = 14  # a speck of hippocampus in white matter
    dirty[5:9, 5:9, 5:9] = 2  # an island of cortex in the air
    np.testing.assert_array_equal(clean(dirty), tidy)


def test_images_that_end_in_brain_are_said_by_side(cube, classes):
    head = conform(make_volume(shade(classes)), "cpu")
    assert find_cuts(cube, head) == ()
    known = head.known.copy()
    known[:, :110] = False
    assert find_cuts(np.where(known, cube, 0).astype(np.uint8), replace(head, known=known)) == ("top",)


def test_too_little_and_too_much_brain_is_refused(cube):
    with pytest.raises(UnsuitableVolume, match=r"only .* mL of brain"):
        check_brain(np.where(cube == 1, 0, cube).astype(np.uint8)[:110], ())
    with pytest.raises(UnsuitableVolume, match="no brain is so large"):
        check_brain(np.full((130, 130, 130), 1, dtype=np.uint8), ())


def test_structures_of_impossible_sizes_are_no_brain(cube):
    with pytest.raises(UnsuitableVolume, match="volume that no brain has"):
        check_brain(np.where(cube > 6, 1, cube).astype(np.uint8), ())


def test_images_in_other_weighting_are_refused(cube):
    gray = np.array([GRAY[label] for label in range(CLASSES)], dtype=np.float32)
    check_contrast(cube, gray[cube])
    with pytest.raises(UnsuitableVolume, match="no T1 weighting"):
        check_contrast(cube, (1 - gray)[cube])


@pytest.mark.parametrize(
    ("voxels", "spacing", "modality", "reason"),
    [
        (np.zeros((120, 120, 120)), 1.5, "CT", "not from CT"),
        (np.zeros((1, 120, 120)), 1.5, "MR", "one plane"),
        (np.zeros((30, 30, 30)), 5.0, "MR", "5.0 mm long"),
        (np.zeros((20, 120, 120)), 1.5, "MR", "cover 30 mm"),
        (np.full((120, 120, 120), np.nan), 1.0, "MR", "not finite"),
        (np.zeros((120, 120, 120)), 1.0, "MR", "alike"),
    ],
    ids=["CT", "one slice", "thick slices", "a slab", "NaN", "air"],
)
def test_wrong_inputs_are_refused_by_name(model, voxels, spacing, modality, reason):
    with pytest.raises(UnsuitableVolume, match=reason):
        model.run(make_volume(voxels, np.diag([spacing] * 3 + [1.0]), modality), quiet)


def test_noise_of_air_is_refused(model):
    voxels = np.random.default_rng(2).rayleigh(10, (110, 110, 110))
    with pytest.raises(UnsuitableVolume):
        model.run(make_volume(voxels, np.diag([1.0, 1.0, 1.0, 1.0])), quiet)


def test_absent_weights_say_how_to_install_them(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(WeightsMissing, match=r"python -m pipelines\.brain_structures"):
        pipeline.load("cpu")


def test_weights_are_found_on_the_nodes_own_shelf(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    try:
        use_shelf(tmp_path)
        with pytest.raises(WeightsMissing):
            find_weights()
        (tmp_path / "weights").mkdir()
        (tmp_path / "weights" / NAME).write_bytes(b"")
        assert find_weights() == tmp_path / "weights" / NAME
    finally:
        use_shelf(None)


def test_weights_that_are_not_the_pinned_ones_are_neither_installed_nor_run(monkeypatch, tmp_path):
    other = tmp_path / "model.pth"
    save_file(MeshNet().state_dict(), other)
    place = tmp_path / "weights"
    with pytest.raises(WeightsMismatch, match=pipeline.manifest.weights_sha256):
        install(place, pipeline.manifest.weights_sha256, other)
    assert list(place.iterdir()) == []
    (place / NAME).write_bytes(other.read_bytes())
    monkeypatch.setenv(VARIABLE, str(place))
    with pytest.raises(WeightsMismatch):
        pipeline.load("cpu")


def test_installed_weights_are_the_bytes_that_were_given(tmp_path):
    torch.manual_seed(3)
    other = tmp_path / "model.pth"
    save_file(MeshNet().state_dict(), other)
    digest = hashlib.sha256(other.read_bytes()).hexdigest()
    path = install(tmp_path / "weights", digest, other)
    assert path.read_bytes() == other.read_bytes()
    assert make_model(MeshNet().state_dict(), "cpu")


def test_the_installer_says_what_went_wrong(tmp_path, capsys):
    assert program.main([]) == 2
    assert program.main([str(tmp_path / "to"), str(tmp_path / "absent")]) == 1
    assert "WeightsMissing" in capsys.readouterr().err


def test_the_channels_are_the_published_ones():
    assert (CHANNELS, CLASSES) == (21, 18)
