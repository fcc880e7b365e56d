"""`chimera judge`: how well the gate's confidences are to be trusted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chimera.cli.context import Tenant, services
from chimera.cli.output import Format, Output, document, facts, number, say, table, tell
from chimera.cli.since import Since, moment_of
from chimera.errors import InvalidInput

if TYPE_CHECKING:
    from chimera.services.calibration_report import Curve, SkillReport

app = typer.Typer(help="See how well the gate's confidences are to be trusted.", no_args_is_help=True)


@app.callback()
def judge() -> None:
    """Keeps `report` a word of its own while it is the only one."""


@app.command()
def report(
    tenant: Tenant,
    skill: Annotated[str | None, typer.Option("--skill", help="Only this one.")] = None,
    since: Since = None,
    precision: Annotated[
        float, typer.Option("--precision", help="The share of right results that a threshold is suggested for.")
    ] = 0.95,
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Draw the reliability curves.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Confidences against people's verdicts and against labels, skill by skill, and the threshold that they suggest."""
    if not 0 < precision < 1:
        raise InvalidInput("--precision: above 0 and below 1")
    reports = services().reviewing.calibration.report(tenant, skill=skill, since=moment_of(since), precision=precision)
    if svg is not None:
        _draw(svg, reports)
    if output is Format.JSON:
        document([found.model_dump(mode="json") for found in reports])
        return
    if not reports:
        say(
            f"nothing of {tenant} was judged" + (f" since {since}" if since else "") + (f" by {skill}" if skill else "")
        )
    for place, found in enumerate(reports):
        if place:
            tell("")
        _show(found)


def _draw(file: Path, reports: list["SkillReport"]) -> None:
    from chimera.cli.judge.reliability_plot import reliability_svg

    try:
        file.write_text(reliability_svg(reports), encoding="utf-8")
    except OSError as exc:
        raise InvalidInput(f"--svg {file}: it cannot be written: {exc.strerror}") from exc


def _show(found: "SkillReport") -> None:
    seen = found.overrides
    cards = ", ".join(f"{count} {status}" for status, count in sorted(found.cards.items()))
    facts(
        [
            ("skill", found.skill),
            ("gate", f"{found.approved} approved, {found.referred} to people, {found.denied} denied or sent back"),
            ("cards", cards or "none"),
            ("overrides", f"{seen.sampled_refused} of {seen.sampled} sampled approvals refused by people"),
            (" ", f"{seen.flagged_refused} of {seen.flagged} refused that only another rule had stopped"),
            (" ", f"{seen.held_approved} of {seen.held} approved that the confidence had held back"),
        ]
    )
    _show_curve("people's verdicts", found.people, _sources(found))
    _show_curve("labels", found.labels, "")


def _sources(found: "SkillReport") -> str:
    total = found.by_sample + found.by_band + found.left_out
    left = (
        f"; {found.left_out} of {total} decided cards left out, as another rule opened them" if found.left_out else ""
    )
    return f"{found.by_sample} by sample, {found.by_band} by confidence{left}"


def _show_curve(name: str, curve: "Curve | None", sources: str) -> None:
    tell("")
    if curve is None:
        tell(f"{name}: none" + (f" ({sources})" if sources else ""))
        return
    of = curve.calibration
    tell(f"{name}: {of.verdicts}" + (f" ({sources})" if sources else ""))
    rows = [
        [
            f"{part.low:.1f}-{part.high:.1f}",
            str(part.verdicts),
            number(part.confidence),
            number(part.right),
            f"{part.interval.low:.2f}-{part.interval.high:.2f}" if part.interval else "",
        ]
        for part in of.bins
        if part.verdicts
    ]
    table(["CONFIDENCE", "VERDICTS", "MEAN", "RIGHT", "95 % INTERVAL"], rows)
    tell(f"mean confidence {of.confidence:.3f}, right {of.right:.3f}, ECE {of.ece:.3f}, Brier {of.brier:.3f}")
    tell(_threshold(curve))


def _threshold(curve: "Curve") -> str:
    of = curve.threshold
    if of.threshold is not None:
        return (
            f"threshold for a precision of {of.wanted:g}: {of.threshold:.4f}"
            f" ({_seen(curve)}, {of.share or 0.0:.0%} of results)"
        )
    none = f"no threshold for a precision of {of.wanted:g} can be named: "
    if curve.blind:
        return f"{none}{curve.blind}; `sample: 0.05` in the policy sends people one in twenty"
    if of.more is None:
        return f"{none}at best {_seen(curve)}; more verdicts alone will not change that"
    return f"{none}too few verdicts; about {of.more} more, if they are as those so far ({_seen(curve)})"


def _seen(curve: "Curve") -> str:
    of = curve.threshold
    return f"{of.precision or 0.0:.3f} right of {of.verdicts} verdicts, at least {of.low or 0.0:.3f}"
