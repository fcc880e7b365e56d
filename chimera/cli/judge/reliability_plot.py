"""Reliability diagrams as SVG: confidence against the share that was right, a panel for each skill."""

from collections.abc import Iterable
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from chimera.models.gate.calibration import Bin
    from chimera.services.calibration_report import Curve, SkillReport

_SIDE = 300  # of a diagram, in pixels
_LEFT, _TOP, _RIGHT = 56, 64, 24
_BARS = 60  # height of the bars below it
_PANEL_WIDTH = _LEFT + _SIDE + _RIGHT
_PANEL_HEIGHT = _TOP + _SIDE + 36 + _BARS + 28
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #333 } .title { font-weight: 600; font-size: 14px }
.axis { stroke: #888; fill: none } .grid { stroke: #e4e4e4 } .perfect { stroke: #888; stroke-dasharray: 4 4 }
.people { stroke: #0b62a4; fill: #0b62a4 } .labels { stroke: #b5541c; fill: #b5541c }
.people text { fill: #0b62a4 } .labels text { fill: #b5541c }
.line { fill: none; stroke-width: 1.5 } .bar { stroke: none; fill-opacity: 0.5 } .threshold { stroke-dasharray: 2 3 }
"""
# Whose curve, what it is called, how far it is moved aside, and where its name stands.
_SERIES = (("people", "people's verdicts", -2.0, -26), ("labels", "labels", 2.0, -10))


def reliability_svg(reports: Iterable["SkillReport"]) -> str:
    """The diagrams of all reports that have a curve, one below the other, as an SVG document.

    Each point is a bin: the mean confidence across, the share right upwards with its interval of 95 %. On the dashed
    diagonal confidences mean what they say. Bars below it: how many verdicts each bin has, as a share of the largest.
    """
    shown = [report for report in reports if report.people or report.labels]
    height = max(1, len(shown)) * _PANEL_HEIGHT
    size = {"width": str(_PANEL_WIDTH), "height": str(height), "viewBox": f"0 0 {_PANEL_WIDTH} {height}"}
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", **size})
    ET.SubElement(root, "title").text = "Confidence and the share of results that was right"
    ET.SubElement(root, "style").text = _STYLE
    ET.SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": "#fff"})
    if not shown:
        _text(root, _LEFT, _TOP, "no verdicts and no labels")
    for place, report in enumerate(shown):
        panel = ET.SubElement(root, "g", {"transform": f"translate({_LEFT} {_TOP + place * _PANEL_HEIGHT})"})
        _panel(panel, report)
    ET.indent(root, " ")
    return ET.tostring(root, encoding="unicode") + "\n"


def _panel(panel: ET.Element, report: "SkillReport") -> None:
    _text(panel, 0, -44, report.skill, **{"class": "title"})
    _frame(panel)
    for name, title, shift, down in _SERIES:
        curve: Curve | None = getattr(report, name)
        if curve is None:
            continue
        group = ET.SubElement(panel, "g", {"class": name})
        words = f"{title}: {curve.calibration.verdicts}, ECE {curve.calibration.ece:.3f}"
        _text(group, 0, down, words)
        _curve(group, curve, shift)


def _frame(panel: ET.Element) -> None:
    for tick in range(0, 11, 2):
        share = tick / 10
        _line(panel, (_x(share), _y(0)), (_x(share), _y(1)), "grid")
        _line(panel, (_x(0), _y(share)), (_x(1), _y(share)), "grid")
        _text(panel, _x(share), _SIDE + 16, f"{share:.1f}", **{"text-anchor": "middle"})
        _text(panel, -8, _y(share) + 4, f"{share:.1f}", **{"text-anchor": "end"})
    _line(panel, (_x(0), _y(0)), (_x(1), _y(1)), "perfect")
    size = {"width": str(_SIDE), "height": str(_SIDE), "class": "axis"}
    ET.SubElement(panel, "rect", size)
    _text(panel, _SIDE / 2, _SIDE + 32, "confidence", **{"text-anchor": "middle"})
    turn = f"rotate(-90 -38 {_SIDE / 2})"
    _text(panel, -38, _SIDE / 2, "share right", **{"text-anchor": "middle", "transform": turn})
    _text(panel, _SIDE / 2, _SIDE + 36 + _BARS + 16, "verdicts", **{"text-anchor": "middle"})


def _curve(group: ET.Element, curve: "Curve", shift: float) -> None:
    """Points are moved aside by `shift` pixels, so that the intervals of two curves stand side by side."""
    bins = [part for part in curve.calibration.bins if part.verdicts]
    points = [(_x(part.confidence or 0.0) + shift, _y(part.right or 0.0)) for part in bins]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    ET.SubElement(group, "polyline", {"points": path, "class": "line"})
    most = max(part.verdicts for part in bins)
    for part, (x, y) in zip(bins, points, strict=True):
        _point(group, part, x, y)
        _bar(group, part, most, shift)
    if curve.threshold.threshold is not None:
        x = _x(curve.threshold.threshold)
        _line(group, (x, _y(0)), (x, _y(1)), "threshold")


def _point(group: ET.Element, part: "Bin", x: float, y: float) -> None:
    if part.interval is not None:
        _line(group, (x, _y(part.interval.low)), (x, _y(part.interval.high)))
    dot = ET.SubElement(group, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "3.5"})
    ET.SubElement(
        dot, "title"
    ).text = f"{part.low:.1f} to {part.high:.1f}: {part.verdicts} verdicts, {part.right:.2f} right"


def _bar(group: ET.Element, part: "Bin", most: int, shift: float) -> None:
    height = _BARS * part.verdicts / most
    width = (_x(part.high) - _x(part.low)) / 2 - 2
    left = _x(part.low) + 1 if shift < 0 else _x(part.low) + width + 3
    box = {"x": f"{left:.1f}", "y": f"{_SIDE + 36 + _BARS - height:.1f}"}
    ET.SubElement(group, "rect", box | {"width": f"{width:.1f}", "height": f"{height:.1f}", "class": "bar"})


def _x(share: float) -> float:
    return share * _SIDE


def _y(share: float) -> float:
    return (1 - share) * _SIDE


def _line(parent: ET.Element, start: tuple[float, float], end: tuple[float, float], kind: str = "") -> None:
    ends = dict(zip(("x1", "y1", "x2", "y2"), (f"{value:.1f}" for value in (*start, *end)), strict=True))
    ET.SubElement(parent, "line", ends | ({"class": kind} if kind else {}))


def _text(parent: ET.Element, x: float, y: float, text: str, **attributes: str) -> None:
    ET.SubElement(parent, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "stroke": "none", **attributes}).text = text
