"""A brake on guessing passwords."""

from __future__ import annotations

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

_WINDOW_MINUTES = 15
_MOST_ACCOUNT_CHARS = 100
"""Longer names are cut for the key, so that a long name costs no memory."""


class LoginThrottle:
    """Counts failed logins per account and address, per address, and per account.

    The counts live in this process: a restart forgets them, and several
    consoles each count for themselves.  Argon2 slows every guess down besides.
    """

    def __init__(self, *, per_pair: int = 5, per_address: int = 20, per_account: int = 50) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._pair = RateLimitItemPerMinute(per_pair, _WINDOW_MINUTES, namespace="pair")
        self._address = RateLimitItemPerMinute(per_address, _WINDOW_MINUTES, namespace="address")
        self._account = RateLimitItemPerMinute(per_account, _WINDOW_MINUTES, namespace="account")

    def blocked_until(self, account: str, address: str) -> float | None:
        """Return the Unix time from which another try is allowed, or None when it is allowed now."""
        resets = [
            self._limiter.get_window_stats(item, *key).reset_time
            for item, key in self._keys(account, address)
            if not self._limiter.test(item, *key)
        ]
        return max(resets, default=None)

    def note_failure(self, account: str, address: str) -> None:
        """Count one failed login."""
        for item, key in self._keys(account, address):
            self._limiter.hit(item, *key)

    def note_success(self, account: str, address: str) -> None:
        """Forget the failures of this account from this address."""
        item, key = self._keys(account, address)[0]
        self._limiter.clear(item, *key)

    def _keys(self, account: str, address: str) -> list[tuple[RateLimitItem, tuple[str, ...]]]:
        name = account.strip().casefold()[:_MOST_ACCOUNT_CHARS]
        return [
            (self._pair, (name, address)),
            (self._address, (address,)),
            (self._account, (name,)),
        ]
