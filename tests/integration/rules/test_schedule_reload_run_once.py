"""When jobs run, what a reload keeps, and Run Once (conformance table 6.3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from jobservice.domain.job import JobId, JobStatus, OverlapPolicy
from jobservice.domain.run import Cause, Outcome
from jobservice.executors.lua_pool import LuaPool
from jobservice.read_models import ServiceState
from tests.support import lua
from tests.support.moontide import Moontide


def _next_in_s(moontide: Moontide, job_id: int) -> float | None:
    next_fire_at = moontide.job(job_id).row.next_fire_at  # type: ignore[arg-type]
    return None if next_fire_at is None else (next_fire_at - moontide.clock.now()).total_seconds()


def test_reload_keeps_the_remaining_time(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.OK, schedule="120")
    moontide.advance(120)
    moontide.advance(60)

    moontide.edit(job_id, description="another text")
    moontide.reload()

    assert _next_in_s(moontide, job_id) == 60


def test_job_that_was_never_loaded_never_runs(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.OK, reload=False)

    moontide.advance(600)

    assert moontide.runs(job_id) == []
    assert moontide.job(job_id).row.pending == "new"


def test_edited_interval_waits_for_the_reload_and_then_counts_from_the_last_fire_time(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.OK, schedule="120")
    moontide.advance(120)

    moontide.edit(job_id, schedule="300")
    assert moontide.job(job_id).row.pending == "changed"
    moontide.advance(60)
    assert _next_in_s(moontide, job_id) == 60
    moontide.reload()

    assert _next_in_s(moontide, job_id) == 240


def test_shorter_interval_that_has_passed_runs_now_and_not_before(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.OK, schedule="3600")
    moontide.advance(600)

    moontide.edit(job_id, schedule="60")
    moontide.reload()
    moontide.advance(2)

    assert len(moontide.runs(job_id)) == 1
    assert moontide.runs(job_id)[0].lateness == timedelta(0)


def test_reload_takes_back_a_fire_time_that_is_armed_already(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.OK, schedule="120")
    moontide.advance(119)

    moontide.edit(job_id, schedule="300")
    moontide.reload()
    moontide.advance(180)

    assert moontide.runs(job_id) == []
    assert _next_in_s(moontide, job_id) == 1


def test_saved_code_is_used_by_the_next_run_without_a_reload(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.script('print("old") return job.OK'))
    moontide.advance(61)

    moontide.save("job.lua", lua.script('print("new") return job.OK'))
    moontide.advance(60)

    assert [moontide.log(run.row.run_id) for run in moontide.runs(job_id)] == ["old\n", "new\n"]
    assert [run.revision for run in moontide.runs(job_id)] == [2, 3]


def test_stop_ends_with_a_reload(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.STOP, schedule="100")
    moontide.advance(100)
    assert moontide.job(job_id).row.status is JobStatus.STOPPED
    assert moontide.job(job_id).row.active is True
    moontide.advance(40)
    assert _next_in_s(moontide, job_id) is None

    moontide.reload()

    assert moontide.job(job_id).row.status is JobStatus.OK
    assert _next_in_s(moontide, job_id) == 60


def test_stop_that_lasted_past_its_interval_runs_at_the_reload(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.STOP, schedule="100")
    moontide.advance(1_000)

    moontide.reload()
    moontide.advance(1)

    assert len(moontide.runs(job_id)) == 2


def test_stop_does_not_end_by_itself(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.STOP, schedule="100")

    moontide.advance(timedelta(days=300))

    assert len(moontide.runs(job_id)) == 1


def test_stop_ends_with_a_restart_of_the_service(moontide: Moontide, new_pool: Callable[[], LuaPool]) -> None:
    job_id = moontide.add_job(lua.STOP, schedule="100")
    moontide.advance(110)

    moontide.restart(new_pool())

    assert moontide.job(job_id).row.status is JobStatus.OK
    assert _next_in_s(moontide, job_id) == 90


def test_exit_outlasts_a_restart(moontide: Moontide, new_pool: Callable[[], LuaPool]) -> None:
    job_id = moontide.add_job(lua.EXIT)
    moontide.advance(61)

    moontide.restart(new_pool())
    moontide.advance(300)

    assert moontide.job(job_id).row.status is JobStatus.INACTIVE
    assert len(moontide.runs(job_id)) == 1


def test_sleep_lasts_24_hours_whatever_the_interval_and_over_a_reload(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.SLEEP, schedule="60")
    moontide.advance(60)
    assert moontide.job(job_id).row.status is JobStatus.SLEEPING
    assert _next_in_s(moontide, job_id) == 86_400

    moontide.advance(3_600)
    moontide.reload()

    assert _next_in_s(moontide, job_id) == 82_800


def test_ok_after_a_sleep_goes_back_to_the_interval(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.SLEEP, schedule="60")
    moontide.advance(60)
    moontide.save("job.lua", lua.OK)

    moontide.advance(86_400)

    assert moontide.job(job_id).row.status is JobStatus.OK
    assert _next_in_s(moontide, job_id) == 60


def test_sleep_with_seconds_lasts_that_long(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.script("return job.SLEEP, 600"), schedule="60")

    moontide.advance(60)

    assert _next_in_s(moontide, job_id) == 600


def test_sleep_takes_back_fire_times_that_were_armed_ahead(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.SLEEP, schedule="1")

    moontide.advance(10)

    assert len(moontide.runs(job_id)) == 1
    assert _next_in_s(moontide, job_id) == 86_400 - 9


def test_active_off_in_the_form_takes_effect_with_the_reload(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.OK)
    moontide.edit(job_id, active=False)
    moontide.advance(61)
    assert len(moontide.runs(job_id)) == 1

    moontide.reload()
    moontide.advance(600)

    assert moontide.job(job_id).row.status is JobStatus.INACTIVE
    assert len(moontide.runs(job_id)) == 1


def test_deactivate_acts_at_once_and_reactivate_waits_for_a_reload(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.OK)
    moontide.advance(59)

    moontide.service.deactivate_job(job_id, by="alice")
    moontide.advance(120)
    assert moontide.runs(job_id) == []
    assert moontide.job(job_id).row.status is JobStatus.INACTIVE
    moontide.service.reactivate_job(job_id, by="alice")
    moontide.advance(120)
    assert moontide.runs(job_id) == []
    moontide.reload()

    assert moontide.job(job_id).row.status is JobStatus.OK
    assert _next_in_s(moontide, job_id) == 60


def test_service_is_reloading_from_the_press_until_it_is_done(moontide: Moontide) -> None:
    moontide.service.request_reload(by="alice")
    assert moontide.queries.service_status().state is ServiceState.RELOADING

    moontide.step()

    assert moontide.queries.service_status().state is ServiceState.RUNNING


def test_run_once_runs_once_a_boot_and_not_again_with_a_reload(
    moontide: Moontide, new_pool: Callable[[], LuaPool]
) -> None:
    job_id = moontide.add_job(lua.OK, schedule="30", run_once=True)
    assert moontide.job(job_id).row.status is JobStatus.ONCE_PENDING
    moontide.advance(31)
    assert moontide.job(job_id).row.status is JobStatus.ONCE_DONE

    moontide.reload()
    moontide.advance(300)
    assert len(moontide.runs(job_id)) == 1
    moontide.restart(new_pool())
    assert moontide.job(job_id).row.status is JobStatus.ONCE_PENDING
    moontide.advance(31)

    assert len(moontide.runs(job_id)) == 2
    assert moontide.job(job_id).row.status is JobStatus.ONCE_DONE


@pytest.mark.parametrize("source", [lua.SLEEP, lua.STOP])
def test_run_once_treats_sleep_and_stop_like_ok(moontide: Moontide, source: str) -> None:
    job_id = moontide.add_job(source, schedule="30", run_once=True)

    moontide.advance(31)

    assert moontide.job(job_id).row.status is JobStatus.ONCE_DONE
    assert _next_in_s(moontide, job_id) is None


@pytest.mark.parametrize("source", [lua.EXIT, lua.script('error("boom")')])
def test_run_once_that_exits_or_fails_is_inactive_and_not_done(moontide: Moontide, source: str) -> None:
    job_id = moontide.add_job(source, schedule="30", run_once=True)

    moontide.advance(31)

    job = moontide.job(job_id)
    assert job.row.status is JobStatus.INACTIVE
    assert job.row.active is False


def test_inactive_run_once_never_runs_not_even_after_a_restart(
    moontide: Moontide, new_pool: Callable[[], LuaPool]
) -> None:
    job_id = moontide.add_job(lua.OK, schedule="30", run_once=True, active=False)
    moontide.advance(60)
    moontide.restart(new_pool())

    moontide.advance(60)

    assert moontide.runs(job_id) == []


def test_deleted_job_is_gone_and_does_not_run(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.OK, schedule="30")
    moontide.advance(29)

    moontide.service.delete_job(job_id, delete_script=True, by="alice")
    moontide.advance(60)

    assert moontide.queries.list_jobs().total == 0
    assert moontide.scripts.find("job.lua") is None
    with moontide.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM run").scalar_one() == 0


def test_job_does_not_overlap_itself(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.script("core.sleep(50) return job.OK"), schedule="10")
    moontide.waits_for_runs = False

    moontide.advance(20)
    end_running(moontide, job_id)

    assert [run.row.outcome for run in moontide.runs(job_id)] == [Outcome.CANCELLED, Outcome.SKIPPED]
    assert "was running" in moontide.runs(job_id)[1].row.note


def test_queued_overlap_runs_when_the_job_is_free(moontide: Moontide) -> None:
    slow = lua.script("core.sleep(50) return job.OK")
    job_id = moontide.add_job(slow, schedule="10", overlap=OverlapPolicy.QUEUE)
    moontide.waits_for_runs = False
    moontide.advance(20)

    moontide.save("job.lua", lua.OK)
    end_running(moontide, job_id)
    moontide.step()

    assert [run.row.outcome for run in moontide.runs(job_id)] == [Outcome.CANCELLED, Outcome.OK]


def end_running(moontide: Moontide, job_id: JobId) -> None:
    """Cancel the run that goes on, and wait for its end."""
    running = moontide.job(job_id).row.running_run_id
    assert running is not None
    moontide.service.cancel_run(running, by="alice")
    moontide.waits_for_runs = True
    moontide.step()


def test_two_jobs_due_in_the_same_second_both_run(moontide: Moontide) -> None:
    one = moontide.add_job(lua.OK, name="one")
    two = moontide.add_job(lua.OK, name="two")

    moontide.advance(61)

    assert len(moontide.runs(one)) == len(moontide.runs(two)) == 1


def test_intervals_do_not_drift(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.OK, schedule="7")
    start = moontide.clock.now()

    moontide.advance(700)

    fire_times = [(run.row.fire_time - start).total_seconds() for run in moontide.runs(job_id)]
    assert fire_times == [7 * number for number in range(1, 101)]


def test_run_by_hand_leaves_the_schedule_as_it_is(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.OK, schedule="100")
    moontide.advance(30)

    run_id = moontide.service.run_now(job_id, by="alice")
    moontide.step()

    run = moontide.queries.get_run(run_id)
    assert (run.row.cause, run.row.outcome, run.asked_by) == (Cause.HAND, Outcome.OK, "alice")
    assert _next_in_s(moontide, job_id) == 70
