"""The script `run`, on a .venv that needs nothing."""

import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MADE_FROM = ("pyproject.toml", "requirements.lock")


def test_where_sigpipe_is_ignored_it_says_nothing_of_its_own(tmp_path: Path) -> None:
    for name in ("run", *MADE_FROM):
        shutil.copy(REPOSITORY / name, tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, said in (("python", "3.11.0"), ("chimera", "ran")):
        (programs / name).write_text(f"#!/bin/sh\necho {said}\n")
        (programs / name).chmod(0o755)
    sums = [subprocess.check_output(["cksum"], input=(tmp_path / name).read_bytes()).decode() for name in MADE_FROM]
    (tmp_path / ".venv" / "run.stamp").write_text(f"{tmp_path}\n3.11.0\n{''.join(sums)}")

    # As service managers do, Python ignores SIGPIPE, and with this its children do so too.
    ran = subprocess.run(
        [tmp_path / "run", "version"],
        env={"PATH": "/usr/bin:/bin"},
        restore_signals=False,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "ran\n", "")
