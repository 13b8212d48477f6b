from datetime import timedelta

import pytest
from flask import Flask
from werkzeug.routing import Rule

from jobservice.domain.account import Role
from tests.support.console import Console
from webmin.permissions import UndeclaredRouteError, check_all_declared, permission_of, public

EXPECTED = {
    "GET /": "public",
    "GET /account": Role.VIEWER,
    "GET /healthz": "public",
    "GET /jobs": Role.VIEWER,
    "GET /jobs/<key:job_id>": Role.VIEWER,
    "GET /jobs/<key:job_id>/delete": Role.ADMIN,
    "GET /jobs/<key:job_id>/edit": Role.ADMIN,
    "GET /jobs/new": Role.ADMIN,
    "GET /login": "public",
    "GET /reload": Role.VIEWER,
    "GET /runs/<key:run_id>": Role.VIEWER,
    "GET /runs/<key:run_id>/log.txt": Role.VIEWER,
    "GET /scripts/<path:path>": Role.VIEWER,
    "GET /setup/<token>": "public",
    "GET /static/<path:filename>": "public",
    "POST /account": Role.VIEWER,
    "POST /jobs/<key:job_id>/deactivate": Role.OPERATOR,
    "POST /jobs/<key:job_id>/delete": Role.ADMIN,
    "POST /jobs/<key:job_id>/edit": Role.ADMIN,
    "POST /jobs/<key:job_id>/reactivate": Role.OPERATOR,
    "POST /jobs/<key:job_id>/run": Role.OPERATOR,
    "POST /jobs/new": Role.ADMIN,
    "POST /login": "public",
    "POST /logout": "public",
    "POST /reload": Role.OPERATOR,
    "POST /runs/<key:run_id>/again": Role.OPERATOR,
    "POST /runs/<key:run_id>/cancel": Role.OPERATOR,
    "POST /scripts/<path:path>": Role.ADMIN,
    "POST /scripts/<path:path>/check": Role.ADMIN,
    "POST /setup/<token>": "public",
    "POST /theme": "public",
}


def routes(app: Flask) -> dict[str, Rule]:
    return {
        f"{method} {rule.rule}": rule
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in {"HEAD", "OPTIONS"}
    }


def addresses(app: Flask, method: str) -> dict[str, str]:
    """Return route -> an address that fits it."""
    values = {"<key:job_id>": "1", "<key:run_id>": "1", "<path:path>": "job.lua", "<token>": "x"}
    found = {}
    for route in routes(app):
        verb, address = route.split(" ")
        if verb == method and "static" not in address:
            for placeholder, value in values.items():
                address = address.replace(placeholder, value)
            found[route] = address
    return found


def test_every_route_declares_what_the_table_says(console: Console) -> None:
    declared = {route: permission_of(console.app, rule.endpoint) for route, rule in routes(console.app).items()}
    assert declared == EXPECTED


def test_route_without_a_declaration_fails_the_start() -> None:
    app = Flask("undeclared")
    app.add_url_rule("/open", "open", lambda: "")
    public(app.view_functions["static"])
    with pytest.raises(UndeclaredRouteError, match="open"):
        check_all_declared(app)


@pytest.mark.parametrize("role", list(Role))
def test_each_role_reaches_exactly_what_the_table_says(console: Console, role: Role) -> None:
    run_id = console.moontide.service.run_now(console.moontide.add_job("", name="job"), by="alice")
    assert run_id == 1
    visitor = console.sign_in(role)
    order = list(Role)
    # Logging out would end the test; deleting comes last, since the others need the job.
    ordered = sorted(addresses(console.app, "POST").items(), key=lambda item: "delete" in item[0])
    posts = [(route, address) for route, address in ordered if address not in {"/logout", "/login"}]
    for route, address in [*addresses(console.app, "GET").items(), *posts]:
        needed = EXPECTED[route]
        console.moontide.clock.advance(timedelta(seconds=1))
        method = visitor.get if route.startswith("GET") else visitor.post
        status = method(address).status_code
        allowed = needed == "public" or order.index(role) >= order.index(Role(needed))
        assert (status != 403) is allowed, (route, status)
        assert status < 500, (route, status)


def test_nobody_reaches_anything_but_public_pages(console: Console) -> None:
    console.sign_in(Role.ADMIN)
    for method in ("GET", "POST"):
        for route, address in addresses(console.app, method).items():
            visitor = console.visitor()
            answer = visitor.get(address) if method == "GET" else visitor.post(address)
            if EXPECTED[route] != "public":
                assert answer.status_code == 303, route
                assert answer.location.startswith("/login"), route


def test_post_without_a_token_is_refused_and_does_nothing(console: Console) -> None:
    job_id = console.moontide.add_job("", name="job")
    admin = console.sign_in(Role.ADMIN)
    for address in addresses(console.app, "POST").values():
        for fields in ({}, {"csrf_token": "wrong"}, {"csrf_token": console.visitor().token()}):
            answer = admin.post_bare(address, **fields)
            assert answer.status_code == 400, address
            assert "This form is out of date" in answer.text
    assert console.moontide.job(job_id).row.active
    assert admin.get("/jobs").status_code == 200


def test_get_of_a_posting_route_is_not_allowed(console: Console) -> None:
    admin = console.sign_in(Role.ADMIN)
    gets = set(addresses(console.app, "GET").values())
    for address in set(addresses(console.app, "POST").values()) - gets - {"/scripts/job.lua/check"}:
        assert admin.get(address).status_code == 405, address


def test_form_of_another_site_is_refused(console: Console) -> None:
    admin = console.sign_in(Role.ADMIN)
    token = admin.token()
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.test"}):
        answer = admin.client.post("/reload", data={"csrf_token": token}, headers=headers)
        assert answer.status_code == 400
        assert "another site" in answer.text
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}):
        assert admin.client.post("/reload", data={"csrf_token": token}, headers=headers).status_code == 303


def test_unknown_job_is_not_found_for_every_action(console: Console) -> None:
    admin = console.sign_in(Role.ADMIN)
    for action in ("run", "deactivate", "reactivate", "delete"):
        assert admin.post(f"/jobs/77/{action}").status_code == 404
    for action in ("cancel", "again"):
        assert admin.post(f"/runs/77/{action}").status_code == 404


def test_reading_every_page_changes_nothing(console: Console) -> None:
    run_id = console.moontide.service.run_now(console.moontide.add_job("", name="job"), by="alice")
    assert run_id == 1
    admin = console.sign_in(Role.ADMIN)

    def dump() -> list[str]:
        raw = console.moontide.database.engine.raw_connection()
        try:
            return list(raw.driver_connection.iterdump())  # type: ignore[union-attr]
        finally:
            raw.close()

    before = dump()
    addressed = {**addresses(console.app, "GET"), **addresses(console.app, "POST")}
    for address in addressed.values():
        admin.get(address)
        admin.client.head(address)
    assert dump() == before
