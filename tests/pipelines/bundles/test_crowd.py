"""Windows looked at together: as many as there is room for, and the same answer."""

import pytest
import torch
from monai.inferers import SlidingWindowInferer

from pipelines.bundles.crowd import Crowd
from pipelines.bundles.windows import decide_windows, keep_means

INFERER = SlidingWindowInferer((8, 8, 8), 6, 0.25, mode="gaussian")


class Device:
    """A network on a device with room for `room` windows."""

    def __init__(self, room):
        self.room, self.asked = room, []

    def __call__(self, windows):
        self.asked.append(len(windows))
        if len(windows) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        return torch.cat([windows, windows.flip(2)], dim=1)


@pytest.mark.parametrize("room", [1, 2, 3, 6])
def test_where_memory_is_used_up_fewer_windows_go_together_and_the_answer_is_the_same(room):
    torch.manual_seed(2)
    image = torch.randn(1, 1, 30, 20, 20)
    device, roomy = Device(room), Device(99)
    expected = INFERER(image, roomy)[0]
    assert torch.allclose(decide_windows(image, device, INFERER, "cpu", keep_means), expected, atol=1e-5)
    refused = [n for n in device.asked if n > room]
    assert refused == [6, 3][: len(refused)]
    assert device.asked[: len(refused)] == refused


def test_a_device_without_room_for_one_window_says_so():
    with pytest.raises(torch.OutOfMemoryError):
        decide_windows(torch.randn(1, 1, 9, 9, 9), Device(0), INFERER, "cpu")


def test_other_errors_are_not_tried_again():
    asked = []

    def look(windows):
        asked.append(len(windows))
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        Crowd(look, "cpu", 4).take([torch.randn(1, 2, 2, 2)] * 4)
    assert asked == [4]


def test_a_window_of_one_number_is_looked_at_once():
    device = Device(9)
    crowd = Crowd(device, "cpu", 1)
    air, fat, noise = torch.full((1, 4, 4, 4), -2000.0), torch.full((1, 4, 4, 4), -100.0), torch.randn(1, 4, 4, 4)
    seen = [crowd.take([one])[1] for one in (air, air.clone(), fat, noise, noise, fat)]
    assert len(device.asked) == 4
    assert torch.equal(seen[0], seen[1])
    assert [float(one[0, 0, 0, 0, 0]) for one in (seen[1], seen[2], seen[5])] == [-2000, -100, -100]
    assert torch.equal(seen[3][0, 0], noise[0])


def test_a_window_with_one_other_voxel_is_no_flat_one():
    device = Device(9)
    crowd = Crowd(device, "cpu", 1)
    window = torch.zeros(2, 4, 4, 4)
    crowd.take([window])
    other = window.clone()
    other[1, 3, 3, 3] = 1
    assert float(crowd.take([other])[1][0, 1, 3, 3, 3]) == 1
    assert len(device.asked) == 2
