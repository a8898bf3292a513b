"""The files of `deploy/ha`: they can be read by what they are for, and say what keeps an answer from being lost."""

import shutil
import subprocess
from pathlib import Path

import pytest

HA = Path(__file__).parents[2] / "deploy" / "ha"
HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin")


def test_no_commit_is_answered_that_only_one_node_has() -> None:
    said = (HA / "patroni.yml").read_text()
    for line in (
        "synchronous_mode: true",
        "synchronous_mode_strict: true",
        'synchronous_commit: "on"',
        "maximum_lag_on_failover: 0",
    ):
        assert line in said


def test_the_script_can_be_read() -> None:
    assert subprocess.run(["bash", "-n", HA / "run"], check=False).returncode == 0


@pytest.mark.skipif(HAPROXY is None, reason="NOT TESTED: there is no haproxy here")
def test_the_proxy_takes_its_file_and_ends_sessions_of_a_leader_that_is_none(tmp_path: Path) -> None:
    said = (HA / "haproxy.cfg").read_text().replace("BIND", "25499")
    assert "on-marked-down shutdown-sessions" in said
    file = tmp_path / "haproxy.cfg"
    file.write_text(f"{said}  server node1 127.0.0.1:25498 check port 25497\n")
    done = subprocess.run([str(HAPROXY), "-c", "-f", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
