"""Write the reference pages of this folder, commands.md and settings.md, from the code that they describe.

`make docs` runs it, for the chart and the alerts as well; tests fail when files are not what it would write.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

_RULE = """\
# Generated from rules.yaml by `make docs`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: modelyard-endpoints
  labels: {app.kubernetes.io/part-of: modelyard}
spec:
"""


def pages() -> dict[Path, str]:
    """File → content of every generated page."""
    rules = HERE.parent / "k8s" / "monitoring" / "prometheusrule.yaml"
    return {HERE / "commands.md": commands(), HERE / "settings.md": settings(), rules: alerts()}


def alerts() -> str:
    """The rules of Prometheus as the object that its operator takes."""
    rules = (HERE.parent / "k8s" / "monitoring" / "rules.yaml").read_text()
    return _RULE + "".join(f"  {line}\n" for line in rules.splitlines() if not line.startswith("#"))


def commands() -> str:
    """Every command with its arguments and options."""
    import typer

    from run import app

    root = typer.main.get_command(app)
    lines = [
        "# Commands",
        "",
        "Generated from the code by `make docs`. `python run.py` stands for `.venv/bin/python run.py`.",
        "",
        *_command("python run.py", root),
    ]
    for name, command in _leaves(root):
        lines += [f"## {name}", "", *_command(f"python run.py {name}", command)]
    return "\n".join(lines).rstrip() + "\n"


def settings() -> str:
    """Every `MODELYARD_*` setting with its default."""
    from settings import PROJECT, Settings

    lines = [
        "# Settings",
        "",
        "Environment variables, read at the start of each command. Generated from the code by `make docs`.",
        "",
        "| variable | default | what it sets |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = "unset" if field.default is None else f"`{field.default}`"
        default = default.replace(f"{PROJECT}/", "")
        lines.append(f"| `MODELYARD_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def _leaves(group: Any, before: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, command in group.commands.items():
        full = f"{before}{name}"
        found += _leaves(command, f"{full} ") if hasattr(command, "commands") else [(full, command)]
    return found


def _command(name: str, command: Any) -> list[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    names = [one.metavar or one.name.upper() for one in arguments]
    words = [name if one.required else f"[{name}]" for name, one in zip(names, arguments, strict=True)]
    usage = " ".join([name, *words, "[OPTIONS]"])
    # Texts have rich's markup, such as [b]…[/b]; here it is code.
    about = re.sub(r"\[/?b\]", "`", command.help or "").strip()
    lines = [f"`{usage}`", "", about, ""]
    if options:
        lines += ["| option | what it does |", "|---|---|"]
        lines += [f"| `{', '.join(one.opts)}` | {_about(one)} |" for one in options]
        lines.append("")
    return lines


def _about(option: Any) -> str:
    text = (option.help or "").replace("|", "\\|")
    if isinstance(option.show_default, str):
        return f"{text} [default: {option.show_default}]"
    shown = option.show_default and option.default not in (None, False)
    return f"{text} [default: {option.default}]" if shown else text


def main() -> None:
    """Write the pages, and what the chart has from the models of its values."""
    from helm import reference

    for path, content in {**pages(), **reference.files()}.items():
        path.write_text(content)


if __name__ == "__main__":
    main()
