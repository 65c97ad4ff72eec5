"""STOW-RS to a server that takes everything, refuses, is busy, does not know us, talks nonsense or hangs."""

import logging
import subprocess
import time

import pytest

from node.model.delivery import DeliveryState
from node.model.job import State
from tests.node.outbound.house import House, lose_one
from tests.node.outbound.test_substitutes import BINARY, LABELMAP, REPORT
from tests.node.outbound.web_server import WebArchive, open_web, stored

SECRET = "s3cret-of-the-archive"


def make_house(folder, root, slices=3, web=None, confirm="none", **deliver):
    section = {"dicomweb": root, "confirm": confirm, "web": web or {}}
    return House(folder, {"pacs": section}, slices=slices, **{"answer_wait": "PT20S"} | deliver)


def tick(house, times=1):
    for _ in range(times):
        house.deliverers["pacs"].tick(time.time() + 3600)


def test_what_the_server_holds_is_byte_for_byte_what_lies_in_the_outbox(tmp_path):
    archive = WebArchive()
    with open_web(archive) as root:
        house = make_house(tmp_path, root, slices=25, confirm="query")
        house.run_until(lambda: house.state() == State.CONFIRMED)
    for item in house.ledger.find_objects(house.ids[0]):
        assert archive.held[item.sop_instance_uid] == (house.settings.outbox / item.path).read_bytes()
    posts = [headers for method, path, headers in archive.requests if method == "POST" and path.endswith("/studies")]
    assert len(posts) == 2
    assert all("Transfer-Encoding" not in headers for headers in posts)
    assert {d.answer for d in house.deliveries()} == {"found by query"}


def test_each_instance_has_its_own_answer(tmp_path):
    def answer(uids):
        return 202, stored(uids[:2] + uids[4:], {uids[2]: 0x0124, uids[3]: 0xA700}, {uids[1]: 0xB006})

    with open_web(WebArchive(answer)) as root:
        house = make_house(tmp_path, root, slices=4)
        tick(house)
    found = house.deliveries()
    assert [d.state for d in found] == [
        DeliveryState.KEPT,
        DeliveryState.KEPT,
        DeliveryState.REFUSED,
        DeliveryState.PENDING,
    ]
    assert "0xB006" in found[1].note
    assert "0x0124 (not authorized)" in found[2].answer
    assert "0xA700" in found[3].answer


@pytest.mark.parametrize(
    ("answer", "state", "told"),
    [
        ((200, b""), DeliveryState.KEPT, "confirmation not asked for"),
        ((200, b"<html>please log in</html>"), DeliveryState.PENDING, "cannot be read"),
        ((200, b"[1, 2"), DeliveryState.PENDING, "cannot be read"),
        ((202, b""), DeliveryState.PENDING, "cannot be read"),
        ((400, b"no"), DeliveryState.REFUSED, "HTTP 400"),
        ((409, b"conflict"), DeliveryState.REFUSED, "HTTP 409"),
        ((413, b""), DeliveryState.REFUSED, "HTTP 413"),
        ((429, b""), DeliveryState.PENDING, "HTTP 429"),
        ((500, b"oops"), DeliveryState.PENDING, "HTTP 500"),
        ((507, b""), DeliveryState.PENDING, "HTTP 507"),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else None,
)
def test_an_answer_without_a_word_on_each_instance_holds_for_all(tmp_path, answer, state, told):
    with open_web(WebArchive(lambda _uids: answer)) as root:
        house = make_house(tmp_path, root)
        tick(house)
    assert {d.state for d in house.deliveries()} == {state}
    assert all(told in d.answer for d in house.deliveries())
    assert not house.circuit().is_open


def test_what_a_proxy_takes_one_by_one_only_is_sent_one_by_one(tmp_path):
    archive = WebArchive(lambda uids: (413, b"too large") if len(uids) > 1 else (200, stored(uids)))
    with open_web(archive) as root:
        house = make_house(tmp_path, root, slices=5)
        tick(house)
    assert {d.state for d in house.deliveries()} == {DeliveryState.KEPT}
    assert {d.attempts for d in house.deliveries()} == {1}
    assert len(archive.bodies) == 1 + 5


@pytest.mark.parametrize("status", [400, 409, 415])
def test_one_object_that_a_server_refuses_without_naming_it_takes_no_other_along(tmp_path, status):
    archive = WebArchive()
    with open_web(archive) as root:
        house = make_house(tmp_path, root, slices=4)
        bad = house.deliveries()[2].object.sop_instance_uid
        archive.answer = lambda uids: (status, b"no") if bad in uids else (200, stored(uids))
        tick(house)
    kept, refused = DeliveryState.KEPT, DeliveryState.REFUSED
    assert [d.state for d in house.deliveries()] == [kept, kept, refused, kept]
    assert f"HTTP {status}" in house.deliveries()[2].answer


def test_a_server_that_goes_away_between_the_single_ones_is_asked_for_the_rest_later(tmp_path):
    archive = WebArchive()
    taken = []

    def answer(uids):
        if len(uids) > 1:
            return 413, b""
        taken.extend(uids)
        return (200, stored(uids)) if len(taken) < 3 else (503, b"")

    archive.answer = answer
    with open_web(archive) as root:
        house = make_house(tmp_path, root, slices=4)
        tick(house)
        assert len(house.deliveries(states=[DeliveryState.PENDING])) == 2
        archive.answer = lambda uids: (200, stored(uids))
        tick(house)
        tick(house)
    assert {d.state for d in house.deliveries()} == {DeliveryState.KEPT}


@pytest.mark.parametrize("reason", [0x0111, 0x0122])
def test_a_conflict_that_names_the_instances_is_read(tmp_path, reason):
    with open_web(WebArchive(lambda uids: (409, stored([], dict.fromkeys(uids, reason))))) as root:
        house = make_house(tmp_path, root)
        tick(house)
    expected = DeliveryState.KEPT if reason == 0x0111 else DeliveryState.REFUSED
    assert {d.state for d in house.deliveries()} == {expected}


@pytest.mark.parametrize("status", [301, 401, 403, 404, 502, 503, 504])
def test_a_server_that_says_nothing_of_the_instances_opens_the_circuit(tmp_path, status):
    archive = WebArchive(lambda _uids: (status, b""))
    with open_web(archive) as root:
        house = make_house(tmp_path, root)
        tick(house, 3)
        assert house.circuit().is_open
        assert f"HTTP {status}" in house.circuit().answer
        assert {d.state for d in house.deliveries()} == {DeliveryState.PENDING}
        archive.answer = lambda uids: (200, stored(uids))
        tick(house, 2)
    assert house.state() == State.CONFIRMED
    assert not house.circuit().is_open


def test_a_server_that_hangs_is_left_after_a_while(tmp_path):
    archive = WebArchive()
    archive.answer = lambda uids: archive.quit.wait(20) and (200, stored(uids))
    with open_web(archive) as root:
        house = make_house(tmp_path, root, answer_wait="PT0.3S")
        start = time.monotonic()
        tick(house)
        assert time.monotonic() - start < 5
    assert "ReadTimeout" in house.circuit().answer
    assert {d.attempts for d in house.deliveries()} == {1}


@pytest.mark.parametrize("is_known", [True, False], ids=["series in the ledger", "series unknown"])
def test_a_file_that_is_gone_keeps_nobody_from_being_confirmed(tmp_path, is_known):
    archive = WebArchive()
    archive.listed = lambda _uid: True
    with open_web(archive) as root:
        house = make_house(tmp_path, root, slices=2, confirm="query")
        lose_one(house, is_known)
        tick(house)
    lost, other = (d.state for d in house.deliveries())
    assert (lost, other) == (DeliveryState.KEPT if is_known else DeliveryState.SENT, DeliveryState.KEPT)
    assert is_known or "cannot be asked" in house.deliveries()[0].answer


def test_what_qido_does_not_list_is_sent_again(tmp_path):
    archive = WebArchive()
    with open_web(archive) as root:
        house = make_house(tmp_path, root, slices=1, confirm="query")
        archive.listed = lambda _uid: len(archive.bodies) > 1
        house.run_until(lambda: house.state() == State.CONFIRMED)
    assert len(archive.bodies) == 2


@pytest.mark.parametrize("way", ["token_file", "token_variable", "password_file", "password_variable"])
def test_credentials_come_from_where_they_are_and_are_never_shown(tmp_path, way, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, "node")
    (tmp_path / "secret").write_text(SECRET + "\n")
    monkeypatch.setenv("ARCHIVE_SECRET", SECRET)
    web = {way: str(tmp_path / "secret") if way.endswith("file") else "ARCHIVE_SECRET"}
    web |= {"user": "wetread"} if way.startswith("password") else {}
    archive = WebArchive(lambda _uids: (401, b""))
    with open_web(archive) as root:
        house = make_house(tmp_path, root, web=web)
        tick(house)
    shown = archive.requests[0][2]["Authorization"]
    assert shown == f"Bearer {SECRET}" if way.startswith("token") else shown.startswith("Basic ")
    told = f"{caplog.text}{house.deliveries()}{house.circuit()}{house.settings.model_dump_json()}"
    assert SECRET not in told
    assert "does it know us?" in told


def test_a_secret_that_is_not_there_is_named_by_its_key(tmp_path):
    with open_web(WebArchive()) as root:
        house = make_house(tmp_path, root, web={"token_variable": "NOT_SET_ANYWHERE"})
        tick(house)
    assert house.circuit().answer == "web.token_variable NOT_SET_ANYWHERE holds no token"


def make_certificates(folder):
    """A certificate authority and one certificate for 127.0.0.1 that serves both sides."""

    def ask(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    ask("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=CA", "-keyout", "ca.key", "-out", "ca.pem")
    name = ("-addext", "subjectAltName=IP:127.0.0.1")
    ask("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=one", *name, "-keyout", "one.key", "-out", "one.csr")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copy")
    ask("x509", "-req", "-in", "one.csr", *signed, "-out", "one.pem")


def test_a_server_is_believed_by_its_authority_and_shown_our_certificate(tmp_path):
    import ssl

    make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "one.pem", tmp_path / "one.key")
    context.load_verify_locations(tmp_path / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    ours = {"certificate": str(tmp_path / "one.pem"), "key": str(tmp_path / "one.key")}
    with open_web(WebArchive(), context) as root:
        stranger = make_house(tmp_path / "a", root, web=ours)
        tick(stranger)
        assert "CERTIFICATE_VERIFY_FAILED" in stranger.circuit().answer
        known = make_house(tmp_path / "b", root, web=ours | {"authorities": str(tmp_path / "ca.pem")})
        tick(known)
        assert known.state() == State.CONFIRMED
        unnamed = make_house(tmp_path / "c", root, web={"authorities": str(tmp_path / "ca.pem")})
        tick(unnamed)
        assert unnamed.state() == State.ENCODED


def test_a_large_object_is_never_whole_in_memory(tmp_path):
    import tracemalloc

    from node.outbound.stow import make_body

    path = tmp_path / "large.dcm"
    with path.open("wb") as file:
        file.truncate(200 << 20)
    tracemalloc.start()
    length, chunks = make_body([path, path], "b")
    assert sum(len(chunk) for chunk in chunks) == length
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_a_server_that_refuses_label_maps_gets_binary(tmp_path):
    from node.ledger import SqlLedger
    from node.outbound.confirm import settle_jobs
    from node.outbound.outbox import put_objects
    from tests.jobs import JOB, add_job
    from tests.series import make_series

    archive = WebArchive()
    with open_web(archive) as root:
        house = House(tmp_path, {"pacs": {"dicomweb": root}}, jobs=0)
        ledger = SqlLedger(house.settings.ledger_url)
        add_job(ledger)
        datasets = make_series((4, 4, 4))
        for dataset, sop_class in zip(datasets, (LABELMAP, REPORT, BINARY, REPORT), strict=True):
            dataset.SOPClassUID = sop_class
        uids = [str(dataset.SOPInstanceUID) for dataset in datasets]
        archive.answer = lambda sent: (409, stored([], {uids[0]: 0x0122})) if sent == [uids[0]] else (200, stored(sent))
        objects = put_objects(house.settings.outbox, JOB.id, datasets, {uids[0]: uids[2], uids[1]: uids[3]})
        job = ledger.claim_job(JOB.id, "w", time.time() + 60, time.time())
        ledger.move_job(job, State.ENCODED, time.time(), "encode", objects=objects, shares={"pacs": uids[:2]})
        tick(house, 2)
        settle_jobs(ledger)
    assert list(archive.held) == uids[2:]
    assert ledger.get_job(JOB.id).state == State.CONFIRMED
