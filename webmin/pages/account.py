"""Pages about signing in."""

from __future__ import annotations

from dataclasses import dataclass

from webmin.forms.account import LoginForm, PasswordForm, SetupForm


@dataclass(frozen=True, slots=True)
class LoginPage:
    """The login form.

    :ivar refusal: why the last try did not work, or "".
    :ivar needs_setup: nobody can sign in yet, because no admin exists.
    """

    form: LoginForm
    next_url: str
    refusal: str = ""
    needs_setup: bool = False


@dataclass(frozen=True, slots=True)
class SetupPage:
    """The form that makes the first admin."""

    form: SetupForm
    token: str


@dataclass(frozen=True, slots=True)
class AccountPage:
    """One's own account."""

    form: PasswordForm
    name: str
    role: str
