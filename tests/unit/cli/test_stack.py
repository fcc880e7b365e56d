import os
import signal
from pathlib import Path

import pytest

from chimera.cli.stack.process import StopAsked, ending_on_signals
from chimera.cli.stack.project import Project, find_project, shipped_project
from chimera.cli.stack.readiness import AWAY_SECONDS, Deaths
from chimera.errors import InvalidInput


class TestDeaths:
    def test_one_short_absence_is_forgiven(self) -> None:
        deaths = Deaths(["worker", "beat"])
        looks = [({"worker", "beat"}, 10.0), ({"beat"}, 10.5), ({"worker", "beat"}, 11.0), ({"worker", "beat"}, 99.0)]
        assert [deaths.given_up(alive, now) for alive, now in looks] == [None] * 4

    def test_absences_add_up(self) -> None:
        deaths = Deaths(["worker", "beat"])
        assert deaths.given_up({"beat"}, 10.0) is None
        assert deaths.given_up({"worker", "beat"}, 10.0 + AWAY_SECONDS * 0.6) is None
        assert deaths.given_up({"beat"}, 20.0) is None
        assert deaths.given_up({"beat"}, 20.0 + AWAY_SECONDS * 0.6) == "worker"


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_the_first_asks_and_the_next_does_not_disturb(self, number: int) -> None:
        before = signal.getsignal(number)

        def told_twice() -> None:
            with ending_on_signals():
                try:
                    os.kill(os.getpid(), number)
                finally:
                    os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(StopAsked):
            told_twice()
        assert signal.getsignal(number) is before


class TestProject:
    @pytest.fixture(autouse=True)
    def here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CELERY_CONFIG_MODULE", raising=False)
        monkeypatch.chdir(tmp_path)

    def test_the_working_folders_procfile_goes_first(self, tmp_path: Path) -> None:
        assert find_project(None) == shipped_project()
        (tmp_path / "Procfile").touch()
        assert find_project(None) == Project(procfile=tmp_path / "Procfile", folder=tmp_path)
        (tmp_path / "below").mkdir()
        (tmp_path / "below" / "Other").touch()
        other = Project(procfile=tmp_path / "below" / "Other", folder=tmp_path / "below")
        assert find_project(Path("below/Other")) == other
        with pytest.raises(InvalidInput, match="None: there is no such Procfile"):
            find_project(Path("None"))

    @pytest.mark.parametrize(
        ("named", "file"),
        [("", "celeryconfig.py"), ("", "celeryconfig/__init__.py"), ("shop.config", "shop/config.py")],
    )
    def test_a_project_without_a_procfile_runs_what_the_shipped_one_names(
        self, named: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CELERY_CONFIG_MODULE", named)
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
        project = find_project(None)
        assert project == Project(procfile=shipped_project().procfile, folder=tmp_path)
        assert project.flowerconfig == shipped_project().folder / "flowerconfig.py"
        (tmp_path / "flowerconfig.py").touch()
        assert project.flowerconfig == tmp_path / "flowerconfig.py"

    def test_what_is_shipped_can_run_the_demo(self) -> None:
        folder = shipped_project().folder
        assert (folder / "celeryconfig.py").is_file()
        assert (folder / "flowerconfig.py").is_file()
        assert (folder / "examples" / "tickets" / "sample.csv").is_file()
