"""Every line of the conformance statement's tables, negotiated with the real door; an instance of every kind sent."""

import re
import struct
import time
import zlib
from itertools import islice, product
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, UID_dictionary, generate_uid
from pynetdicom import AE, build_context, build_role
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation, UserIdentityNegotiation

from node import wiring
from node.config import load_settings
from node.ledger import SqlLedger
from node.services import ROLES
from tests.flow.wire import Wire
from tests.ports import free_port

PAGE = Path(__file__).resolve().parents[3] / "docs/conformance.md"
MOST = 128
"""Presentation contexts of one association: odd identifiers from 1 to 255 (PS3.8 9.3.2.2)."""

IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
PLAIN = {IMPLICIT, BIG_ENDIAN, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian}
DEFLATED = {DeflatedExplicitVRLittleEndian, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"}
"""The whole data set is deflated (PS3.5 A.5, and of the JPIP syntaxes those named Deflate)."""

TOML = """
[node]
listen = "127.0.0.1:{port}"
home = "home"
[listen]
unknown_callers = "none"
[peers.scanner]
ae_title = "SCANNER"
address = "127.0.0.1:1"
send = true
workitems = true
perform = {{ how = "subscribe", by = "dicom" }}
"""


def read_table(heading):
    """{UID: the cells after it} of the table below `heading`."""
    section = PAGE.read_text("utf-8").split(f"#### {heading}\n")[1].split("\n#")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return {row[1].strip("`"): row[2:] for row in rows[2:]}


CLASSES = read_table("Storage classes")
SYNTAXES = read_table("Transfer syntaxes for storage")
SERVICES = read_table("Other services")


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    folder = tmp_path_factory.mktemp("node")
    port = free_port()
    (folder / "wetread.toml").write_text(TOML.format(port=port))
    settings = load_settings(folder / "wetread.toml", {})
    listener = wiring.make_listener(settings)
    listener.start()
    ledger = SqlLedger(settings.ledger_url)
    yield ("127.0.0.1", port), ledger, Path(settings.spool)
    listener.stop()
    ledger.close()


def in_groups(items, most=MOST):
    """Lists of as many as one association takes."""
    rest = iter(items)
    return iter(lambda: list(islice(rest, most)), [])


def propose(address, contexts, roles=()):
    association = AE("SCANNER").associate(*address, contexts=contexts, ae_title="WETREAD", ext_neg=list(roles))
    assert association.is_established
    association.release()
    return association


def test_the_page_has_the_tables_that_are_negotiated_here():
    assert len(CLASSES) > 150
    assert len(SYNTAXES) > 30
    assert SERVICES.keys() == ROLES.keys()
    assert {UID(uid).type for uid in SYNTAXES} == {"Transfer Syntax"}


def test_every_storage_class_is_accepted_in_every_transfer_syntax(door):
    address, _, _ = door
    for pairs in in_groups(product(CLASSES, SYNTAXES)):
        association = propose(address, [build_context(*pair) for pair in pairs])
        accepted = [(c.abstract_syntax, *c.transfer_syntax) for c in association.accepted_contexts]
        assert accepted == pairs


def test_the_other_services_are_accepted_in_the_syntaxes_and_roles_of_the_page(door):
    address, _, _ = door
    names = {UID(uid).name: uid for uid in SYNTAXES}
    for uid, (roles, syntaxes) in SERVICES.items():
        contexts = [build_context(uid, names[name]) for name in syntaxes.split(", ")]
        association = propose(address, contexts)
        assert [c.transfer_syntax for c in association.accepted_contexts] == [c.transfer_syntax for c in contexts]
        turned = propose(address, contexts, [build_role(uid, scu_role=False, scp_role=True)])
        assert all(c.as_scp for c in turned.accepted_contexts) == ("SCU" in roles)


def test_what_is_not_on_the_page_is_refused(door):
    address, _, _ = door
    known = {*CLASSES, *SERVICES}
    others = [uid for uid, entry in UID_dictionary.items() if "SOP Class" in entry[1] and uid not in known]
    assert len(others) > 100
    strange = [build_context(next(iter(CLASSES)), uid) for uid in ("1.2.840.113619.5.2", "1.2.840.10008.1.2.6.2")]
    echo = build_context("1.2.840.10008.1.1")  # one that is accepted: without any pynetdicom aborts
    for contexts in in_groups([build_context(uid) for uid in others] + strange, MOST - 1):
        association = propose(address, [*contexts, echo])
        assert [c.abstract_syntax for c in association.accepted_contexts] == [echo.abstract_syntax]


def test_the_door_introduces_itself_as_the_page_says(door):
    address, _, _ = door
    window, identity = AsynchronousOperationsWindowNegotiation(), UserIdentityNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 5
    identity.user_identity_type, identity.primary_field = 1, b"somebody"
    identity.positive_response_requested = True
    association = propose(address, [build_context("1.2.840.10008.1.1")], [window, identity])
    told = association.acceptor
    policies = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", PAGE.read_text("utf-8"), re.M))
    assert policies["Implementation Class UID"].startswith(f"`{told.implementation_class_uid}`")
    assert policies["Implementation Version Name"].startswith(f"`{told.implementation_version_name}`")
    assert policies["Maximum Length received"].startswith(f"{told.maximum_length} as acceptor")
    assert len(told.primitive.user_information) == 3  # so neither operations window nor identity is answered


def encode(sop_class, instance_uid, syntax):
    """A data set in `syntax`: its identity, some text, a private element, and bytes that stand for pixels."""
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = sop_class, instance_uid
    image.PatientID, image.StudyInstanceUID, image.SeriesInstanceUID = "P-1", "1.2.3.1", "1.2.3.2"
    image.private_block(0x0009, "TESTMAKER", create=True).add_new(1, "LO", "kept too")
    image.PixelData = bytes(range(256)) if syntax in PLAIN else encapsulate([bytes(range(256))])
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = syntax not in PLAIN
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = syntax == IMPLICIT, syntax != BIG_ENDIAN
    write_dataset(stream, image)
    return deflate(stream.getvalue()) if syntax in DEFLATED else stream.getvalue()


def deflate(data):
    squeezer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = squeezer.compress(data) + squeezer.flush()
    return packed + b"\0" * (len(packed) % 2)


def read_kept(ledger, spool, instance_uid):
    """(Transfer Syntax UID, data set) of the file that is kept; its row may come a moment after the answer."""
    patience = time.monotonic() + 5
    while (instance := ledger.find_instance(instance_uid)) is None and time.monotonic() < patience:
        time.sleep(0.02)
    data = (spool / instance.path).read_bytes()
    (meta_length,) = struct.unpack_from("<I", data, 140)
    return instance.transfer_syntax_uid, data[144 + meta_length :]


def check_kept(door, kinds):
    """Sends an instance of each (storage class, transfer syntax), byte for byte as `encode` made it."""
    address, ledger, spool = door
    sent = []
    for some in in_groups(kinds):
        with Wire(address) as wire:
            wire.associate([(sop_class, (syntax,)) for sop_class, syntax in some], calling="SCANNER")
            for number, (sop_class, syntax) in enumerate(some):
                instance_uid = generate_uid()
                body = encode(sop_class, instance_uid, syntax)
                assert wire.store(instance_uid, body, sop_class, context=2 * number + 1) == 0x0000, (sop_class, syntax)
                sent.append((instance_uid, syntax, body))
            wire.release()
    for instance_uid, syntax, body in sent:
        assert read_kept(ledger, spool, instance_uid) == (syntax, body), syntax


def test_an_instance_of_every_storage_class_is_kept_byte_for_byte(door):
    check_kept(door, [(sop_class, ExplicitVRLittleEndian) for sop_class in CLASSES])


def test_an_instance_in_every_transfer_syntax_is_kept_byte_for_byte(door):
    check_kept(door, [("1.2.840.10008.5.1.4.1.1.7", syntax) for syntax in SYNTAXES])
