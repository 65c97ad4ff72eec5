"""What a segmentation says of its sources."""

from node.dicom.write import write_dicom
from node.web.results.masks import Masks
from tests.node.dicom.test_succession import stack, versions


def test_the_version_that_a_segmentation_replaces_is_none_of_its_sources(tmp_path):
    old, new, _ = versions()
    uids = {str(header.SOPInstanceUID) for header in stack().headers}
    for number, ds in enumerate((old[0], new[0])):
        write_dicom(ds, tmp_path / f"{number}.dcm")
        assert Masks(tmp_path / f"{number}.dcm").list_sources().keys() == uids
