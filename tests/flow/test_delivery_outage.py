"""`wetread keep` as a process, with a PACS that takes connections and never answers beside one that is well."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

from node.model.delivery import DeliveryState
from tests.node.outbound.house import House, deaf, on_store, serving
from tests.waiting import wait_until

TOML = """\
[node]
home = "{home}"
listen = "{listen}"
[queue]
url = "redis://127.0.0.1:1/0"
[deliver]
retry_first = "PT0.1S"
retry_longest = "PT60S"
answer_wait = "PT8S"
open_circuit_after = 2
[peers.dead]
ae_title = "DEAD"
address = "127.0.0.1:{dead}"
[peers.well]
ae_title = "WELL"
address = "127.0.0.1:{well}"
"""


@contextmanager
def keep(config, log):
    """The process from its start to its sudden death."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WETREAD_")}
    with log.open("wb") as sink:
        command = [sys.executable, "-m", "node.cli", "keep", "--config", str(config)]
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env=environment)
        try:
            yield
        finally:
            process.kill()
            process.wait(20)


def test_a_dead_pacs_delays_nobody_and_its_circuit_outlives_the_process(tmp_path):
    with deaf() as (dead, met), serving(title="WELL", handlers=on_store(lambda _uid: 0x0000)) as well:
        peers = {
            "dead": {"ae_title": "DEAD", "address": f"127.0.0.1:{dead}"},
            "well": {"ae_title": "WELL", "address": f"127.0.0.1:{well}"},
        }
        house = House(tmp_path, peers, slices=30)
        config = tmp_path / "wetread.toml"
        settings = house.settings.node
        config.write_text(TOML.format(home=settings.home, listen=settings.listen, dead=dead, well=well))

        def is_kept(job_id):
            return {d.state for d in house.deliveries(job_id=job_id, destination="well")} == {DeliveryState.KEPT}

        def failures():
            circuits = house.ledger.find_circuits()
            return circuits["dead"].failures if "dead" in circuits else 0

        with keep(config, tmp_path / "first.log"):
            assert wait_until(lambda: is_kept(house.ids[0]) and met, 30)
            second = house.add_job(1, 4)
            assert wait_until(lambda: is_kept(second), 6.0)
            assert wait_until(lambda: failures() == 2, 60)
        assert house.circuit("dead").is_open
        waits = house.ledger.find_circuits()["dead"].next_at
        house.ledger.fail_circuit("dead", time.time(), "away", 3, lambda _failures: 60.0)
        calls = len(met)
        third = house.add_job(2, 4)
        with keep(config, tmp_path / "second.log"):
            assert wait_until(lambda: is_kept(third), 30)
            time.sleep(1)
        assert waits < house.circuit("dead").next_at
        assert len(met) == calls
        attempts = {d.attempts for d in house.deliveries(job_id=third, destination="dead")}
        assert attempts == {0}
