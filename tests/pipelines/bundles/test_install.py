"""On the shelf and off it; what the manifest says; which version a name means."""

import hashlib
import json
import subprocess

import numpy as np
import pytest
import torch

from pipelines.bundles.download import download
from pipelines.bundles.install import add_bundle, read_installed, remove_bundle
from pipelines.bundles.program import Program
from pipelines.catalog import get_pipeline
from pipelines.errors import BundleDrift, BundleUnreadable, BundleUntrusted, UnknownPipeline
from pipelines.terms import Allowance, find_manifests, get_manifest, read_manifest, use_shelf
from tests.pipelines.bundles.made import edit_config, make_bundle, make_volume, zip_folder


def test_a_zip_and_its_folder_install_alike_with_pins_that_sha256sum_reads(shelf, tmp_path):
    bundle = make_bundle("tiny_ct_segmentation", tmp_path)
    one = add_bundle(bundle, shelf, "one")
    two = add_bundle(zip_folder(bundle, tmp_path / "tiny_ct_segmentation_v1.0.0.zip"), shelf)
    assert (one.name, two.name) == ("one", "tiny-ct-segmentation")
    assert one.weights_sha256 == two.weights_sha256
    home = shelf / "one-1.0.0"
    check = ["sha256sum", "--check", "--quiet", "../bundle.sha256"]
    subprocess.run(check, cwd=home / "bundle", check=True)
    assert (
        hashlib.sha256((bundle / "models" / "model.pt").read_bytes()).hexdigest()
        in (home / "bundle.sha256").read_text()
    )


def test_the_manifest_says_what_the_metadata_say(shelf, tmp_path):
    add_bundle(make_bundle("spleen_ct_segmentation", tmp_path, weights=""), shelf)
    manifest = get_manifest("spleen-ct-segmentation")
    assert manifest == get_pipeline("spleen-ct-segmentation").manifest
    assert manifest.intended_use == "Volumetric segmentation of the spleen in CT"
    assert "not to be used for diagnostic purposes" in manifest.not_for
    assert (manifest.requires.modality, manifest.requires.min_planes) == ("CT", 3)


def test_a_bundle_without_weights_says_so_when_it_is_loaded(shelf, tmp_path):
    add_bundle(make_bundle("tiny_ct_segmentation", tmp_path, weights=""), shelf, "tiny")
    with pytest.raises(BundleDrift, match=r"weights models/model\.pt are not there"):
        Program(read_installed(shelf / "tiny-1.0.0"), "cpu", trusted=False)


def save_script(bundle, place):
    """The bundle's network as TorchScript at `place`, instead of its state dict."""
    from monai.bundle import ConfigParser

    network = ConfigParser(json.loads((bundle / "configs" / "inference.json").read_text())).get_parsed_content(
        "network_def"
    )
    network.load_state_dict(torch.load(bundle / "models" / "model.pt", weights_only=True))
    (bundle / "models" / "model.pt").unlink()
    torch.jit.save(torch.jit.trace(network.eval(), torch.zeros(1, 1, 16, 16, 16)), place)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_torchscript_is_read_where_the_site_trusts_it_and_nowhere_else(shelf, tmp_path):
    volume = make_volume(shape=(8, 9, 10))
    add_bundle(make_bundle("tiny_ct_segmentation", tmp_path / "plain"), shelf, "plain")
    script = "$@bundle_root + '/models/model.ts'"
    bundle = make_bundle(
        "tiny_ct_segmentation", tmp_path, edit=lambda c: c["checkpointloader"].update(load_path=script)
    )
    save_script(bundle, bundle / "models" / "model.ts")
    add_bundle(bundle, shelf, "script")
    with pytest.raises(BundleUntrusted, match=r"model\.ts is TorchScript.*trust"):
        Program(read_installed(shelf / "script-1.0.0"), "cpu", trusted=False)
    use_shelf(shelf, {"script": Allowance(code=True)})
    models = [get_pipeline(name).load("cpu") for name in ("plain", "script")]
    try:
        plain, scripted = (model.run(volume, lambda *_: None) for model in models)
    finally:
        for model in models:
            model.close()
    assert np.array_equal(plain.segments[0].mask, scripted.segments[0].mask)


def test_torchscript_that_is_damaged_is_named(shelf, tmp_path):
    script = "$@bundle_root + '/models/model.ts'"
    bundle = make_bundle(
        "tiny_ct_segmentation", tmp_path, edit=lambda c: c["checkpointloader"].update(load_path=script)
    )
    (bundle / "models" / "model.pt").rename(bundle / "models" / "model.ts")
    add_bundle(bundle, shelf, "script")
    with pytest.raises(BundleDrift, match=r"model\.ts is no TorchScript"):
        Program(read_installed(shelf / "script-1.0.0"), "cpu", trusted=True)


def test_the_highest_version_of_a_name_is_the_one_that_runs(shelf, tmp_path):
    bundle = make_bundle("tiny_ct_segmentation", tmp_path, weights="")
    path = bundle / "configs" / "metadata.json"
    text = path.read_text()
    for version in ("1.9.0", "1.10.0", "1.2.0"):
        path.write_text(text.replace('"1.0.0"', f'"{version}"'))
        add_bundle(bundle, shelf, "tiny")
    assert get_manifest("tiny").version == "1.10.0"
    assert remove_bundle("tiny", shelf).name == "tiny-1.10.0"
    assert get_manifest("tiny").version == "1.9.0"


def test_ours_are_not_hidden_and_not_removed(shelf, tmp_path):
    bundle = make_bundle("tiny_ct_segmentation", tmp_path, weights="")
    with pytest.raises(BundleUnreadable, match="another pipeline"):
        add_bundle(bundle, shelf, "lung-seg")
    with pytest.raises(BundleUnreadable, match="no name"):
        add_bundle(bundle, shelf, "../x")
    with pytest.raises(UnknownPipeline):
        remove_bundle("lung-seg", shelf)
    assert read_manifest(find_manifests()["lung-seg"]).manufacturer == "Wetread"


def test_a_choice_that_is_no_item_of_the_configuration_is_named(shelf, tmp_path):
    bundle = make_bundle("tiny_ct_segmentation", tmp_path, weights="")
    with pytest.raises(BundleDrift, match="inferer#nonsense is no item"):
        add_bundle(bundle, shelf, "tiny", {"inferer#nonsense": 1})


def test_an_item_that_inference_needs_and_that_is_missing_is_named(shelf, tmp_path):
    bundle = make_bundle("tiny_ct_segmentation", tmp_path, weights="", edit=lambda config: config.pop("inferer"))
    with pytest.raises(BundleDrift, match="'inferer'"):
        add_bundle(bundle, shelf, "tiny")


def test_a_configuration_that_cannot_be_read_is_told_where_it_breaks(shelf, tmp_path):
    bundle = make_bundle("tiny_ct_segmentation", tmp_path, weights="")
    place = bundle / "configs" / "inference.json"
    place.write_text('{"a": 1,\n "b": }')
    with pytest.raises(BundleDrift, match=r"inference\.json is no JSON: Expecting value: line 2 column 7"):
        add_bundle(bundle, shelf, "tiny")
    place.rename(place.with_suffix(".yaml"))
    with pytest.raises(BundleDrift, match=r"inference\.json is not in the bundle, only YAML, which is not read"):
        add_bundle(bundle, shelf, "tiny")


def test_a_misspelt_item_is_named_with_what_it_may_be(shelf, tmp_path):
    def slip(config):
        config["preprocesing"] = config.pop("preprocessing")

    bundle = make_bundle("tiny_ct_segmentation", tmp_path, weights="", edit=slip)
    with pytest.raises(BundleDrift, match=r"needs the item 'preprocessing', which .* lacks; it has 'preprocesing'"):
        add_bundle(bundle, shelf, "tiny")


def test_a_class_that_this_monai_does_not_have_is_named(shelf, tmp_path):
    def drift(config):
        config["inferer"] = {"_target_": "SlidingWindowInfererOfTomorrow"}

    bundle = make_bundle("tiny_ct_segmentation", tmp_path)
    edit_config(bundle, drift)
    add_bundle(bundle, shelf, "tiny")
    with pytest.raises(BundleDrift, match="SlidingWindowInfererOfTomorrow"):
        Program(read_installed(shelf / "tiny-1.0.0"), "cpu", trusted=False)


def test_a_name_that_is_neither_file_nor_bundle_is_refused_before_the_network_is_asked(tmp_path):
    with pytest.raises(BundleUnreadable, match="neither a file nor"):
        download("../x@1", tmp_path)
