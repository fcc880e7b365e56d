"""`chimera doctor` is run by who has every login: the project's code that it looks at gets none of them."""

import json
import os
import subprocess
import sys

import pytest

LOOT = """
import json, os
from pathlib import Path
from chimera.settings import settings

names = sorted(name for name in os.environ if name.startswith("CHIMERA_"))
urls = [str(getattr(settings(), f"{role}_database_url")) for role in ("owner", "app", "worker", "judge")]
Path(__file__).with_name("loot.json").write_text(json.dumps({"names": names, "urls": urls}))
"""


@pytest.fixture(scope="module")
def loot(servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "celeryconfig.py").write_text('imports = ["loot"]\n')
    (folder / "loot.py").write_text(LOOT)
    own = {name: value for name, value in os.environ.items() if not name.startswith("CHIMERA_")}
    # The file of a stack in the working folder is none of this test's.
    variables = own | servers | {"CHIMERA_DATA": str(folder / "data"), "CELERY_CONFIG_MODULE": "celeryconfig"}
    command = [sys.executable, "-m", "chimera.cli.main", "doctor"]
    subprocess.run(command, cwd=folder, env=variables, capture_output=True, timeout=120, check=False)
    found: dict[str, list[str]] = json.loads((folder / "loot.json").read_text())
    return found


@pytest.mark.parametrize("role", ["OWNER", "APP", "WORKER", "JUDGE"])
def test_it_finds_no_login_in_the_environment(loot: dict[str, list[str]], role: str) -> None:
    assert f"CHIMERA_{role}_DATABASE_URL" not in loot["names"]


def test_it_finds_none_in_the_settings(loot: dict[str, list[str]]) -> None:
    assert set(loot["urls"]) == {"None"}
