import shlex
from pathlib import Path

import pytest

from chimera.cli.stack.project import Project, find_project, shipped_project
from tests.unit.cli.conftest import Run

FILES = {
    ".env.example", ".gitignore", "Procfile", "README.md", "celeryconfig.py", "flowerconfig.py", "pytest.ini",
    "skills.py", "test_skills.py",
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHIMERA_COMMAND", raising=False)
    monkeypatch.delenv("CELERY_CONFIG_MODULE", raising=False)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def commands(err: str) -> list[list[str]]:
    return [shlex.split(line.removeprefix("next: ")) for line in err.splitlines()]


def test_a_project_in_a_new_folder(run: Run, tmp_path: Path) -> None:
    ran = run("init", "a shop/ours")
    folder = tmp_path / "a shop" / "ours"
    assert ran.code == 0
    assert names(folder) == FILES
    assert ran.out == f"made in {folder}: {', '.join(sorted(FILES))}\n"
    assert commands(ran.err)[0] == ["cd", "a shop/ours"]
    assert [line[:2] for line in commands(ran.err)[1:4]] == [
        ["chimera", "up"],
        ["chimera", "plan"],
        ["chimera", "review"],
    ]
    assert commands(ran.err)[-2][-2:] == ["-m", "pytest"]
    assert commands(ran.err)[-1] == ["chimera", "down"]


def test_it_is_the_project_that_up_runs(run: Run, tmp_path: Path) -> None:
    assert run("init").code == 0
    assert find_project(None) == Project(procfile=tmp_path / "Procfile", folder=tmp_path)
    shipped = shipped_project().folder
    for name in ("Procfile", "flowerconfig.py"):
        assert (tmp_path / name).read_text() == (shipped / name).read_text()


def test_in_the_working_folder_there_is_no_cd(run: Run) -> None:
    assert commands(run("init").err)[0][:2] == ["chimera", "up"]


def test_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "celeryconfig.py").write_text("imports = []\n")
    (tmp_path / "README.md").symlink_to(tmp_path / "elsewhere")
    ran = run("init", "-o", "json")
    assert ran.json == {
        "folder": str(tmp_path),
        "made": sorted(FILES - {"celeryconfig.py", "README.md"}),
        "kept": ["README.md", "celeryconfig.py"],
    }
    assert (tmp_path / "celeryconfig.py").read_text() == "imports = []\n"
    assert not (tmp_path / "elsewhere").exists()

    (tmp_path / "skills.py").write_text("mine = 1\n")
    again = run("init")
    assert again.out == f"there already, and left as it is: {', '.join(sorted(FILES))}\n"
    assert (tmp_path / "skills.py").read_text() == "mine = 1\n"


def test_where_the_celeryconfig_is_kept_it_is_said_what_to_add(run: Run, tmp_path: Path) -> None:
    (tmp_path / "celeryconfig.py").touch()
    ran = run("init")
    assert ran.out.endswith("there already, and left as it is: celeryconfig.py\n")
    assert ran.err.startswith("next: name skills in `imports` of celeryconfig.py\n")


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_where_a_file_is_none_is_made(folder: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = run("init", folder)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "no project can be made there" in ran.err


def test_a_command_with_a_path_is_shown_as_it_is_typed_from_the_folder(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHIMERA_COMMAND", "./run")
    assert commands(run("init", "shop").err)[-1] == ["../run", "down"]


def test_the_readme_names_every_file_that_one_reads(run: Run, tmp_path: Path) -> None:
    run("init")
    readme = (tmp_path / "README.md").read_text()
    assert {name for name in FILES if f"| `{name}` |" in readme} == FILES - {".gitignore", "README.md", "pytest.ini"}
