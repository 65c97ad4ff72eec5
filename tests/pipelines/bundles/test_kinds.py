"""The real network of each kind of bundle, with seeded weights, from a volume of ours to a result of ours."""

import importlib.util

import numpy as np
import pytest

from pipelines.bundles.install import add_bundle, map_concepts, read_installed
from pipelines.bundles.program import Program
from pipelines.catalog import get_pipeline
from pipelines.errors import MissingInputs, NeedsConcepts, UnsuitableVolume
from pipelines.terms import Code
from tests.pipelines.bundles.made import make_bundle, make_volume

BORROWS = pytest.mark.skipif(not importlib.util.find_spec("torchvision"), reason="torchvision is not installed")


def smaller(size):
    """Windows that a test has time for; the network stays as it is."""

    def edit(config):
        config["inferer"]["roi_size"] = [size] * len(config["inferer"]["roi_size"])

    return edit


def install(name, shelf, tmp_path, **options):
    manifest = add_bundle(make_bundle(name, tmp_path, **options), shelf)
    return manifest, read_installed(shelf / f"{manifest.name}-{manifest.version}")


def run(installed, *volumes):
    told = []
    program = Program(installed, "cpu", trusted=False)
    answer = program.run([v.voxels for v in volumes], volumes[0].affine, lambda *step: told.append(step))
    assert told[0][0] == 0.0
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    return answer.arrays


def test_spleen(shelf, tmp_path):
    manifest, installed = install("spleen_ct_segmentation", shelf, tmp_path, edit=smaller(32))
    assert (manifest.name, manifest.version, manifest.requires.modality) == ("spleen-ct-segmentation", "0.5.9", "CT")
    assert manifest.gives == (Code("78961009", "SCT", "Spleen"),)
    assert "Not a medical device" in manifest.not_for
    volume = make_volume(oblique=True)
    labels = run(installed, volume)["labels"]
    assert labels.shape == volume.shape
    assert set(np.unique(labels)) == {0, 1}


def test_whole_body_at_low_resolution_by_default_and_high_by_choice(shelf, tmp_path):
    _, installed = install("wholeBody_ct_segmentation", shelf, tmp_path, weights="model_lowres.pt", edit=smaller(16))
    recipe = installed.make_recipe(trusted=False)
    assert recipe.config["displayable_configs"]["highres"] is False
    volume = make_volume(shape=(10, 14, 15))
    labels = run(installed, volume)["labels"]
    assert (labels.shape, labels.dtype) == (volume.shape, np.uint8)
    assert labels.max() <= 104
    high = make_bundle("wholeBody_ct_segmentation", tmp_path / "high", weights="")
    chosen = add_bundle(high, shelf, "high", {"displayable_configs#highres": True})
    recipe = read_installed(shelf / f"high-{chosen.version}").make_recipe(trusted=False)
    assert recipe.config["displayable_configs"]["highres"] is True


def test_prostate_waits_for_its_concept_and_then_runs(shelf, tmp_path):
    manifest, _ = install("prostate_mri_anatomy", shelf, tmp_path, edit=smaller(32))
    assert manifest.lacks == ("central gland",)
    with pytest.raises(NeedsConcepts, match="'central gland' of prostate-mri-anatomy"):
        get_pipeline(manifest.name).load("cpu")
    home = shelf / "prostate-mri-anatomy-0.3.4"
    text = (home / "concepts.toml").read_text()
    (home / "concepts.toml").write_text(
        text.replace('"central gland" = ""', '"central gland" = "CG 99SITE Central gland"')
    )
    mapped = map_concepts(home)
    assert mapped.lacks == ()
    assert mapped.weights_sha256 != manifest.weights_sha256
    labels = run(read_installed(home), make_volume(modality="MR", shape=(8, 16, 17)))["labels"]
    assert set(np.unique(labels)) <= {0, 1, 2}


def test_ventricles_slice_by_slice(shelf, tmp_path):
    _, installed = install("ventricular_short_axis_3label", shelf, tmp_path, edit=smaller(64))
    labels = run(installed, make_volume(modality="MR"))["labels"]
    assert set(np.unique(labels)) <= {0, 1, 2, 3}
    assert len(np.unique(labels)) > 1


def test_brats_gives_overlapping_masks_of_four_images_and_refuses_one_by_name(shelf, tmp_path):
    manifest, installed = install("brats_mri_segmentation", shelf, tmp_path, edit=smaller(24))
    volume = make_volume(modality="MR")
    images = [make_volume(modality="MR", seed=seed) for seed in range(4)]
    masks = run(installed, *images)["masks"]
    assert (masks.shape, masks.dtype) == ((3, *volume.shape), np.bool_)
    assert (masks.sum(axis=0) > 1).any()
    model = get_pipeline(manifest.name).load("cpu")
    with pytest.raises(MissingInputs, match="T1c, T1, T2, FLAIR"):
        model.run(volume, lambda *_: None)
    with pytest.raises(UnsuitableVolume, match="reads MR, not CT"):
        model.run(make_volume(), lambda *_: None)
    model.close()
    assert manifest.requires.modality == "MR"


@BORROWS
def test_nodule_detector_resamples_what_a_pacs_sends_and_gives_boxes(shelf, tmp_path):
    def certain(config):
        config["detector_ops"][1] = config["detector_ops"][1].replace("score_thresh=0.02", "score_thresh=0.0")

    manifest, installed = install("lung_nodule_ct_detection", shelf, tmp_path, edit=certain)
    steps = installed.make_recipe(trusted=False).config
    assert steps["whether_raw_luna16"] is True
    model = get_pipeline(manifest.name).load("cpu")
    volume = make_volume(shape=(8, 20, 22))
    try:
        result = model.run(volume, lambda *_: None)
    finally:
        model.close()
    assert result.segments == ()
    assert {finding.concept for finding in result.findings} == {Code("27925004", "SCT", "Nodule")}


@BORROWS
def test_breast_density_answers_one_of_four_classes(shelf, tmp_path):
    manifest, _ = install("breast_density_classification", shelf, tmp_path)
    assert manifest.requires.modality == "MG"
    model = get_pipeline(manifest.name).load("cpu")
    try:
        (finding,) = model.run(make_volume(shape=(1, 50, 40), modality="MG"), lambda *_: None).findings
        with pytest.raises(UnsuitableVolume, match="single pictures"):
            model.run(make_volume(shape=(3, 50, 40), modality="MG"), lambda *_: None)
    finally:
        model.close()
    ((question, answer),) = finding.qualifiers
    assert question.meaning == "Breast composition"
    assert answer.value in {"129716005", "129717001", "129718006", "129719003"}
    assert 0.0 <= finding.measurements[0].value <= 100.0
