"""TLS between the proxy and the web process: each proves who it is, and nobody else gets a word."""

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from biobank.foundation.config import Settings, WeakSettings
from biobank.operations.supervisor import web_command
from tests.conftest import TestBank

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@dataclass(frozen=True)
class Authority:
    """A private authority and the certificates that it gave."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """Its own."""
        return self.folder / "ca.pem"

    def found(self) -> "Authority":
        """Make its key and certificate."""
        self.folder.mkdir()
        new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority"]
        openssl(*new, "-keyout", str(self.folder / "ca.key"), "-out", str(self.certificate))
        return self

    def give(self, name: str, alternative: str) -> tuple[str, str]:
        """Give a certificate; return it and its key."""
        key, asked, made, more = (str(self.folder / f"{name}.{end}") for end in ("key", "csr", "pem", "ext"))
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", asked)
        Path(more).write_text(f"subjectAltName={alternative}\n")
        by = ["-CA", str(self.certificate), "-CAkey", str(self.folder / "ca.key"), "-CAcreateserial"]
        openssl("x509", "-req", "-in", asked, *by, "-days", "2", "-extfile", more, "-out", made)
        return made, key


@dataclass(frozen=True)
class Web:
    """A running web process and the authorities around it."""

    port: int
    own: Authority
    callers: Authority

    def ask(self, trusts: Authority | None, shows: tuple[str, str] | None) -> int:
        """Ask it over TLS; return the status."""
        context = ssl.create_default_context(cafile=None if trusts is None else str(trusts.certificate))
        if shows is not None:
            context.load_cert_chain(*shows)
        return httpx.get(f"https://127.0.0.1:{self.port}/healthz", verify=context, timeout=30).status_code


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def web(bank: TestBank, tmp_path: Path) -> Iterator[Web]:
    """The web process as the bank starts it, with a certificate, and an authority of its callers."""
    made = Web(free_port(), Authority(tmp_path / "own").found(), Authority(tmp_path / "callers").found())
    certificate, key = made.own.give("bank", "IP:127.0.0.1,DNS:bank.internal")
    tls = {"tls_certificate": certificate, "tls_key": key, "tls_callers": made.callers.certificate}
    settings = bank.bank.settings.model_copy(update={"host": "127.0.0.1", "port": made.port, "workers": 1, **tls})
    given = settings.model_dump(exclude_none=True)
    environ = dict(os.environ) | {f"BIOBANK_{name.upper()}": str(value) for name, value in given.items()}
    running = subprocess.Popen(web_command(settings), env=environ)
    wait_until_it_listens(made.port, running)
    yield made
    running.terminate()
    running.wait(60)


def wait_until_it_listens(port: int, process: "subprocess.Popen[bytes]") -> None:
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None
        time.sleep(0.05)


def test_the_web_process_proves_who_it_is_and_answers_the_proxy_alone(web: Web, tmp_path: Path) -> None:
    proxy, stranger = web.callers.give("proxy", "DNS:proxy"), Authority(tmp_path / "strange").found()

    assert web.ask(web.own, proxy) == 200
    for trusts, shows in ((None, proxy), (stranger, proxy), (web.own, None), (web.own, stranger.give("proxy", "DNS:proxy"))):
        with pytest.raises(httpx.TransportError):
            web.ask(trusts, shows)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{web.port}/healthz", timeout=30)


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed (apt-get install nginx)")
def test_the_proxy_checks_the_certificate_and_shows_its_own(web: Web, tmp_path: Path) -> None:
    """The lines that the page of operations gives, run; and nothing is passed on to a process with another's certificate."""
    certificate, key = web.callers.give("proxy", "DNS:proxy")
    right, wrong = free_port(), free_port()
    listening = "\n".join(
        f"""server {{ listen 127.0.0.1:{port}; location / {{
            proxy_pass https://127.0.0.1:{web.port}; proxy_ssl_name bank.internal; proxy_ssl_server_name on;
            proxy_ssl_verify on; proxy_ssl_trusted_certificate {trusted}; proxy_ssl_session_reuse off;
            proxy_ssl_certificate {certificate}; proxy_ssl_certificate_key {key}; }} }}"""
        for port, trusted in ((right, web.own.certificate), (wrong, web.callers.certificate))
    )
    temporary = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/nginx.pid; events {{}} http {{ access_log off; {temporary} {listening} }}"
        + ("" if os.getuid() else " user root;")
    )
    command = [str(NGINX), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")]
    running = subprocess.Popen([*command, "-g", "daemon off;"])
    try:
        for port in (right, wrong):
            wait_until_it_listens(port, running)
        assert httpx.get(f"http://127.0.0.1:{right}/healthz", timeout=30).status_code == 200
        assert httpx.get(f"http://127.0.0.1:{wrong}/healthz", timeout=30).status_code == 502
    finally:
        running.terminate()
        running.wait(60)


@pytest.mark.parametrize("half", [{"BIOBANK_TLS_CERTIFICATE": "a"}, {"BIOBANK_TLS_KEY": "a"}, {"BIOBANK_TLS_CALLERS": "a"}])
def test_half_a_certificate_is_no_setting(half: dict[str, str]) -> None:
    with pytest.raises(WeakSettings, match="BIOBANK_TLS_KEY"):
        Settings.from_environment(half)
