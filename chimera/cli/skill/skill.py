"""`chimera skill`: the skills that workers have declared."""

from typing import Annotated

import typer

from chimera.cli.context import command, services
from chimera.cli.output import Format, Output, document, duration, say, table
from chimera.cli.skill.view import Holders, declared_json, latest, show_declared, show_json, the_one, workers_counted

app = typer.Typer(help="See the skills that workers have, as they said when they started.", no_args_is_help=True)


@app.command("list")
def list_skills(output: Output = Format.TABLE) -> None:
    """The skills, by name, with the number of workers that have each now; needs no code of the project's."""
    skills = latest(services().adapters.skills.skills())
    holders = Holders()
    if output is Format.JSON:
        document([declared_json(skill, holders.of_skill(skill.name)) for skill in skills])
        return
    if not skills:
        up = command("up")
        say(f"no worker has declared a skill yet: it does when it starts (`{up}`, or celery -A chimera worker)")
        return
    rows = [
        [
            skill.name,
            workers_counted(holders.of_skill(skill.name)),
            str(skill.max_batch),
            str(skill.max_attempts),
            duration(skill.timeout_seconds),
            skill.description,
        ]
        for skill in skills
    ]
    table(["SKILL", "WORKERS", "BATCH", "ATTEMPTS", "TIMEOUT", "DOES"], rows)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The skill's name.")], output: Output = Format.TABLE
) -> None:
    """A skill: what it does, its schemas, limits, effects and examples, and which workers have it now."""
    store = services().adapters.skills
    found = store.skills(name)
    skill = the_one("skill", name, found, () if found else store.skills())
    workers = Holders().of_skill(skill.name)
    if output is Format.JSON:
        document(declared_json(skill, workers))
        return
    limits = [
        ("timeout", duration(skill.timeout_seconds)),
        ("max batch", str(skill.max_batch)),
        ("attempts", str(skill.max_attempts)),
        ("effects", ", ".join(skill.effects)),
    ]
    show_declared("skill", skill, limits, len(found), workers)
    show_json("input schema", skill.input_schema)
    show_json("output schema", skill.output_schema)
    for example in skill.examples:
        show_json("example", example)
