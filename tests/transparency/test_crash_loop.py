"""Scans while everything is killed at random: a short run. `python -m tests.transparency.crash_loop` is a long one."""

import pytest

from tests.transparency.crash_loop import Figures, crashed_house, loop


@pytest.mark.slow
def test_scans_survive_killed_workers_sealers_and_servers_once_and_for_all() -> None:
    figures = Figures()
    with crashed_house(on_disk=False) as h:
        loop(h, figures, seconds=6, writers=4, specimens=60, seed=20261125)
    assert figures.broken == {}
    assert set(figures.unavailable) <= {503}, "while the database was away, devices were told to send the request again"
    assert figures.acknowledged > 20
    assert figures.sealed >= figures.acknowledged
    assert figures.checkpoints > 1
    assert sum(figures.kills.values()) >= 3
