"""What the door keeps, knows already, or refuses."""

from datetime import timedelta
from pathlib import Path

import pytest

from node.dicom.identity import read_syntax
from node.errors import CannotUnderstand, ConflictingInstance, OutOfResources
from node.inbound.assemble import Arrival, Verdict, judge_study
from node.inbound.receive import Receiver
from node.inbound.recorder import Recorder
from node.inbound.spool import Spool, digest_dataset, name_kept
from node.ledger import SqlLedger
from node.sections import Completeness
from tests.flow.door import encode
from tests.flow.wire import EXPLICIT
from tests.series import make_series


@pytest.fixture
def door(tmp_path):
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    spool = Spool(tmp_path / "spool")
    recorder = Recorder(ledger, spool)
    recorder.start()
    yield Written(spool, ledger, recorder), spool, ledger
    recorder.stop()
    ledger.close()


class Written(Receiver):
    """A receiver whose rows are in the ledger when it returns."""

    def __init__(self, spool, ledger, recorder):
        super().__init__(spool, ledger, recorder)
        self.recorder = recorder

    def admit(self, *arguments):
        try:
            return super().admit(*arguments)
        finally:
            assert self.recorder.flush()


def put(spool, dataset):
    part = Path(spool.new_file())
    dataset.save_as(part, enforce_file_format=True)
    return part


def test_an_admitted_instance_lies_under_its_digest_with_the_bytes_it_came_with(door):
    receiver, spool, ledger = door
    image = make_series((1, 4, 4))[0]
    part = put(spool, image)
    sent = part.read_bytes()
    assert receiver.admit(part, "SCU", "", image.SOPInstanceUID) == "new"
    instance = ledger.find_instance(image.SOPInstanceUID)
    kept = spool.root / instance.path
    assert kept.read_bytes() == sent
    assert kept.stem == instance.digest
    assert not list(spool.incoming.iterdir())


def test_the_same_instance_again_is_success_and_changes_nothing(door):
    receiver, spool, ledger = door
    image = make_series((1, 4, 4))[0]
    receiver.admit(put(spool, image), "SCU")
    image.file_meta.ImplementationVersionName = "ANOTHER"
    assert receiver.admit(put(spool, image), "OTHER") == "same"
    assert len(list(spool.find_kept())) == len(ledger.find_instances(image.StudyInstanceUID)) == 1
    assert not list(spool.incoming.iterdir())


def test_other_content_under_a_known_uid_is_quarantined_and_reported(door):
    receiver, spool, ledger = door
    image = make_series((1, 4, 4))[0]
    receiver.admit(put(spool, image), "SCU")
    image.PatientID = "ANOTHER"
    with pytest.raises(ConflictingInstance, match=image.SOPInstanceUID):
        receiver.admit(put(spool, image), "SCU")
    (item,) = ledger.find_quarantined()
    assert (spool.root / item.path).is_file()
    assert "another content" in item.reason
    assert "ANOTHER" not in item.reason


def test_text_is_refused_and_kept(door):
    receiver, spool, ledger = door
    part = Path(spool.new_file())
    part.write_text("this is no DICOM")
    with pytest.raises(CannotUnderstand):
        receiver.admit(part, "SCU", "", "1.2.3")
    (item,) = ledger.find_quarantined()
    assert (spool.root / item.path).read_text() == "this is no DICOM"


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", ["", "../../etc/passwd", "1." * 40])
def test_a_dataset_without_a_sound_identity_is_refused(door, keyword, value):
    receiver, spool, _ = door
    image = make_series((1, 4, 4))[0]
    image[keyword].value = value
    with pytest.raises(CannotUnderstand, match=keyword):
        receiver.admit(put(spool, image), "SCU")
    assert not list(spool.find_kept())


def test_a_dataset_that_is_not_the_announced_instance_is_refused(door):
    receiver, spool, _ = door
    with pytest.raises(CannotUnderstand, match=r"not the instance that was announced, 1\.2\.3"):
        receiver.admit(put(spool, make_series((1, 4, 4))[0]), "SCU", "", "1.2.3")


def test_a_full_spool_refuses_with_out_of_resources_and_keeps_what_it_has(door):
    receiver, spool, ledger = door
    image = make_series((1, 4, 4))[0]
    receiver.admit(put(spool, image), "SCU")
    full = Written(Spool(spool.root, 1e12), ledger, receiver.recorder)
    with pytest.raises(OutOfResources) as refusal:
        full.admit(put(spool, make_series((1, 4, 4))[0]), "SCU")
    assert refusal.value.status == 0xA700
    assert len(list(spool.find_kept())) == 1
    assert ledger.find_quarantined() == []


def test_a_kept_file_without_a_row_is_found_again_at_start(door, tmp_path):
    receiver, spool, _ledger = door
    image = make_series((1, 4, 4))[0]
    receiver.admit(put(spool, image), "SCU")
    forgotten = SqlLedger(f"sqlite:///{tmp_path / 'new.sqlite'}")
    fresh = Receiver(spool, forgotten, receiver.recorder)
    assert fresh.reindex() == 1
    assert fresh.reindex() == 0
    assert forgotten.find_instance(image.SOPInstanceUID).series_uid == image.SeriesInstanceUID
    forgotten.close()


def test_only_files_without_a_row_are_read_again_whatever_their_number(door):
    receiver, spool, ledger = door
    images = make_series((9, 4, 4))
    for image in images[:6]:
        receiver.admit(put(spool, image), "SCU")
    for image in images[6:]:
        part = put(spool, image)
        with part.open("rb") as file:
            spool.keep(str(part), file.fileno(), digest_dataset(part, *reversed(read_syntax(part))))
    everything = list(spool.find_kept())
    known = {one.path for one in ledger.find_instances(images[0].StudyInstanceUID)}
    assert everything == sorted(everything)
    assert ledger.find_unknown(everything) == sorted(set(everything) - known)
    assert (receiver.reindex(), receiver.reindex()) == (3, 0)
    assert ledger.find_unknown(everything) == []
    assert ledger.find_unknown(["kept/00/0.dcm", "kept/zz"]) == ["kept/00/0.dcm", "kept/zz"]


def test_a_conflict_that_was_left_in_the_spool_is_set_aside_at_start(door):
    receiver, spool, ledger = door
    image = make_series((1, 4, 4))[0]
    receiver.admit(put(spool, image), "SCU")
    image.PatientID = "ANOTHER"
    part = put(spool, image)
    with part.open("rb") as file:
        left = spool.keep(str(part), file.fileno(), digest_dataset(part, *reversed(read_syntax(part))))
    assert receiver.reindex() == 0
    (item,) = ledger.find_quarantined()
    assert "another content" in item.reason
    assert not (spool.root / left).exists()


def test_what_lies_in_quarantine_without_a_row_is_listed_at_start(door):
    receiver, spool, ledger = door
    part = Path(spool.new_file())
    part.write_text("this is no DICOM")
    name = spool.set_aside(part)
    receiver.reindex()
    receiver.reindex()
    (item,) = ledger.find_quarantined()
    assert (item.path, "not written down" in item.reason) == (name, True)


def test_files_that_lost_their_rows_know_their_sender_and_wait_as_after_a_broken_association(door, tmp_path):
    receiver, spool, _ledger = door
    for image in make_series((2, 4, 4)):
        intake = receiver.begin(image.SOPClassUID, image.SOPInstanceUID, EXPLICIT, "SCANNER 7")
        intake.pieces.append(memoryview(encode(image)))
        receiver.finish(intake, (image.SOPClassUID, image.SOPInstanceUID), "SCANNER 7", "")
    forgotten = SqlLedger(f"sqlite:///{tmp_path / 'new.sqlite'}")
    assert Receiver(spool, forgotten, receiver.recorder).reindex() == 2
    (study,) = forgotten.find_studies()
    ((caller, _, ended_at, how),) = forgotten.find_associations(study.study_uid)
    assert (caller, how) == ("SCANNER 7", "lost")
    arrivals = [Arrival(*row) for row in forgotten.find_associations(study.study_uid)]
    rules = Completeness(quiet=timedelta(seconds=5), broken=timedelta(seconds=60))
    assert judge_study(study, arrivals, [], rules, ended_at + 30).verdict == Verdict.WAIT
    assert judge_study(study, arrivals, [], rules, ended_at + 90).verdict == Verdict.GAVE_UP
    forgotten.close()


def test_a_half_written_file_is_swept_only_when_it_is_old(door):
    _, spool, _ = door
    part = Path(spool.new_file())
    part.write_bytes(b"half")
    assert spool.sweep(part.stat().st_mtime - 1) == 0
    assert spool.sweep(part.stat().st_mtime + 1) == 1


def test_a_digest_is_no_proof_and_what_has_anothers_digest_is_quarantined(door):
    """Somebody may make two contents with one digest; here the other content is simply put under its name."""
    receiver, spool, ledger = door
    image, other = make_series((2, 4, 4))
    digest = digest_dataset(put(spool, image), *reversed(read_syntax(put(spool, image))))
    planted = spool.root / name_kept(digest)
    put(spool, other).rename(planted)
    before = planted.read_bytes()
    with pytest.raises(ConflictingInstance, match="digest"):
        receiver.admit(put(spool, image), "SCU")
    assert planted.read_bytes() == before
    assert len(ledger.find_quarantined()) == 1


def test_a_kept_file_that_went_missing_is_kept_again(door):
    receiver, spool, ledger = door
    image = make_series((1, 4, 4))[0]
    receiver.admit(put(spool, image), "SCU")
    path = spool.root / ledger.find_instance(image.SOPInstanceUID).path
    path.unlink()
    receiver.admit(put(spool, image), "SCU")
    assert path.is_file()


def test_what_a_power_cut_left_of_a_file_is_no_instance(door):
    receiver, spool, ledger = door
    image = make_series((1, 4, 4))[0]
    receiver.admit(put(spool, image), "SCU")
    name = ledger.find_instance(image.SOPInstanceUID).path
    damaged = spool.root / "kept" / "00" / ("0" * 32 + ".dcm")
    damaged.write_bytes((spool.root / name).read_bytes()[:-10])
    assert receiver.reindex() == 0
    assert not damaged.exists()
    (item,) = ledger.find_quarantined()
    assert "not what its name says" in item.reason
