"""The verbs on jobs: one transaction each, with its audit line, and a ring when there is something to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jobservice.domain.errors import ConflictError, InvalidInputError, NotFoundError
from jobservice.domain.job import JobDefinition, JobStatus
from jobservice.domain.run import Outcome
from jobservice.service import TEMPLATE, Service
from jobservice.store import jobs
from tests.contract.rows import Rows
from tests.support.moontide import NoChecker

NOWHERE = (0, 4_711, -1, 2**63, 10**30)


def last_audit(rows: Rows) -> tuple[str, str, str]:
    line = rows.audit_rows()[-1]
    return line.action, line.by, line.subject


def problems(refused: pytest.ExceptionInfo[InvalidInputError]) -> dict[str, str]:
    return {field: " ".join(sentences) for field, sentences in refused.value.problems.items()}


def test_a_new_job_waits_for_a_reload_and_has_a_script_to_begin_with(rows: Rows):
    job_id = rows.create(" Nightly ", path="reports/nightly.lua", schedule=" 3600 ")

    view = rows.queries.get_job(job_id)
    assert (view.row.name, view.definition.schedule, view.version) == ("Nightly", "3600", 1)
    assert (view.row.pending, view.row.status, view.loaded) == ("new", JobStatus.OK, None)
    assert view.script_exists
    assert rows.scripts.get("reports/nightly.lua").source == TEMPLATE
    assert last_audit(rows) == ("job.create", "alice", "Nightly")


def test_a_new_job_shows_the_status_that_it_will_have(rows: Rows):
    statuses = [
        rows.queries.get_job(rows.create(name, **fields)).row.status
        for name, fields in (("on", {}), ("once", {"run_once": True}), ("off", {"active": False}))
    ]

    assert statuses == [JobStatus.OK, JobStatus.ONCE_PENDING, JobStatus.INACTIVE]


def test_a_script_that_exists_is_kept_by_the_job_that_names_it(rows: Rows):
    rows.service.save_script("kept.lua", "return 1", expected_revision=None, by="bob")

    rows.create(path="kept.lua")

    assert rows.scripts.get("kept.lua").source == "return 1"


def test_all_wrong_fields_are_told_at_once_and_nothing_is_stored(rows: Rows):
    with pytest.raises(InvalidInputError) as refused:
        rows.create(" ", path="../x.txt", schedule="0", time_limit_s=0)

    assert set(problems(refused)) == {"name", "path", "schedule", "time_limit_s"}
    assert rows.queries.list_jobs().total == 0
    assert rows.audit_rows() == []
    assert rows.scripts.find("../x.txt") is None


def test_a_name_or_path_that_is_taken_names_the_job_that_has_it(rows: Rows):
    rows.create("first", path="a.lua")
    second = rows.create("second", path="b.lua")

    with pytest.raises(InvalidInputError) as on_create:
        rows.create("first", path="b.lua")
    with pytest.raises(InvalidInputError) as on_edit:
        rows.edit(second, name="first")

    assert problems(on_create) == {
        "name": "The job “first” has this name already.",
        "path": "The job “second” has this path already.",
    }
    assert set(problems(on_edit)) == {"name"}
    rows.edit(second, description="its own name and path are free to keep")


def test_an_edit_raises_the_version_waits_for_a_reload_and_is_audited_with_before_and_after(rows: Rows):
    job_id = rows.job()

    rows.edit(job_id, schedule="90")

    view = rows.queries.get_job(job_id)
    line = rows.audit_rows()[-1]
    assert (view.version, view.row.pending, view.row.schedule_words) == (2, "changed", "every minute")
    assert (line.detail["before"]["schedule"], line.detail["after"]["schedule"]) == ("60", "90")


def test_an_edit_of_an_older_version_is_refused_and_names_who_was_first(rows: Rows):
    job_id = rows.job()
    seen = rows.queries.get_job(job_id)
    rows.service.update_job(job_id, replace(seen.definition, schedule="90"), expected_version=1, by="bob")

    with pytest.raises(ConflictError, match=r"bob changed this job meanwhile\. Nothing was saved"):
        rows.service.update_job(job_id, replace(seen.definition, schedule="30"), expected_version=1, by="alice")

    assert rows.queries.get_job(job_id).definition.schedule == "90"


def test_the_store_itself_refuses_an_older_version_so_that_a_lost_race_writes_nothing(rows: Rows):
    job_id = rows.create()
    rows.edit(job_id, schedule="90")
    stale = JobDefinition(name="job", path="job.lua", schedule="30")

    with rows.database.write() as connection:
        stored = jobs.update_job(connection, job_id, stale, expected_version=1, by="alice", at=rows.now)

    assert stored is False
    assert rows.queries.get_job(job_id).definition.schedule == "90"


def test_a_changed_path_moves_the_script_and_never_onto_another(rows: Rows):
    job_id = rows.create(path="a.lua")
    rows.service.save_script("other.lua", "x", expected_revision=None, by="bob")

    rows.edit(job_id, path="sub/b.lua")
    with pytest.raises(InvalidInputError) as refused:
        rows.edit(job_id, path="other.lua")

    assert rows.scripts.find("a.lua") is None
    assert rows.scripts.get("sub/b.lua").source == TEMPLATE
    assert "A script is stored under other.lua already." in problems(refused)["path"]
    assert rows.queries.get_job(job_id).definition.path == "sub/b.lua"


@pytest.mark.parametrize("delete_script", [True, False])
def test_a_deleted_job_is_gone_at_once_with_its_script_only_where_asked(rows: Rows, delete_script):
    node, job_id = rows.node(), rows.job()
    going_on = rows.running(node)
    rows.plan(node)
    rows.service.run_now(job_id, by="alice")

    rows.service.delete_job(job_id, delete_script=delete_script, by="alice")

    with pytest.raises(NotFoundError):
        rows.queries.get_job(job_id)
    assert rows.runs.cancel_requests(node_id=node) == [going_on.run_id]
    assert [row.id for row in rows.run_rows()] == [going_on.run_id]
    assert (rows.scripts.find("job.lua") is None) == delete_script
    assert rows.audit_rows()[-1].detail["script_deleted"] == delete_script
    rows.create()  # Name and path are free again.


def test_a_job_is_deactivated_at_once_without_a_reload(rows: Rows):
    node, job_id = rows.node(), rows.job()
    rows.plan(node)

    rows.service.deactivate_job(job_id, by="alice")

    view = rows.queries.get_job(job_id)
    assert (view.row.status, view.row.next_fire_at, view.row.active) == (JobStatus.INACTIVE, None, False)
    assert (view.row.pending, view.version) == (None, 2)
    assert rows.plan(node, ahead_s=3_600) == ([], 0)
    assert last_audit(rows) == ("job.deactivate", "alice", "job")


def test_a_job_is_reactivated_by_a_reload_and_twice_is_harmless(rows: Rows):
    job_id = rows.job()
    rows.service.deactivate_job(job_id, by="alice")

    for _ in range(2):
        rows.service.reactivate_job(job_id, by="alice")

    waiting = rows.queries.get_job(job_id)
    rows.reload()
    assert (waiting.row.status, waiting.row.pending, waiting.version) == (JobStatus.INACTIVE, "changed", 3)
    assert rows.queries.get_job(job_id).row.status is JobStatus.OK


def test_a_form_that_was_open_when_the_job_switched_itself_off_cannot_switch_it_on_unseen(rows: Rows):
    node, job_id = rows.node(), rows.job()
    seen = rows.queries.get_job(job_id)
    rows.finish(rows.ended(rows.running(node), Outcome.EXIT))

    with pytest.raises(ConflictError, match="service changed this job meanwhile"):
        rows.service.update_job(job_id, seen.definition, expected_version=seen.version, by="alice")


def test_verbs_on_a_job_that_does_not_exist_say_so(rows: Rows):
    definition = JobDefinition(name="a", path="a.lua", schedule="60")
    for job_id in NOWHERE:
        for verb in (
            lambda job_id=job_id: rows.service.update_job(job_id, definition, expected_version=1, by="alice"),
            lambda job_id=job_id: rows.service.delete_job(job_id, delete_script=True, by="alice"),
            lambda job_id=job_id: rows.service.deactivate_job(job_id, by="alice"),
            lambda job_id=job_id: rows.service.reactivate_job(job_id, by="alice"),
            lambda job_id=job_id: rows.service.run_now(job_id, by="alice"),
        ):
            with pytest.raises(NotFoundError, match=f"no job {job_id}"):
                verb()
    assert rows.audit_rows() == []


def test_the_service_is_rung_when_there_is_something_to_do_and_not_for_an_edit(rows: Rows):
    job_id = rows.create()
    rows.edit(job_id, schedule="90")
    after_edits = rows.rings
    rows.service.request_reload(by="alice")
    rows.service.run_now(job_id, by="alice")
    rows.service.deactivate_job(job_id, by="alice")
    rows.service.delete_job(job_id, delete_script=False, by="alice")

    assert (after_edits, rows.rings) == (0, 4)


def test_edits_ask_for_a_reload_themselves_where_the_setting_says_so(rows: Rows):
    rings: list[int] = []
    service = Service(
        rows.database,
        rows.scripts,
        rows.nodes,
        NoChecker(),
        rows.clock,
        ring=lambda: rings.append(1),
        apply_at_once=True,
    )

    service.create_job(JobDefinition(name="a", path="a.lua", schedule="60"), by="alice")

    assert rows.nodes.reload_waits()
    assert rings == [1]


def test_runs_asked_for_in_one_instant_are_each_a_run_of_their_own(rows: Rows):
    node, job_id = rows.node(), rows.job(schedule="60")
    rows.clock.advance(timedelta(seconds=60))
    (scheduled,), _ = rows.plan(node, ahead_s=0)

    asked = [rows.service.run_now(job_id, by="alice") for _ in range(3)]

    assert len({scheduled.run_id, *asked}) == 4
    assert len({row.fire_time for row in rows.run_rows()}) == 4
