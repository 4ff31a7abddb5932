"""No guard is for ever: one table of all, drawn into the docs, and for each a test that it ends."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from autoscaler_app.passes.decide.guards import GUARDS as CONTROL_SIDE
from cyclecloud_api.guards import GUARDS as PROVIDER
from scalelib.guard import Guard

ROOT = Path(__file__).resolve().parents[2]
PASSES, LISTENING = "tests/unit/autoscaler_app/passes", "tests/unit/autoscaler_app/listening"
CLOUD = "tests/unit/cyclecloud_api"

ENDS = {
    "no money left": [
        f"{PASSES}/test_budget.py::test_growth_that_a_budget_has_stopped_goes_on_when_the_next_day_begins",
        f"{PASSES}/test_budget.py::test_growth_goes_on_when_the_budget_is_raised",
    ],
    "bought in vain": [
        f"{PASSES}/test_futile.py::test_when_a_new_machine_runs_some_of_it_all_is_bought_again",
        f"{PASSES}/test_futile.py::test_when_what_it_asks_for_changes_it_is_bought_for_at_once",
        f"{PASSES}/test_futile.py::test_when_nobody_has_asked_for_an_hour_it_is_forgotten",
        f"{PASSES}/test_refuted.py::test_a_person_may_have_all_of_it_forgotten",
    ],
    "machines tell less": [
        f"{PASSES}/decide/test_sizes.py::test_an_odd_machine_is_outvoted_by_younger_ones",
        f"{PASSES}/decide/test_sizes.py::"
        "test_what_was_learnt_outlives_its_machines_and_is_forgotten_after_its_time",
        f"{PASSES}/test_refuted.py::test_a_person_may_have_all_of_it_forgotten",
        f"{PASSES}/decide/test_sizes.py::"
        "test_it_is_forgotten_when_the_promise_or_the_image_changes_and_older_machines_say_nothing_then",
    ],
    "very many silent": [
        f"{PASSES}/decide/test_holds.py::test_the_hold_ends_when_a_worker_is_heard_that_started_since",
        f"{PASSES}/decide/test_holds.py::test_without_any_evidence_it_ends_a_few_at_a_time_the_longest_silent_first",
    ],
    "a worker on no node": [
        f"{PASSES}/decide/test_decision.py::"
        "test_a_worker_on_no_node_may_be_that_of_one_on_which_nobody_is_heard"
    ],
    "nothing can be ended": [f"{PASSES}/decide/test_holds.py::test_an_open_circuit_breaker_is_a_warning_too"],
    "unknown": [
        f"{PASSES}/decide/test_capacity.py::"
        "test_a_host_that_stops_telling_is_room_no_longer_and_is_again_when_it_speaks",
        f"{PASSES}/observe/test_unheard.py::"
        "test_a_host_is_silent_for_as_long_as_it_could_have_been_heard",
        f"{PASSES}/observe/test_sight.py::test_one_that_lives_and_tells_nothing_for_long_is_named",
        f"{PASSES}/decide/test_fate.py::CASES",
    ],
    "two processes under one name": [
        f"{PASSES}/act/test_ending.py::"
        "test_of_two_processes_under_one_name_one_that_is_silent_for_long_counts_no_more",
        f"{LISTENING}/test_lives.py::"
        "test_two_processes_that_tell_under_one_name_are_unknown_until_one_has_left",
        f"{LISTENING}/test_lives.py::"
        "test_only_a_look_at_its_own_machine_proves_that_another_process_is_gone",
        f"{LISTENING}/test_lives.py::test_the_younger_of_two_may_be_the_one_that_was_killed",
    ],
    "somebody who is not believed": [
        f"{LISTENING}/test_trust.py::"
        "test_what_is_not_believed_is_told_once_and_in_every_report_while_it_goes_on",
        f"{LISTENING}/test_trust.py::test_a_key_that_an_operator_forgot_makes_room_for_the_next",
    ],
    "a queue that cannot be read": [
        f"{PASSES}/test_silent.py::test_a_host_of_a_queue_that_cannot_be_read_is_kept_for_what_may_wait_there"
    ],
    "an eviction notice": [f"{PASSES}/decide/test_fate.py::CASES"],
    "we are deaf": [
        "tests/contract/brokers/test_listener.py::"
        "test_it_starts_before_its_broker_and_connects_when_that_comes",
        f"{PASSES}/decide/test_capacity.py::test_while_we_are_deaf_nobody_is_less_room_for_that",
    ],
    "nobody observed": [
        f"{PASSES}/observe/test_clocks.py::"
        "test_an_hour_in_which_the_control_worker_was_down_is_no_idle_time"
    ],
    "paused": [
        f"{PASSES}/decide/test_decision.py::test_while_it_is_paused_that_is_a_warning",
        "tests/unit/autoscaler_app/cli/by_hand/test_pausing.py::test_a_pause_lasts_until_it_is_ended",
        f"{PASSES}/test_by_hand.py::test_a_pause_ends_by_itself_and_is_forgotten",
    ],
    "on hold": [
        f"{PASSES}/test_by_hand.py::"
        "test_a_node_on_hold_takes_nothing_is_kept_for_as_long_as_that_and_then_serves_again"
    ],
    "disruption budget": [f"{PASSES}/decide/bounds/test_budget.py::test_when_one_is_gone_the_next_goes"],
    "quiet hours": [f"{PASSES}/decide/bounds/test_budget.py::test_when_quiet_hours_end"],
    "did not answer": [
        f"{LISTENING}/test_reluctant.py::"
        "test_one_that_does_not_answer_is_waited_for_once_and_asked_all_the_same",
        f"{LISTENING}/test_reluctant.py::"
        "test_one_that_tells_something_of_its_own_accord_is_waited_for_again",
    ],
    "set aside": [
        f"{PASSES}/decide/test_decision.py::test_what_is_set_aside_is_a_warning_while_it_is",
        f"{CLOUD}/test_failures.py::test_a_failure_sets_aside_for_a_window_and_then_one_probe_may_go",
        f"{CLOUD}/test_failures.py::test_the_probe_after_an_eviction_heals_or_opens_the_first_window",
    ],
    "run time unknown": [
        f"{PASSES}/decide/worth/test_learning.py::test_it_waits_where_that_costs_less_than_a_boot"
    ],
    "for later": [
        f"{PASSES}/test_no_loops.py::test_one_that_was_revoked_in_its_queue_hides_no_other_for_long",
        f"{PASSES}/observe/test_due.py::"
        "test_waiting_is_never_more_than_the_depth_nor_less_than_what_must_be_there",
    ],
    "messages nobody claims": [
        f"{PASSES}/observe/test_strays.py::"
        "test_while_somebody_is_missing_nothing_is_given_back_and_the_report_says_why",
        f"{PASSES}/observe/test_strays.py::test_what_nobody_has_over_two_questions_is_given_back_and_only_then",
        f"{PASSES}/observe/test_strays.py::test_one_that_is_not_heard_and_has_no_connection_need_not_answer",
    ],
    "another control side": [
        "tests/contract/brokers/test_lease.py::"
        "test_of_one_that_is_silent_it_is_taken_over_and_never_before_it_knows",
        "tests/contract/brokers/test_lease.py::test_one_of_two_has_it_until_it_gives_it_up",
    ],
    "a pass is running": [
        f"{PASSES}/test_lock.py::test_the_lock_of_a_killed_process_is_free",
        f"{PASSES}/test_lock.py::test_patience_waits_for_the_lock",
    ],
    "passes in a row": [
        "tests/unit/autoscaler_app/worker/test_requests.py::"
        "test_passes_that_are_asked_for_begin_the_gap_apart",
        "tests/unit/autoscaler_app/worker/test_wake.py::"
        "test_pokes_that_never_cease_ask_all_the_same",
    ],
    "slow pace": [
        f"{PASSES}/act/test_pace.py::test_nodes_are_told_once",
        f"{PASSES}/act/test_pace.py::"
        "test_nodes_of_a_cluster_about_as_large_as_a_step_are_not_told_to_and_fro",
    ],
    "too many kinds": [
        f"{LISTENING}/test_notes.py::test_where_no_room_is_left_unused_kinds_make_room_soon"
    ],
    "schedule cannot be read": [
        "tests/unit/autoscaler_app/periodic/test_periodic.py::"
        "test_the_schedule_is_read_seldom_and_again_when_it_may_have_changed",
        "tests/unit/autoscaler_app/periodic/test_periodic.py::"
        "test_an_app_that_cannot_be_loaded_is_a_warning_and_what_was_known_stands",
    ],
    "circuit breaker": [
        f"{CLOUD}/test_breaker.py::test_it_closes_as_soon_as_all_is_well",
        f"{CLOUD}/test_breaker.py::"
        "test_after_a_rest_it_is_tried_gently_and_opens_again_if_nothing_is_better",
    ],
    "window of an offering": [
        f"{CLOUD}/test_failures.py::test_a_failure_sets_aside_for_a_window_and_then_one_probe_may_go",
        f"{CLOUD}/test_failures.py::test_each_failed_probe_doubles_the_window_up_to_an_hour",
        f"{CLOUD}/test_failures.py::test_an_episode_that_nobody_probes_is_forgotten_after_an_hour",
    ],
    "one node is being tried": [
        f"{CLOUD}/test_failures.py::test_the_probe_after_an_eviction_heals_or_opens_the_first_window",
        f"{CLOUD}/test_failures.py::test_a_probe_of_which_nothing_is_heard_is_waited_for_ten_minutes",
    ],
    "ten failed creates": [
        f"{CLOUD}/test_failures.py::test_ten_failed_creates_within_an_hour_are_the_end_of_it"
    ],
    "none available": [
        f"{CLOUD}/test_watch.py::test_none_available_for_hours_is_one_failure_and_then_one_node_is_tried"
    ],
    "wrong password": [
        f"{CLOUD}/test_client.py::test_a_refusal_is_remembered_for_the_account_not_for_the_object",
        f"{CLOUD}/test_client.py::test_after_one_401_nothing_is_sent_for_65_seconds",
    ],
    "open launch": [
        f"{CLOUD}/test_launching.py::test_an_old_launch_that_never_arrived_is_given_up",
        f"{CLOUD}/test_launching.py::test_one_launch_is_sent_three_times_at_most",
        f"{CLOUD}/test_launching.py::test_a_late_arrival_is_found_and_the_books_are_put_right",
    ],
    "two looks": [
        f"{CLOUD}/test_provider.py::test_a_node_that_was_seen_once_is_looked_at_again_before_it_is_ended"
    ],
    "told to end": [
        f"{CLOUD}/test_deadlines.py::test_each_deadline_strikes_when_it_is_due_and_not_before"
    ],
}  # fmt: skip
"""By guard: the tests that show it ending."""


def draw(guards: tuple[Guard, ...]) -> str:
    """A table in Markdown."""
    rows = [("guard", "what it stops", "what ends it", "at the latest", "meanwhile"), ("---",) * 5]
    rows += [(g.name, g.stops, g.ended_by, g.at_the_latest, g.meanwhile) for g in guards]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


@pytest.mark.parametrize("guards", [CONTROL_SIDE, PROVIDER], ids=["control side", "provider"])
def test_the_docs_are_drawn_from_the_tables(guards: tuple[Guard, ...]) -> None:
    page = (ROOT / "docs" / "guards.md").read_text()
    assert draw(guards) in page, f"docs/guards.md is to have:\n\n{draw(guards)}"


def test_every_guard_ends_by_something() -> None:
    guards = (*CONTROL_SIDE, *PROVIDER)
    assert len({guard.name for guard in guards}) == len(guards)
    assert [guard.name for guard in guards if not guard.at_the_latest] == []


def test_every_guard_has_a_test_that_it_ends() -> None:
    assert sorted(ENDS) == sorted(guard.name for guard in (*CONTROL_SIDE, *PROVIDER))


@pytest.mark.parametrize("test", sorted(test for tests in ENDS.values() for test in tests))
def test_the_tests_that_show_it_are_there(test: str) -> None:
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    assigned = {
        t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)
    }
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert name in defined | assigned
