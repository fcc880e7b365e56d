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


@pytest.mark.parametrize("name", ["worker", "judge", "beat", "flower"])
def test_each_service_has_the_logins_and_keys_of_its_kind(name: str) -> None:
    service = COMPOSE["services"][name]
    [kind] = kinds(service["command"], {})
    assert kind == name
    given = {variable for variable in service["environment"] if variable != "CHIMERA_FLOWER_ADDRESS"}
    assert given <= OWN[kind]
    assert given >= OWN[kind] - {"CHIMERA_CHECKPOINTS", "CHIMERA_AUDIT_KEYS"}


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
