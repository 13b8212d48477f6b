import re
from dataclasses import replace

from tests.support.console import PASSWORD, Console, Visitor
from webmin.app import create_app
from webmin.rendering import THEME_COOKIE


def test_every_page_carries_the_protecting_headers(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("")
    for address in ("/jobs", "/jobs/1", "/jobs/new", "/scripts/job.lua", "/account", "/nowhere", "/static/icon.svg"):
        headers = admin.get(address).headers
        policy = headers["Content-Security-Policy"]
        for rule in ("default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
            assert rule in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "Permissions-Policy" in headers
        assert "Server" not in headers
        assert "Strict-Transport-Security" not in headers


def test_private_pages_are_not_stored_and_vendored_files_are_kept(admin: Visitor) -> None:
    assert admin.get("/jobs").headers["Cache-Control"] == "no-store"
    styles = re.findall(r'href="(/static/vendor/[^"]+)"', admin.get("/jobs").text)
    assert styles
    for address in styles:
        assert "immutable" in admin.get(address).headers["Cache-Control"]


def test_nonce_is_fresh_in_every_answer_and_on_every_script(admin: Visitor) -> None:
    nonces = set()
    for _ in range(3):
        answer = admin.get("/jobs")
        (nonce,) = set(re.findall(r'nonce="([^"]+)"', answer.text))
        assert f"'nonce-{nonce}'" in answer.headers["Content-Security-Policy"]
        assert answer.text.count("<script") == answer.text.count(f'nonce="{nonce}"')
        nonces.add(nonce)
    assert len(nonces) == 3


def test_no_page_has_inline_script_style_or_handlers(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("")
    console.moontide.service.run_now(console.moontide.add_job("", name="b"), by="alice")
    pages = ["/jobs", "/jobs/1", "/jobs/1/edit", "/jobs/1/delete", "/jobs/new", "/reload", "/runs/1", "/account",
             "/scripts/job.lua", "/nowhere"]  # fmt: skip
    texts = [admin.get(address).text for address in pages] + [console.visitor().get("/login").text]
    for text in texts:
        assert not re.search(r"<style|\sstyle=|javascript:", text)
        assert not re.search(r"<[^>]+\son[a-z]+=", text)
        assert all(tag.endswith("</script>") for tag in re.findall(r"<script[^>]*src=[^>]*>.*?</script>", text))
        assert text.count("<script") == len(re.findall(r"<script[^>]*\ssrc=\"[^\"]+\"[^>]*></script>", text))


def test_session_cookie_is_out_of_reach_for_scripts(console: Console, admin: Visitor) -> None:
    answer = console.visitor().get("/login")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("moontide=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Domain" not in cookie
    assert THEME_COOKIE not in cookie


def test_cookie_is_secure_when_that_is_set(console: Console) -> None:
    secure = replace(console.backend, settings=replace(console.backend.settings, secure_cookies=True))
    client = create_app(secure).test_client()
    cookie = client.get("/login", base_url="https://console.test").headers["Set-Cookie"]
    assert cookie.startswith("__Host-moontide=")
    assert "Secure" in cookie
    assert "Path=/" in cookie


def test_tls_is_remembered_by_the_browser(console: Console) -> None:
    answer = console.app.test_client().get("/login", base_url="https://console.test")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_forwarded_headers_count_only_behind_a_trusted_proxy(console: Console, admin: Visitor) -> None:
    sent = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.test"}
    answer = console.app.test_client().get("/login", headers=sent)
    assert "Strict-Transport-Security" not in answer.headers
    assert "evil.test" not in answer.text


def test_token_in_the_address_is_not_taken(console: Console, admin: Visitor) -> None:
    token = admin.token()
    assert admin.client.post(f"/reload?csrf_token={token}").status_code == 400


def test_password_never_comes_back(console: Console, admin: Visitor) -> None:
    answer = console.visitor().post("/login", name="", password=PASSWORD)
    assert PASSWORD not in answer.text
