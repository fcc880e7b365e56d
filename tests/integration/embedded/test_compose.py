"""What docker-compose.yml starts PostgreSQL with, on a real PostgreSQL; and what it gives each process."""

import os
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import chimera.errors
from chimera.adapters.embedded.binaries import find_postgres
from chimera.adapters.embedded.own_variables import OWN, kinds

ROOT = Path(chimera.errors.__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.mark.parametrize("name", ["worker", "judge", "beat", "seal", "flower"])
def test_each_service_has_the_logins_and_keys_of_its_kind(name: str) -> None:
    service = COMPOSE["services"][name]
    [kind] = kinds(service["command"], {})
    assert kind == name
    given = set(service["environment"]) - {"CHIMERA_FLOWER_ADDRESS", "CHIMERA_SEALED_WITHIN_SECONDS"}
    assert given == OWN[kind]


def test_the_audit_is_sealed_by_one_service_and_who_decides_asks_for_it() -> None:
    services = COMPOSE["services"]
    seal, where = services["seal"], ("CHIMERA_CHECKPOINTS", "CHIMERA_AUDIT_KEYS")
    kept = dict(reversed(volume.split(":")) for volume in seal["volumes"])
    assert kept.keys() == {seal["environment"][name] for name in where}
    assert set(kept.values()) <= COMPOSE["volumes"].keys()
    for name, service in services.items():
        if name != "seal":
            assert not {volume.split(":")[0] for volume in service.get("volumes", [])} & set(kept.values())
            assert not set(service["environment"]) & set(where)
    for name in ("judge", "migrate"):
        assert float(services[name]["environment"]["CHIMERA_SEALED_WITHIN_SECONDS"]) == 180
    made = (ROOT / "deploy" / "Dockerfile").read_text()
    assert all(path in made for path in kept), "who runs in the image could not write there"


def test_the_script_makes_an_owner_who_may_make_roles_and_is_no_superuser(servers: dict[str, str]) -> None:
    superuser, password = servers["SUPERUSER_DATABASE_URL"], "a'b \\ c"
    name = f"compose_{uuid4().hex[:12]}"
    # Its statements, with names that this server does not have yet.
    script = (ROOT / "deploy/postgres/owner.sql").read_text().replace("chimera_owner", f"{name}_owner")
    script = script.replace("create database chimera ", f"create database {name} ")
    psql = find_postgres(os.environ)["psql"]
    subprocess.run(
        [psql, "--no-psqlrc", superuser], input=script, env={"CHIMERA_OWNER_PASSWORD": password}, text=True, check=True
    )
    try:
        there = conninfo_to_dict(superuser) | {"user": f"{name}_owner", "password": password, "dbname": name}
        with psycopg.connect(make_conninfo("", **there)) as owner:
            found = owner.execute(
                "select rolsuper, rolbypassrls, rolcreaterole, pg_get_userbyid(datdba) = rolname"
                " from pg_roles, pg_database where rolname = current_user and datname = current_database()"
            ).fetchone()
        assert found == (False, False, True, True)
    finally:
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute(f"drop database {name}".encode())
            connection.execute(f"drop role {name}_owner".encode())
