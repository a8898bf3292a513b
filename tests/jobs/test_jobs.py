"""The queue of background work: steps commit with their progress, a dead worker's job goes on, nobody sees another's."""

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy import select, text, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.foundation import clock
from biobank.foundation.errors import Conflict
from biobank.jobs.queue import MadeFile, enqueue, forget_files, job
from biobank.jobs.running import Handler, JobRun, run_next
from tests import seed
from tests.conftest import Api, TestBank

KIND = "test.count"


class Interrupted(BaseException):
    """The worker's process dies here."""


def queued(bank: TestBank, total: int = 3, user: str = "lab_tech") -> str:
    act = bank.act(user)
    return str(bank.write(lambda s: enqueue(s, act, KIND, {"upto": total}, total=total)).id)


def _say(number: int, _session: Session, _act: Act) -> int:
    return number


def counting(dies_after: int | None = None) -> Callable[[JobRun], MadeFile | None]:
    """A handler that writes one number a step into its answer, and may die after some."""

    def work(run: JobRun) -> MadeFile | None:
        steps = 0
        while run.done < run.total:
            if steps == dies_after:
                raise Interrupted
            number = run.done + 1
            run.step(partial(_say, number), adds=1, answer=lambda n: {"n": [*run.answer.get("n", []), n]})
            steps += 1
        return MadeFile("numbers.txt", "text/plain", repr(run.answer["n"]).encode())

    return work


def seen(api: Api, identity: str) -> dict[str, Any]:
    answer = api.lab_tech.get(f"/jobs/{identity}")
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def test_a_job_is_done_in_steps_and_its_file_can_be_fetched(api: Api) -> None:
    identity = queued(api.test_bank)
    assert seen(api, identity)["state"] == "queued"
    assert api.lab_tech.get(f"/jobs/{identity}/file").json()["code"] == "job_has_no_file"

    assert run_next(api.test_bank.bank, {KIND: Handler(counting())})

    found = seen(api, identity)
    assert (found["state"], found["done"], found["total"], found["answer"]) == ("done", 3, 3, {"n": [1, 2, 3]})
    assert api.lab_tech.get(found["file"].removeprefix("/api/v1")).text == "[1, 2, 3]"
    assert [one["id"] for one in api.lab_tech.get("/jobs").json()["items"]] == [identity]
    assert not run_next(api.test_bank.bank, {KIND: Handler(counting())})


def test_a_job_whose_worker_died_goes_on_from_its_last_step(api: Api) -> None:
    identity = queued(api.test_bank)
    bank = api.test_bank.bank
    with pytest.raises(Interrupted):
        run_next(bank, {KIND: Handler(counting(dies_after=2))})
    assert not run_next(bank, {KIND: Handler(counting())}), "its worker may still be alive"

    clock.set_offset(timedelta(minutes=3), test_mode=True)
    assert run_next(bank, {KIND: Handler(counting())})

    assert seen(api, identity)["answer"] == {"n": [1, 2, 3]}


def test_work_that_must_not_be_repeated_is_left_to_a_person(api: Api) -> None:
    identity = queued(api.test_bank)
    bank = api.test_bank.bank
    with pytest.raises(Interrupted):
        run_next(bank, {KIND: Handler(counting(dies_after=2), resumable=False)})
    clock.set_offset(timedelta(minutes=3), test_mode=True)

    run_next(bank, {KIND: Handler(counting(), resumable=False)})

    found = seen(api, identity)
    assert (found["state"], found["problem"]["code"], found["done"]) == ("failed", "job_left", 2)


def test_a_worker_thought_dead_that_comes_back_changes_nothing(api: Api) -> None:
    identity = queued(api.test_bank)
    bank = api.test_bank.bank

    def overtaken(run: JobRun) -> MadeFile | None:
        clock.set_offset(timedelta(minutes=3), test_mode=True)
        assert run_next(bank, {KIND: Handler(counting())}), "another worker takes it up"
        run.step(lambda _s, _a: None, adds=1, answer=lambda _: {"n": ["twice"]})
        return None

    run_next(bank, {KIND: Handler(overtaken)})

    assert (seen(api, identity)["state"], seen(api, identity)["answer"]) == ("done", {"n": [1, 2, 3]})


def test_a_step_that_fails_leaves_nothing_and_says_why(api: Api) -> None:
    identity = queued(api.test_bank)

    def refused(_session: Session, _act: Act) -> None:
        _session.execute(text("UPDATE job SET params = '{}'"))
        raise Conflict("No.")

    def handler(run: JobRun) -> MadeFile | None:
        run.step(refused, adds=1)
        return None

    run_next(api.test_bank.bank, {KIND: Handler(handler)})

    found = seen(api, identity)
    assert (found["state"], found["problem"]["detail"], found["done"]) == ("failed", "No.", 0)
    params = api.test_bank.write(lambda s: s.execute(select(job.c.params)).scalar_one())
    assert params == {"upto": 3}


def test_a_fault_of_ours_is_tried_three_times_and_then_given_up(api: Api) -> None:
    identity = queued(api.test_bank)

    def handler(run: JobRun) -> MadeFile | None:
        raise RuntimeError("a bug")

    for _ in range(3):
        assert run_next(api.test_bank.bank, {KIND: Handler(handler)})

    found = seen(api, identity)
    assert (found["state"], found["problem"]["code"]) == ("failed", "job_broke")
    assert "bug" not in str(found)


def test_a_cancelled_job_stops_before_its_next_step(api: Api) -> None:
    identity = queued(api.test_bank)

    def handler(run: JobRun) -> MadeFile | None:
        run.step(lambda _s, _a: None, adds=1)
        assert api.lab_tech.post(f"/jobs/{identity}/cancel").json()["state"] == "cancelled"
        run.step(lambda _s, _a: None, adds=1)
        return None

    run_next(api.test_bank.bank, {KIND: Handler(handler)})

    found = seen(api, identity)
    assert (found["state"], found["done"], found["file"]) == ("cancelled", 1, None)
    assert api.lab_tech.post(f"/jobs/{identity}/cancel").json()["code"] == "job_ended"


def test_a_job_acts_with_the_roles_its_owner_has_now(api: Api) -> None:
    identity = queued(api.test_bank)
    code = seed.USERS["lab_tech"].code
    with_owner = api.test_bank.dsn("owner")
    with psycopg.connect(with_owner, autocommit=True) as connection:
        connection.execute("UPDATE app_user SET active = false WHERE code = %s", (code,))

    run_next(api.test_bank.bank, {KIND: Handler(counting())})

    state = api.test_bank.write(lambda s: s.execute(select(job.c.state, job.c.problem["code"].astext)).one())
    assert tuple(state) == ("failed", "not_signed_in"), identity


def test_nobody_sees_anothers_job(api: Api) -> None:
    identity = queued(api.test_bank)
    run_next(api.test_bank.bank, {KIND: Handler(counting())})

    for path in (f"/jobs/{identity}", f"/jobs/{identity}/file"):
        assert api.quality.get(path).status_code == 404
    assert api.quality.post(f"/jobs/{identity}/cancel").status_code == 404
    assert api.quality.get("/jobs").json()["items"] == []


def test_two_workers_never_do_one_job(api: Api) -> None:
    for _ in range(6):
        queued(api.test_bank, total=2)
    done: list[str] = []

    def handler(run: JobRun) -> MadeFile | None:
        done.append(str(run.id))
        run.step(lambda _s, _a: None, adds=2)
        return None

    def worker() -> None:
        while run_next(api.test_bank.bank, {KIND: Handler(handler)}):
            pass

    workers = [threading.Thread(target=worker) for _ in range(3)]
    for one in workers:
        one.start()
    for one in workers:
        one.join(timeout=60)

    assert len(done) == len(set(done)) == 6


def test_files_are_forgotten_after_a_week_and_the_job_says_so(api: Api) -> None:
    identity = queued(api.test_bank)
    run_next(api.test_bank.bank, {KIND: Handler(counting())})
    api.test_bank.write(lambda s: s.execute(update(job).values(finished_at=clock.now() - timedelta(days=8))))

    gone = api.test_bank.write(lambda s: forget_files(s, Act.system(api.test_bank.bank, path="test")))

    assert gone == 1
    assert seen(api, identity)["file"] is None
    assert "7 days" in api.lab_tech.get(f"/jobs/{identity}/file").json()["detail"]
