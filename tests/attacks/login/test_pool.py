"""Code of tenant A that has A's own logins (`chimera tenant credentials`) goes for tenant B: by SQL and at the broker.

On a state without such logins it has what its workers have there, the logins that all tenants share.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import redis
from psycopg import sql

import chimera.errors
from chimera.adapters.redis.agent_registry import AgentRegistry
from chimera.adapters.redis.connection import connect
from chimera.errors import QueueUnavailable
from chimera.models.work.agent import AgentSlot, AgentStatus, ProcessBeat
from tests.conftest import new_tenant_id
from tests.contract.direct import History, live
from tests.contract.scene import Scene
from tests.contract.worlds import PostgresWorld, stores

ROOT = Path(chimera.errors.__file__).parents[1]
CHIMERA = Path(sys.executable).with_name("chimera")
CANARY = "canary-of-b"
TABLES = (
    *("plan", "wave", "task", "result", "audit", "audit_head", "decision", "commit", "state", "review_card", "session"),
    *("stale_result", "replanned", "refusal", "revision", "review_approval", "audit_checkpoint", "budget", "tenant"),
)


class Logins:
    """What tenant A's code has, and what it wants: tenant B."""

    def __init__(self, variables: dict[str, str], broker: str, own: str, victim: History) -> None:
        self.variables = variables
        # The broker as its operator reaches it.
        self.broker = broker
        self.own = own
        self.victim = victim

    def sql(self, role: str) -> "psycopg.Connection[Any]":
        """A connection by SQL, with what it does rolled back."""
        return psycopg.connect(self.variables[f"CHIMERA_{role.upper()}_DATABASE_URL"])

    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.variables["CHIMERA_REDIS_URL"], decode_responses=True, socket_timeout=3)


@pytest.fixture(scope="module")
def logins(servers: dict[str, str], postgres_world: PostgresWorld) -> Iterator[Logins]:
    own, victim = (live(_scene(postgres_world)) for _ in range(2))
    project = {name: value for name, value in servers.items() if name.endswith("_URL") or name == "CHIMERA_MESSAGE_KEY"}
    done = subprocess.run(
        [CHIMERA, "tenant", "credentials", own.tenant_id, "-o", "json"],
        cwd=ROOT, env=os.environ | project, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    variables = json.loads(done.stdout) if done.returncode == 0 else project
    with closing(redis.Redis.from_url(servers["CHIMERA_REDIS_URL"])) as broker:
        broker.lpush(f"tenant.{victim.tenant_id}", CANARY)
        broker.lpush("judge", CANARY)
        broker.lpush("plan", CANARY)
        broker.hset("unacked", "tag", CANARY)
        broker.zadd("chimera:tenants", {CANARY: 1})
        yield Logins(variables, servers["CHIMERA_REDIS_URL"], own.tenant_id, victim)
        broker.delete("judge", "plan", "unacked", "chimera:tenants", f"tenant.{victim.tenant_id}")


def _scene(world: PostgresWorld) -> Scene:
    tenant_id = new_tenant_id()
    stores(world).tenants.add(tenant_id, "tests")
    return Scene(world, tenant_id)


def seen(connection: "psycopg.Connection[Any]", table: str, victim: History) -> int:
    """How many of B's rows a statement sees."""
    row = connection.execute(
        sql.SQL("select count(*) from {} where tenant_id = %s").format(sql.Identifier(table)), [victim.tenant_id]
    ).fetchone()
    assert row is not None
    return int(row[0])


# How a login says that it is somebody else.
GUISES = {
    "set_config": "select set_config('chimera.tenant', '{victim}', false)",
    "set": "set chimera.tenant = '{victim}'",
    "set_local": "set local chimera.tenant = '{victim}'",
    "set_role": "set role {role}; set chimera.tenant = '{victim}'",
    "alter_role": "alter role current_user set chimera.tenant = '{victim}'; set chimera.tenant = '{victim}'",
    "reset": "reset all; set chimera.tenant = '{victim}'; set role {role}; reset role",
}


@pytest.mark.parametrize("guise", GUISES)
@pytest.mark.parametrize("role", ["app", "worker"])
def test_it_says_it_is_b_and_reads_b_s_tasks(logins: Logins, role: str, guise: str) -> None:
    with logins.sql(role) as connection:
        statement = GUISES[guise].format(victim=logins.victim.tenant_id, role=f"chimera_{role}")
        with suppress(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())
        if connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR:
            connection.rollback()
            connection.execute(b"select set_config('chimera.tenant', %s, true)", [logins.victim.tenant_id])
        with suppress(psycopg.errors.InsufficientPrivilege):  # a worker's login reads no tasks at all
            assert seen(connection, "task", logins.victim) == 0
        connection.rollback()


@pytest.mark.parametrize("table", TABLES)
def test_it_reads_b_s_rows(logins: Logins, table: str) -> None:
    with logins.sql("app") as connection:
        connection.execute("select set_config('chimera.tenant', %s, true)", [logins.victim.tenant_id])
        assert seen(connection, table, logins.victim) == 0


CHANGES = {
    "cancels_a_plan": ("app", "update plan set state = 'cancelled', finished_at = now() where plan_id = %(plan)s"),
    "pauses_a_plan": ("app", "update plan set paused_at = now(), paused_by = 'a' where plan_id = %(plan)s"),
    "drops_a_plan_s_lease": ("app", "update plan set lease_until = now() where plan_id = %(plan)s"),
    "parks_a_wave": ("app", "update wave set touched_at = 'infinity' where plan_id = %(plan)s"),
    "claims_a_task": (
        "worker",
        "update task set state = 'running', attempt = 1, agent_id = task_id, lease_token = task_id,"
        " lease_until = now(), started_at = now() where task_id = %(queued)s",
    ),
    "steals_a_lease": ("worker", "update task set lease_token = %(queued)s where task_id = %(running)s"),
    "stops_the_sessions": (
        "app",
        "update session set state = 'stopped', changed_at = now(), changed_by = 'a' where tenant_id = %(tenant)s",
    ),
    "hides_refusals": ("app", "update refusal set unrecorded = 0 where tenant_id = %(tenant)s"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_changes_b_s_rows(logins: Logins, change: str) -> None:
    role, statement = CHANGES[change]
    victim = logins.victim
    values: dict[str, str | UUID] = {
        "tenant": victim.tenant_id, "plan": victim.plan_id, "queued": victim.queued, "running": victim.running,
    }  # fmt: skip
    with logins.sql(role) as connection:
        connection.execute("select set_config('chimera.tenant', %s, true)", [victim.tenant_id])
        with suppress(psycopg.errors.InsufficientPrivilege):
            assert connection.execute(statement.encode(), values).rowcount == 0
        connection.rollback()


ADDS = {
    "a_plan": (
        "app",
        "insert into plan (tenant_id, plan_id, planner, goal, inputs, priority, request_sha256, trace_id,"
        " first_audit_seq, submitted_at)"
        " values (%(tenant)s, gen_random_uuid(), 'p', 'g', '{}', 50, sha256(''), 't', 1, now())",
    ),
    "a_session": ("app", "insert into session (tenant_id, session_id, opened_by) values (%(tenant)s, 'x', 'a')"),
    "a_result": (
        "worker",
        "insert into stale_result (tenant_id, plan_id, task_id, attempt, agent_id, lease_token, result_sha256)"
        " values (%(tenant)s, %(plan)s, %(running)s, 1, %(running)s, gen_random_uuid(), sha256(''))",
    ),
}


@pytest.mark.parametrize("what", ADDS)
def test_it_adds_rows_of_b_s(logins: Logins, what: str) -> None:
    role, statement = ADDS[what]
    victim = logins.victim
    with logins.sql(role) as connection:
        connection.execute("select set_config('chimera.tenant', %s, true)", [victim.tenant_id])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(
                statement.encode(), {"tenant": victim.tenant_id, "plan": victim.plan_id, "running": victim.running}
            )
        connection.rollback()


def test_it_declares_another_limit_for_everybody_s_skill(logins: Logins, servers: dict[str, str]) -> None:
    """With max_batch and timeout of a skill that B uses it has B's work cut as it likes."""
    with closing(psycopg.connect(servers["CHIMERA_WORKER_DATABASE_URL"], autocommit=True)) as everybody:
        everybody.execute(DECLARE, {"batch": 5})
    with logins.sql("worker") as connection:
        connection.execute(f"{DECLARE} on conflict (name, fingerprint) do update set max_batch = 999", {"batch": 999})
        connection.commit()
    with closing(psycopg.connect(servers["CHIMERA_APP_DATABASE_URL"])) as everybody:
        everybody.execute("select set_config('chimera.tenant', %s, true)", [logins.victim.tenant_id])
        found = everybody.execute("select max_batch from skill where name = 'attacks.echo'").fetchall()
    assert found == [(5,)]


FUNCTION = "#!lua name=a\nredis.register_function('a', function() end)"
DECLARE = """insert into skill (name, fingerprint, description, input_schema, output_schema, timeout_seconds, max_batch,
    max_attempts, effects, examples, module)
    values ('attacks.echo', sha256(E'{}\\n{}'), '', '{}', '{}', 1, %(batch)s, 1, '{}', '[]', 'm')"""


def test_it_declares_a_newer_version_that_b_s_work_is_cut_by(logins: Logins, servers: dict[str, str]) -> None:
    newer = DECLARE.replace("{}\\n{}", '{"title": 1}\\n{}').replace("'{}', '{}', 1", "'{\"title\": 1}', '{}', 1")
    with logins.sql("worker") as connection:
        connection.execute(newer.replace("attacks.echo", "attacks.new"), {"batch": 999})
        connection.commit()
    with closing(psycopg.connect(servers["CHIMERA_APP_DATABASE_URL"])) as everybody:
        everybody.execute("select set_config('chimera.tenant', %s, true)", [logins.victim.tenant_id])
        assert everybody.execute("select from skill where name = 'attacks.new'").fetchall() == []


def _command(client: "redis.Redis", *words: object) -> Any:
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


def _hears(client: "redis.Redis") -> None:
    with client.pubsub() as channels:  # type: ignore[no-untyped-call]
        channels.psubscribe("*")
        channels.parse_response()


# What at the broker is not A's, by the command that goes for it. Each answers something that says whether it got there.
BROKER: dict[str, Callable[["redis.Redis", str], object]] = {
    "reads_b_s_list": lambda client, b: client.lrange(f"tenant.{b}", 0, -1),
    "takes_from_b_s_list": lambda client, b: client.rpop(f"tenant.{b}"),
    "takes_from_several_lists": lambda client, b: client.brpop([f"tenant.{b}", "judge"], timeout=1),
    "puts_into_b_s_list": lambda client, b: client.lpush(f"tenant.{b}", "x"),
    "empties_b_s_list": lambda client, b: client.delete(f"tenant.{b}"),
    "asks_the_judge": lambda client, _: client.lpush("judge", "x"),
    "asks_for_a_plan": lambda client, _: client.lpush("plan", "x"),
    "takes_the_judge_s_messages": lambda client, _: client.rpop("judge"),
    "reads_what_others_have_taken": lambda client, _: client.hgetall("unacked"),
    "drops_what_others_have_taken": lambda client, _: client.delete("unacked"),
    "binds_b_s_list_to_its_own": lambda client, b: client.sadd(f"_kombu.binding.tenant.{b}", "\x06\x16\x06\x16evil"),
    "lists_the_tenants": lambda client, _: client.zrange("chimera:tenants", 0, -1),
    "makes_up_tenants": lambda client, _: client.zadd("chimera:tenants", {"x": 1}),
    "drops_the_epoch": lambda client, _: client.delete("chimera:epoch"),
    "kills_everybody_s_agents": lambda client, _: client.delete("chimera:{agents}:seen"),
    "sends_control_messages": lambda client, _: client.publish("/0.celery.pidbox", '{"method": "shutdown"}'),
    "hears_control_messages": lambda client, _: _hears(client),
    "lists_keys": lambda client, _: client.keys("*"),
    "scans_keys": lambda client, _: client.scan(count=1000),
    "asks_for_any_key": lambda client, _: client.randomkey(),
    "reads_settings": lambda client, _: client.config_get("requirepass"),
    "changes_settings": lambda client, _: client.config_set("maxclients", 10_000),
    "reads_users": lambda client, _: client.acl_list(),
    "makes_users": lambda client, _: client.acl_setuser("attacker"),
    "flushes": lambda client, _: _command(client, "SELECT", 15) and client.flushdb(),
    "swaps_databases": lambda client, _: client.swapdb(13, 14),
    "stops_the_others": lambda client, _: client.client_pause(1),
    "ends_the_others": lambda client, _: _command(client, "CLIENT", "KILL", "ID", "999999999"),
    "lists_clients": lambda client, _: client.client_list(),
    "runs_a_script": lambda client, b: client.eval("return redis.call('lrange', KEYS[1], 0, -1)", 1, f"tenant.{b}"),
    "runs_a_script_that_stands_still": lambda client, _: client.eval("local n = 0 while n < 10 do n = n + 1 end", 0),
    "loads_a_function": lambda client, _: client.function_load(FUNCTION),
    "copies_a_key": lambda client, b: client.copy(f"tenant.{b}", "x"),
    "dumps_a_key": lambda client, b: client.dump(f"tenant.{b}"),
    "looks_over_the_shoulder": lambda client, _: _command(client, "MONITOR"),
    "tells_the_log": lambda client, _: _command(client, "ACL", "LOG"),
    "reads_the_slow_log": lambda client, _: client.slowlog_get(),
}


@pytest.mark.parametrize("attack", BROKER)
def test_it_goes_for_what_is_not_its_own_at_the_broker(logins: Logins, attack: str) -> None:
    with logins.client() as client, pytest.raises(redis.exceptions.NoPermissionError):
        BROKER[attack](client, logins.victim.tenant_id)


def test_it_signs_a_message_to_the_judge_with_the_key_that_it_has(logins: Logins, servers: dict[str, str]) -> None:
    """Who gets such a message to the broker, by whatever way, has Judges act on it."""
    if "CHIMERA_BOUND_TENANT" not in logins.variables:
        pytest.fail("nobody signs there: any message is acted on")
    from chimera.adapters.celery.signer import Signer

    forged = Signer([bytes.fromhex(logins.variables["CHIMERA_MESSAGE_KEY"])])
    everybody = Signer([bytes.fromhex(servers["CHIMERA_MESSAGE_KEY"])])
    for queue in ("judge", "plan", f"tenant.{logins.victim.tenant_id}"):
        assert not everybody.is_of(b"content", forged.sign(b"content", queue), queue)
        own_key = Signer([bytes.fromhex(logins.variables["CHIMERA_MESSAGE_KEY"])], only=queue)
        assert not everybody.is_of(b"content", own_key.sign(b"content", queue), queue)
    own = Signer([bytes.fromhex(logins.variables["CHIMERA_MESSAGE_KEY"])], only=f"tenant.{logins.own}")
    assert everybody.is_of(b"content", own.sign(b"content", f"tenant.{logins.own}"), f"tenant.{logins.own}")


def test_it_beats_for_agents_that_take_b_s_work(logins: Logins) -> None:
    """B's tasks would be cut for agents that are not there, and wait."""
    own = connect(logins.variables["CHIMERA_REDIS_URL"], {})
    slot = AgentSlot(agent_id=uuid4(), pid=1, status=AgentStatus.IDLE)
    beat = ProcessBeat(
        process_id=uuid4(),
        node="evil",
        skills=("attacks.echo",),
        started_at=datetime.now(UTC),
        draining=False,
        slots=(slot,),
    )
    with suppress(QueueUnavailable):
        AgentRegistry(own).register(beat)
    everybody = AgentRegistry(connect(logins.broker, {}))
    assert everybody.workforce().slots(logins.victim.tenant_id, "attacks.echo") == 0
