from webmin.throttle import LoginThrottle


def test_failures_of_one_account_count_for_every_spelling() -> None:
    throttle = LoginThrottle(per_pair=2, per_address=9, per_account=9)
    throttle.note_failure("Ada", "192.0.2.1")
    assert throttle.blocked_until("ada", "192.0.2.1") is None
    throttle.note_failure(" ada ", "192.0.2.1")
    assert throttle.blocked_until("ADA", "192.0.2.1") is not None
    assert throttle.blocked_until("bob", "192.0.2.1") is None
    assert throttle.blocked_until("ada", "192.0.2.2") is None


def test_failures_from_many_addresses_block_the_account() -> None:
    throttle = LoginThrottle(per_pair=9, per_address=9, per_account=3)
    for number in range(3):
        throttle.note_failure("ada", f"192.0.2.{number}")
    assert throttle.blocked_until("ada", "192.0.2.99") is not None


def test_success_forgets_the_pair_but_not_the_address() -> None:
    throttle = LoginThrottle(per_pair=1, per_address=2, per_account=9)
    throttle.note_failure("ada", "192.0.2.1")
    throttle.note_success("ada", "192.0.2.1")
    assert throttle.blocked_until("ada", "192.0.2.1") is None
    throttle.note_failure("ada", "192.0.2.1")
    throttle.note_success("ada", "192.0.2.1")
    assert throttle.blocked_until("ada", "192.0.2.1") is not None
