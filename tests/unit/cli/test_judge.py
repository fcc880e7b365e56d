"""The report on confidences: its words, its numbers and its plot."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from chimera.cli.judge.reliability_plot import reliability_svg
from chimera.models.gate.calibration import Verdict, calibrate, suggest
from chimera.services.calibration_report import Curve, SkillReport
from tests.unit.cli.conftest import Run, decide

TENANT = ("-t", "acme")
JSON = ("-o", "json")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def decided(run: Run) -> None:
    """A hundred right and sure, forty unsure of which people approved every other one."""
    rows = [{"text": "a", "confidence": "0.95", "label": "a"}] * 100
    rows += [{"text": str(number), "confidence": "0.6", "label": "0"} for number in range(40)]
    run("plan", "submit", "echoes", *TENANT, "--set", f"rows={json.dumps(rows)}")
    for place, card in enumerate(run("review", "list", *TENANT, "--limit", "100", *JSON).json):
        if place % 2:
            decide(run, "approve", card["card_id"], *TENANT)
        else:
            decide(run, "deny", card["card_id"], *TENANT, "--reason", "no")


@pytest.mark.usefixtures("decided")
class TestReport:
    def test_for_people(self, run: Run) -> None:
        ran = run("judge", "report", *TENANT)
        assert ran.code == 0
        assert "gate       100 approved, 40 to people, 0 denied or sent back" in ran.out
        assert "cards      20 approved, 20 denied" in ran.out
        assert "20 of 40 approved that the confidence had held back" in ran.out
        assert "people's verdicts: 40 (0 by sample, 40 by confidence)" in ran.out
        assert "no threshold for a precision of 0.95 can be named: 100 results were approved and no person" in ran.out
        assert "`sample: 0.05`" in ran.out
        assert "labels: 140" in ran.out
        assert "threshold for a precision of 0.95: 0.9500 (1.000 right of 100 verdicts, at least 0.963, 71%" in ran.out

    def test_too_few_and_too_wrong(self, run: Run) -> None:
        out = run("judge", "report", *TENANT, "--precision", "0.99").out
        assert "too few verdicts; about 281 more, if they are as those so far (1.000 right of 100 verdicts" in out
        low = run("judge", "report", *TENANT, "--precision", "0.6").out
        assert "threshold for a precision of 0.6: 0.6000" in low

    def test_as_json(self, run: Run) -> None:
        [found] = run("judge", "report", *TENANT, *JSON).json
        assert (found["skill"], found["approved"], found["referred"]) == ("echo", 100, 40)
        assert found["labels"]["threshold"]["threshold"] == 0.95
        assert found["people"]["calibration"]["right"] == 0.5
        assert len(found["people"]["calibration"]["bins"]) == 10
        assert run("judge", "report", *TENANT, "--skill", "other", *JSON).json == []

    def test_as_a_plot(self, run: Run, tmp_path: Path) -> None:
        file = tmp_path / "curves.svg"
        assert run("judge", "report", *TENANT, "--svg", str(file)).code == 0
        root = ET.fromstring(file.read_text(encoding="utf-8"))
        assert root.tag == f"{SVG}svg"
        assert len(root.findall(f".//{SVG}circle")) == 3, "one bin of people's, two of labels"
        ran = run("judge", "report", *TENANT, "--svg", str(tmp_path / "nowhere" / "x.svg"))
        assert (ran.code, ran.out) == (2, "")
        assert "it cannot be written" in ran.err


@pytest.mark.parametrize("precision", ["0", "1", "-1", "1.5", "nan"])
def test_a_precision_is_between_nothing_and_all(run: Run, precision: str) -> None:
    ran = run("judge", "report", *TENANT, f"--precision={precision}")
    assert ran.code == 2
    assert "above 0 and below 1" in ran.err


def test_nothing_to_report(run: Run, tmp_path: Path) -> None:
    ran = run("judge", "report", *TENANT, "--svg", str(tmp_path / "x.svg"))
    assert (ran.code, ran.out, ran.err) == (0, "", "nothing of acme was judged\n")
    assert "no verdicts and no labels" in (tmp_path / "x.svg").read_text()
    assert run("judge", "report", *TENANT, "--since", "1d", "--skill", "s").err.endswith("judged since 1d by s\n")
    assert run("judge", "report", *TENANT, "--since", "soon").code == 2


def test_a_skill_s_name_cannot_break_the_plot() -> None:
    verdicts = [Verdict(0.1, right=False), Verdict(0.95, right=True)]
    calibration = calibrate(verdicts)
    assert calibration is not None
    curve = Curve(calibration=calibration, threshold=suggest(verdicts, 0.5))
    name = '</text><script>alert("1")</script>'
    root = ET.fromstring(reliability_svg([SkillReport(skill=name, people=curve), SkillReport(skill="no curve")]))
    assert root.findall(f".//{SVG}script") == []
    assert name in [text.text for text in root.iter(f"{SVG}text")]
    places = [float(dot.attrib[side]) for dot in root.iter(f"{SVG}circle") for side in ("cx", "cy")]
    assert all(-5 <= place <= 305 for place in places)
