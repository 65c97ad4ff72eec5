"""Every way in which images can be refused has a code of its own."""

import inspect

from node import errors
from node.dicom.refusal import REASONS, UNSUITABLE, find_reason


def test_every_input_error_has_its_own_code():
    kinds = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.InputError) and kind is not errors.InputError
    ]
    assert set(REASONS) == {kind.__name__ for kind in kinds}
    assert len({code.value for code in REASONS.values()}) == len(kinds)


def test_a_pipelines_own_refusal_is_told_apart_from_those_of_the_images():
    assert find_reason("TiltedGantry").value == "R113"
    assert find_reason("UnsuitableVolume") == UNSUITABLE
