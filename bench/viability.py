"""Viability: what a fit costs, and what reading an estimate costs beside reading the specimen, interleaved.

    python -m bench.viability [--rounds 200]

The fit: CPU of 60 thaws of 200 cells, one process, median of seven; the table of quantiles that goes with it is named beside
it. The read: one web worker over one PostgreSQL, GET /specimens/{code} and GET /specimens/{code}/viability of the same vials in
turn by one client; the ratio of the medians is printed, absolute numbers are the machine's.
"""

import argparse
import statistics
import time
from functools import partial
from typing import Any

import httpx
import numpy as np
from sqlmodel import Session

from bench.house import House, house
from bench.rig import free_port, start_bank, wait_for
from biobank.acts.act import Act
from biobank.viability import model, predictive
from biobank.viability.parameters import current
from biobank.viability.service import look_at_viability_counts
from tests.conftest import TestBank
from tests.viability.stories import count_many, make_vial

VIALS = 20


def fit_cost(thaws: int = 60, times: int = 7) -> tuple[float, float]:
    """Return seconds of CPU for a fit and for its table, medians."""
    random = np.random.default_rng(1)
    shares = random.beta(0.82 * 40, 0.18 * 40, thaws)
    rows = [(int(random.binomial(200, share)), 200, float(random.uniform(0, 3)), 0.0) for share in shares]
    prior = current().prior_of("adsc", "nitrogen")
    fits, tables = [], []
    for seed in range(times):
        started = time.process_time()
        draws = model.fit(prior, model.Thaws.of(rows), seed=seed)
        fitted = time.process_time()
        predictive.reading_of(draws, 15.0)
        fits.append(fitted - started)
        tables.append(time.process_time() - fitted)
    return statistics.median(fits), statistics.median(tables)


def stage(h: House) -> list[str]:
    """Make vials with a year in the tank, thaws that were counted, and the fits of the worker."""
    bank = TestBank(h.bank, h.postgres, "biobank")
    codes: list[str] = bank.write(lambda s: [make_vial(s, bank) for _ in range(VIALS)])
    count_many(bank, [0.8, 0.84, 0.79, 0.83, 0.81, 0.85, 0.78, 0.82, 0.8, 0.83, 0.84, 0.81])
    h.bank.database.write_now(partial(_look, bank=h))
    return codes


def _look(session: Session, bank: House) -> int:
    return look_at_viability_counts(session, Act.system(bank.bank, path="bench"))


def read_cost(h: House, rounds: int) -> dict[str, list[float]]:
    """Return seconds per request, by what was read, in turn."""
    codes = stage(h)
    port = free_port()
    process = start_bank(h, port)
    taken: dict[str, list[float]] = {"": [], "/viability": []}
    try:
        wait_for(port)
        headers = {"Authorization": f"Bearer {h.token()}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers, timeout=30) as client:
            for number in range(rounds + 20):
                for what in taken if number % 2 else reversed(list(taken)):
                    started = time.perf_counter()
                    answer: Any = client.get(f"/specimens/{codes[number % VIALS]}{what}")
                    spent = time.perf_counter() - started
                    assert answer.status_code == 200, answer.text
                    if what and number == 0:
                        assert answer.json()["estimated"]["estimate"] is not None, answer.text
                    if number >= 20:
                        taken[what].append(spent)
    finally:
        process.terminate()
        process.wait(timeout=10)
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    fit, table = fit_cost()
    print(f"fit of 60 thaws: {fit:.3f} s CPU (target under 1), its table of quantiles {table:.3f} s CPU")
    with house() as h:
        taken = read_cost(h, rounds)
    specimen, viability = (statistics.median(taken[what]) for what in ("", "/viability"))
    print(
        f"read, median of {rounds}: specimen {specimen * 1000:.2f} ms, viability {viability * 1000:.2f} ms, ratio "
        f"{viability / specimen:.2f} (target 1.2)"
    )


if __name__ == "__main__":
    main()
