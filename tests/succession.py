"""Predecessors made for a test: what the author of an earlier version sent."""

from dataclasses import replace

from node.dicom.authorship import Predecessor


def as_predecessors(objects, author, version=1):
    """The objects of `author` as those that reached a destination."""
    return tuple(
        Predecessor(
            sop_class_uid=str(ds.SOPClassUID),
            sop_instance_uid=str(ds.SOPInstanceUID),
            series_uid=str(ds.SeriesInstanceUID),
            study_uid=str(ds.StudyInstanceUID),
            frame_of_reference_uid=str(ds.get("FrameOfReferenceUID", "")),
            modality=str(ds.Modality),
            job_id=author.job_id,
            version=version,
            began=author.created.timestamp(),
        )
        for ds in objects
    )


def make_successor(author, objects, job_id="job-2", **changes):
    """The author of the next version of `objects`."""
    successor = {"job_id": job_id, "version": author.version + 1}
    return replace(author, **successor, predecessors=as_predecessors(objects, author, author.version), **changes)
