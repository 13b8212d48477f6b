"""Accounts: first setup, login, logout, password, theme."""

from __future__ import annotations

import math
import time

from flask import Blueprint, abort, flash, make_response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from jobservice.domain.account import Role
from jobservice.domain.errors import InvalidInputError
from webmin.context import backend, client_address, console, find_user, get_user
from webmin.errors import answer_error
from webmin.forms.account import LoginForm, PasswordForm, SetupForm
from webmin.forms.fields import take_problems
from webmin.pages.account import AccountPage, LoginPage, SetupPage
from webmin.pages.errors import ErrorPage
from webmin.permissions import public, requires
from webmin.rendering import THEME_COOKIE, THEMES, show
from webmin.sessions import close_other_sessions, safe_next, sign_in, sign_out

views = Blueprint("account", __name__)

_WRONG = "The name or the password is wrong."
_THEME_SECONDS = 365 * 86_400


@views.get("/login")
@public
def login() -> ResponseReturnValue:
    """Show the login form."""
    next_url = safe_next(request.args.get("next"), url_for("jobs.list_jobs"))
    if find_user() is not None:
        return redirect(next_url, code=303)
    form = LoginForm(formdata=None)
    return show("account/login.html", LoginPage(form, next_url, needs_setup=not backend().accounts.has_admin()))


@views.post("/login")
@public
def start_session() -> ResponseReturnValue:
    """Check name and password, and begin a session."""
    form = LoginForm()
    next_url = safe_next(request.form.get("next"), url_for("jobs.list_jobs"))
    if not form.validate():
        return show("account/login.html", LoginPage(form, next_url), status=422)
    name, address = str(form.name.data), client_address()
    throttle, accounts = console().throttle, backend().accounts
    if (until := throttle.blocked_until(name, address)) is not None:
        return _too_many(until)
    user = accounts.authenticate(name, form.password.data)
    if user is None:
        throttle.note_failure(name, address)
        accounts.record("login_failed", by=name, address=address, detail=None)
        return show("account/login.html", LoginPage(form, next_url, refusal=_WRONG), status=422)
    throttle.note_success(name, address)
    sign_in(user)
    accounts.record("login", by=user.name, address=address, detail=None)
    return redirect(next_url, code=303)


def _too_many(until: float) -> ResponseReturnValue:
    seconds = max(1, math.ceil(until - time.time()))
    minutes = math.ceil(seconds / 60)
    response = answer_error(
        ErrorPage(
            429,
            "Too many attempts",
            "There were too many wrong passwords, so this one was not looked at.",
            f"Try again in {minutes} minute{'' if minutes == 1 else 's'}.",
            back_url=url_for("account.login"),
            back_label="Back to the login",
        )
    )
    response.headers["Retry-After"] = str(seconds)
    return response


@views.post("/logout")
@public
def end_session() -> ResponseReturnValue:
    """End the session; harmless when there is none."""
    sign_out()
    flash("You are signed out.", "success")
    return redirect(url_for("account.login"), code=303)


@views.get("/setup/<token>")
@public
def setup(token: str) -> ResponseReturnValue:
    """Show the form that makes the first admin."""
    _check_setup(token)
    return show("account/setup.html", SetupPage(SetupForm(formdata=None), token))


@views.post("/setup/<token>")
@public
def complete_setup(token: str) -> ResponseReturnValue:
    """Make the first admin and sign in."""
    _check_setup(token)
    form = SetupForm()
    if form.validate():
        try:
            user = backend().accounts.complete_setup(token, name=str(form.name.data), password=form.password.data)
        except InvalidInputError as error:
            take_problems(form, error)
        else:
            sign_in(user)
            flash(f"Welcome, {user.name}. You are the admin.", "success")
            return redirect(url_for("jobs.list_jobs"), code=303)
    return show("account/setup.html", SetupPage(form, token), status=422)


def _check_setup(token: str) -> None:
    if backend().accounts.has_admin() or not backend().accounts.is_setup_token(token):
        abort(404, "This setup link does not work: it was used already, or a newer one was printed.")


@views.get("/account")
@requires(Role.VIEWER)
def show_account() -> ResponseReturnValue:
    """Show one's own account."""
    user = get_user()
    return show("account/show.html", AccountPage(PasswordForm(formdata=None), user.name, user.role.value))


@views.post("/account")
@requires(Role.VIEWER)
def change_password() -> ResponseReturnValue:
    """Change one's own password, which ends one's other sessions."""
    user, form = get_user(), PasswordForm()
    throttle, address = console().throttle, client_address()
    if (until := throttle.blocked_until(user.name, address)) is not None:
        return _too_many(until)
    if form.validate():
        try:
            backend().accounts.change_password(user.user_id, old=form.old.data, new=form.new.data)
        except InvalidInputError as error:
            if "old" in error.problems:
                throttle.note_failure(user.name, address)
            take_problems(form, error)
        else:
            close_other_sessions(user)
            sign_in(user)
            flash("Your password is changed. You are signed out everywhere else.", "success")
            return redirect(url_for("account.show_account"), code=303)
    return show("account/show.html", AccountPage(form, user.name, user.role.value), status=422)


@views.post("/theme")
@public
def choose_theme() -> ResponseReturnValue:
    """Remember how the console should look in this browser."""
    theme = request.form.get("theme", "")
    if theme not in THEMES:
        raise InvalidInputError({"theme": [f"Choose one of: {', '.join(THEMES)}."]})
    response = make_response(redirect(safe_next(request.form.get("back"), "/"), code=303))
    response.set_cookie(
        THEME_COOKIE, theme, max_age=_THEME_SECONDS, samesite="Lax", secure=backend().settings.secure_cookies
    )
    return response
