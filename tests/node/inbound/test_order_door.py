"""The door for orders: what is answered AA is kept, and neither odd framing nor a flood does harm."""

import logging
import os
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import hl7
import pytest
from hl7apy.parser import parse_message

from node import wiring
from node.config import Settings
from node.errors import ConfigError
from node.orders.book import OrderBook
from node.orders.patients import PatientBook
from tests.certificates import make_certificates
from tests.ports import free_port
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
NAME = "Doe^Jane"
PID = "PID|1||P-1^^^HOSP||Doe^Jane||19600229|F"


def order(number="A-17", control_id="77", kind="ORM^O01"):
    head = f"MSH|^~\\&|RIS|H|WETREAD|W|20240101120000||{kind}|{control_id}|P|2.5"
    return f"{head}\r{PID}\rORC|NW|PL1|F1\rOBR|1|PL1|F1|CT^CT chest^L{'|' * 14}{number}\r".encode()


def frame(text):
    return b"\x0b" + text + b"\x1c\r"


class Door:
    """Open on a port of its own. rules: of [hl7]."""

    def __init__(self, folder, **rules):
        self.port = free_port()
        hl7_rules = {"listen": f"127.0.0.1:{self.port}"} | rules
        self.settings = Settings.model_validate({"node": {"home": folder / "home"}, "hl7": hl7_rules})
        self.book = OrderBook(self.settings.order_book)

    @contextmanager
    def open(self):
        stop = Event()
        thread = Thread(target=wiring.make_order_door(self.settings).run, args=(stop,))
        thread.start()
        assert wait_until(self._answers)
        try:
            yield self
        finally:
            stop.set()
            thread.join()

    def _answers(self):
        """And has forgotten who asked."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as line:
                line.shutdown(socket.SHUT_WR)
                return is_closed(line)
        except OSError:
            return False

    def call(self):
        return socket.create_connection(("127.0.0.1", self.port), 20)

    def tell(self, *texts):
        """What is answered to each of `texts`, sent at once on one connection."""
        with self.call() as line:
            line.sendall(b"".join(map(frame, texts)))
            return [read_answer(line) for _ in texts]


def read_answer(line):
    block = b""
    while not block.endswith(b"\x1c\r"):
        piece = line.recv(1)
        if not piece:
            raise EOFError(block)
        block += piece
    parse_message(block[1:-2].decode()).validate()
    return hl7.parse(block[1:-2].decode())


def verdict(answer):
    return str(answer.segment("MSA")[1]), str(answer.segment("MSA")[2])


@pytest.fixture
def make_door(tmp_path):
    return lambda **rules: Door(tmp_path, **rules)


def test_an_order_is_kept_before_it_is_acknowledged(make_door):
    with make_door().open() as door:
        (answer,) = door.tell(order())
        assert verdict(answer) == ("AA", "77")
        assert str(answer.segment("MSH")[9]) == "ACK^O01^ACK"
        assert (str(answer.segment("MSH")[3]), str(answer.segment("MSH")[5])) == ("WETREAD", "RIS")
        found = door.book.find("A-17")
        assert (found.filler_order_number, found.patient_id, found.source) == ("F1", "P-1", "hl7")


def test_messages_in_pieces_several_at_once_and_with_garbage_between_are_all_taken(make_door):
    with make_door().open() as door, door.call() as line:
        line.sendall(b"\r\n\x1cnoise" + frame(order("A-1", "1")) + b"more noise\r\n" + frame(order("A-2", "2")))
        for place, byte in enumerate(frame(order("A-3", "3"))):
            line.sendall(bytes([byte]))
            if place % 50 == 0:
                time.sleep(0.001)
        line.sendall(b"\x0bMSH|^~\\&|broken off" + b"\x0bMSH|again" + frame(order("A-4", "4")))
        line.sendall(frame(order("A-5", "5"))[:-1])  # without the last <CR>
        assert [verdict(read_answer(line)) for _ in range(5)] == [("AA", str(n)) for n in range(1, 6)]
        assert all(door.book.find(f"A-{n}") for n in range(1, 6))


def test_a_merge_moves_orders_and_an_update_is_kept(make_door):
    head = "MSH|^~\\&|RIS|H|||2024||{}|{}|P|2.5\rEVN||2024\r"
    merge = (head.format("ADT^A40^ADT_A39", "9") + "PID|1||P-2\rMRG|P-1\r").encode()
    update = (head.format("ADT^A08^ADT_A01", "10") + PID.replace("Doe", "Roe") + "\r").encode()
    with make_door().open() as door:
        answers = door.tell(order(), merge, update)
        assert [verdict(answer)[0] for answer in answers] == ["AA"] * 3
        assert door.book.find("A-17").patient_id == "P-2"
        assert PatientBook(door.book).find("P-2").name == "Roe^Jane"


@pytest.mark.parametrize(
    ("text", "said", "code"),
    [
        (order(kind="ORU^R01"), "AR", "200"),
        (order(kind="ADT^A01"), "AR", "201"),
        (order().replace(b"|2.5\r", b"|3\r"), "AR", "203"),
        (order(number=""), "AE", "101"),
        (order().replace(b"|P|2.5\r", b"|P|2.5|||AL|NE\r").replace(b"ORM", b"XXX"), "CR", "200"),
    ],
)
def test_what_is_not_read_is_answered_with_a_code_and_a_place(make_door, text, said, code):
    with make_door().open() as door:
        (answer,) = door.tell(text)
        assert verdict(answer) == (said, "77")
        error = answer.segment("ERR")
        assert str(error[3]).startswith(f"{code}^")
        assert str(error[4]) == "E"
        assert str(error[2]).split("^")[0] in {"MSH", "OBR"}
        assert "P-1" not in str(error) and "Doe" not in str(error)


def test_what_cannot_be_kept_is_not_acknowledged_as_kept(make_door, monkeypatch):
    def fail(*_):
        raise sqlite3.OperationalError("database or disk is full: Doe^Jane")

    with make_door().open() as door:
        monkeypatch.setattr(OrderBook, "keep", fail)
        (answer,) = door.tell(order())
        assert verdict(answer)[0] == "AE"
        assert str(answer.segment("ERR")[3]).startswith("207^")


def test_a_fault_of_ours_is_told_and_its_words_are_not(make_door, monkeypatch, caplog):
    def fail(*_):
        raise KeyError(NAME)

    monkeypatch.setattr(OrderBook, "keep", fail)
    with make_door().open() as door:
        assert [verdict(answer)[0] for answer in door.tell(order(), order())] == ["AE", "AE"]
    assert "Doe" not in caplog.text
    assert "KeyError" in caplog.text


def is_closed(line):
    line.settimeout(20)
    try:
        return line.recv(1) == b""
    except ConnectionResetError:
        return True


def test_no_message_one_too_long_and_silence_end_a_connection_and_no_other(make_door):
    with make_door(max_message_kb=4, idle_timeout="PT0.5S", message_timeout="PT0.5S").open() as door:
        for bytes_sent in (frame(b"hello"), b"\x0b" + b"x" * 20_000, b"y" * 20_000, b"\x0bMSH|", b""):
            with door.call() as line:
                line.sendall(bytes_sent)
                assert is_closed(line), bytes_sent[:10]
        assert verdict(door.tell(order())[0])[0] == "AA"


def test_so_many_connections_and_no_more(make_door):
    with make_door(max_connections=2).open() as door, door.call() as first, door.call() as second:
        first.sendall(frame(order("A-1", "1")))
        second.sendall(frame(order("A-2", "2")))
        assert verdict(read_answer(first))[0] == verdict(read_answer(second))[0] == "AA"
        with door.call() as third:
            assert is_closed(third)


def test_who_is_in_none_of_the_networks_is_not_heard(make_door):
    with make_door(senders=["10.1.0.0/16"]).open() as door, door.call() as line:
        assert is_closed(line)
        assert door.book.find("A-17") is None


def test_nothing_of_a_message_is_logged(make_door, caplog):
    broken = order().replace(b"Doe", b"Do\\Zz\\e\\").replace(b"|F1\r", b"|F1\\XQQ\\\r")
    with caplog.at_level(logging.DEBUG), make_door().open() as door:
        door.tell(order(), order(number=""), order(kind="ADT^A99"), broken)
        with door.call() as line:
            line.sendall(frame(b"MSH|P-1 Doe") + frame(b"Doe"))
            while line.recv(1000):
                pass
    for secret in ("Doe", "P-1", "A-17", "PL1", "19600229"):
        assert secret not in caplog.text


def test_by_tls_only_whom_the_authorities_signed_is_heard(make_door, tmp_path):
    make_certificates(tmp_path)
    files = {"certificate": tmp_path / "ours.pem", "key": tmp_path / "ours.key", "authorities": tmp_path / "ours.pem"}
    door = make_door(tls=files)
    with door.open():
        for name, welcome in (("ours", True), ("stranger", False)):
            context = ssl.create_default_context(cafile=tmp_path / "ours.pem")
            context.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
            try:
                with context.wrap_socket(door.call(), server_hostname="127.0.0.1") as line:
                    line.sendall(frame(order()))
                    heard = verdict(read_answer(line))[0] == "AA"
            except (OSError, EOFError):
                heard = False
            assert heard == welcome, name


def test_an_address_in_use_and_a_missing_certificate_are_named(make_door):
    door = make_door()
    with socket.create_server(("127.0.0.1", door.port)), pytest.raises(ConfigError, match=r"hl7\.listen"):
        wiring.make_order_door(door.settings).run(Event())
    door = make_door(tls={"certificate": "/none.pem", "key": "/none.key"})
    with pytest.raises(ConfigError, match=r"hl7\.tls\.certificate"):
        wiring.make_order_door(door.settings).run(Event())
    with pytest.raises(ConfigError, match=r"hl7\.listen is not set"):
        wiring.make_order_door(Settings())


def test_the_role_takes_orders_and_a_kill_loses_none_that_was_acknowledged(make_door, tmp_path):
    door = make_door()
    file = tmp_path / "wetread.toml"
    file.write_text(f'[node]\nhome = "{tmp_path / "home"}"\n[hl7]\nlisten = "127.0.0.1:{door.port}"\n')
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "node.cli", "orders", "--config", str(file)]
    role = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        assert wait_until(door._answers, 60)
        with door.call() as line:
            line.sendall(b"".join(frame(order(f"A-{n}", str(n))) for n in range(20)))
            kept = [verdict(read_answer(line))[1] for _ in range(10)]
    finally:
        role.kill()
        role.wait()
    assert len(kept) == 10
    assert all(door.book.find(f"A-{n}") for n in kept)
