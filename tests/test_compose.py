"""docker-compose.yml and Dockerfile, without an engine: held against the compose schema, the settings and the command line.

The schema is the one that the check-jsonschema package carries. What the containers would run is rehearsed: the script that
makes the roles, on a real server.
"""

import json
import os
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import psycopg
import pytest
import yaml

from biobank import postgres_programs
from biobank.config import Settings
from biobank.embedded import DATABASES, LOGINS, EmbeddedPostgres
from tests.scratch import reachable_folder

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "biobank"}
MIGRATION_ONLY = {"BIOBANK_KEYS_OWNER_DATABASE_URL"}  # read by alembic/env.py


def test_the_file_fits_the_compose_schema() -> None:
    schema = json.loads(resources.files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
    jsonschema.validate(COMPOSE, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"app": {"comand": ["serve"]}}}, schema)


def test_the_services_are_two_databases_a_migration_and_three_processes() -> None:
    assert set(SERVICES) == {"database", "keys", "migrate", "app", "sealer", "worker"}
    assert set(OURS) == {"migrate", "app", "sealer", "worker"}


def test_every_command_is_a_verb_of_the_command_line() -> None:
    command: list[str | Path] = [Path(sys.executable).with_name("biobank"), "--help"]
    help_text = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "200"}).stdout
    for service in OURS.values():
        (verb,) = service["command"]
        assert re.search(rf"^\W*{verb}\b", help_text, re.MULTILINE), verb


def test_every_setting_is_one_that_the_bank_reads() -> None:
    known = {f"BIOBANK_{name.upper()}" for name in Settings.model_fields} | MIGRATION_ONLY
    for service in OURS.values():
        assert set(service["environment"]) <= known


def test_each_process_gets_only_the_addresses_of_its_own_role() -> None:
    def logins(name: str) -> set[str]:
        return set(re.findall(r"//(\w+):", " ".join(SERVICES[name]["environment"].values())))

    assert logins("migrate") == {LOGINS["owner"]}
    assert logins("app") == {LOGINS["app"], LOGINS["auditor"]}
    assert logins("sealer") == {LOGINS["sealer"]}
    assert logins("worker") == {LOGINS["app"]}


def test_no_password_has_a_default_and_every_variable_is_required_somewhere() -> None:
    used = set(re.findall(r"\$\{(\w+)", TEXT))
    required = set(re.findall(r"\$\{(\w+):\?[^}]+\}", TEXT))
    with_default = set(re.findall(r"\$\{(\w+):-", TEXT))
    assert with_default == {"BIOBANK_PUBLISHED_PORT"}
    assert used - with_default == required
    assert {name for name in used if "PASSWORD" in name} <= required
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if "PASSWORD" in name:
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), name


def test_whoever_waits_for_health_waits_for_a_service_that_reports_it() -> None:
    for name, service in SERVICES.items():
        assert ("healthcheck" in service) is (name != "migrate")
        for other, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]
            else:
                assert (other, wait["condition"]) == ("migrate", "service_completed_successfully")
    for name in ("app", "sealer", "worker"):
        assert set(SERVICES[name]["depends_on"]) == {"database", "keys", "migrate"}


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
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(names) == allowed
    assert all((ROOT / name).exists() for name in names)


def test_the_roles_script_makes_logins_that_work_and_may_run_twice() -> None:
    bin_dir = Path(os.environ["BIOBANK_TEST_PG_BIN"]) if "BIOBANK_TEST_PG_BIN" in os.environ else None
    with reachable_folder() as folder, EmbeddedPostgres(folder, bin_dir=bin_dir) as server:
        with psycopg.connect(server.dsn("owner", "postgres"), autocommit=True) as connection:
            for database in DATABASES:
                connection.execute(f"DROP DATABASE {database}")
                connection.execute(f"CREATE DATABASE {database}")
            for login in LOGINS.values():
                if login != LOGINS["owner"]:
                    connection.execute(f"DROP ROLE {login}")
                    connection.execute(f"DROP ROLE {login.removesuffix('_login')}")
        owner = psycopg.conninfo.conninfo_to_dict(server.dsn("owner"))
        programs = postgres_programs.find(folder / "postgres" / "data", bin_dir).folder
        environment = {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PGHOST": str(owner["host"]),
            "PGPASSWORD": str(owner["password"]),
            "POSTGRES_USER": str(owner["user"]),
        }

        def run(database: str, **passwords: str) -> None:
            given = {f"BIOBANK_{role.upper()}_PASSWORD": password for role, password in passwords.items()}
            script = [str(ROOT / "tools" / "postgres-roles.sh")]
            subprocess.run(script, check=True, env=environment | given | {"POSTGRES_DB": database})

        def log_in(role: str, password: str, database: str) -> None:
            where = {"host": str(owner["host"]), "port": 5432, "dbname": database}
            with psycopg.connect(**where, user=f"biobank_{role}_login", password=password) as connection:  # type: ignore[arg-type]  # psycopg types every keyword alike
                member = connection.execute("SELECT pg_has_role(%s, 'member')", [f"biobank_{role}"]).fetchone()
                assert member == (True,)

        run("biobank", app="first", sealer='it\'s "quoted"; --', auditor="third")
        run("biobank", app="changed", sealer='it\'s "quoted"; --', auditor="third")
        run("biobank_keys", app="changed")
        log_in("app", "changed", "biobank")
        log_in("sealer", 'it\'s "quoted"; --', "biobank")
        log_in("auditor", "third", "biobank")
        log_in("app", "changed", "biobank_keys")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            log_in("app", "first", "biobank")
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            log_in("auditor", "third", "biobank_keys")
