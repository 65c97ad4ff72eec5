"""A pipeline on a folder, without a node: whatever the images, there is a picture."""

import numpy as np
from PIL import Image

from tests.series import make_series, write_series
from workers.tryout import try_out


def test_images_of_a_tilted_gantry_get_a_picture_too(plugin, tmp_path):
    manifest = plugin / "bright_bone" / "manifest.toml"
    manifest.write_text(manifest.read_text() + "max_tilt_degrees = 30.0\n")
    voxels = np.full((8, 20, 20), 1024, np.int16)
    voxels[2:5, 5:12, 5:12] = 2000
    write_series(make_series(voxels=voxels, step=(0.0, 0.5, 1.5)), tmp_path / "study")
    said = try_out("bright-bone", tmp_path / "study", tmp_path / "out", "cpu")
    assert said["findings"][0]["present"]
    assert Image.open(said["picture"]).size[0] > 500
