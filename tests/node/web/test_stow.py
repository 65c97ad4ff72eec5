"""STOW-RS: what is kept, what is refused and how it is said (PS3.18 10.5), and what the ledger knows of it."""

import json
import socket
import time
import xml.etree.ElementTree as ElementTree
from contextlib import suppress
from io import BytesIO
from threading import Barrier

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, generate_uid

from node.inbound.assemble import Arrival, Verdict, judge_study
from node.inbound.receive import Receiver
from node.model.study import StudyState
from node.sections import Completeness
from tests.node.web.service import BOUNDARY, Service, make_body
from tests.series import make_series
from tests.waiting import wait_until

REFERENCED, FAILED, OTHERS, URL = "00081199", "00081198", "0008119A", "00081190"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("web"), listen={"min_free_mb": 1}) as running:
        yield running


def make_study(count=3, **changes):
    study = generate_uid(prefix=None)
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": study + ".1", "FrameOfReferenceUID": study + ".2"}
    return study, make_series((count, 6, 8), **(uids | changes))


def encode(dataset):
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def reasons(answer, sequence=FAILED):
    return [item["00081197"]["Value"][0] for item in answer.get(sequence, {}).get("Value", [])]


def test_a_study_is_stored_and_each_instance_has_its_address(service):
    study, slices = make_study()
    status, head, answer = service.store([encode(one) for one in slices])
    assert status == 200
    assert head["Content-Type"] == "application/dicom+json"
    assert answer[URL]["Value"] == [f"{service.url}/dicom-web/studies/{study}"]
    assert FAILED not in answer
    assert OTHERS not in answer
    for item, one in zip(answer[REFERENCED]["Value"], slices, strict=True):
        assert item["00081155"]["Value"] == [one.SOPInstanceUID]
        assert item["00081150"]["Value"] == [one.SOPClassUID]
        place = f"/studies/{study}/series/{study}.1/instances/{one.SOPInstanceUID}"
        assert item[URL]["Value"] == [f"{service.url}/dicom-web{place}"]
    instances = service.ledger.find_instances(study)
    assert {i.sop_instance_uid for i in instances} == {one.SOPInstanceUID for one in slices}
    for instance in instances:
        sent = next(one for one in slices if one.SOPInstanceUID == instance.sop_instance_uid)
        assert (service.spool.root / instance.path).read_bytes() == encode(sent)


def test_a_part_is_judged_while_the_next_one_comes_and_the_verdicts_keep_the_order_of_the_parts(service, monkeypatch):
    together, admit = Barrier(2), Receiver.admit

    def admit_two(self, part, *rest, **seen):
        together.wait(20)  # breaks where one part waits for the verdict on the one before
        return admit(self, part, *rest, **seen)

    monkeypatch.setattr(Receiver, "admit", admit_two)
    study, slices = make_study(6)
    parts = [encode(one) for one in slices]
    status, _, answer = service.store([*parts[:3], b"nothing", *parts[3:]])
    assert status == 202
    assert [item["00081155"]["Value"][0] for item in answer[REFERENCED]["Value"]] == [s.SOPInstanceUID for s in slices]
    assert reasons(answer, OTHERS) == [0xC000]
    assert len(service.ledger.find_associations(study)) == 1
    assert not service.incoming()


def test_an_upload_is_an_association_and_the_study_completes_on_it(service):
    study, slices = make_study()
    service.store([encode(one) for one in slices], f"/dicom-web/studies/{study}")
    (row,) = service.ledger.find_associations(study)
    arrival = Arrival(*row)
    assert arrival.caller == "web:anonymous"
    assert arrival.how == "released"
    (found,) = [s for s in service.ledger.find_studies(StudyState.RECEIVING) if s.study_uid == study]
    judgment = judge_study(found, [arrival], [], Completeness(), time.time() + 60)
    assert judgment.verdict == Verdict.COMPLETE
    assert "1 released" in judgment.text


def test_the_answer_is_xml_for_who_asks_for_it(service):
    _, slices = make_study(2)
    headers = {"Accept": "application/dicom+xml"}
    status, head, answer = service.store([encode(slices[0]), b"nonsense"], headers=headers)
    assert status == 202
    assert head["Content-Type"].startswith("application/dicom+xml")
    model = ElementTree.fromstring(answer)
    space = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
    keywords = [attribute.get("keyword") for attribute in model.findall(f"{space}DicomAttribute")]
    assert keywords == ["RetrieveURL", "ReferencedSOPSequence", "OtherFailuresSequence"]


def test_the_same_again_is_success_and_another_content_is_a_conflict(service):
    study, slices = make_study(1)
    assert service.store([encode(slices[0])])[0] == 200
    slices[0].file_meta.ImplementationVersionName = "OTHER"
    assert service.store([encode(slices[0])])[0] == 200
    slices[0].PatientID = "SOMEBODY ELSE"
    status, _, answer = service.store([encode(slices[0])])
    assert status == 409
    assert reasons(answer) == [0xC000]
    assert len(service.ledger.find_instances(study)) == 1
    assert any(slices[0].SOPInstanceUID == item.sop_instance_uid or "another content" in item.reason
               for item in service.ledger.find_quarantined())  # fmt: skip


def test_a_uid_that_another_study_holds_is_not_said_to_be_stored(service):
    _, slices = make_study(1)
    service.store([encode(slices[0])])
    slices[0].StudyInstanceUID = generate_uid()
    status, _, answer = service.store([encode(slices[0])])
    assert status == 409
    assert reasons(answer) == [0xC000]


def test_some_stored_some_not_is_202_with_a_reason_for_each(service):
    study, slices = make_study(4)
    slices[1].StudyInstanceUID = generate_uid()
    slices[2].SOPClassUID = slices[2].file_meta.MediaStorageSOPClassUID = "1.2.3.4.5"
    del slices[3].SeriesInstanceUID
    status, _, answer = service.store([encode(one) for one in slices], f"/dicom-web/studies/{study}")
    assert status == 202
    assert [item["00081155"]["Value"][0] for item in answer[REFERENCED]["Value"]] == [slices[0].SOPInstanceUID]
    assert reasons(answer) == [0xA900, 0x0122]
    assert reasons(answer, OTHERS) == [0xC000]
    assert not service.incoming()


@pytest.mark.parametrize(
    ("head", "data"),
    [
        ({"Content-Type": "application/dicom"}, b"no DICOM at all"),
        ({"Content-Type": "application/dicom"}, b""),
        ({"Content-Type": "image/jpeg"}, b"\xff\xd8"),
        ({"Content-Type": "application/dicom", "Content-Transfer-Encoding": "base64"}, b"AAAA"),
    ],
    ids=["text", "nothing", "JPEG", "base64"],
)
def test_a_part_that_is_no_instance_is_another_failure(service, head, data):
    status, _, answer = service.store([(head, data)])
    assert status == 409
    assert reasons(answer, OTHERS) == [0xC000]
    assert not service.incoming()


PATHS = ["../../../etc/passwd", "1.2/../../x", "/etc/passwd", "1.2\0.3", "x" * 80]


@pytest.mark.parametrize("uid", PATHS, ids=range(len(PATHS)))
def test_a_uid_that_is_a_path_is_refused_and_leads_nowhere(service, uid):
    _, slices = make_study(1)
    real = slices[0].SOPInstanceUID.encode()
    data = encode(slices[0]).replace(real, uid.encode().ljust(len(real), b"\0")[: len(real)])
    before = service.kept()
    status, _, _ = service.store([data])
    assert status == 409
    assert service.kept() == before


def test_an_address_that_is_no_uid_is_refused(service):
    _, slices = make_study(1)
    for place in ("x", "..%2f..", "1.2.%00", "1" * 65):
        assert service.store([encode(slices[0])], f"/dicom-web/studies/{place}")[0] in {400, 404}


def test_a_deflated_bomb_is_refused(service):
    bomb = make_series((1, 4000, 6000), voxels=np.zeros((1, 4000, 6000), np.int16))[0]
    bomb.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    status, _, answer = service.store([encode(bomb)])
    assert status == 409
    assert reasons(answer) + reasons(answer, OTHERS) == [0xC000]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ({"Content-Type": "application/dicom"}, 415),
        ({"Content-Type": 'multipart/related; type="image/png"; boundary=x'}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": 'multipart/related; type="application/dicom"'}, 400),
        ({"Content-Type": 'multipart/related; type="application/dicom"; boundary="wrong"'}, 400),
        ({"Content-Type": f'multipart/related; type="application/dicom"; boundary="{"b" * 201}"'}, 400),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Accept": "text/html"}, 406),
        ({"Content-Length": "999999999999999"}, 413),
    ],
    ids=lambda value: f"{next(iter(value.items()))}"[:60] if isinstance(value, dict) else "",
)
def test_a_request_that_is_wrong_has_the_status_that_says_so(service, head, status):
    _, slices = make_study(1)
    before = service.kept()
    said, headers, answer = service.store([encode(slices[0])], headers=head)
    assert said == status
    assert headers["Content-Type"] == "application/problem+json"
    assert answer["status"] == status
    assert answer["detail"]
    assert service.kept() == before
    assert not service.incoming()


def test_a_header_without_end_is_shown_out(service):
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(b"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nX: ")
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(64):
                connection.sendall(b"x" * (1 << 20))
            raise AssertionError("64 MB of a header were read")
    assert service.ask("GET", "/healthz")[0] == 200


def test_a_request_without_a_body_needs_a_length(service):
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(b"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 411")


def test_a_body_without_its_last_boundary_ends_as_an_aborted_association(service):
    study, slices = make_study(2)
    whole = make_body([encode(one) for one in slices])
    status, _, answer = service.store([], body=whole[:-40])
    assert status == 400
    assert "1 instances" in answer["detail"]
    assert wait_until(lambda: len(service.ledger.find_instances(study)) == 1)
    (row,) = service.ledger.find_associations(study)
    assert Arrival(*row).how == "aborted"
    assert not service.incoming()


def test_a_sender_that_breaks_off_leaves_whole_instances_and_nothing_half(service):
    study, slices = make_study(3)
    whole = make_body([encode(one) for one in slices] + [bytes(3 << 20)])
    head = (
        f"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(whole)}\r\n"
        f'Content-Type: multipart/related; type="application/dicom"; boundary="{BOUNDARY}"\r\n\r\n'
    )
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(head.encode() + whole[: 2 << 20])
        assert wait_until(service.incoming)
    assert wait_until(lambda: not service.incoming())
    assert wait_until(lambda: service.ledger.find_associations(study))
    assert wait_until(lambda: Arrival(*service.ledger.find_associations(study)[0]).how == "aborted")
    assert len(service.ledger.find_instances(study)) == 3


def test_chunks_are_as_good_as_a_length(service):
    study, slices = make_study(2)
    body = make_body([encode(one) for one in slices])
    pieces = (body[at : at + 777] for at in range(0, len(body), 777))
    assert service.store([], body=pieces)[0] == 200
    assert len(service.ledger.find_instances(study)) == 2


def test_ten_thousand_parts_of_nothing_are_ten_thousand_failures(service):
    status, _, answer = service.store([b""] * 10_000)
    assert status == 409
    assert len(reasons(answer, OTHERS)) == 10_000
    assert not service.incoming()


def to_metadata(dataset, place="bulk/1"):
    model = dataset.to_json_dict(bulk_data_threshold=64, bulk_data_element_handler=lambda _: place)
    return model


METADATA = "application/dicom+json"


def bulk_part(dataset, place="bulk/1", kind="application/octet-stream"):
    return {"Content-Type": kind, "Content-Location": place}, dataset.PixelData


def test_metadata_and_bulk_data_make_an_instance(service):
    study, slices = make_study(2)
    slices[0].PatientName = "Ångström^Östen"
    models = [to_metadata(one, f"bulk/{n}") for n, one in enumerate(slices)]
    parts = [({"Content-Type": METADATA}, json.dumps(models).encode())]
    parts += [bulk_part(one, f"bulk/{n}") for n, one in enumerate(slices)]
    status, _, answer = service.store(parts, kind=METADATA)
    assert (status, len(answer[REFERENCED]["Value"])) == (200, 2)
    for one in slices:
        (instance,) = [i for i in service.ledger.find_instances(study) if i.sop_instance_uid == one.SOPInstanceUID]
        kept = dcmread(service.spool.root / instance.path)
        assert kept.PixelData == one.PixelData
        assert kept.ImagePositionPatient == one.ImagePositionPatient
        assert kept.PatientName == one.PatientName
        assert (kept.pixel_array == one.pixel_array).all()
    assert not service.incoming()


def test_metadata_that_cannot_be_an_instance_fails_alone(service):
    study, slices = make_study(3)
    lost, whole, nobody = (to_metadata(one) for one in slices)
    lost["7FE00010"]["BulkDataURI"] = "nowhere"
    del nobody["00080018"]
    parts = [({"Content-Type": METADATA}, json.dumps([lost, whole, nobody]).encode()), bulk_part(slices[1])]
    status, _, answer = service.store(parts, kind=METADATA)
    assert status == 202
    assert reasons(answer, OTHERS) == [0xC000, 0xC000]
    assert len(service.ledger.find_instances(study)) == 1
    assert not service.incoming()


def test_compressed_bulk_data_is_a_syntax_that_we_do_not_assemble(service):
    _, slices = make_study(1)
    parts = [({"Content-Type": METADATA}, json.dumps([to_metadata(slices[0])]).encode())]
    status, _, answer = service.store([*parts, bulk_part(slices[0], kind="image/jpeg")], kind=METADATA)
    assert status == 409
    assert reasons(answer, OTHERS) == [0xC122]


@pytest.mark.parametrize(
    ("metadata", "status"),
    [
        (b"[" * 100_000, 400),
        (b'[{"00080005":' * 50_000, 400),
        (b"[" + b"[]," * 600_000 + b"[]]", 413),
        (b"no JSON", 400),
        (b"[]", 400),
        (b"[1, 2]", 400),
        (b"\xff\xfe", 400),
        (b" " * ((8 << 20) + 1), 413),
        (b"[{}]", 409),
        (b'[{"00080018": 7, "7FE00010": {"vr": "OW", "BulkDataURI": 7}}]', 409),
    ],
    ids=["brackets", "nested", "wide", "text", "empty", "numbers", "bytes", "long", "bare", "wrong types"],
)
def test_metadata_that_is_an_attack_is_an_answer(service, metadata, status):
    assert service.store([({"Content-Type": METADATA}, metadata)], kind=METADATA)[0] == status
    assert not service.incoming()


@pytest.mark.parametrize("head", [{}, {"Content-Location": "bulk/1"}], ids=["no name", "a name twice"])
def test_bulk_data_needs_a_name_of_its_own(service, head):
    _, slices = make_study(1)
    parts = [({"Content-Type": METADATA}, json.dumps([to_metadata(slices[0])]).encode()), bulk_part(slices[0])]
    octets = {"Content-Type": "application/octet-stream"} | head
    assert service.store([*parts, (octets, b"")], kind=METADATA)[0] == 400
    assert not service.incoming()


def test_a_body_without_parts_is_wrong(service):
    assert service.store([])[0] == 400


def test_what_the_audit_says_of_an_upload_is_uids_and_counts(service):
    study, slices = make_study(2)
    service.store([encode(slices[0]), encode(slices[1]), b"nonsense"])
    line = service.audit()[-1]
    assert (line["action"], line["outcome"]) == ("POST /dicom-web/studies", 202)
    assert (line["uid"], line["stored"], line["refused"]) == (study, 2, 1)
    assert "Pat" not in json.dumps(service.audit())


def test_without_room_the_answer_is_503_and_when_to_come_again(tmp_path):
    with Service(tmp_path, listen={"min_free_mb": 10**9}) as full:
        status, head, answer = full.store([encode(make_study(1)[1][0])])
        assert (status, answer["status"]) == (503, 503)
        assert int(head["Retry-After"]) > 0


def test_an_upload_that_does_not_go_on_is_ended(tmp_path):
    with Service(tmp_path, listen={"idle_timeout": "PT0.3S", "min_free_mb": 1}) as service:
        head = b"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        head += f'Content-Type: multipart/related; type="application/dicom"; boundary="{BOUNDARY}"\r\n\r\n'.encode()
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(head + f"--{BOUNDARY}\r\n\r\nsome".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 408")
        assert not service.incoming()
