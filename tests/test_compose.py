"""docker-compose.yml and Dockerfile, without an engine: held against the compose schema, the settings and the command line.

The schema is the one that the check-jsonschema package carries. What the containers would run is rehearsed on a real server:
the script that makes the roles, then each service's command with its environment, until its health check succeeds.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from graphlib import TopologicalSorter
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema
import psycopg
import pytest
import yaml

from biobank.foundation.config import Settings
from biobank.operations.supervisor import free_port
from biobank.postgres.embedded import DATABASES, LOGINS, EmbeddedPostgres, Role
from biobank.postgres.programs import find as find_programs
from tests.scratch import reachable_folder

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "biobank"}
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_file_fits_the_compose_schema() -> None:
    schema = json.loads(resources.files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
    jsonschema.validate(COMPOSE, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"app": {"comand": ["serve"]}}}, schema)


def test_what_every_container_writes_can_be_sent_to_another_system_over_tls() -> None:
    override = yaml.safe_load((ROOT / "deploy" / "logs" / "compose.syslog.yml").read_text())
    schema = json.loads(resources.files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
    jsonschema.validate(override, schema)
    assert set(override["services"]) == set(SERVICES)
    for name, service in override["services"].items():
        assert service["logging"]["driver"] == "syslog", name
        options = service["logging"]["options"]
        assert ":?" in options["syslog-address"] and ":?" in options["syslog-tls-ca-cert"], name
        assert "syslog-tls-skip-verify" not in options


def test_the_services_are_two_databases_a_migration_four_processes_and_a_console() -> None:
    assert set(SERVICES) == {"database", "keys", "migrate", "app", "sealer", "witness", "worker", "console"}
    assert set(OURS) == set(SERVICES) - {"database", "keys"}
    assert SERVICES["console"]["profiles"] == ["console"], "nothing that runs has the owner's address"


def test_every_command_is_a_verb_of_the_command_line() -> None:
    command: list[str | Path] = [Path(sys.executable).with_name("biobank"), "--help"]
    help_text = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "200"}).stdout
    for verb in {service["command"][0] for name, service in OURS.items() if name != "console"}:
        assert re.search(rf"^\W*{verb}\b", help_text, re.MULTILINE), verb


def test_every_setting_is_one_that_the_bank_reads() -> None:
    known = {f"BIOBANK_{name.upper()}" for name in Settings.model_fields}
    for service in OURS.values():
        assert set(service["environment"]) <= known


def test_each_process_gets_only_the_addresses_of_its_own_role() -> None:
    def logins(name: str) -> set[str]:
        return set(re.findall(r"//(\w+):", " ".join(SERVICES[name]["environment"].values())))

    assert logins("migrate") == {LOGINS["owner"]}
    assert logins("app") == {LOGINS["app"], LOGINS["auditor"]}
    assert logins("sealer") == {LOGINS["sealer"]}
    assert logins("worker") == {LOGINS["app"]}
    assert SERVICES["witness"]["environment"] == {}, "it needs no setting of the bank's"
    assert logins("console") == {LOGINS["owner"], LOGINS["app"], LOGINS["auditor"]}


def test_no_password_has_a_default_and_every_variable_is_required_somewhere() -> None:
    used = set(re.findall(r"\$\{(\w+)", TEXT))
    required = set(re.findall(r"\$\{(\w+):\?[^}]+\}", TEXT))
    with_default = set(re.findall(r"\$\{(\w+):-", TEXT))
    assert with_default == {
        "BIOBANK_PUBLISHED_PORT",
        "BIOBANK_ALLOWED_HOSTS",
        "BIOBANK_PROXY_ADDRESSES",
        "BIOBANK_POLICY_PATH",
    }
    assert used - with_default == required
    assert {name for name in used if "PASSWORD" in name} <= required
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if "PASSWORD" in name:
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), name


def test_every_image_of_others_is_named_by_a_digest_that_must_be_given() -> None:
    foreign = {service["image"] for service in SERVICES.values()} - {"biobank"}
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)

    assert all(re.fullmatch(r"[\w:.-]+@\$\{\w+_DIGEST:\?[^}]+\}", image) for image in foreign), foreign
    assert len(bases) == 2
    assert all(re.fullmatch(r"[\w:.-]+@\$\{PYTHON_DIGEST\}", base) for base in bases), bases
    assert re.search(r"^ARG PYTHON_DIGEST$", DOCKERFILE, re.MULTILINE)
    for service in OURS.values():
        assert re.fullmatch(r"\$\{BIOBANK_PYTHON_DIGEST:\?[^}]+\}", service["build"]["args"]["PYTHON_DIGEST"])


def test_every_service_is_bounded_in_memory_and_processes_and_gains_no_rights() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert 0 < service["pids_limit"] <= 300, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    for name, service in OURS.items():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name


def test_each_process_mounts_its_own_volumes_and_none_that_runs_writes_secrets_nor_has_the_logs_key_but_the_sealer() -> None:
    def mounted(name: str) -> set[str]:
        return {mount for mount in SERVICES[name]["volumes"] if not mount.startswith("./")}

    secrets, state = "secrets:/var/lib/biobank/secrets", "state:/var/lib/biobank/state"
    of_the_log, register = "log-secrets:/var/lib/biobank/log-secrets", "register:/var/lib/biobank/register"
    assert mounted("migrate") == {secrets, of_the_log}
    assert mounted("console") == {state, register, secrets, of_the_log}
    assert mounted("app") == {state, f"{secrets}:ro"}
    assert mounted("worker") == {state, f"{secrets}:ro"}
    introduced = {f"{name}:/var/lib/biobank/{name}" for name in ("log-public", "witness-public")}
    assert mounted("sealer") == {register, f"{of_the_log}:ro", "log-public:/var/lib/biobank/log-public"} | {
        "witness-public:/var/lib/biobank/witness-public:ro"
    }
    assert {mount.removesuffix(":ro") for mount in mounted("witness")} == introduced | {"witness:/var/lib/biobank/witness"}
    assert mounted("database") == {"database:/var/lib/postgresql/data"}
    assert mounted("keys") == {"keys:/var/lib/postgresql/data"}
    made = " ".join(re.findall(r"install --directory (.+?)\n(?!\s)", DOCKERFILE, re.DOTALL))
    for name in OURS:
        assert all(mount.split(":")[1] in made.split() for mount in mounted(name)), "or the volume belongs to root"


def test_the_databases_are_reached_by_those_who_need_them_and_from_nowhere_else() -> None:
    assert {name for name, network in COMPOSE["networks"].items() if network == {"internal": True}} == {
        "bank",
        "keystore",
        "witness",
    }
    reach = {name: set(service["networks"]) for name, service in SERVICES.items()}
    assert reach == {
        "database": {"bank"},
        "keys": {"keystore"},
        "migrate": {"bank", "keystore"},
        "app": {"bank", "keystore", "outside"},
        "sealer": {"bank", "witness", "outside"},
        "witness": {"witness"},
        "worker": {"bank", "keystore", "outside"},
        "console": {"bank", "keystore", "outside"},
    }
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"app"}
    assert all(port.startswith("127.0.0.1:") for port in published["app"])


def test_whoever_waits_for_health_waits_for_a_service_that_reports_it() -> None:
    for name, service in SERVICES.items():
        assert ("healthcheck" in service) is (name not in ("migrate", "console"))
        for other, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]
            else:
                assert (other, wait["condition"]) == ("migrate", "service_completed_successfully")
    for name in ("app", "worker", "console"):
        assert set(SERVICES[name]["depends_on"]) == {"database", "keys", "migrate"}
    assert set(SERVICES["sealer"]["depends_on"]) == {"database", "keys", "migrate", "witness"}


def test_every_mounted_volume_is_declared_and_every_mounted_file_exists() -> None:
    sources = {mount.split(":")[0] for service in SERVICES.values() for mount in service["volumes"]}
    files = {source for source in sources if source.startswith("./")}
    assert sources - files == set(COMPOSE["volumes"])
    assert all((ROOT / source).is_file() for source in files)


def test_the_python_of_the_health_checks_compiles() -> None:
    for service in SERVICES.values():
        probe = service.get("healthcheck", {}).get("test", [])
        if "-c" in probe:
            compile(probe[-1], "healthcheck", "exec")


def test_the_image_copies_only_what_exists_and_is_not_ignored() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(names) == allowed
    assert all((ROOT / name).exists() for name in names)


class Rehearsal:
    """A real server in the place of the two database services, with nothing on it but its owner."""

    def __init__(self, server: EmbeddedPostgres, folder: Path, bin_dir: Path | None) -> None:
        owner = psycopg.conninfo.conninfo_to_dict(server.dsn("owner"))
        self.host = str(owner["host"])
        self.owner_password = str(owner["password"])
        programs = find_programs(folder / "postgres" / "data", bin_dir).folder
        self.path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        with psycopg.connect(server.dsn("owner", "postgres"), autocommit=True) as connection:
            for database in DATABASES:
                connection.execute(f"DROP DATABASE {database}")
                connection.execute(f"CREATE DATABASE {database}")
            for login in LOGINS.values():
                if login != LOGINS["owner"]:
                    connection.execute(f"DROP ROLE {login}")
                    connection.execute(f"DROP ROLE {login.removesuffix('_login')}")

    def roles_script(self, database: str, **passwords: str) -> None:
        """Run the initialisation script as the image of PostgreSQL would."""
        given = {f"BIOBANK_{role.upper()}_PASSWORD": password for role, password in passwords.items()}
        connection = {"PGHOST": self.host, "PGPASSWORD": self.owner_password}
        image = {"POSTGRES_USER": LOGINS["owner"], "POSTGRES_DB": database, "PATH": self.path}
        subprocess.run([ROOT / "tools" / "postgres-roles.sh"], check=True, env=connection | image | given)

    def log_in(self, role: Role, password: str, database: str) -> None:
        """Connect as a role's login and find it in its group. Raises OperationalError."""
        address = f"postgresql://{LOGINS[role]}@/{database}?host={quote(self.host, safe='')}"
        with psycopg.connect(address, password=password) as connection:
            member = connection.execute("SELECT pg_has_role(%s, 'member')", [f"biobank_{role}"]).fetchone()
            assert member == (True,)


@pytest.fixture
def rehearsal() -> Iterator[Rehearsal]:
    bin_dir = Path(os.environ["BIOBANK_TEST_PG_BIN"]) if "BIOBANK_TEST_PG_BIN" in os.environ else None
    with reachable_folder() as folder, EmbeddedPostgres(folder, bin_dir=bin_dir) as server:
        yield Rehearsal(server, folder, bin_dir)


def test_the_roles_script_makes_logins_that_work_and_may_run_twice(rehearsal: Rehearsal) -> None:
    awkward = 'it\'s "quoted"; --'
    rehearsal.roles_script("biobank", app="first", sealer=awkward, auditor="third")
    rehearsal.roles_script("biobank", app="changed", sealer=awkward, auditor="third")
    rehearsal.roles_script("biobank_keys", app="changed")
    rehearsal.log_in("app", "changed", "biobank")
    rehearsal.log_in("sealer", awkward, "biobank")
    rehearsal.log_in("auditor", "third", "biobank")
    rehearsal.log_in("app", "changed", "biobank_keys")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        rehearsal.log_in("app", "first", "biobank")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        rehearsal.log_in("auditor", "third", "biobank_keys")


def minds_being_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Say whether it has come so far that it ends in its own way on SIGTERM: the health of some is not asked of themselves."""
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.slow
def test_each_service_runs_as_composed_until_its_health_check_succeeds(rehearsal: Rehearsal, tmp_path: Path) -> None:
    rehearsal.roles_script("biobank", app="a" * 32, sealer="b" * 32, auditor="c" * 32)
    rehearsal.roles_script("biobank_keys", app="a" * 32)
    values = {
        "BIOBANK_OWNER_PASSWORD": rehearsal.owner_password,
        "BIOBANK_KEYS_OWNER_PASSWORD": rehearsal.owner_password,
        "BIOBANK_APP_PASSWORD": "a" * 32,
        "BIOBANK_KEYS_APP_PASSWORD": "a" * 32,
        "BIOBANK_SEALER_PASSWORD": "b" * 32,
        "BIOBANK_AUDITOR_PASSWORD": "c" * 32,
        "BIOBANK_HOST_NAME": "BANK.EXAMPLE",
        "BIOBANK_LOG_ORIGIN": "bank.example/rehearsal",
    }
    port, witness = str(free_port("127.0.0.1")), str(free_port("127.0.0.1"))
    for folder in ("log-public", "witness-public", "register"):
        (tmp_path / folder).mkdir()
    image = {
        "PATH": rehearsal.path,
        "BIOBANK_STATE_DIR": str(tmp_path / "state"),
        "BIOBANK_SECRETS_DIR": str(tmp_path / "secrets"),
        "BIOBANK_LOG_SECRETS_DIR": str(tmp_path / "log-secrets"),
        "BIOBANK_REGISTER_PATH": str(tmp_path / "register" / "checkpoint"),
        "BIOBANK_HOST": "127.0.0.1",
        "BIOBANK_PORT": port,
    }

    def rehearsed(text: str) -> str:
        text = re.sub(r"\$\{(\w+)(?::-([^}]*)|[^}]*)\}", lambda match: values.get(match[1]) or match[2] or "", text)
        text = re.sub(r"@\w+:5432/(\w+)", rf"@/\1?host={quote(rehearsal.host, safe='')}", text)
        text = text.replace("/var/lib/biobank", str(tmp_path)).replace("//witness:", "//127.0.0.1:")
        return text.replace("8800", witness).replace(":8000", f":{port}")

    def environment(name: str) -> dict[str, str]:
        return image | {variable: rehearsed(text) for variable, text in SERVICES[name]["environment"].items()}

    def command(name: str) -> list[str]:
        return [sys.executable, "-m", "biobank", *map(rehearsed, SERVICES[name]["command"])]

    subprocess.run(command("migrate"), check=True, env=environment("migrate"), cwd=tmp_path, capture_output=True)
    # Each after those whose health it waits for, as `docker compose up` starts them.
    needs = TopologicalSorter({name: set(service.get("depends_on", ())) for name, service in SERVICES.items()})
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in [name for name in needs.static_order() if name in OURS and "healthcheck" in SERVICES[name]]:
            process = running[name] = subprocess.Popen(command(name), env=environment(name), cwd=tmp_path)
            probe = SERVICES[name]["healthcheck"]["test"]
            assert probe[:3] == ["CMD", "python", "-c"]
            check = [sys.executable, "-c", rehearsed(probe[3])]
            deadline = time.monotonic() + 180
            while subprocess.run(check, env=environment(name), capture_output=True, check=False).returncode != 0:
                assert process.poll() is None, f"{name} ended with {process.returncode}"
                assert time.monotonic() < deadline, f"{name} did not become healthy"
                time.sleep(0.2)
        seen = f"http://127.0.0.1:{witness}/{sha256(b'bank.example/rehearsal').hexdigest()}/checkpoint"
        deadline = time.monotonic() + 180
        while (cosigned := httpx.get(seen)).status_code != 200:
            assert running["sealer"].poll() is None, f"the sealer ended with {running['sealer'].returncode}"
            assert time.monotonic() < deadline, "the witness of the bank cosigned nothing"
            time.sleep(0.2)
        assert "\n— witness.local " in cosigned.text
        for name, process in running.items():
            while not minds_being_ended(process):
                assert process.poll() is None, f"{name} ended with {process.returncode}"
                assert time.monotonic() < deadline, f"{name} does not mind SIGTERM"
                time.sleep(0.2)
            process.terminate()
            assert process.wait(60) == 0, name
    finally:
        for process in running.values():
            process.kill()
            process.wait()
