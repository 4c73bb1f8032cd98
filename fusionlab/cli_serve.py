"""`fusionlab recommend` and `fusionlab feedback`: a finished run in service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fusionlab.cli_options import json_option, runs_option, untrained_coalitions_option

a_file = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("run")
@click.option("--user", help="A user of the dataset.")
@click.option("--k", default=10, show_default=True, type=click.IntRange(1), help="Items to list.")
@click.option("--items", type=a_file, help="Items added after training, as JSON lines.")
@click.option("--liked", multiple=True, metavar="ID", help="What a stranger likes; once for each.")
@click.option("--text", help="A text that describes what a stranger likes.")
@click.option("--image", type=a_file, help="A picture that does.")
@click.option("--audio", type=a_file, help="A sound that does.")
@click.option(
    "--context", "given", multiple=True, metavar="NAME=VALUE", help="The situation; a column each."
)
@click.option("--explain", is_flag=True, help="Tell what modalities and views count.")
@untrained_coalitions_option
@click.option(
    "--index", type=click.Choice(["faiss"]), help="Search an approximate index; tells its recall."
)
@click.option(
    "--probed", type=click.IntRange(1), help="Lists of the index to read; more find more, slower."
)
@json_option
@runs_option
def recommend(
    run: str,
    user: str | None,
    liked: tuple[str, ...],
    items: Path | None,
    file: Path | None,
    runs: Path,
    text: str | None,
    image: Path | None,
    audio: Path | None,
    index: str | None,
    probed: int | None,
    given: tuple[str, ...],
    **asked: Any,
) -> None:
    """Recommend items of RUN (the beginning of its id) to a user, or to a stranger."""
    import json

    from fusionlab import terminal
    from fusionlab.data.disk import writable, write_whole
    from fusionlab.reporting.recommended import recommended_table, told_of
    from fusionlab.serving.feedback import FeedbackLog
    from fusionlab.serving.new_items import described_by, read_new_items
    from fusionlab.serving.recommend import Service
    from fusionlab.serving.run_feedback import feedback_file
    from fusionlab.studies.store import RunStore
    from fusionlab.studies.trained import load_trained

    media = {"text": text, "image": image, "audio": audio}
    described = {medium: raw for medium, raw in media.items() if raw is not None}
    if (user is None) == (not liked and not described):
        who = "nobody" if user is None else "both"
        raise click.UsageError(
            f"found {who}, expected either --user or --liked, --text, --image, --audio"
        )
    if probed and not index:
        raise click.UsageError("--probed needs --index faiss")
    for one in given:
        if "=" not in one:
            raise click.BadParameter(f"found {one!r}, expected NAME=VALUE", param_hint="--context")
    asked["context"] = dict(one.split("=", 1) for one in given)
    if len(asked["context"]) < len(given):
        raise click.BadParameter("found a name twice, expected each once", param_hint="--context")
    if file:
        writable(file)
    store = RunStore(runs)
    trained = load_trained(run, store)
    log = feedback_file(trained.record, store)
    service = Service(
        trained,
        read_new_items(items, trained) if items else (),
        FeedbackLog(log) if log.exists() else None,
        index=index,
        probed=probed,
    )
    if user is not None:
        (found,) = service.recommend([user], **asked)
    else:
        pseudo = described_by(described, trained) if described else None
        found = service.recommend_stranger(liked=liked, described=pseudo, **asked)
    terminal.show(recommended_table(found))
    terminal.say(*told_of(found, asked["explain"]))
    if file:
        told = json.dumps(found.to_json(), indent=1).encode()
        terminal.say(f"wrote {write_whole(file, told)}")


@click.group()
@click.argument("run")
@click.pass_context
def feedback(context: click.Context, run: str) -> None:
    """The feedback log of RUN: what its users did with what they were shown."""
    context.obj = run


@feedback.command()
@click.option("--user", required=True)
@click.option("--item", required=True)
@click.option("--kind", required=True, help="impression, click, like, rating, dislike or undo.")
@click.option("--rating", type=float, help="Of a rating.")
@click.option("--time", type=float, help="Seconds since 1970; default: now.")
@click.option("--list", "list", help="The list that was shown.")
@click.option("--context", "told", help="JSON.")
@click.option("--new-user", is_flag=True, help="The user need not be one of the dataset.")
@click.option("--items", type=a_file, help="Items added after training, as JSON lines.")
@runs_option
@click.pass_obj
def add(
    run: str, /, runs: Path, told: str | None, new_user: bool, items: Path | None, **event: Any
) -> None:
    """Log an event; it is on the disk when this returns."""
    import json

    from fusionlab import terminal
    from fusionlab.serving.events import Event

    try:
        context = None if told is None else json.loads(told)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not JSON ({error})", param_hint="--context") from None
    with _log(run, runs, new_users=new_user, new_items=items) as log:
        log.add(Event(**event, context=context))
    terminal.say("logged")


@feedback.command(name="list")
@click.option("--user", help="Of one user.")
@runs_option
@click.pass_obj
def list_events(run: str, runs: Path, user: str | None) -> None:
    """Print what is in the log."""
    from fusionlab import terminal
    from fusionlab.reporting.recommended import event_table

    with _log(run, runs) as log:
        terminal.show(event_table(log.events(user)))


def _log(run: str, runs: Path, **taken: Any) -> Any:
    from fusionlab.serving.run_feedback import open_feedback
    from fusionlab.studies.store import RunStore

    return open_feedback(run, RunStore(runs), **taken)
