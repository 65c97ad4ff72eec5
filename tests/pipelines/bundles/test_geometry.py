"""Where the answer lies: the same as when MONAI itself reads and writes NIfTI, and the way of boxes and axes."""

import json

import numpy as np
import pytest
import torch

from pipelines.bundles.image import find_ras, to_image, to_indices
from pipelines.bundles.install import add_bundle, read_installed
from pipelines.bundles.program import Program
from tests.pipelines.bundles.made import make_bundle, make_volume

nibabel = pytest.importorskip("nibabel")


@pytest.mark.parametrize("oblique", [False, True])
def test_labels_are_those_of_monai_on_the_same_volume_as_nifti(oblique, shelf, tmp_path):
    """Spleen's chain, to RAS, to 1.5 x 1.5 x 2 mm and back: once through us, once through files, read and written by
    the bundle's own LoadImaged and SaveImaged."""
    from monai.bundle import ConfigParser

    def edit(config):
        config["inferer"]["roi_size"] = [32, 32, 32]
        config["output_dir"] = str(tmp_path / "out")
        config["postprocessing"]["transforms"][-1] |= {"separate_folder": False, "output_postfix": "seg"}

    volume = make_volume(oblique=oblique)
    bundle = make_bundle("spleen_ct_segmentation", tmp_path, edit=edit)
    nibabel.save(nibabel.Nifti1Image(volume.voxels.transpose(2, 1, 0), find_ras(volume.affine)), tmp_path / "in.nii.gz")
    parser = ConfigParser(json.loads((bundle / "configs" / "inference.json").read_text()))
    network = parser.get_parsed_content("network").eval()
    network.load_state_dict(torch.load(bundle / "models" / "model.pt", weights_only=True))
    data = parser.get_parsed_content("preprocessing")({"image": str(tmp_path / "in.nii.gz")})
    with torch.inference_mode():
        data["pred"] = parser.get_parsed_content("inferer")(data["image"][None], network)[0]
    parser.get_parsed_content("postprocessing")(data)
    (written,) = (tmp_path / "out").glob("*.nii.gz")
    expected = np.asarray(nibabel.load(written).dataobj).transpose(2, 1, 0)
    add_bundle(bundle, shelf, "spleen")
    answer = Program(read_installed(shelf / "spleen-0.5.9"), "cpu", trusted=False).run(
        [volume.voxels], volume.affine, lambda *_: None
    )
    assert np.mean(answer.arrays["labels"] == expected) > 0.999
    assert 0.0 < expected.mean() < 1.0


def test_a_point_of_the_volume_is_the_same_point_of_the_image():
    volume = make_volume(oblique=True)
    image = to_image([volume.voxels], volume.affine)
    k, j, i = 3, 7, 11
    assert float(image[0, i, j, k]) == volume.voxels[k, j, i]
    lps = (volume.affine @ [k, j, i, 1])[:3]
    ras = (np.asarray(image.affine) @ [i, j, k, 1])[:3]
    assert np.allclose(ras, lps * [-1, -1, 1])


def test_a_box_of_the_resampled_image_comes_back_to_its_voxels():
    from monai.transforms import Compose, Orientation, Spacing

    volume = make_volume(spacing=(2.0, 1.0, 1.5))
    image = Compose([Orientation("RAS"), Spacing((0.7, 0.7, 1.25))])(to_image([volume.voxels], volume.affine))
    low, high = np.array([2.0, 4.0, 6.0]), np.array([5.0, 9.0, 8.0])
    corners = [
        (np.linalg.inv(np.asarray(image.affine)) @ np.diag([-1, -1, 1, 1]) @ volume.affine @ [*corner, 1])[:3]
        for corner in (low, high)
    ]
    box = np.concatenate([np.minimum(*corners), np.maximum(*corners)])[None]
    ((found_low, found_high),) = to_indices(box, np.asarray(image.affine), volume.affine)
    assert np.allclose(found_low, low)
    assert np.allclose(found_high, high)


def test_labels_between_which_a_class_lies_are_not_blended(shelf, tmp_path):
    """Background and class 2 side by side must not become class 1 on the way back, as a linear one makes of them."""
    from monai.data import MetaTensor
    from monai.transforms import Compose, Invertd, Spacingd

    from pipelines.bundles.after import After, nearest_after_arg_max

    before = Compose([Spacingd("image", (0.4, 0.4, 0.4))])
    data = before({"image": to_image([make_volume().voxels], make_volume().affine)})
    labels = torch.zeros_like(data["image"].as_tensor())
    labels[:, :, ::2] = 2.0
    data["pred"] = MetaTensor(labels)
    linear = After("Invert", Invertd("pred", before, orig_keys="image", nearest_interp=False))
    (step,) = nearest_after_arg_max([linear], before, "image", decided=True)
    assert set(torch.unique(torch.as_tensor(step.transform(dict(data))["pred"])).tolist()) == {0.0, 2.0}
    blended = torch.as_tensor(linear.transform(dict(data))["pred"]).round()
    assert set(torch.unique(blended).tolist()) == {0.0, 1.0, 2.0}
