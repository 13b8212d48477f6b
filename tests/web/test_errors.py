import pytest
from werkzeug.test import TestResponse

from jobservice.domain.account import Role
from jobservice.domain.errors import ConflictError, StoreUnavailableError
from tests.support.console import Console, Visitor, text_of
from webmin.app import create_app
from webmin.permissions import public
from webmin.security import REQUEST_LIMIT_BYTES


def visit_failing_page(console: Console, error: Exception) -> TestResponse:
    """Return what a page answers that raises ``error``."""

    def fail() -> str:
        raise error

    app = create_app(console.backend)
    app.add_url_rule("/fail", "fail", public(fail))
    return Visitor(app).get("/fail")


def test_unexpected_error_shows_a_reference_and_no_traceback(
    console: Console, caplog: pytest.LogCaptureFixture
) -> None:
    answer = visit_failing_page(console, RuntimeError("secret detail"))
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "Traceback" not in answer.text
    (record,) = [record for record in caplog.records if record.message == "A page failed."]
    assert record.reference in text_of(answer)  # type: ignore[attr-defined]


def test_unreachable_database_is_said_with_a_time_to_come_back(console: Console) -> None:
    answer = visit_failing_page(console, StoreUnavailableError("password=secret"))
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert "secret" not in answer.text
    assert "The console cannot reach its database." in text_of(answer)


def test_conflict_says_its_sentence(console: Console) -> None:
    answer = visit_failing_page(console, ConflictError("Run 1 has finished."))
    assert answer.status_code == 409
    assert "Run 1 has finished." in text_of(answer)


def test_too_large_request_is_refused_and_saves_nothing(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("old", name="job")
    answer = admin.post("/scripts/job.lua", source="x" * REQUEST_LIMIT_BYTES, revision=2)
    assert answer.status_code == 413
    assert "at most 2 MiB" in text_of(answer)
    assert console.moontide.queries.get_script("job.lua").source == "old"
    answer = admin.post("/scripts/job.lua", accept="application/json", source="x" * REQUEST_LIMIT_BYTES)
    assert answer.json is not None
    assert "nothing was saved" in answer.json["message"]


def test_largest_script_fits(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("old", name="job")
    token = admin.token()
    fields = {"csrf_token": token, "revision": "2", "source": "%\n" * (512 * 1024)}
    parts = [
        f'--part\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()
    ]
    body = "\r\n".join([*parts, "--part--", ""]).encode()
    answer = admin.client.post("/scripts/job.lua", data=body, content_type="multipart/form-data; boundary=part")
    assert answer.status_code == 303


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/jobs/77", "There is no job 77."),
        ("/runs/77", "There is no run 77."),
        ("/nowhere", "There is nothing at /nowhere."),
        ("/jobs/x", "There is nothing at /jobs/x."),
    ],
)
def test_what_is_missing_is_named(viewer: Visitor, address: str, words: str) -> None:
    answer = viewer.get(address)
    assert answer.status_code == 404
    assert words in text_of(answer)


def test_role_that_is_too_low_is_named(viewer: Visitor) -> None:
    answer = viewer.get("/jobs/new")
    assert answer.status_code == 403
    assert "Your role is viewer, which is not enough for this." in text_of(answer)


def test_wrong_method_says_which_are_right(viewer: Visitor) -> None:
    answer = viewer.get("/logout")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def test_health_says_no_more_than_ok(console: Console) -> None:
    answer = console.visitor().get("/healthz")
    assert answer.json == {"status": "ok"}
    assert "Set-Cookie" not in answer.headers


def test_session_of_a_removed_role_is_checked_on_each_request(console: Console) -> None:
    visitor = console.sign_in(Role.ADMIN)
    with console.moontide.database.write() as connection:
        connection.exec_driver_sql("UPDATE account SET role = 'viewer'")
    assert visitor.get("/jobs/new").status_code == 403
    with console.moontide.database.write() as connection:
        connection.exec_driver_sql("UPDATE account SET disabled = 1")
    assert visitor.get("/jobs").status_code == 303
