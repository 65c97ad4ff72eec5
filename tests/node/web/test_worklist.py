"""UPS-RS by plain HTTP, as PS3.18 chapter 11 has it, against a real server."""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from xml.etree import ElementTree

import httpx
import pytest
from pydicom import Dataset
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from node.model.workitem import FILTERED, GLOBAL
from node.web.dicomweb.xml_reader import from_xml
from node.web.worklist import channel, news
from node.worklist import Worklist
from tests.node.web.service import Service
from tests.waiting import wait_until
from tests.workitems import make_code, make_performed, make_progress, make_workitem
from tests.worklist_table import AFTER, LOCK, LOCKS, ROWS, STATE_WORDS, STATES, find_warning

JSON, XML = "application/dicom+json", "application/dicom+xml"
SCHEDULE = "/dicom-web/workitems"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("worklist"), web={"most_results": 5}) as one:
        yield one


@pytest.fixture(scope="module")
def web(service):
    with httpx.Client(base_url=service.url + "/dicom-web", timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def numbers():
    return count(1)


@pytest.fixture
def uid(numbers):
    return f"1.2.826.{next(numbers)}"


def dump(dataset):
    return json.dumps([dataset.to_json_dict()])


def send(web, method, path, dataset=None, **more):
    content = None if dataset is None else dump(dataset)
    return web.request(method, path, content=content, headers={"Content-Type": JSON}, **more)


def create(web, uid, **changes):
    answer = send(web, "POST", f"/workitems?{uid}", make_workitem(**changes))
    assert answer.status_code == 201, answer.text
    return answer


def change(web, uid, state, lock):
    body = Dataset()
    body.ProcedureStepState, body.TransactionUID = state, lock
    return send(web, "PUT", f"/workitems/{uid}/state", body)


def read(web, uid):
    return Dataset.from_json(web.get(f"/workitems/{uid}").json()[0])


def bring(web, uid, state):
    if state == "absent":
        return
    create(web, uid)
    if state != "SCHEDULED":
        assert change(web, uid, "IN PROGRESS", LOCK).status_code == 200
        assert send(web, "POST", f"/workitems/{uid}?{LOCK}", make_performed()).status_code == 200
    if state in ("COMPLETED", "CANCELED"):
        assert change(web, uid, state, LOCK).status_code == 200


def ask(web, uid, request):
    verb, _, which = request.partition(", ")
    lock = LOCKS.get(which, "")
    if verb == "create":
        return send(web, "POST", f"/workitems?{uid}", make_workitem())
    if verb == "ask to cancel":
        return web.post(f"/workitems/{uid}/cancelrequest")
    if verb == "set":
        return send(web, "POST", f"/workitems/{uid}" + (f"?{lock}" if lock else ""), make_progress("50"))
    return change(web, uid, STATE_WORDS[verb], lock)


@pytest.mark.parametrize(
    ("request_", "state", "cell"),
    [(row[0], state, cell) for row in ROWS for state, cell in zip(STATES, row[1:], strict=True) if cell != "-"],
)
def test_each_cell_of_the_state_table_answers_by_http_as_the_standard_says(web, uid, request_, state, cell):
    bring(web, uid, state)
    code, http = cell.split()
    answer = ask(web, uid, request_)
    assert answer.status_code == int(http), answer.text
    text = find_warning(request_, code)
    assert answer.headers.get("Warning", "") == (f"299 {web.base_url}: {text}".replace("/:", ":") if text else "")
    after = AFTER.get((request_, state), state)
    found = web.get(f"/workitems/{uid}")
    assert (found.status_code == 404) if after == "absent" else (read(web, uid).ProcedureStepState == after)


def test_what_is_created_is_at_its_location(web):
    answer = send(web, "POST", "/workitems", make_workitem())
    assert (answer.status_code, answer.content) == (201, b"")
    found = httpx.get(answer.headers["Location"])
    assert found.headers["Content-Type"] == JSON
    assert Dataset.from_json(found.json()[0]).SOPInstanceUID == answer.headers["Location"].rpartition("/")[2]


def test_what_lacks_something_is_refused_by_name_or_created_with_a_warning(web, uid):
    refused = send(web, "POST", f"/workitems?{uid}", make_workitem(ProcedureStepLabel=None))
    assert refused.status_code == 400
    assert "ProcedureStepLabel is missing" in refused.json()["detail"]
    answer = create(web, uid, PatientSex=None)
    assert answer.headers["Warning"].endswith(": The Workitem was created with modifications.")


def to_xml(dataset):
    """Written here once more, from PS3.19 A.1."""

    def add(parent, ds):
        for element in ds:
            child = ElementTree.SubElement(parent, "DicomAttribute", tag=f"{element.tag:08X}", vr=element.VR)
            values = element.value if element.VR == "SQ" or element.VM > 1 else [element.value]
            for n, value in enumerate([] if element.is_empty else values, 1):
                if element.VR == "SQ":
                    add(ElementTree.SubElement(child, "Item", number=str(n)), value)
                elif element.VR == "PN":
                    person = ElementTree.SubElement(child, "PersonName", number=str(n))
                    group = ElementTree.SubElement(person, "Alphabetic")
                    ElementTree.SubElement(group, "FamilyName").text = value.family_name
                    ElementTree.SubElement(group, "GivenName").text = value.given_name
                else:
                    ElementTree.SubElement(child, "Value", number=str(n)).text = str(value)

    root = ElementTree.Element("NativeDicomModel", xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM")
    add(root, dataset)
    return ElementTree.tostring(root)


@pytest.mark.parametrize("parts", [False, True], ids=["alone", "in a part"])
def test_xml_says_the_same_as_json_both_ways(web, uid, parts):
    request = make_workitem(PatientName="Müller^Änne", ProcedureStepLabel="a < b & c")
    body, kind = to_xml(request), XML
    if parts:
        body = b"--b\r\nContent-Type: " + XML.encode() + b"\r\n\r\n" + body + b"\r\n--b--\r\n"
        kind = f'multipart/related; type="{XML}"; boundary=b'
    answer = web.post(f"/workitems?workitem={uid}", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 201, answer.text
    found = read(web, uid)
    for element in request:
        if element.keyword != "TransactionUID":
            assert found[element.tag] == element
    shown = web.get(f"/workitems/{uid}", headers={"Accept": f'multipart/related; type="{XML}"'})
    assert shown.headers["Content-Type"].startswith(f'multipart/related; type="{XML}"')
    text = shown.content.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
    space = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
    tags = [element.get("tag") for element in ElementTree.fromstring(text).findall(f"{space}DicomAttribute")]
    assert tags == [f"{element.tag:08X}" for element in found]
    assert "a < b & c" in "".join(ElementTree.fromstring(text).itertext())
    again = text.replace(uid.encode(), f"{uid}.9".encode()).replace(b"a &lt; b", b"b &lt; a")
    again = again.replace(b"</NativeDicomModel>", b"</NativeDicomModel>")
    assert web.post(f"/workitems?{uid}.9", content=again, headers={"Content-Type": XML}).status_code == 201
    assert read(web, f"{uid}.9").ScheduledWorkitemCodeSequence == found.ScheduledWorkitemCodeSequence


def test_values_in_xml_come_in_the_order_of_their_numbers():
    text = b"""<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">
    <DicomAttribute tag="00080008" vr="CS"><Value number="2">B</Value><Value number="1">A</Value></DicomAttribute>
    <DicomAttribute tag="00200013" vr="IS"><Value number="1">7</Value></DicomAttribute>
    <DicomAttribute tag="00100010" vr="PN"><PersonName number="1"><Alphabetic><GivenName>Jane</GivenName>
    <FamilyName>Doe</FamilyName></Alphabetic><Ideographic><FamilyName>X</FamilyName></Ideographic></PersonName>
    </DicomAttribute><DicomAttribute tag="00091001" vr="OB"><InlineBinary>AAE=</InlineBinary></DicomAttribute>
    </NativeDicomModel>"""
    assert from_xml(text) == {
        "00080008": {"vr": "CS", "Value": ["A", "B"]},
        "00200013": {"vr": "IS", "Value": [7]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane", "Ideographic": "X"}]},
        "00091001": {"vr": "OB", "InlineBinary": "AAE="},
    }


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        (JSON, b"{", 400),
        (JSON, b"[]", 400),
        (JSON, b'{"00741000":{"vr":"XX","Value":[1]}}', 400),
        (JSON, b'{"nonsense":1}', 400),
        (XML, b"<a>", 400),
        (XML, b"<html/>", 400),
        (XML, b'<!DOCTYPE a [<!ENTITY b "c">]><NativeDicomModel>&b;</NativeDicomModel>', 400),
        ("text/plain", b"{}", 415),
        ('multipart/related; type="application/dicom+xml"', b"", 400),
    ],
)
def test_a_body_that_is_no_workitem_is_refused(web, kind, body, status):
    answer = web.post("/workitems", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_search_finds_by_key_says_nothing_with_204_and_gives_pages(web, uid):
    for number in range(7):
        create(web, f"{uid}.{number}", WorklistLabel=f"ward {uid}")
    whole = web.get("/workitems", params={"WorklistLabel": f"ward {uid}"})
    assert (whole.status_code, len(whole.json())) == (200, 5)
    assert "Additional results" in whole.headers["Warning"]
    asked = {"00741202": f"ward {uid}", "limit": 3}
    pages = [web.get("/workitems", params=asked | {"offset": at}) for at in (0, 3, 6)]
    found = [one["00080018"]["Value"][0] for page in pages for one in page.json()]
    assert found == [f"{uid}.{number}" for number in range(7)]
    assert "Warning" not in pages[0].headers
    nothing = web.get("/workitems", params={"WorklistLabel": "nowhere"})
    assert (nothing.status_code, nothing.content) == (204, b"")
    assert web.get("/workitems", params={"ScheduledProcedureStepStartDateTime": "soon"}).status_code == 400
    assert web.get("/workitems", params={"NoKeyword": "1"}).status_code == 400
    assert web.get("/workitems", headers={"Accept": "text/html"}).status_code == 406


# Notifications


def subscribe(web, uid, name, **parameters):
    answer = web.post(f"/workitems/{uid}/subscribers/{name}", params=parameters)
    assert answer.status_code == 201, answer.text
    return answer.headers["Content-Location"]


def hear(socket, number):
    frames = [json.loads(socket.recv(timeout=20)) for _ in range(number)]
    return [(f["00001002"]["Value"][0], f.get("00741000", {}).get("Value", [""])[0]) for f in frames]


def test_a_subscriber_hears_by_websocket_what_happens_to_a_workitem(web, uid):
    create(web, uid)
    address = subscribe(web, uid, "WATCHER1")
    assert address == str(web.base_url).replace("http", "ws") + "subscribers/WATCHER1"
    with connect(address) as socket:
        assert hear(socket, 1) == [(1, "SCHEDULED")]
        change(web, uid, "IN PROGRESS", LOCK)
        send(web, "POST", f"/workitems/{uid}?{LOCK}", make_progress("40"))
        frames = [json.loads(socket.recv(timeout=20)) for _ in range(2)]
        assert frames[0]["00001000"]["Value"] == [uid]
        assert frames[0]["00000002"]["Value"] == ["1.2.840.10008.5.1.4.34.6.1"]
        progress = Dataset.from_json({"00741002": frames[1]["00741002"]}).ProcedureStepProgressInformationSequence[0]
        assert (progress.ProcedureStepProgress, progress.ProcedureStepProgressDescription) == (40, "segmenting")
        web.post(f"/workitems/{uid}/cancelrequest")
        assert hear(socket, 1) == [(2, "")]


def test_whoever_is_behind_what_is_remembered_hears_it_all_the_same_once_and_in_order(web, uid, monkeypatch):
    monkeypatch.setattr(news, "KEPT", 2)
    create(web, uid)
    channels = [subscribe(web, uid, f"MANY{number}") for number in range(3)]
    wanted = [(1, "SCHEDULED"), (1, "IN PROGRESS"), *[(3, "")] * 6]
    with connect(channels[0]) as early, connect(channels[1]) as other:
        assert hear(early, 1) == hear(other, 1) == wanted[:1]
        change(web, uid, "IN PROGRESS", LOCK)
        for percent in range(6):
            send(web, "POST", f"/workitems/{uid}?{LOCK}", make_progress(str(percent)))
        assert hear(early, 7) == hear(other, 7) == wanted[1:]
        with connect(channels[2]) as late:
            assert hear(late, 8) == wanted
            change(web, uid, "CANCELED", LOCK)
            for socket in (early, other, late):
                assert hear(socket, 1) == [(1, "CANCELED")]


def test_what_was_sent_counts_as_told_once_the_connection_has_lived_long_enough(web, service, uid, monkeypatch):
    monkeypatch.setattr(channel, "LINGER", 0.0)
    monkeypatch.setattr(channel, "SETTLE", 0.1)
    create(web, uid)
    addresses = [subscribe(web, uid, f"TOLD{number}") for number in range(2)]
    worklist = Worklist(service.settings.node.home)
    with connect(addresses[0]) as socket:
        assert hear(socket, 1) == [(1, "SCHEDULED")]
        assert wait_until(lambda: worklist.find_notices("TOLD0") == [])
        assert len(worklist.find_notices("TOLD1")) == 1
    worklist.close()


def test_what_a_broken_connection_was_told_is_told_again_and_what_was_heard_is_not(web, service, uid):
    create(web, uid)
    address = subscribe(web, uid, "WATCHER2")
    change(web, uid, "IN PROGRESS", LOCK)
    with connect(address) as broken:
        assert hear(broken, 2) == [(1, "SCHEDULED"), (1, "IN PROGRESS")]
        broken.socket.shutdown(2)
    with connect(address) as socket:
        assert hear(socket, 2) == [(1, "SCHEDULED"), (1, "IN PROGRESS")]
    worklist = Worklist(service.settings.node.home)
    assert wait_until(lambda: worklist.find_notices("WATCHER2") == [])
    worklist.close()
    change(web, uid, "CANCELED", LOCK)
    with connect(address) as socket:
        assert hear(socket, 1) == [(1, "CANCELED")]


def test_who_subscribes_to_everything_or_to_what_keys_match_hears_of_new_ones(web, uid):
    subscribe(web, GLOBAL, "ALL")
    subscribe(web, FILTERED, "SOME", filter=f"WorklistLabel=a{uid},00741200=HIGH", deletionlock="true")
    label = {"WorklistLabel": f"a{uid}"}
    create(web, f"{uid}.1", **label)
    create(web, f"{uid}.2", ScheduledProcedureStepPriority="HIGH", **label)
    root = str(web.base_url).replace("http", "ws")
    with connect(f"{root}subscribers/SOME") as some, connect(f"{root}subscribers/ALL") as everything:
        assert json.loads(some.recv(timeout=20))["00001000"]["Value"] == [f"{uid}.2"]
        assert [json.loads(everything.recv(timeout=20))["00001000"]["Value"][0] for _ in "12"] == [
            f"{uid}.1",
            f"{uid}.2",
        ]
    assert web.post(f"/workitems/{FILTERED}/subscribers/SOME/suspend").status_code == 200
    assert web.post(f"/workitems/{FILTERED}/subscribers/SOME/suspend").status_code == 404
    assert web.delete(f"/workitems/{GLOBAL}/subscribers/ALL").status_code == 200
    assert web.delete(f"/workitems/{GLOBAL}/subscribers/ALL").status_code == 404
    assert web.delete(f"/workitems/{uid}.2/subscribers/SOME").status_code == 200
    assert web.post(f"/workitems/{uid}.2/subscribers/SOME/suspend").status_code == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/workitems/{FILTERED}/subscribers/A", 400),
        (f"/workitems/{FILTERED}/subscribers/A?filter=NoKeyword=1", 400),
        (f"/workitems/{GLOBAL}/subscribers/A?deletionlock=perhaps", 400),
        (f"/workitems/{GLOBAL}/subscribers/TOO_LONG_FOR_AN_AE_TITLE", 400),
        ("/workitems/1.2.3.99/subscribers/A", 404),
        ("/workitems/nonsense/subscribers/A", 400),
    ],
)
def test_a_subscription_that_cannot_be_is_refused(web, path, status):
    assert web.post(path).status_code == status


# Performers, and who may


def test_two_performers_who_race_for_a_hundred_workitems_never_claim_one_twice(web, service, uid):
    for number in range(100):
        create(web, f"{uid}.{number}")

    def perform(lock):
        with httpx.Client(base_url=service.url + "/dicom-web", timeout=20) as own:
            answers = {n: change(own, f"{uid}.{n}", "IN PROGRESS", lock).status_code for n in range(100)}
        return {number for number, status in answers.items() if status == 200}

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(perform, ["2.25.1", "2.25.2"])
    assert first | second == set(range(100))
    assert not first & second


def test_the_capabilities_name_every_transaction(web):
    text = web.request("OPTIONS", "/").text
    for name in ("CreateWorkitem", "SearchForWorkitems", "ChangeWorkitemState", "OpenNotificationConnection"):
        assert f'id="{name}"' in text


def test_who_may_only_look_neither_creates_nor_claims_and_strangers_do_not_listen(tmp_path):
    with Service(tmp_path, web={"anonymous": "viewer"}) as service:
        assert service.ask("GET", SCHEDULE)[0] == 204
        assert service.ask("POST", SCHEDULE, dump(make_workitem()), {"Content-Type": JSON})[0] == 403
        assert service.ask("PUT", f"{SCHEDULE}/1.2.3/state", b"{}", {"Content-Type": JSON})[0] == 403
        address = service.url.replace("http", "ws")
        with connect(f"{address}/dicom-web/subscribers/READER"):
            pass
        for path, headers in (
            ("/", {}),
            ("/dicom-web/subscribers/READER", {"Authorization": "Bearer wrong"}),
            ("/dicom-web/subscribers/READER", {"Origin": "https://elsewhere.test"}),
            ("/dicom-web/subscribers/TOO_LONG_FOR_AN_AE_TITLE", {}),
        ):
            with pytest.raises(InvalidStatus) as refused, connect(address + path, additional_headers=headers):
                pass
            assert refused.value.response.status_code == 403


def test_a_station_of_the_workitem_is_a_key(web, uid):
    create(web, uid, ScheduledStationNameCodeSequence=[make_code(f"R{uid}"[:16])])
    path = {"ScheduledStationNameCodeSequence.CodeValue": f"R{uid}"[:16]}
    assert len(web.get("/workitems", params=path).json()) == 1
