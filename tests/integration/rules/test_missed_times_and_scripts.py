"""What becomes of fire times that passed while the service was down."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from jobservice.domain.job import JobStatus, MisfirePolicy
from jobservice.domain.run import Outcome
from jobservice.executors.lua_pool import LuaPool
from tests.support import lua
from tests.support.moontide import Moontide


def test_policy_all_runs_every_missed_fire_time_one_after_the_other(
    moontide: Moontide, new_pool: Callable[[], LuaPool]
) -> None:
    job_id = moontide.add_job(lua.OK, schedule="60", misfire=MisfirePolicy.ALL)
    moontide.engine.stop(timedelta(0))
    moontide.clock.advance(timedelta(seconds=330))

    moontide.executor = new_pool()
    moontide.boot()
    moontide.advance(10)

    runs = moontide.runs(job_id)
    assert [run.row.outcome for run in runs] == [Outcome.OK] * 5
    assert [run.row.fire_time for run in runs] == sorted(run.row.fire_time for run in runs)


def test_policy_last_runs_once_for_all_missed_fire_times(moontide: Moontide, new_pool: Callable[[], LuaPool]) -> None:
    job_id = moontide.add_job(lua.OK, schedule="60")
    moontide.engine.stop(timedelta(0))
    moontide.clock.advance(timedelta(seconds=330))

    moontide.executor = new_pool()
    moontide.boot()
    moontide.advance(10)

    (run,) = moontide.runs(job_id)
    assert (run.row.outcome, run.row.fire_count) == (Outcome.OK, 5)


def test_run_once_that_is_cancelled_before_its_start_is_done_in_this_boot(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.OK, schedule="30", run_once=True)
    moontide.advance(29)
    with moontide.database.read() as connection:
        run_id = connection.exec_driver_sql("SELECT id FROM run").scalar_one()

    moontide.service.cancel_run(run_id, by="alice")
    moontide.advance(60)

    assert moontide.job(job_id).row.status is JobStatus.ONCE_DONE


def test_script_made_anew_under_an_old_path_runs_its_new_source(moontide: Moontide) -> None:
    first = moontide.add_job(lua.script('print("old") return job.OK'))
    moontide.service.run_now(first, by="alice")
    moontide.step()
    moontide.service.delete_job(first, delete_script=True, by="alice")

    again = moontide.add_job(lua.script('print("new") return job.OK'))
    run_id = moontide.service.run_now(again, by="alice")
    moontide.step()

    assert moontide.log(run_id) == "new\n"
