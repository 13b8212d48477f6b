from datetime import timedelta

import pytest

from jobservice.domain.account import Role
from tests.support.console import PASSWORD, Console, Visitor, text_of


def test_login_leads_to_the_page_that_was_asked_for(console: Console, admin: Visitor) -> None:
    visitor = console.visitor()
    answer = visitor.get("/jobs?search=a")
    assert answer.location == "/login?next=/jobs?search%3Da"
    answer = visitor.post("/login", name="admin", password=PASSWORD, next="/jobs?search=a")
    assert answer.location == "/jobs?search=a"


@pytest.mark.parametrize(
    "target", ["https://evil.test", "//evil.test", "/\\evil.test", "javascript:alert(1)", "/\t/evil.test", "evil"]
)
def test_next_never_leads_elsewhere(console: Console, admin: Visitor, target: str) -> None:
    answer = console.visitor().post("/login", name="admin", password=PASSWORD, next=target)
    assert answer.location == "/jobs"


def test_unknown_name_and_wrong_password_get_the_same_answer(console: Console, admin: Visitor) -> None:
    pages = []
    for name in ("admin", "nobody"):
        answer = console.visitor().post("/login", name=name, password="wrong password")
        assert answer.status_code == 422
        pages.append(text_of(answer))
    assert pages[0] == pages[1]
    assert "The name or the password is wrong." in pages[0]


def test_sixth_failure_for_an_account_waits_even_with_the_right_password(console: Console, admin: Visitor) -> None:
    visitor = console.visitor()
    for _ in range(5):
        assert visitor.post("/login", name="admin", password="wrong password").status_code == 422
    answer = visitor.post("/login", name="Admin", password=PASSWORD)
    assert answer.status_code == 429
    assert "Try again in 15 minutes." in text_of(answer)
    assert 0 < int(answer.headers["Retry-After"]) <= 900
    other = console.visitor("192.0.2.7")
    assert other.post("/login", name="admin", password=PASSWORD).status_code == 303


def test_address_that_tries_many_names_waits(console: Console, admin: Visitor) -> None:
    visitor = console.visitor("192.0.2.9")
    for number in range(20):
        assert visitor.post("/login", name=f"name{number}", password="wrong password").status_code == 422
    assert visitor.post("/login", name="admin", password=PASSWORD).status_code == 429


def test_success_forgets_the_failures(console: Console, admin: Visitor) -> None:
    visitor = console.visitor()
    for _ in range(2):
        for _ in range(4):
            visitor.post("/login", name="admin", password="wrong password")
        assert visitor.post("/login", name="admin", password=PASSWORD).status_code == 303
        visitor = console.visitor()


def test_session_is_renewed_at_login(console: Console, admin: Visitor) -> None:
    visitor = console.visitor()
    token = visitor.token()
    before = visitor.client.get_cookie("moontide")
    visitor.post("/login", name="admin", password=PASSWORD)
    after = visitor.client.get_cookie("moontide")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    assert visitor.post_bare("/reload", csrf_token=token).status_code == 400


def test_logout_ends_the_session_on_the_server_too(console: Console, admin: Visitor) -> None:
    cookie = admin.client.get_cookie("moontide")
    token = admin.token()
    assert cookie is not None
    assert admin.post("/logout").location == "/login"
    assert admin.get("/jobs").status_code == 303
    admin.client.set_cookie("moontide", cookie.value)
    assert admin.get("/jobs").status_code == 303
    admin.client.set_cookie("moontide", cookie.value)
    assert admin.post_bare("/reload", csrf_token=token).status_code == 401
    assert not console.moontide.nodes.reload_waits()
    assert admin.post("/logout").status_code == 303


def test_session_ends_after_idling(console: Console, admin: Visitor) -> None:
    console.moontide.clock.advance(timedelta(hours=8, minutes=1))
    assert admin.get("/jobs").location == "/login?next=/jobs"


def test_background_request_of_an_ended_session_is_told(console: Console) -> None:
    visitor = console.visitor()
    assert visitor.get("/jobs", region="job-list").status_code == 401
    answer = visitor.post("/scripts/a.lua", accept="application/json", source="")
    assert answer.status_code == 401
    assert answer.json == {"message": "Your session has ended."}


def test_long_and_odd_names_are_refused_in_words(console: Console) -> None:
    for name in ("x" * 65, "a\0b", ""):
        answer = console.visitor().post("/login", name=name, password=PASSWORD)
        assert answer.status_code == 422


def test_password_change_signs_out_everywhere_else(console: Console, admin: Visitor) -> None:
    elsewhere = console.sign_in(Role.ADMIN)
    new = "staple battery horse"
    answer = admin.post("/account", old=PASSWORD, new=new, confirm=new)
    assert "Your password is changed." in text_of(admin.follow(answer))
    assert admin.get("/jobs").status_code == 200
    assert elsewhere.get("/jobs").status_code == 303
    assert console.visitor().post("/login", name="admin", password=new).status_code == 303


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"old": "wrong password", "new": "x y z longer words", "confirm": "x y z longer words"}, "not your present"),
        ({"old": PASSWORD, "new": "short", "confirm": "short"}, "12 to 200 characters"),
        ({"old": PASSWORD, "new": "x y z longer words", "confirm": "different"}, "The two passwords differ."),
        ({}, "Enter your present password."),
    ],
)
def test_wrong_password_change_is_said(viewer: Visitor, fields: dict[str, str], words: str) -> None:
    answer = viewer.post("/account", **fields)
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert PASSWORD not in answer.text


def test_sixth_wrong_present_password_waits(viewer: Visitor) -> None:
    fields = {"old": "wrong password", "new": "x y z longer words", "confirm": "x y z longer words"}
    for _ in range(5):
        assert viewer.post("/account", **fields).status_code == 422
    assert viewer.post("/account", **fields | {"old": PASSWORD}).status_code == 429


def test_form_of_an_ended_session_says_so(console: Console, admin: Visitor) -> None:
    token = admin.token()
    console.moontide.clock.advance(timedelta(hours=9))
    answer = admin.post_bare("/jobs/new", csrf_token=token, name="x")
    assert answer.status_code == 401
    assert "Your session has ended, so nothing was done." in text_of(answer)


@pytest.mark.parametrize(("theme", "status"), [("dark", 303), ("light", 303), ("system", 303), ("pink", 400)])
def test_theme_is_remembered(viewer: Visitor, theme: str, status: int) -> None:
    answer = viewer.post("/theme", theme=theme, back="/account")
    assert answer.status_code == status
    if status == 303:
        assert answer.location == "/account"
        assert f'data-theme="{theme}"' in viewer.get("/account").text
