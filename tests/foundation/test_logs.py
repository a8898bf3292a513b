"""What the service writes about itself: one JSON object a line, whatever a caller sent."""

import json

import pytest
import structlog

from biobank.foundation import logs


def test_what_a_caller_sent_stays_inside_its_string(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up()
    sent = 'a\n{"event": "forged"}\r\x1b[31m\u2028"'

    structlog.get_logger().warning("not_available", path=sent)

    (line,) = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    assert (said["event"], said["level"], said["path"]) == ("not_available", "warning", sent)
    assert said["timestamp"].endswith("Z")
    assert line.isascii()
    assert line.isprintable()


def test_a_fault_is_written_with_its_place_and_without_what_it_met_there(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up()

    def broken(name: str) -> None:
        raise RuntimeError(f"{len(name)} letters")

    met = "Quill" + "feather"
    try:
        broken(met)
    except RuntimeError:
        structlog.get_logger().exception("job_broke", kind="demo")

    (line,) = capsys.readouterr().out.splitlines()
    assert "in broken" in json.loads(line)["exception"]
    assert "Quillfeather" not in line
