"""Forms about signing in."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import EqualTo, InputRequired, Length, Regexp

from jobservice.domain.account import PASSWORD_RANGE_CHARS
from jobservice.domain.job import NAME_MAX_CHARS

PASSWORD_MIN_CHARS, PASSWORD_MAX_CHARS = PASSWORD_RANGE_CHARS

_PASSWORD_HELP = f"{PASSWORD_MIN_CHARS} to {PASSWORD_MAX_CHARS} characters; a few words are easier than signs."
_PASSWORD_RULE = Length(
    PASSWORD_MIN_CHARS,
    PASSWORD_MAX_CHARS,
    f"A password has {PASSWORD_MIN_CHARS} to {PASSWORD_MAX_CHARS} characters.",
)


_NAME_RULE = Regexp(
    rf"[^\x00-\x1f]{{1,{NAME_MAX_CHARS}}}\Z", message=f"A name is one line of 1 to {NAME_MAX_CHARS} characters."
)


class LoginForm(FlaskForm):
    """Name and password."""

    name = StringField(
        "Name",
        [InputRequired("Enter your name."), _NAME_RULE],
        render_kw={"autocomplete": "username", "autocapitalize": "none", "autofocus": True},
    )
    password = PasswordField(
        "Password",
        [
            InputRequired("Enter your password."),
            Length(max=PASSWORD_MAX_CHARS, message="That password is too long."),
        ],
        render_kw={"autocomplete": "current-password"},
    )


class SetupForm(FlaskForm):
    """The first admin's name and password."""

    name = StringField(
        "Name",
        [InputRequired("Choose a name.")],
        description=f"1 to {NAME_MAX_CHARS} characters.",
        render_kw={"autocomplete": "username", "autocapitalize": "none", "maxlength": NAME_MAX_CHARS},
    )
    password = PasswordField(
        "Password",
        [InputRequired("Choose a password."), _PASSWORD_RULE],
        description=_PASSWORD_HELP,
        render_kw={"autocomplete": "new-password"},
    )
    confirm = PasswordField(
        "Password again",
        [EqualTo("password", "The two passwords differ.")],
        render_kw={"autocomplete": "new-password"},
    )


class PasswordForm(FlaskForm):
    """The old password and a new one."""

    old = PasswordField(
        "Present password",
        [InputRequired("Enter your present password.")],
        render_kw={"autocomplete": "current-password"},
    )
    new = PasswordField(
        "New password",
        [InputRequired("Choose a new password."), _PASSWORD_RULE],
        description=_PASSWORD_HELP,
        render_kw={"autocomplete": "new-password"},
    )
    confirm = PasswordField(
        "New password again",
        [EqualTo("new", "The two passwords differ.")],
        render_kw={"autocomplete": "new-password"},
    )
