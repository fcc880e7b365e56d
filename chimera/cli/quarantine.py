"""`chimera quarantine`: messages that workers refused, why, and what they were. Anybody may have written them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from chimera.cli.context import command, services
from chimera.cli.output import Format, Limit, Output, age, document, facts, moment, say, table, tell
from chimera.errors import AmbiguousId, InvalidInput, NotFound

if TYPE_CHECKING:
    from chimera.models.work.quarantined import Quarantined

app = typer.Typer(
    help="See the messages that workers refused, each with its reason, and forget them. None of them runs.",
    no_args_is_help=True,
)

Entry = Annotated[str, typer.Argument(metavar="ENTRY", help="As the list shows it, or the beginning of it.")]


@app.command("list")
def list_quarantined(
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="REASON", help="Only those refused as this: unsigned ...")
    ] = None,
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """The messages, the newest first. The broker keeps the newest 1,000, of each the first 4 KiB."""
    kept = [entry for entry in services().adapters.queue.quarantined() if reason is None or entry.reason == reason]
    if output is Format.JSON:
        document([_json(entry) for entry in kept[:limit]])
        return
    if not kept:
        say("no messages" + (f" that were refused as {reason}" if reason else " are in quarantine"))
        return
    table(["ENTRY", "REASON", "QUEUE", "BYTES", "AGE"], map(_row, kept[:limit]))
    if len(kept) > limit:
        say(f"the newest {limit} of {len(kept)}; --limit shows more")
    say(f"next: {command('quarantine', 'show', kept[0].entry_id)}")


@app.command()
def show(entry: Entry, output: Output = Format.TABLE) -> None:
    """A message: why it was refused, and its beginning as it came, what no terminal should read made visible."""
    found = _find(services().adapters.queue.quarantined(), entry)
    if output is Format.JSON:
        document(_json(found) | {"content": _text(found)})
        return
    facts(
        [
            ("entry", found.entry_id),
            ("reason", found.reason),
            ("queue", found.queue),
            ("refused", moment(found.at)),
            ("bytes", f"{found.size_bytes}, of which the first {len(found.content)} are kept"),
        ]
    )
    tell(_text(found))


@app.command()
def drop(
    entries: Annotated[
        list[str] | None, typer.Argument(metavar="ENTRY...", help="As the list shows them, or their beginnings.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that there are.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Forget messages. What was refused stays counted."""
    if bool(entries) == everything:
        raise InvalidInput("name the entries to forget, or --all of them")
    queue = services().adapters.queue
    kept = queue.quarantined() if entries else []
    ids = frozenset(_find(kept, entry).entry_id for entry in entries) if entries else None
    dropped = queue.drop_quarantined(ids)
    if output is Format.JSON:
        document({"dropped": dropped})
    else:
        tell(f"forgot {dropped} message{'' if dropped == 1 else 's'}")


def _find(kept: "list[Quarantined]", wanted: str) -> "Quarantined":
    found = [entry for entry in kept if entry.entry_id.startswith(wanted)]
    if not found:
        raise NotFound(f"no message {wanted!r} is in quarantine: `{command('quarantine', 'list')}` shows which are")
    if len(found) > 1:
        raise AmbiguousId(f"{wanted!r} begins {len(found)} entries: use more of it")
    return found[0]


def _row(entry: "Quarantined") -> list[str]:
    return [entry.entry_id, entry.reason, entry.queue, str(entry.size_bytes), age(entry.at)]


def _json(entry: "Quarantined") -> dict[str, Any]:
    return entry.model_dump(mode="json", exclude={"content"})


def _text(entry: "Quarantined") -> str:
    return entry.content.decode(errors="backslashreplace")
