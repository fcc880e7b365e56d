import os
import signal
from pathlib import Path

import pytest

from chimera.cli.stack.process import StopAsked, ending_on_signals
from chimera.cli.stack.project import find_procfile, shipped_project
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
    def test_the_working_folders_procfile_goes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert find_procfile(None) == shipped_project() / "Procfile"
        (tmp_path / "Procfile").touch()
        assert find_procfile(None) == tmp_path / "Procfile"
        (tmp_path / "Other").touch()
        assert find_procfile(Path("Other")) == tmp_path / "Other"
        with pytest.raises(InvalidInput, match="None: there is no such Procfile"):
            find_procfile(Path("None"))

    def test_what_is_shipped_can_run_the_demo(self) -> None:
        project = shipped_project()
        assert (project / "celeryconfig.py").is_file()
        assert (project / "flowerconfig.py").is_file()
        assert (project / "examples" / "tickets" / "sample.csv").is_file()
