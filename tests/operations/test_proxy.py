"""The configuration of the proxy, run as it stands: nginx with a certificate before a running bank."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests import seed
from tests.conftest import Api
from tests.exports.test_custody_log import some_history
from tests.sealing import seal

CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy" / "proxy" / "nginx.conf"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (apt-get install nginx)")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Proxy:
    """A running proxy: its ports and its certificate."""

    tls: int
    plain: int
    certificate: Path

    def curl(self, path: str, *options: str, name: str = "bank.example") -> str:
        """Ask it by name, as curl does, and return the answer's head and body."""
        to = f"{name}:{self.tls}:127.0.0.1"
        known = ["--cacert", str(self.certificate), "--resolve", to]
        command = ["curl", "-si", "--max-time", "60", *known, *options, f"https://{name}:{self.tls}{path}"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.fixture
def proxy(api: Api, tmp_path: Path) -> Iterator[Proxy]:
    """The proxy before the bank: only ports, folders and names of files differ from the file in `deploy`."""
    certificate, key = tmp_path / "fullchain.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bank.example"]
    names = ["-addext", "subjectAltName=DNS:bank.example", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *names], check=True, capture_output=True)
    tls, plain = free_port(), free_port()
    text = CONFIGURATION.read_text()
    for old, new in (
        ("127.0.0.1:8000", urlsplit(api.url).netloc),
        ("listen 443", f"listen 127.0.0.1:{tls}"),
        ("listen 80", f"listen 127.0.0.1:{plain}"),
        ("/etc/nginx/bank", str(tmp_path)),
        ("/var/log/nginx", str(tmp_path)),
        ("/run/nginx.pid", str(tmp_path / "nginx.pid")),
        ("user www-data;", "" if os.getuid() else "user root;"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    (tmp_path / "nginx.conf").write_text(text)
    command = [str(NGINX), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")]
    process = subprocess.Popen([*command, "-g", "daemon off;"])
    for _ in range(400):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", tls)) == 0:
                break
        assert process.poll() is None, (tmp_path / "error.log").read_text()
        time.sleep(0.05)
    yield Proxy(tls, plain, certificate)
    process.terminate()
    process.wait(60)


def test_a_bank_behind_the_proxy(api: Api, proxy: Proxy) -> None:
    page = proxy.curl("/login")
    assert re.match(r"HTTP/2 200", page)
    assert "strict-transport-security: max-age=63072000" in page.lower()
    signed_in = proxy.curl("/api/v1/auth/token", "-d", "username=lab_tech", "-d", f"password={seed.PASSWORD}")
    assert '"access_token"' in signed_in

    plain = httpx.get(f"http://127.0.0.1:{proxy.plain}/login", headers={"Host": "bank.example"})
    assert (plain.status_code, plain.headers["location"]) == (308, "https://bank.example/login")
    called = httpx.post(f"http://127.0.0.1:{proxy.plain}/api/v1/auth/token", headers={"Host": "bank.example"})
    assert (called.status_code, "location" in called.headers) == (403, False)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://127.0.0.1:{proxy.plain}/login", headers={"Host": "evil.example"})
    assert proxy.curl("/login", "-k", name="evil.example") == ""

    for address in ("/metrics", "/readyz"):
        assert proxy.curl(address).startswith("HTTP/2 404")
    some_history(api, 1)
    seal(api.test_bank)
    export = proxy.curl("/api/v1/custody-log?format=csv", "-H", f"Authorization: {api.auditor.headers['Authorization']}")
    assert export.startswith("HTTP/2 200")


def test_a_large_body_and_a_storm_at_the_sign_in_end_at_the_proxy(proxy: Proxy, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(120_000_000))
    refused = proxy.curl("/api/v1/attachments", "-H", "Expect:", "--data-binary", f"@{large}")
    assert refused.startswith("HTTP/2 413")

    with httpx.Client(verify=False, headers={"Host": "bank.example"}) as storm:
        address, named = f"https://127.0.0.1:{proxy.tls}/login", {"sni_hostname": "bank.example"}
        answers = [storm.get(address, extensions=named).status_code for _ in range(60)]
    assert (answers[0], 429 in answers) == (200, True)
