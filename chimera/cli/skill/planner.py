"""`chimera planner`: the planners that workers have declared."""

from typing import Annotated

import typer

from chimera.cli.context import command, services
from chimera.cli.output import Format, Output, document, say, table
from chimera.cli.skill.view import Holders, declared_json, latest, show_declared, show_json, the_one, workers_counted

app = typer.Typer(help="See the planners that workers have, as they said when they started.", no_args_is_help=True)


@app.command("list")
def list_planners(output: Output = Format.TABLE) -> None:
    """The planners, by name, with the number of workers that have each now; needs no code of the project's."""
    planners = latest(services().adapters.skills.planners())
    holders = Holders()
    if output is Format.JSON:
        document([declared_json(planner, holders.of_planner(planner.name)) for planner in planners])
        return
    if not planners:
        up = command("up")
        say(f"no worker has declared a planner yet: it does when it starts (`{up}`, or celery -A chimera worker)")
        return
    rows = [
        [
            planner.name,
            workers_counted(holders.of_planner(planner.name)),
            ", ".join(planner.input_schema.get("properties", {})),
            planner.description,
        ]
        for planner in planners
    ]
    table(["PLANNER", "WORKERS", "INPUTS", "DOES"], rows)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The planner's name.")], output: Output = Format.TABLE
) -> None:
    """A planner: what it does, the schema of its inputs, its examples, and which workers have it now."""
    store = services().adapters.skills
    found = store.planners(name)
    planner = the_one("planner", name, found, () if found else store.planners())
    workers = Holders().of_planner(planner.name)
    if output is Format.JSON:
        document(declared_json(planner, workers))
        return
    replans = "is asked about results that the gate sends back" if planner.has_replan else ""
    show_declared("planner", planner, [("replans", replans)], len(found), workers)
    show_json("input schema", planner.input_schema)
    for example in planner.examples:
        show_json("example", example)
