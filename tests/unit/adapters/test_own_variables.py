"""What each line of a Procfile is given of the logins and keys."""

import pytest

from chimera.adapters.embedded.own_variables import OWN, kinds, own_variables

LOGINS = {
    f"CHIMERA_{name}": "x"
    for name in (
        "OWNER_DATABASE_URL",
        "APP_DATABASE_URL",
        "WORKER_DATABASE_URL",
        "JUDGE_DATABASE_URL",
        "SEAL_DATABASE_URL",
        "LATER_DATABASE_URL",
        "REDIS_URL",
        "MESSAGE_KEY",
        "FLOWER_BASIC_AUTH",
        "CHECKPOINTS",
        "AUDIT_KEYS",
    )
}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("celery -A chimera worker -X judge -c ${CONCURRENCY:-2} -n worker@%h", ["worker"]),
        ("TICKETS=1 celery -A chimera worker --exclude-queues=judge", ["worker"]),
        ("celery -A chimera worker -Xplan,judge", ["worker"]),
        ("/usr/bin/celery -A chimera worker -Q judge -c 2", ["judge"]),
        ("celery -A chimera worker --queues judge", ["judge"]),
        ('celery -A chimera worker -Q "$QUEUES"', ["judge"]),
        ("celery -A chimera worker -Q ${OTHER:-tenant.acme}", ["worker"]),
        ("celery -A chimera worker -Q tenant.acme,judge", ["worker", "judge"]),
        ("celery -A chimera worker -P solo", ["worker", "judge"]),
        ("celery -A chimera beat --schedule x", ["beat"]),
        ("celery -A chimera flower --conf=flowerconfig.py", ["flower"]),
        ("chimera seal", ["seal"]),
        ("CHIMERA_CHECKPOINT_SECONDS=5 /usr/bin/chimera seal", ["seal"]),
        ("chimera plan list", ["client"]),
        ("celery -A chimera events", ["client"]),
        ("uvicorn shop:app --port 80", ["client"]),
        ("sh -c 'echo worker", ["client"]),
    ],
)
def test_what_a_line_runs(command: str, expected: list[str]) -> None:
    assert kinds(command, {"QUEUES": "judge"}) == expected


def test_a_process_gets_its_own_and_what_lets_nobody_in() -> None:
    harmless = {"PATH": "/bin", "CHIMERA_WAVE_SIZE": "10", "CHIMERA_FLOWER_PORT": "5555", "OPENAI_API_KEY": "k"}
    given = own_variables("celery -A chimera worker -X judge", harmless | LOGINS)
    assert given.keys() - harmless.keys() == OWN["worker"] | {"CHIMERA_ENV_FILE"}
    assert given["CHIMERA_ENV_FILE"] == ""
    assert harmless.items() <= given.items()


def test_a_line_gets_what_it_names_and_not_what_begins_alike() -> None:
    line = "web: CHIMERA_JUDGE_DATABASE_URL=${CHIMERA_JUDGE_DATABASE_URL} python web.py"
    assert own_variables(line, LOGINS).keys() - {"CHIMERA_ENV_FILE"} == OWN["client"] | {"CHIMERA_JUDGE_DATABASE_URL"}
    assert "CHIMERA_AUDIT_KEYS" not in own_variables("echo CHIMERA_AUDIT_KEYS_OLD", LOGINS)
