"""Two banks in one service, made and run by command on one PostgreSQL server, and attacked from each other."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from biobank.operations import several_banks
from biobank.operations.several_banks import BankFault, OneBank
from biobank.postgres import bank_databases
from biobank.postgres.bank_databases import ServerRefused
from biobank.postgres.embedded import EmbeddedPostgres

ROOT = Path(__file__).resolve().parents[2]
PROXY = ROOT / "deploy" / "proxy" / "nginx.conf"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
# Below what the system chooses from, and other ones in each process of the tests.
FIRST_PORT = 18101 + 10 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PASSWORD = "correct horse battery staple of this bank"


def waited_for(condition: Callable[[], bool], seconds: float = 300) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


@dataclass(frozen=True)
class Service:
    """Two banks, North and South, on one server; both run."""

    folder: Path
    server: str

    def biobank(self, *words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run the command as a person would on this machine."""
        command = [sys.executable, "-m", "biobank", *words]
        return subprocess.run(
            command, env=self.environ() | environ, capture_output=True, text=True, check=False, cwd=ROOT, timeout=180
        )

    def environ(self) -> dict[str, str]:
        given = {key: value for key, value in os.environ.items() if not key.startswith("BIOBANK_")}
        return given | {"BIOBANK_BANKS": str(self.folder), "BIOBANK_BANKS_SERVER": self.server, "COLUMNS": "400"}

    def settings(self, bank: str) -> dict[str, str]:
        return several_banks.environment_of(self.folder, bank, owner=True)

    def client(self, bank: str, **headers: str) -> httpx.Client:
        """A caller of one bank, by its own host name."""
        one = several_banks.get_bank(self.folder, bank)
        return httpx.Client(
            base_url=f"http://127.0.0.1:{one.port}", headers={"Host": one.host_name.lower(), **headers}, timeout=60
        )

    def answers(self, bank: str) -> bool:
        try:
            return self.client(bank).get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def token(self, bank: str) -> str:
        """A token of the bank's own first administrator."""
        form = {"username": f"admin_{bank}", "password": PASSWORD}
        answer = self.client(bank).post("/api/v1/auth/token", data=form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


def first_admin(service: Service, bank: str) -> None:
    """The first login of a bank, from its console; its owner chooses the password."""
    made = service.biobank(
        "--bank", bank, "users", "create", f"admin_{bank}", "--name", f"Person of {bank}", "--role", "admin", "--role", "auditor"
    )
    assert made.returncode == 0, made.stderr
    code = re.search(r"One-time code: (\S+ \S+)", made.stdout)
    assert code is not None, made.stdout
    client = service.client(bank)
    first = client.post("/api/v1/auth/token", data={"username": f"admin_{bank}", "password": code.group(1)}).json()
    client.headers["Authorization"] = f"Bearer {first['access_token']}"
    answer = client.post("/api/v1/auth/password", json={"password": code.group(1), "new_password": PASSWORD})
    assert answer.status_code < 300, answer.text


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("several")
    home.chmod(0o755)
    with EmbeddedPostgres(home / "server") as postgres:
        server = postgres.dsn("owner", "postgres")
        # The embedded server's own two databases are another bank: nobody of the new ones may connect to them.
        made = Service(home / "banks", server)
        for name in ("north", "south"):
            done = made.biobank(
                *("banks", "create", name, "--host-name", f"{name}.example", "--log-origin", f"{name}.example/custody"),
                *(("--port", str(FIRST_PORT)) if name == "north" else ()),
            )
            assert done.returncode == 0, done.stderr
        running = subprocess.Popen([sys.executable, "-m", "biobank", "banks", "serve"], env=made.environ(), cwd=ROOT)
        try:
            assert waited_for(lambda: made.answers("north") and made.answers("south")), "the banks did not come up"
            for name in ("north", "south"):
                first_admin(made, name)
            yield made
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(60)


def test_each_bank_has_its_own_people_log_and_host(service: Service) -> None:
    listed = service.biobank("banks", "list").stdout
    assert re.search(r"north: open, NORTH\.EXAMPLE, port \d+, on a server that was named", listed)
    for name, other in (("north", "south"), ("south", "north")):
        signed_in = service.client(name, Authorization=f"Bearer {service.token(name)}")
        people = signed_in.get("/api/v1/users").text
        assert f"admin_{name}" in people and f"admin_{other}" not in people
        assert waited_for(lambda c=signed_in: c.get("/api/v1/log/checkpoint").status_code == 200)  # type: ignore[misc]
        note = signed_in.get("/api/v1/log/checkpoint").text
        assert note.startswith(f"{name}.example/custody\n")


def test_a_token_a_session_and_a_login_of_one_bank_are_nothing_in_another(service: Service) -> None:
    token = service.token("north")
    assert service.client("north", Authorization=f"Bearer {token}").get("/api/v1/users").status_code == 200
    assert service.client("south", Authorization=f"Bearer {token}").get("/api/v1/users").status_code == 401

    form = {"username": "admin_north", "password": PASSWORD}
    assert service.client("south").post("/api/v1/auth/token", data=form).status_code == 401

    def page_session(bank: str) -> httpx.Client:
        browser = service.client(bank)
        page = browser.get("/login").text
        csrf = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert csrf is not None
        sent = {"csrf_token": csrf.group(1), "username": f"admin_{bank}", "password": PASSWORD}
        cookies = "; ".join(f"{key}={value}" for key, value in browser.cookies.items())
        answer = browser.post("/login", data=sent, headers={"Cookie": cookies} if cookies else {})
        browser.headers["Cookie"] = "; ".join(f"{one.name}={one.value}" for one in answer.cookies.jar)
        return browser

    browser = page_session("north")
    assert "admin_north" in browser.get("/account").text or browser.get("/account").status_code == 200
    elsewhere = service.client("south", Cookie=browser.headers["Cookie"])
    assert elsewhere.get("/account").status_code in (303, 401)


def test_a_bank_does_not_answer_to_anothers_host(service: Service) -> None:
    answer = service.client("south", Host="north.example").get("/login")
    assert answer.status_code >= 400 and "password" not in answer.text


@pytest.mark.parametrize("login", ["app", "sealer", "auditor", "owner"])
@pytest.mark.parametrize("database", ["bank_south", "bank_south_keys", "biobank", "biobank_keys"])
def test_no_login_of_one_bank_connects_to_a_database_of_another(service: Service, login: str, database: str) -> None:
    key = {"app": "", "sealer": "SEALER_", "auditor": "AUDITOR_", "owner": "OWNER_"}[login]
    address = service.settings("north")[f"BIOBANK_{key}DATABASE_URL"]
    psycopg.connect(address).close()
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(make_conninfo(address, dbname=database))


def test_a_store_of_keys_is_for_the_app_alone(service: Service) -> None:
    for login in ("SEALER_", "AUDITOR_"):
        address = service.settings("north")[f"BIOBANK_{login}DATABASE_URL"]
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(make_conninfo(address, dbname="bank_north_keys"))


def test_no_process_of_one_bank_has_a_setting_of_another(service: Service) -> None:
    passwords = {
        name: {str(conninfo_to_dict(value)["password"]) for key, value in service.settings(name).items() if key.endswith("_URL")}
        for name in ("north", "south")
    }
    assert not passwords["north"] & passwords["south"]
    seen = {"north": 0, "south": 0}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environ = (process / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        of = [name for name in seen if f"BIOBANK_ISSUER=biobank/{name}\0" in environ]
        if not of or str(service.folder) not in environ:
            continue
        (name,) = of
        seen[name] += 1
        other = "south" if name == "north" else "north"
        assert not any(password in environ for password in passwords[other]), "a process knows another bank's password"
        assert str(service.folder / other) not in environ
    assert min(seen.values()) >= 4, "web, sealer, worker and their parent"


def test_the_look_at_the_boundary_says_who_could_cross_it(service: Service) -> None:
    assert service.biobank("banks", "check").returncode == 0
    with psycopg.connect(service.server, autocommit=True) as server:
        server.execute("GRANT CONNECT ON DATABASE bank_south TO bank_north_auditor")
        try:
            found = service.biobank("banks", "check")
            assert (found.returncode, "Logins of north may connect to bank_south" in found.stderr) == (1, True), found.stderr
        finally:
            server.execute("REVOKE CONNECT ON DATABASE bank_south FROM bank_north_auditor")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("north", "--host-name", "new.example", "--log-origin", "new.example/custody"), "There is a bank north already."),
        (("east", "--host-name", "NORTH.example", "--log-origin", "east.example/custody"), "is the host of another bank"),
        (("east", "--host-name", "east.example", "--log-origin", "north.example/custody"), "is the log of another bank"),
        (
            ("east", "--host-name", "east.example", "--log-origin", "east.example/custody", "--port", str(FIRST_PORT)),
            "Another bank listens on port",
        ),
        (("East!", "--host-name", "east.example", "--log-origin", "east.example/custody"), "A bank's name is a small letter"),
        (("../east", "--host-name", "east.example", "--log-origin", "east.example/custody"), "A bank's name is a small letter"),
    ],
)
def test_what_would_mix_two_banks_is_refused_and_leaves_nothing(service: Service, words: tuple[str, ...], said: str) -> None:
    before = sorted(service.folder.iterdir())
    refused = service.biobank("banks", "create", *words)
    assert (refused.returncode, said in refused.stderr) == (1, True), refused.stderr
    assert sorted(service.folder.iterdir()) == before


def test_one_command_acts_on_the_bank_that_it_names(service: Service) -> None:
    north = service.biobank("--bank", "north", "log", "policy", BIOBANK_LOG_ORIGIN="south.example/custody")
    assert "north.example/custody" in north.stdout and "south.example" not in north.stdout, north.stdout + north.stderr
    nobody = service.biobank("--bank", "west", "log", "policy")
    assert (nobody.returncode, "There is no bank 'west'" in nobody.stderr) == (1, True)


def test_an_export_of_one_bank_is_not_of_the_other(service: Service, tmp_path: Path) -> None:
    bundle = tmp_path / "north.bundle"
    assert waited_for(lambda: service.biobank("--bank", "north", "bundle", str(bundle)).returncode == 0, 60)
    key = service.biobank("--bank", "south", "log", "policy").stdout
    assert "north.example" not in key
    assert b"admin_south" not in bundle.read_bytes()


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed (apt-get install nginx)")
def test_one_proxy_leads_each_host_to_its_bank(service: Service, tmp_path: Path) -> None:
    """The configuration in `deploy`, with the changes that docs/operations.md names."""
    (tmp_path / "banks.conf").write_text(service.biobank("banks", "proxy").stdout)
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=north.example"]
    names = ["-addext", "subjectAltName=DNS:north.example,DNS:south.example"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "fullchain.pem")]
    subprocess.run([*made, *names, *files], check=True, capture_output=True)
    text = re.sub(r"upstream bank \{.*?\n    \}\n", f"include {tmp_path}/banks.conf;\n", PROXY.read_text(), flags=re.S)
    text = text.replace("server_name bank.example;", "server_name north.example south.example;").replace(
        "http://bank;", "http://$bank;"
    )
    socket = tmp_path / "nginx.socket"
    for old, new in (
        ("listen 443", f"listen unix:{socket}"),
        ("listen 80", f"listen unix:{tmp_path}/plain.socket"),
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
    try:
        assert waited_for(socket.exists), (tmp_path / "error.log").read_text()
        for name in ("north", "south"):
            ask = ["curl", "-sS", "--max-time", "60", "--unix-socket", str(socket), "--cacert", str(tmp_path / "fullchain.pem")]
            ask += ["--retry", "5", "--retry-connrefused", f"https://{name}.example/api/v1/log/checkpoint"]
            seen = subprocess.run(ask, capture_output=True, text=True, check=False)
            assert seen.stdout.startswith(f"{name}.example/custody\n"), seen.stdout + seen.stderr
    finally:
        process.terminate()
        process.wait(60)


def test_a_second_runner_of_the_same_banks_is_refused(service: Service) -> None:
    second = service.biobank("banks", "serve")
    assert (second.returncode, "Another process runs the banks" in second.stderr) == (3, True), second.stderr


def test_a_bank_is_stopped_closed_and_opened_again_while_its_neighbour_goes_on(service: Service) -> None:
    running = service.biobank("banks", "close", "south")
    assert (running.returncode, "Stop it first" in running.stderr) == (1, True), running.stderr
    assert service.biobank("banks", "stop", "south").returncode == 0
    assert waited_for(lambda: not service.answers("south"))
    assert service.answers("north")
    assert "bank_south" not in service.biobank("banks", "proxy").stdout

    def closed() -> bool:
        done = service.biobank("banks", "close", "south")
        assert done.returncode == 0 or "to be sealed" in done.stderr, done.stderr
        if done.returncode:  # It was stopped before its log was sealed to the end.
            service.biobank("banks", "start", "south")
            assert waited_for(lambda: service.answers("south"))
            time.sleep(1)
            service.biobank("banks", "stop", "south")
            assert waited_for(lambda: not service.answers("south"))
        return done.returncode == 0

    assert waited_for(closed)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(service.settings("south")["BIOBANK_DATABASE_URL"])
    assert service.biobank("banks", "start", "south").returncode == 1

    assert service.biobank("banks", "reopen", "south").returncode == 0
    assert waited_for(lambda: service.answers("south"))
    assert service.token("south")
    assert service.answers("north")


def as_owner(service: Service, bank: str, statement: str) -> None:
    """Write past the guards, in a connection of its own: closing a bank ends every connection to it."""
    with psycopg.connect(service.server.replace("/postgres?", f"/bank_{bank}?"), autocommit=True) as server:
        server.execute("SET session_replication_role = replica")
        server.execute(statement)


def test_a_bank_that_keeps_material_is_not_closed(service: Service) -> None:
    assert service.biobank("banks", "stop", "south").returncode == 0
    assert waited_for(lambda: not service.answers("south"))
    row = (
        "INSERT INTO custody (code, seq, head_hash, state, condition, quality, custodian_kind, custodian_id, amount, "
        "last_occurred_at, state_seq) VALUES "
        "('AD26-AAAAAAA', 1, '', 'received', 'fresh', 'quarantined', 'user', 'U', 1, now(), 1)"
    )
    as_owner(service, "south", row)
    try:
        refused = service.biobank("banks", "close", "south")
        assert (refused.returncode, "keeps 1 specimen" in refused.stderr) == (1, True), refused.stderr
        psycopg.connect(service.settings("south")["BIOBANK_DATABASE_URL"]).close()
    finally:
        as_owner(service, "south", "UPDATE custody SET state = 'lost', custodian_kind = 'nobody', custodian_id = NULL")
    assert service.biobank("banks", "start", "south").returncode == 0
    assert waited_for(lambda: service.answers("south"))


def test_a_server_whose_databases_everybody_may_enter_is_refused_and_gone_on_with_when_mended(
    service: Service, tmp_path: Path
) -> None:
    words = ("banks", "create", "east", "--host-name", "east.example", "--log-origin", "east.example/custody")
    with psycopg.connect(service.server, autocommit=True) as server:
        server.execute("CREATE DATABASE anybodys")
        refused = service.biobank(*words, BIOBANK_BANKS=str(tmp_path))
        assert (refused.returncode, "may also connect to: anybodys" in refused.stderr) == (1, True), refused.stderr
        assert several_banks.get_bank(tmp_path, "east").state == "being_made"
        server.execute("REVOKE CONNECT ON DATABASE anybodys FROM PUBLIC")
    done = service.biobank(*words, BIOBANK_BANKS=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert several_banks.get_bank(tmp_path, "east").state == "open"
    assert not (tmp_path / "east" / "passwords.json").exists()
    assert {oct(one.stat().st_mode & 0o777) for one in (tmp_path / "east").iterdir() if one.is_file()} == {"0o600"}


def test_a_server_that_does_not_answer_is_said(tmp_path: Path) -> None:
    with pytest.raises(ServerRefused, match="The database server refused"):
        bank_databases.create_databases("postgresql:///postgres?host=/nowhere", "east", bank_databases.new_passwords())


@pytest.mark.parametrize("content", ["", "[]", '{"name": "north"}', "no json"])
def test_a_broken_folder_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "north").mkdir()
    (tmp_path / "north" / "bank.json").write_text(content)
    with pytest.raises(BankFault, match=r"bank\.json cannot be read"):
        several_banks.all_banks(tmp_path)


def test_a_line_that_is_no_setting_is_named_and_not_its_value(tmp_path: Path) -> None:
    (tmp_path / "north").mkdir()
    bank = OneBank("north", "N.EXAMPLE", "n.example/c", 1, False, "open")
    (tmp_path / "north" / "bank.json").write_text(json.dumps(asdict(bank)))
    (tmp_path / "north" / "bank.env").write_text("# ours\n\nBIOBANK_PORT=1\nPASSWORD=secret\n")
    with pytest.raises(BankFault, match="PASSWORD") as fault:
        several_banks.environment_of(tmp_path, "north")
    assert "secret" not in str(fault.value)
