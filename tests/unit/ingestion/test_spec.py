from __future__ import annotations

from pathlib import Path

import pytest

import usecases
from errors import UsageError
from ingestion import spec


def written(folder: Path, text: str, name: str = "shop.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", usecases.names())
def test_the_sources_that_come_with_a_use_case_are_right(name: str) -> None:
    assert "sample" in [each.name for each in spec.listed(name)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: files\npath: a\npasword: b\n", r"  pasword: there is no such key$"),
        ("kind: ftp\npath: a\n", "the file: there is no kind ftp, but 'files', 'sql', 'rest'"),
        ("path: a\n", "the file: has no `kind`"),
        ("", "the file: must have keys with values"),
        ("kind: sql\ntable: t\n", "  url: is missing"),
        ("kind: sql\nurl: postgresql://me:hidden@host/db\ntable: t\n", "has a password in it: name a secret"),
        ("kind: sql\nurl: postgresql://me@host/db\n", "either a table or a query"),
        ("kind: files\npath: a_{month}.csv\n", "go together"),
        ("kind: files\npath: a.csv\nsince: 2024-01\n", "go together"),
        ("kind: files\npath: a.csv\ndecisions: {missing: maybe}\n", "decisions.missing: Input should be"),
        (
            "kind: rest\nurl: http://h\nauth: {kind: bearer, secret: 'a b'}\n",
            "auth.secret: String should match",
        ),
        ("kind: files\npath: [\n", "is no YAML in line 3: expected"),
    ],
)
def test_a_file_that_is_wrong_says_where_and_repeats_no_value(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError, match=said) as caught:
        spec.read(path)
    assert "hidden" not in str(caught.value)


def test_a_source_is_found_by_its_name_or_by_its_file(tmp_path: Path) -> None:
    assert spec.find("titanic", "sample").source.kind == "files"
    assert spec.find("titanic", str(written(tmp_path, "kind: files\npath: a\n"))).name == "shop"
    with pytest.raises(UsageError, match="There is no source 'nowhere'; there are: sample"):
        spec.find("titanic", "nowhere")
    with pytest.raises(UsageError, match="gives no name"):
        spec.find("titanic", str(written(tmp_path, "kind: files\npath: a\n", "a b.yaml")))
