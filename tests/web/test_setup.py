import pytest

from tests.support.console import PASSWORD, Console, text_of


def link(console: Console) -> str:
    return f"/setup/{console.accounts.setup_token()}"


def test_setup_makes_the_admin_and_signs_in(console: Console) -> None:
    visitor = console.visitor()
    address = link(console)
    assert "Choose the name and password of the first admin" in text_of(visitor.get(address))
    page = visitor.follow(visitor.post(address, name="ada", password=PASSWORD, confirm=PASSWORD))
    assert "Welcome, ada. You are the admin." in text_of(page)
    assert "New Job" in text_of(page)


def test_setup_link_works_once(console: Console) -> None:
    address = link(console)
    console.visitor().post(address, name="ada", password=PASSWORD, confirm=PASSWORD)
    visitor = console.visitor()
    assert visitor.get(address).status_code == 404
    assert visitor.post(address, name="eve", password=PASSWORD, confirm=PASSWORD).status_code == 404


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "", "password": PASSWORD, "confirm": PASSWORD}, "Choose a name."),
        ({"name": "ada", "password": "short", "confirm": "short"}, "12 to 200 characters"),
        ({"name": "ada", "password": PASSWORD, "confirm": "other"}, "The two passwords differ."),
        ({"name": "ada", "password": "a" * 20, "confirm": "a" * 20}, "nearly one character"),
        ({"name": " ada ", "password": PASSWORD, "confirm": PASSWORD}, "without spaces"),
    ],
)
def test_wrong_setup_is_said_and_the_link_stays_good(console: Console, fields: dict[str, str], words: str) -> None:
    visitor, address = console.visitor(), link(console)
    answer = visitor.post(address, **fields)
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert visitor.get(address).status_code == 200


def test_wrong_token_is_not_found(console: Console) -> None:
    link(console)
    answer = console.visitor().get("/setup/guess")
    assert answer.status_code == 404
    assert "This setup link does not work" in text_of(answer)


def test_login_without_an_admin_points_to_the_link(console: Console) -> None:
    assert "Open the one-time setup link" in text_of(console.visitor().get("/login"))
