"""Several services on one database, some of them frozen, dead, or cut off from it for a while."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from jobservice.domain.job import JobId, MisfirePolicy, OverlapPolicy
from jobservice.domain.run import Outcome, RunState
from jobservice.loops.housekeeping import LEASE, LeaseLostError
from jobservice.loops.planner import HORIZON
from jobservice.store.nodes import NodeState
from jobservice.store.planning import PlanStore
from jobservice.store.runs import RunStore
from jobservice.testing import FakeClock
from tests.support import lua
from tests.support.cluster import (
    LEASE_TICK_S,
    TAKEOVER_S,
    Cluster,
    Node,
    check_attempts,
    check_nothing_started_twice,
    keeps_running,
    outcomes,
)
from tests.support.moontide import settings_for
from tests.support.postgresql import PostgresServer

pytestmark = pytest.mark.postgresql


@pytest.fixture
def cluster(tmp_path: Path, postgres: PostgresServer, clock: FakeClock) -> Iterator[Cluster]:
    """Verbs and read models on an empty PostgreSQL database of its own."""
    name = f"shared_{tmp_path.name.lower()}"[:60]
    postgres.execute(f'CREATE DATABASE "{name}" TEMPLATE template_moontide')
    whole = Cluster(settings_for(tmp_path, postgres.url(name)), clock)
    yield whole
    whole.close()
    postgres.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def freeze(cluster: Cluster, node: Node) -> Node:
    """Take a node's processor time away; what it has in memory stays."""
    cluster.nodes_alive.remove(node)
    return node


def add_jobs(cluster: Cluster, count: int, **fields: object) -> list[JobId]:
    jobs = [cluster.add_job(lua.OK, name=f"job{n}", reload=False, **fields) for n in range(count)]
    cluster.reload()
    return jobs


def test_two_services_run_every_fire_time_of_fifty_jobs_once_for_a_minute(cluster: Cluster) -> None:
    nodes = [cluster.start_node(), cluster.start_node()]
    jobs = add_jobs(cluster, 50, schedule="1")

    for second in range(60):
        cluster.nodes_alive.sort(key=nodes.index, reverse=bool(second % 2))  # Each is the first one half of the time.
        cluster.advance(1)

    for job_id in jobs:
        cluster.check_history(job_id, interval_s=1)
        done = [row for row in cluster.run_rows(job_id) if row.state == RunState.FINISHED]
        assert len(done) == 60
        assert {row.outcome for row in done} == {Outcome.OK}
    assert len(cluster.all_orders()) == 50 * 60
    assert all(len(node.executor.orders) > 600 for node in nodes), "both did their share"


def test_a_node_that_dies_among_others_loses_no_fire_time(cluster: Cluster) -> None:
    dying = cluster.start_node()
    cluster.start_node()
    jobs = add_jobs(cluster, 10, schedule="1")
    cluster.advance(10)

    cluster.kill(dying)
    cluster.advance(TAKEOVER_S, tick_s=LEASE_TICK_S)

    for job_id in jobs:
        cluster.check_history(job_id, interval_s=1)
        ended = {row.outcome for row in cluster.run_rows(job_id) if row.state == RunState.FINISHED}
        assert ended <= {Outcome.OK, Outcome.SKIPPED}


def test_a_node_that_stops_among_others_hands_its_armed_runs_to_them(cluster: Cluster) -> None:
    stopping = cluster.start_node()
    staying = cluster.start_node()
    jobs = add_jobs(cluster, 10, schedule="1")
    cluster.advance(5.5)

    stopping.engine.stop(timedelta(0))
    cluster.kill(stopping)
    assert {row.node_id for row in cluster.run_rows() if row.state == RunState.LEASED} <= {staying.engine.node_id}
    cluster.advance(5)

    for job_id in jobs:
        cluster.check_history(job_id, interval_s=1)


def test_a_frozen_node_hands_nothing_over_once_its_lease_has_run_out(cluster: Cluster) -> None:
    node = cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="60")
    cluster.advance(59.95)
    node.claim()

    freeze(cluster, node)
    cluster.clock.advance(LEASE)
    node.claim()
    node.hand_over()

    assert node.executor.orders == []
    assert [row.state for row in cluster.run_rows(job_id)] == [RunState.RUNNING]


def test_a_frozen_node_plans_nothing_before_it_has_proved_its_life(cluster: Cluster) -> None:
    node = cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="60")

    freeze(cluster, node)
    cluster.clock.advance(timedelta(seconds=60))
    node.tick()

    assert cluster.run_rows(job_id) == []
    node.step()
    assert outcomes(cluster.run_rows(job_id)) == [(1, Outcome.OK)]


def test_a_frozen_node_that_others_have_buried_must_stop(cluster: Cluster) -> None:
    node, other = cluster.start_node(), cluster.start_node()
    cluster.advance(6)

    freeze(cluster, node)
    cluster.advance(TAKEOVER_S, tick_s=LEASE_TICK_S)

    with pytest.raises(LeaseLostError, match="another service declared this one dead"):
        node.beat()
    states = {row.node_id: row.state for row in cluster.nodes.newest()}
    assert states == {node.engine.node_id: NodeState.LOST, other.engine.node_id: NodeState.RUNNING}


def test_the_late_end_of_a_run_that_another_node_has_repeated_is_refused(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    frozen, other = cluster.start_node(keeps_running), cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="every day")
    cluster.service.run_now(job_id, by="alice")
    frozen.step()
    assert frozen.executor.running
    cluster.advance(6)

    freeze(cluster, frozen)
    cluster.advance(TAKEOVER_S, tick_s=LEASE_TICK_S)
    frozen.finish(Outcome.EXIT)
    frozen.record()

    rows = cluster.run_rows(job_id)
    assert outcomes(rows) == [(1, Outcome.ABANDONED), (2, Outcome.OK)]
    assert rows[1].node_id == other.engine.node_id
    assert cluster.job(job_id).row.active, "the word of the frozen node does not count"
    assert "Ends of runs were refused" in caplog.text


def test_a_thawed_node_drops_runs_that_were_taken_from_it(cluster: Cluster) -> None:
    frozen, _ = cluster.start_node(keeps_running), cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="every day")
    cluster.service.run_now(job_id, by="alice")
    frozen.step()
    cluster.advance(6)
    freeze(cluster, frozen)
    cluster.advance(TAKEOVER_S, tick_s=LEASE_TICK_S)

    frozen.engine.reaper.reconcile_step(cluster.clock.now())
    frozen.engine.reaper.reconcile_step(cluster.clock.now())

    assert frozen.executor.running == {}
    assert frozen.engine.dispatcher.known() == set()


def test_what_a_node_took_after_it_was_buried_is_taken_back_too(cluster: Cluster) -> None:
    """It froze between the look at its lease and the plan, and was killed before it could hand anything back."""
    frozen, other = cluster.start_node(), cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="60")
    run_id = cluster.service.run_now(cluster.add_job(lua.OK, name="by_hand", schedule="every day"), by="alice")
    other.executor.behaviour = keeps_running
    cluster.advance(6)
    freeze(cluster, frozen)
    cluster.advance(TAKEOVER_S, tick_s=LEASE_TICK_S)
    cluster.clock.move_to(cluster.job(job_id).row.next_fire_at - timedelta(seconds=0.05))
    frozen.engine.planner.step(cluster.clock.now())
    frozen.claim()
    assert frozen.engine.node_id in {row.node_id for row in cluster.run_rows(job_id)}

    other.executor.behaviour = lambda _: Outcome.OK
    cluster.advance(TAKEOVER_S, tick_s=LEASE_TICK_S)

    assert cluster.run_rows(job_id)[-1].outcome == Outcome.OK
    check_attempts(cluster.run_rows())
    check_nothing_started_twice(cluster.all_orders() + frozen.executor.orders)
    assert run_id


def test_nodes_that_were_all_cut_off_from_the_database_go_on_together(cluster: Cluster) -> None:
    first, second = cluster.start_node(keeps_running), cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="every day")
    cluster.service.run_now(job_id, by="alice")
    first.step()
    cluster.advance(10)

    cluster.clock.advance(timedelta(seconds=30))  # Nobody could beat.
    second.step()
    first.step()
    cluster.advance(TAKEOVER_S, tick_s=LEASE_TICK_S)
    first.finish()
    cluster.step()

    assert {row.state for row in cluster.nodes.newest()} == {NodeState.RUNNING}
    assert outcomes(cluster.run_rows(job_id)) == [(1, Outcome.OK)]


def test_a_wall_clock_that_jumps_ahead_buries_no_living_node(cluster: Cluster) -> None:
    cluster.start_node()
    cluster.start_node()
    cluster.advance(10)

    cluster.clock.advance(timedelta(hours=1))
    cluster.advance(TAKEOVER_S, tick_s=LEASE_TICK_S)

    assert {row.state for row in cluster.nodes.newest()} == {NodeState.RUNNING}


def test_a_job_that_runs_at_one_node_does_not_overlap_itself_at_another(cluster: Cluster) -> None:
    first, second = cluster.start_node(keeps_running), cluster.start_node(keeps_running)
    job_id = cluster.add_job(lua.OK, schedule="10", overlap=OverlapPolicy.SKIP)
    cluster.advance(10)
    cluster.nodes_alive.reverse()
    cluster.advance(10)
    cluster.nodes_alive.reverse()
    cluster.advance(10)

    assert len(first.executor.running) + len(second.executor.running) == 1
    rows = [row for row in cluster.run_rows(job_id) if row.state == RunState.FINISHED]
    assert {row.outcome for row in rows} == {Outcome.SKIPPED}
    assert any("running at another node" in row.note for row in rows)
    cluster.check_history(job_id, interval_s=10)


def test_a_steering_end_at_one_node_takes_back_what_another_has_armed(cluster: Cluster) -> None:
    first, second = cluster.start_node(keeps_running), cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="60", overlap=OverlapPolicy.QUEUE)
    cluster.service.run_now(job_id, by="alice")
    first.step()
    cluster.nodes_alive.reverse()
    cluster.advance(59)
    assert {row.state for row in cluster.run_rows(job_id)} == {RunState.RUNNING, RunState.LEASED}

    first.finish(Outcome.STOP)
    first.record()
    cluster.advance(120)

    assert outcomes(cluster.run_rows(job_id)) == [(1, Outcome.STOP)]
    assert second.executor.orders == []


def test_a_reload_is_served_by_one_node_and_binds_both(cluster: Cluster) -> None:
    nodes = [cluster.start_node(), cluster.start_node()]
    job_id = cluster.add_job(lua.OK, schedule="60")
    cluster.advance(59)

    cluster.edit(job_id, schedule="90")
    cluster.service.request_reload(by="alice")
    nodes[1].step()
    cluster.advance(40)

    assert outcomes(cluster.run_rows(job_id)) == [(1, Outcome.OK)]
    assert len(cluster.all_orders()) == 1
    cluster.check_history(job_id, interval_s=90)


# Commits whose answer got lost on the way.


def armed_behind_its_back(cluster: Cluster, node: Node) -> list:
    """Plan what is due for a node without telling it."""
    from jobservice.domain.fire_plan import plan_fires
    from jobservice.schedules import parse_schedule

    now = cluster.clock.now()
    runs, _ = PlanStore(cluster.database).plan_due(
        lambda job: plan_fires(
            parse_schedule(job.definition.schedule).fire_times(job.next_fire_at),
            first=job.next_fire_at,
            now=now,
            horizon=now + HORIZON,
            policy=MisfirePolicy.LAST,
            grace=timedelta(seconds=60),
        ),
        now=now,
        horizon=now + HORIZON,
        node_id=node.engine.node_id,
        limit=10,
    )
    return runs


def test_a_plan_whose_answer_got_lost_is_found_and_run(cluster: Cluster) -> None:
    node = cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="60")
    cluster.clock.advance(timedelta(seconds=59))
    assert armed_behind_its_back(cluster, node)

    cluster.advance(30)
    for _ in range(2):
        node.engine.reaper.reconcile_step(cluster.clock.now())
    cluster.advance(60)

    assert outcomes(cluster.run_rows(job_id))[:2] == [(1, Outcome.OK)] * 2
    cluster.check_history(job_id, interval_s=60)


def test_a_claim_whose_answer_got_lost_is_made_again_and_the_run_starts_once(cluster: Cluster) -> None:
    node = cluster.start_node()
    job_id = cluster.add_job(lua.OK, schedule="60", repeat_after_crash=False)
    cluster.clock.advance(timedelta(seconds=59))
    runs = armed_behind_its_back(cluster, node)
    RunStore(cluster.database).claim(runs, node_id=node.engine.node_id)
    node.engine.dispatcher.arm(runs)

    cluster.advance(1)

    assert outcomes(cluster.run_rows(job_id)) == [(1, Outcome.OK)]
    assert cluster.starts_of(job_id) == 1
