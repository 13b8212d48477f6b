"""What each return, and each way to fail, does to a job (conformance table 6.2)."""

from __future__ import annotations

import pytest

from jobservice.domain.job import JobStatus
from jobservice.domain.run import Outcome
from jobservice.service import TEMPLATE
from tests.support import lua
from tests.support.moontide import Moontide


def test_template_job_first_runs_after_one_interval_and_then_every_interval(moontide: Moontide) -> None:
    job_id = moontide.add_job(TEMPLATE, schedule="60")
    loaded_at = moontide.clock.now()

    moontide.advance(59)
    assert moontide.runs(job_id) == []
    moontide.advance(62)

    runs = moontide.runs(job_id)
    assert [(run.row.fire_time - loaded_at).total_seconds() for run in runs] == [60, 120]
    assert all(run.row.outcome is Outcome.OK for run in runs)
    row = moontide.job(job_id).row
    assert row.status is JobStatus.OK
    assert row.next_fire_at is not None
    assert (row.next_fire_at - loaded_at).total_seconds() == 180


def test_friday_script_logs_on_fridays_alone_and_sleeps_either_way(moontide: Moontide) -> None:
    friday = lua.script('if job.day() == "Fri" then core.log("Do some Friday work") end return job.SLEEP')
    job_id = moontide.add_job(friday, schedule="every day")

    moontide.advance(5 * 86_400 + 60)  # The clock starts on a Monday.

    logs = [(run.row.fire_time.strftime("%a"), moontide.log(run.row.run_id)) for run in moontide.runs(job_id)]
    assert logs == [
        ("Tue", ""),
        ("Wed", ""),
        ("Thu", ""),
        ("Fri", "Do some Friday work\n"),
        ("Sat", ""),
    ]
    assert moontide.job(job_id).row.status is JobStatus.SLEEPING


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (lua.script(""), "return"),
        (lua.script("return true"), "true"),
        (lua.script("return false"), "false"),
        (lua.script('return "OK"'), "OK"),
        (lua.script("return 1"), "1"),
        (lua.script("return {}"), "table"),
        (lua.script("return job.DONE"), "return"),
        (lua.script("return job.CANCEL"), "return"),
        ("local job = core.job()\nfunction job.run() return job.OK end\n", "return job"),
        ("local job = core.job()\nreturn job\n", "job.run"),
        (lua.script("core.pages.new() return job.OK"), "not available in jobs"),
        (lua.script('core.mysql.select("products", {}) return job.OK'), "not configured"),
    ],
)
def test_invalid_return_or_file_deactivates_and_keeps_a_clear_error(moontide: Moontide, source: str, said: str) -> None:
    job_id = moontide.add_job(source)

    moontide.advance(61)

    job = moontide.job(job_id)
    assert job.row.status is JobStatus.INACTIVE
    assert job.row.active is False
    assert job.row.next_fire_at is None
    assert job.row.last_error is not None
    assert said in job.row.last_error.message
    assert moontide.runs(job_id)[-1].row.outcome is Outcome.FAILED


def test_uncaught_error_names_script_and_line(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.script('\n  error("boom")'), path="reports/daily.lua")

    moontide.advance(61)

    error = moontide.job(job_id).row.last_error
    assert error is not None
    assert (error.message, error.script, error.line) == ("boom", "reports/daily.lua", 4)


def test_syntax_error_deactivates_at_its_run_and_not_at_its_load(moontide: Moontide) -> None:
    job_id = moontide.add_job("local job = = 1\n")
    assert moontide.job(job_id).row.status is JobStatus.OK

    moontide.advance(61)

    error = moontide.job(job_id).row.last_error
    assert error is not None
    assert error.line == 1
    assert moontide.job(job_id).row.status is JobStatus.INACTIVE


def test_script_deleted_before_its_run_deactivates_as_not_found(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.OK)
    with moontide.database.write() as connection:
        moontide.scripts.delete(connection, "job.lua")

    moontide.advance(61)

    error = moontide.job(job_id).row.last_error
    assert error is not None
    assert "job.lua" in error.message or error.script == "job.lua"
    assert "not found" in error.message
    assert moontide.job(job_id).row.status is JobStatus.INACTIVE


def test_caught_error_and_extra_values_are_no_failure(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.script('pcall(error, "boom") return job.OK, "2 of 3 done"'))

    moontide.advance(61)

    run = moontide.runs(job_id)[0].row
    assert run.outcome is Outcome.OK
    assert run.note == "2 of 3 done"
    assert moontide.job(job_id).row.status is JobStatus.OK


def test_error_of_one_job_leaves_the_others_running(moontide: Moontide) -> None:
    broken = moontide.add_job(lua.script('error("boom")'), name="broken")
    sound = moontide.add_job(lua.OK, name="sound")

    moontide.advance(181)

    assert len(moontide.runs(broken)) == 1
    assert len(moontide.runs(sound)) == 3


def test_global_is_gone_after_the_run_and_warned_about(moontide: Moontide) -> None:
    first = moontide.add_job(lua.script('print(leak) leak = "seen" return job.OK'), name="first")
    other = moontide.add_job(lua.script("print(leak) return job.OK"), name="other")

    moontide.advance(121)

    logs = [moontide.log(run.row.run_id) for job_id in (first, other) for run in moontide.runs(job_id)]
    assert len(logs) == 4
    assert all(log.startswith("nil") and "seen" not in log for log in logs)
    assert "warning" in logs[0]
    assert "leak" in logs[0]


def test_inactive_job_stays_inactive_when_only_its_code_is_mended(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.script('error("boom")'))
    moontide.advance(61)

    moontide.save("job.lua", lua.OK)
    moontide.reload()
    moontide.advance(200)

    assert moontide.job(job_id).row.status is JobStatus.INACTIVE
    assert len(moontide.runs(job_id)) == 1


def test_exit_deactivates_until_a_person_switches_on_and_reloads(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.EXIT)
    moontide.advance(61)
    assert moontide.job(job_id).row.status is JobStatus.INACTIVE
    moontide.reload()
    assert moontide.job(job_id).row.status is JobStatus.INACTIVE

    moontide.save("job.lua", lua.OK)
    moontide.edit(job_id, active=True)
    moontide.reload()
    moontide.advance(59)
    assert len(moontide.runs(job_id)) == 1
    moontide.advance(2)

    assert len(moontide.runs(job_id)) == 2
    assert moontide.job(job_id).row.status is JobStatus.OK


def test_required_script_is_found_in_the_store_and_named_in_its_errors(moontide: Moontide) -> None:
    moontide.service.save_script(
        "lib/stock.lua", 'local m = {}\nfunction m.fail() error("no stock") end\nreturn m\n',
        expected_revision=None, by="alice",
    )  # fmt: skip
    job_id = moontide.add_job(lua.script('require("lib.stock").fail() return job.OK'))

    moontide.advance(61)

    error = moontide.job(job_id).row.last_error
    assert error is not None
    assert (error.message, error.script, error.line) == ("no stock", "lib/stock.lua", 2)


def test_run_past_its_time_limit_is_timed_out_and_deactivates(moontide: Moontide) -> None:
    job_id = moontide.add_job(lua.script("while true do end"), time_limit_s=1)

    moontide.advance(61)

    assert moontide.runs(job_id)[0].row.outcome is Outcome.TIMED_OUT
    job = moontide.job(job_id)
    assert job.row.status is JobStatus.INACTIVE
    assert job.row.last_error is not None
    assert "1 s" in job.row.last_error.message


def test_run_past_its_memory_limit_fails_and_the_next_run_is_well(moontide: Moontide) -> None:
    greedy = moontide.add_job(
        lua.script('local t = {} for i = 1, 1e8 do t[i] = ("x"):rep(1000) .. i end return job.OK'), name="greedy"
    )
    modest = moontide.add_job(lua.OK, name="modest")

    moontide.advance(61)

    error = moontide.job(greedy).row.last_error
    assert error is not None
    assert "memory" in error.message
    assert moontide.runs(modest)[0].row.outcome is Outcome.OK
