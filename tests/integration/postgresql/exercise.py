"""Make the same objects in a ZenML store and ask ZenML's client many questions about them.

Run as a process of its own for each store: `python exercise.py ANSWERS.json DATABASE EVERY`. DATABASE is the
URL of the store's rows, also when the store is a server. Of the questions that change nothing every EVERYth
is asked.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import objects
import questions
from zenml.client import Client


def main() -> None:
    """Make the objects, ask, write the answers down."""
    url = os.environ["ZENML_STORE_URL"]
    if url.startswith("postgresql"):
        from stacks.postgresql import initialize, install

        install()
        initialize(url)
    client = Client()
    objects.make(client)
    answers = {}
    for text, question in questions.all_of(client, sys.argv[2], int(sys.argv[3])):
        assert text not in answers, f"asked twice: {text}"
        answers[text] = _answer(question)
    Path(sys.argv[1]).write_text(json.dumps(answers))


def _answer(question: Any) -> Any:
    """The answer, or which error it was: that belongs to the answer too."""
    try:
        return question()
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}"


if __name__ == "__main__":
    main()
