"""What a person reads: each command's document as text and tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

Document = Mapping[str, Any]

NOTHING_RUNS = "PostgreSQL is not running, and so nothing else is. Start with: python run.py"


def main_job(document: Document) -> RenderableType:
    """Training, release and answer of the main job, and what to try next."""
    name = document["training"]["use_case"]
    parts: list[RenderableType] = [training(document["training"])]
    if "release" in document:
        parts += ["", release(document["release"]), "", _answer(document)]
    tries = {
        "status": "what runs, and since when",
        f"train {name} --trials 10": "search better parameters",
        f"reproduce {name} {document['training']['version']}": "train the version again, bit for bit",
        "train titanic": "the second use case",
        "stop": "stop endpoints and PostgreSQL; all data stay",
    }
    hints = [f"  python run.py {command:<28}{about}" for command, about in tries.items()]
    return Group(*parts, "", times(document["stages"]), "", "What to try next:", *hints)


def training(document: Document) -> RenderableType:
    """Rows, candidates, gates and the champion."""
    parts: list[RenderableType] = [
        f"[bold]{escape(document['title'])}[/]",
        _rows(document),
        _candidates(document),
        _gates(document),
        _champion(document),
    ]
    if "release" in document:
        parts += ["", release(document["release"]), ""]
    if "stages" in document:
        parts.append(times(document["stages"]))
    return Group(*parts)


def example(document: Document) -> RenderableType:
    """Where the CSV is."""
    return Group(f"Wrote {document['file']}", f"Run in ZenML: {document['run']}", times(document["stages"]))


def followed(document: Document) -> RenderableType:
    """How a run in a cluster ended."""
    return Group(f"The run {document['run']} is done.", times(document["stages"]))


def scheduled(document: Document) -> RenderableType:
    """What a cluster will do by itself from now on."""
    before = f" in place of [bold]{document['before']}[/]" if document["before"] else ""
    return (
        f"The cluster {document['does']} at [bold]{document['cron']}[/] (UTC){before}.\n"
        "See what becomes of it: python run.py --stack kubernetes schedules"
    )


def schedules(document: Document) -> RenderableType:
    """A table of the schedules."""
    if not document["schedules"]:
        return "Nothing is scheduled."
    table = new_table("use case", "what", "cron (UTC)", "since", "newest run", "status")
    for each in document["schedules"]:
        table.add_row(
            each["use_case"],
            f"{each['what']} {each['place'] or ''}".strip(),
            each["cron"],
            f"{each['since']:%Y-%m-%d %H:%M}",
            each["run"] or "none yet",
            each["status"] or "",
        )
    return table


def unscheduled(document: Document) -> RenderableType:
    """What a cluster no longer does."""
    what = f"{document['use_case']} ({document['place']})" if document["place"] else document["use_case"]
    return f"The cluster no longer works on {what} at [bold]{document['cron']}[/]."


def release(document: Document) -> RenderableType:
    """Where the endpoint is, and what was there before."""
    name, version, before = document["use_case"], document["model_version"], document["before"]
    address = document["address"]
    if document["withdrawn"]:
        why = escape(document["withdrawn"])
        return (
            f"The canary of [bold]{name}[/] version {version} was withdrawn: {why}.\n"
            "What served before serves all requests."
        )
    stream = _stream(document)
    if not document["changed"]:
        serves = f"[bold]{name}[/] version {version} serves at [bold]{address}[/] already; nothing restarted."
        return Group(serves, *stream)
    beside = f"in place of version {before}" if before else "where nothing served before"
    exactly = "" if document["image"] else " bit for bit"
    verified = f"{document['verified']:,} of its answers equal offline predictions{exactly}; "
    parts: list[RenderableType] = [
        f"[bold]{name}[/] version {version} now serves at [bold]{address}[/], {beside}.",
        f"{verified if document['verified'] else ''}release {document['release']}, Bento {document['bento']}"
        + (f", image {escape(document['image'])}." if document["image"] else "."),
        *stream,
    ]
    if document["seconds"]:
        parts.append(
            ", ".join(f"{stage} in {took:.1f} s" for stage, took in document["seconds"].items()) + "."
        )
    if "stages" in document:
        parts.append(times(document["stages"]))
    return Group(*parts)


def _stream(document: Document) -> list[str]:
    """Whether the stream followed a release, where there is one."""
    name, trouble = document["stream"], document["stream_trouble"]
    if not name:
        return []
    if trouble:
        how = f"Its workers of before go on; once that is put right: release {document['use_case']} again."
        return [f"[red]The stream {name} did not follow: {escape(trouble)}[/]", how]
    return [f"The stream [bold]{name}[/] scores by it, too."]


def predictions(document: Document) -> RenderableType:
    """The answer, or where the answers are."""
    if "response" in document:
        return json.dumps(document["response"])
    wrote = f"Wrote {document['rows']:,} rows with their predictions to {document['file']}"
    refused = document["refused"]
    if not refused:
        return wrote
    shown = [f"  row {row}: {escape(reason)}" for row, reason in list(refused.items())[:5]]
    more = [f"  and {len(refused) - len(shown):,} more"] if len(refused) > len(shown) else []
    return Group(wrote, f"{len(refused):,} of them were refused and have no prediction:", *shown, *more)


def status(document: Document) -> RenderableType:
    """What runs, a line each."""
    server = document["postgresql"]
    if server is None:
        return NOTHING_RUNS
    kind = "embedded" if server["embedded"] else "your own"
    table = new_table(
        "use case", "champion", ">score", "endpoint", "serves", "state", "since", "newest check"
    )
    for row in document["use_cases"]:
        table.add_row(row["use_case"], *champion(row), *_endpoint(row["endpoint"]), newest(row["check"]))
    head = f"PostgreSQL ({kind}) at {server['server']}; files in {document['home']}"
    pages: list[RenderableType] = ["", services(document)] if document["services"] else []
    old = outdated(document["use_cases"])
    return Group(head, *pages, "", table, *(["", *old] if old else []))


def champion(row: Document) -> list[str]:
    """Cells of a champion."""
    version = f"version {row['champion']}" if row["champion"] else "none"
    return [version, "" if row["score"] is None else f"{row['score']:.3f}"]


def outdated(rows: Sequence[Document]) -> list[str]:
    """A line for each champion that is outdated."""
    return [
        f"[yellow]{row['use_case']} version {row['champion']} is outdated.[/] "
        + escape(" ".join(row["outdated"]))
        for row in rows
        if row["outdated"]
    ]


def history(document: Document) -> RenderableType:
    """Releases, a line each."""
    if document["releases"] is None:
        return NOTHING_RUNS
    drift = [f"[red]{escape(sentence)}[/]" for sentence in document["drift"]]
    if not document["releases"] and not drift:
        return f"Not released yet. Release the champion: python run.py release {document['use_case']}"
    table = new_table(">release", "when", ">version", "status", "why", "by", "image or Bento", "run")
    for one in document["releases"]:
        reason = f": {one['reason'].splitlines()[0]}" if one["reason"] else ""
        table.add_row(
            str(one["id"]),
            f"{datetime.fromisoformat(one['created_at']).astimezone():%Y-%m-%d %H:%M}",
            str(one["model_version"]),
            one["status"].replace("_", " ") + escape(reason),
            escape(one["why"] or ""),
            escape(one["released_by"]),
            one["image"].partition("@")[2][:19] if one["image"] else one["bento"],
            one["zenml_run"] or "",
        )
    scores = "Its stream, {name}, scores by version {version}: {ready} of {workers} workers ready."
    stream = [scores.format(**document["stream"])] if document["stream"] else []
    return Group(table, *stream, *drift)


def up(document: Document) -> RenderableType:
    """Where everything is, and how to log in."""
    addresses = {one["service"]: one["address"] for one in document["services"]}
    if document["already_running"]:
        head = "The platform is running already."
    else:
        head = f"The platform is up after {document['seconds']:.1f} s."
    secret = document.get("password") or f"see {document['password_file'] or 'MODELYARD_PASSWORD'}"
    return Group(
        head,
        services(document),
        "",
        f"ZenML's dashboard: {addresses['zenml']}   MLflow: {addresses['mlflow']}",
        f"Log in to both as {document['username']}, password: {secret}",
        *(
            ["It is shown this once; later it is in " + document["password_file"]]
            if "password" in document
            else []
        ),
        "",
        "The tools' own command lines, from another terminal:",
        f"  zenml login {addresses['zenml']}",
        f"  export MLFLOW_TRACKING_URI={addresses['mlflow']} MLFLOW_TRACKING_USERNAME={document['username']}",
        "  export MLFLOW_TRACKING_PASSWORD=…",
        "Stop everything: python run.py down",
    )


def services(document: Document) -> RenderableType:
    """The platform's services, a line each."""
    table = new_table("service", "state", "address", ">memory MB", "since", "log")
    for one in document["services"]:
        state = "[green]ready[/]" if one["ready"] else f"[yellow]{one['state']}[/]"
        memory = "" if one["memory_mb"] is None else f"{one['memory_mb']:.0f}"
        table.add_row(
            one["service"], state, one["address"] or "", memory, one["since"] or "", escape(one["log"])
        )
    return table


def opened(document: Document) -> RenderableType:
    """Which pages were opened; their addresses where there is no browser."""
    return Group(
        *(
            address if shown else f"{address} (no browser found: open it yourself)"
            for address, shown in document["opened"].items()
        ),
        *(
            ["Log in to both as default; the password:", f"  {document['login']}", "Ctrl-C ends it."]
            if "login" in document
            else []
        ),
    )


def stopped(document: Document) -> RenderableType:
    """What was stopped."""
    endpoints = ", ".join(document["endpoints"])
    lines = ["ZenML's and MLflow's pages stopped."] if document["pages"] else []
    lines += [f"Endpoints stopped: {endpoints}." if endpoints else "No endpoint was running."]
    if not document["embedded"]:
        lines.append("PostgreSQL is your own and was left running.")
    elif document["postgresql"]:
        lines.append("PostgreSQL stopped; everything stored stays.")
    else:
        lines.append("PostgreSQL was not running.")
    return Group(*lines)


def reproduction(document: Document) -> RenderableType:
    """Equal or not, and what differs."""
    what = f"{document['use_case']} version {document['version']}"
    if document["equal"]:
        verdict = (
            f"[green]Reproduced[/]: the predictions of {what} on {document['rows']:,} validation rows "
            "are equal bit for bit."
        )
    else:
        verdict = (
            f"[red]Not reproduced[/]: predictions of {what} differ by up to "
            f"{document['largest_difference']:.6g} over {document['rows']:,} validation rows."
        )
    differences = [escape(line) for line in document["differences"]]
    about = ["Differs from the recorded training:", *(f"  {line}" for line in differences)]
    same = ["Data, code, lock and Python are those of the recorded training."]
    return Group(verdict, *(about if differences else same))


def stack_applied(document: Document) -> RenderableType:
    """Each change, or that there was none."""
    if not document["changes"]:
        return f"Nothing changed: ZenML has {document['file']} already."
    return Group(*(escape(change) for change in document["changes"]))


def stack_shown(document: Document) -> RenderableType:
    """The stack's parts as a table."""
    table = new_table("part", "name", "flavor", "configuration", title=f"Stack {document['stack']}")
    for kind, part in document["parts"].items():
        configuration = "\n".join(f"{key}: {value}" for key, value in part["configuration"].items())
        table.add_row(kind, part["name"], part["flavor"], escape(configuration))
    return table


def times(stages: list[Document]) -> RenderableType:
    """How long each stage took."""
    table = new_table("stage", ">seconds")
    for stage in stages:
        table.add_row(stage["stage"], "cached" if stage["cached"] else f"{stage['seconds']:.1f}")
    table.add_row("[bold]total[/]", f"[bold]{sum(stage['seconds'] for stage in stages):.1f}[/]")
    return table


def _rows(document: Document) -> str:
    rows = document["rows"]
    dropped = ", ".join(f"{count:,} {escape(reason)}" for reason, count in rows["dropped"].items() if count)
    return (
        f"Rows read {rows['read']:,}, kept {rows['kept']:,} ({rows['validation']:,} of them to judge by); "
        f"dropped: {dropped or 'none'}."
    )


def _candidates(document: Document) -> RenderableType:
    metric = document["metric"]
    unit = f" ({metric['unit']})" if metric["unit"] else ""
    table = new_table("candidate", f">{metric['name']}{unit}", ">seconds")
    sign = 1 if metric["direction"] == "minimize" else -1
    for candidate in sorted(document["candidates"], key=lambda found: sign * found["score"]):
        best = candidate["candidate"] == document["winner"]
        style = "bold green" if best else ""
        table.add_row(
            candidate["candidate"], f"{candidate['score']:.3f}", f"{candidate['seconds']:.1f}", style=style
        )
    return table


def _gates(document: Document) -> RenderableType:
    table = new_table("gate", "verdict", "reason")
    for gate in document["gates"]:
        verdict = "[green]passed[/]" if gate["passed"] else "[red]not passed[/]"
        table.add_row(gate["gate"], verdict, escape(gate["reason"]))
    return table


def _champion(document: Document) -> str:
    version, before = document["version"], document["champion_before"]
    if document["champion_stands"]:
        return f"The champion stands: version {version} is what this training gives; nothing changed."
    if document["promoted"]:
        beside = f"before it version {before}" if before else "the first one"
        return f"New champion: version {version} ({document['winner']}), {beside}."
    kept = f"the champion is still version {before}" if before else "there is no champion yet"
    return f"Version {version} is registered, not promoted: a gate was not passed; {kept}."


def newest(check: Document | None) -> str:
    """A cell of the newest check."""
    if check is None:
        return "none"
    until = f"{datetime.fromisoformat(check['until']).astimezone():%Y-%m-%d %H:%M}"
    return f"{until} {check['verdict']}"


def _endpoint(endpoint: Document | None) -> list[str]:
    """Cells of one endpoint."""
    if endpoint is None:
        return ["none", "", "", ""]
    state = "[green]ready[/]" if endpoint["ready"] else f"[red]does not answer[/]; log: {endpoint['log']}"
    since = endpoint["since"].replace("T", " ")
    return [endpoint["address"], f"version {endpoint['model_version']}", state, since]


def _answer(document: Document) -> RenderableType:
    answer = document["answer"]
    return Group(
        "Asked it for one trip:",
        f"  {json.dumps(answer['request'])}",
        f"  → {json.dumps(answer['response'])}",
        "Ask it yourself, or try it on the page at its address:",
        f"  {answer['curl']}",
    )


def new_table(*columns: str, title: str | None = None) -> Table:
    """An empty table with these columns; one that begins with `>` has its numbers on the right."""
    table = Table(title=title, box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        # What does not fit goes on in the next line: an address that is cut is none.
        table.add_column(
            column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold"
        )
    return table
