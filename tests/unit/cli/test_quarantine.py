"""`chimera quarantine`, over a broker in memory."""

from datetime import UTC, datetime

import pytest

from chimera.cli.doctor.broker import messages
from chimera.models.work.quarantined import Quarantined
from tests.unit.cli.conftest import Run
from tests.unit.cli.swarm import FakeServices

JSON = ("-o", "json")


def entry(number: int, reason: str = "unsigned", content: bytes = b"{}") -> Quarantined:
    return Quarantined(
        entry_id=f"{number:x}" * 12,
        at=datetime.now(UTC),
        reason=reason,
        queue="judge",
        size_bytes=5000,
        content=content,
    )


@pytest.fixture
def kept(services: FakeServices) -> None:
    services.queue.kept = [entry(1, content=b"\x1b[2Jred\xff\n"), entry(2, "redelivered")]


def test_nothing_is_there(run: Run) -> None:
    assert run("quarantine", "list").err == "no messages are in quarantine\n"
    assert run("quarantine", "list", *JSON).json == []


@pytest.mark.usefixtures("kept")
class TestWhatIsThere:
    def test_it_is_listed(self, run: Run) -> None:
        lines = run("quarantine", "list").out.splitlines()
        assert [line.split()[:4] for line in lines] == [
            ["ENTRY", "REASON", "QUEUE", "BYTES"],
            ["1" * 12, "unsigned", "judge", "5000"],
            ["2" * 12, "redelivered", "judge", "5000"],
        ]
        listed = run("quarantine", "list", "--reason", "redelivered", *JSON).json
        assert [(each["entry_id"], each["size_bytes"]) for each in listed] == [("2" * 12, 5000)]
        assert "content" not in listed[0]

    def test_it_is_shown_with_nothing_that_a_terminal_obeys(self, run: Run) -> None:
        shown = run("quarantine", "show", "111")
        assert shown.code == 0
        assert "the first 9 are kept" in shown.out
        assert "\x1b" not in shown.out
        assert "red\\xff" in shown.out
        assert run("quarantine", "show", "111", *JSON).json["content"] == "\x1b[2Jred\\xff\n"

    def test_it_is_forgotten(self, run: Run, services: FakeServices) -> None:
        assert run("quarantine", "drop", "1").out == "forgot 1 message\n"
        assert [each.entry_id for each in services.queue.kept] == ["2" * 12]
        assert run("quarantine", "drop", "--all", *JSON).json == {"dropped": 1}
        assert services.queue.kept == []

    def test_what_is_not_there_or_not_said_is_refused(self, run: Run, services: FakeServices) -> None:
        assert run("quarantine", "show", "f").code == 3
        assert run("quarantine", "drop", "1", "f").code == 3
        assert run("quarantine", "drop").code == 2
        assert run("quarantine", "drop", "1", "--all").code == 2
        services.queue.kept.append(entry(1))
        assert run("quarantine", "show", "1").code == 2
        assert len(services.queue.kept) == 3

    @pytest.mark.usefixtures("run")
    def test_the_doctor_says_that_it_is_there(self) -> None:
        found = [(finding.status, finding.detail) for finding in messages("messages")]
        assert found == [("WARN", "2 of those refused are in quarantine"), ("ok", "refused: none")]
