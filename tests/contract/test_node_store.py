"""Nodes: boots, leases, the dead, and reloads that wait to be served."""

from __future__ import annotations

from datetime import timedelta

from jobservice.domain.run import RunState
from jobservice.read_models import ServiceState
from jobservice.store.nodes import NodeState
from tests.contract.rows import LEASE, Rows

TICK = timedelta(microseconds=1)


def states(rows: Rows) -> dict[int, NodeState]:
    return {node.node_id: node.state for node in rows.nodes.newest()}


def test_the_first_node_begins_a_boot_and_one_beside_it_joins_that(rows: Rows):
    first, second = rows.join(), rows.join()

    assert first[1:] == (1, True)
    assert second[1:] == (1, False)
    assert first[0] != second[0]


def test_a_new_boot_begins_when_no_other_node_is_alive(rows: Rows):
    stopped = rows.node()
    rows.nodes.set_state(stopped, NodeState.STOPPED, now=rows.now)
    after_stop = rows.join()
    rows.clock.advance(LEASE)
    after_death = rows.join()

    assert after_stop[1:] == (2, True)
    assert after_death[1:] == (3, True)


def test_whoever_holds_the_lock_begins_a_new_boot_whatever_the_leases_say(rows: Rows):
    rows.join()

    assert rows.join(alone=True)[1:] == (2, True)


def test_a_beat_renews_the_lease_until_another_node_declares_this_one_lost(rows: Rows):
    node = rows.node()
    rows.clock.advance(LEASE - TICK)
    beaten = rows.nodes.beat(node, now=rows.now, lease_expires_at=rows.now + LEASE)
    renewed = rows.nodes.newest()[0]
    rows.nodes.bury([node], now=rows.now)

    assert beaten is True
    assert (renewed.heartbeat_at, renewed.lease_expires_at) == (rows.now, rows.now + LEASE)
    assert rows.nodes.beat(node, now=rows.now, lease_expires_at=rows.now + LEASE) is False
    assert states(rows) == {node: NodeState.LOST}


def test_a_node_is_dead_once_its_lease_has_run_out_and_not_before(rows: Rows):
    node, watcher = rows.node(), rows.node()
    rows.clock.advance(LEASE)
    at_its_end = rows.nodes.dead(now=rows.now, except_for=watcher, alone=False)
    rows.clock.advance(TICK)

    assert at_its_end == []
    assert rows.nodes.dead(now=rows.now, except_for=watcher, alone=False) == [node]


def test_whoever_is_alone_knows_that_all_others_are_dead(rows: Rows):
    node, watcher = rows.node(), rows.node()

    assert rows.nodes.dead(now=rows.now, except_for=watcher, alone=True) == [node]
    assert rows.nodes.dead(now=rows.now, except_for=watcher, alone=False) == []


def test_burying_takes_back_what_was_armed_and_leaves_what_ran_to_the_reaper(rows: Rows):
    node, job_id = rows.node(), rows.job("armed")
    before = rows.state_row(job_id)
    rows.plan(node)
    rows.job("going_on")
    running, _ = rows.plan(node)
    rows.runs.claim(running, node_id=node)

    rows.nodes.bury([node], now=rows.now)

    assert rows.state_row(job_id) == before
    assert [(row.id, row.state) for row in rows.run_rows()] == [(running[0].run_id, RunState.RUNNING)]


def test_only_living_others_are_counted(rows: Rows):
    me, other, stopped = rows.node(), rows.node(), rows.node()
    rows.nodes.set_state(stopped, NodeState.STOPPED, now=rows.now)

    assert rows.nodes.count_others(me, now=rows.now) == 1
    assert rows.nodes.count_others(other, now=rows.now + LEASE) == 0


def test_a_reload_is_asked_for_once_taken_once_and_then_done(rows: Rows):
    node = rows.node()
    first = rows.nodes.request_reload(by="alice", at=rows.now)
    joined = rows.nodes.request_reload(by="bob", at=rows.now)

    taken = rows.nodes.take_reload(node)
    waits_while_served = rows.nodes.reload_waits()
    again = rows.nodes.take_reload(rows.node())
    rows.nodes.finish_reload(taken, node_id=node, now=rows.now)

    assert joined == first
    assert taken == [first]
    assert waits_while_served
    assert again == [], "a living node serves it"
    assert not rows.nodes.reload_waits()
    assert next(n for n in rows.nodes.newest() if n.node_id == node).last_reload_at == rows.now


def test_a_reload_asked_for_while_one_is_served_is_another_one(rows: Rows):
    node = rows.node()
    first = rows.nodes.request_reload(by="alice", at=rows.now)
    rows.nodes.take_reload(node)

    second = rows.nodes.request_reload(by="alice", at=rows.now)

    assert second != first, "it may be about an edit that the first one did not see"


def test_a_reload_that_a_dead_node_left_is_taken_by_another(rows: Rows):
    dead, heir = rows.node(), rows.node()
    request = rows.nodes.request_reload(by="alice", at=rows.now)
    rows.nodes.take_reload(dead)

    rows.nodes.bury([dead], now=rows.now)

    assert rows.nodes.take_reload(heir) == [request]


def test_the_service_at_a_glance_follows_its_nodes(rows: Rows):
    seen = [rows.queries.service_status()]
    start = rows.now
    node = rows.node()
    rows.nodes.set_missing_hardening(node, ["landlock: not in this kernel"])
    seen.append(rows.queries.service_status())
    rows.nodes.request_reload(by="alice", at=rows.now)
    seen.append(rows.queries.service_status())
    rows.nodes.finish_reload(rows.nodes.take_reload(node), node_id=node, now=rows.now)
    rows.nodes.set_state(node, NodeState.STOPPING, now=rows.now)
    seen.append(rows.queries.service_status())
    rows.clock.advance(timedelta(seconds=1))
    rows.nodes.set_state(node, NodeState.STOPPED, now=rows.now)
    seen.append(rows.queries.service_status())

    assert [status.state for status in seen] == [
        ServiceState.NEVER_STARTED,
        ServiceState.RUNNING,
        ServiceState.RELOADING,
        ServiceState.STOPPING,
        ServiceState.STOPPED,
    ]
    assert [status.since for status in seen] == [None, start, start, start, rows.now]
    assert [status.nodes for status in seen] == [0, 1, 1, 1, 0]
    assert seen[1].missing_hardening == ("landlock: not in this kernel",)
    assert seen[-1].last_reload_at == start


def test_a_service_that_died_is_stopped_since_its_last_heartbeat(rows: Rows):
    rows.node()
    last_beat = rows.now
    rows.clock.advance(LEASE)

    status = rows.queries.service_status()

    assert (status.state, status.since) == (ServiceState.STOPPED, last_beat)
