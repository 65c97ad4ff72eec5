"""On a GPU: the classes of the CPU, the same ones again, and fewer windows together when its memory is used up."""

import numpy as np
import pytest
import torch
from monai.inferers import SlidingWindowInferer

from pipelines.bundles.crowd import MOST, Crowd
from pipelines.bundles.install import add_bundle, read_installed
from pipelines.bundles.program import Program
from pipelines.bundles.windows import decide_windows
from pipelines.repeatable import make_repeatable
from tests.pipelines.bundles.made import make_bundle, make_volume

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch can use no GPU here")
INFERER = SlidingWindowInferer((12, 10, 12), 2, 0.25, mode="gaussian", padding_mode="replicate")


@pytest.fixture(autouse=True)
def _repeatable():
    make_repeatable()


def test_windows_are_decided_there_as_on_the_cpu():
    torch.manual_seed(3)
    network, image = torch.nn.Conv3d(1, 40, 3, padding=1).eval(), torch.randn(1, 1, 40, 21, 17)
    with torch.inference_mode():
        here = decide_windows(image, network, INFERER, "cpu")
        there = decide_windows(image, network.cuda(), INFERER, "cuda:0")
    assert there.device.type == "cpu"
    assert (here == there).float().mean() > 0.999


def test_as_many_windows_go_together_as_have_room():
    together = []

    def look(windows):
        together.append(len(windows))
        return windows.repeat(1, 4, 1, 1, 1)

    crowd = Crowd(look, "cuda:0", 1)
    windows = [torch.randn(1, 8, 8, 8) for _ in range(20)]
    while windows:
        count, _ = crowd.take(windows)
        windows = windows[count:]
    assert together == [1, MOST, MOST, 20 - 1 - 2 * MOST]


def test_where_memory_is_used_up_fewer_windows_go_together():
    room = torch.cuda.get_device_properties(0).total_memory // 3 // 4

    def look(windows):
        torch.empty(len(windows), room, device="cuda:0")  # two of three fit
        return windows

    crowd = Crowd(look, "cuda:0", 1)
    crowd._size, crowd._is_measured = 6, True
    assert crowd.take([torch.randn(1, 8, 8, 8) for _ in range(6)])[0] in {1, 2}


def test_a_whole_body_is_labelled_alike_twice_and_nearly_as_on_the_cpu(shelf, tmp_path):
    bundle = make_bundle(
        "wholeBody_ct_segmentation", tmp_path, "model_lowres.pt", lambda c: c["inferer"].update(roi_size=[32] * 3)
    )
    add_bundle(bundle, shelf, "whole")
    (home,) = shelf.iterdir()
    volume, labels = make_volume(shape=(30, 90, 92), spacing=(3.0, 1.5, 1.5)), []
    for device in ("cuda:0", "cuda:0", "cpu"):
        program = Program(read_installed(home), device, trusted=False)
        labels.append(program.run([volume.voxels], volume.affine, lambda *_: None).arrays["labels"])
    assert np.array_equal(labels[0], labels[1])
    assert np.mean(labels[0] == labels[2]) > 0.9  # half precision, and a network that is sure of nothing
