"""The README is true: its code and commands run, its words are the product's words; so do the docstrings' examples."""

from __future__ import annotations

import doctest
import importlib
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

import forcedflow as ff
from forcedflow import cli
from forcedflow.report.definitions import MEASURES, markdown
from forcedflow.report.words import summary_rows

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGE = Path(ff.__file__).parent


def blocks(*languages: str) -> list[str]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def commands() -> list[list[str]]:
    """Return the arguments of every call of forcedflow in the console blocks."""
    lines = [line for block in blocks("console", "bash") for line in block.splitlines()]
    calls = [shlex.split(line.removeprefix("$ ").removeprefix("uv run ")) for line in lines]
    return [words[1:] for words in calls if words[:1] == ["forcedflow"]]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code = blocks("python")
    assert len(code) >= 3
    namespace: dict[str, Any] = {"__name__": "readme"}
    for number, block in enumerate(code):
        exec(compile(block, f"README.md, python block {number + 1}", "exec"), namespace)
    assert capsys.readouterr().out


def test_a_strategy_of_the_readme_trades(tmp_path: Path) -> None:
    (block,) = [block for block in blocks("python") if "(ff.Strategy)" in block]
    (name,) = re.findall(r"`strategies/(\w+)\.py`", README)
    (tmp_path / "strategies").mkdir()
    (tmp_path / f"strategies/{name}.py").write_text(block)
    assert ff.run("simulated", name).summary["trades"] > 0


def test_the_commands_run_one_after_another(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in commands():
        if arguments[0] == "watch":
            continue  # serves until it is stopped: tests/report/test_watch.py
        monkeypatch.setattr(sys, "argv", ["forcedflow", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        told = capsys.readouterr()
        assert not end.value.code, (arguments, told.err)
        assert told.out, arguments


def test_the_first_commands_are_the_two_that_a_clone_needs() -> None:
    assert blocks("console")[0].split("\n")[:2] == ["$ uv run forcedflow run", "$ uv run pytest"]


def test_every_command_is_shown() -> None:
    names = [str(command.name) for command in cli.app.registered_commands if command.name]
    names += [
        command.callback.__name__ for command in cli.app.registered_commands if command.callback and not command.name
    ]
    for command in (*names, "data list", "data check"):
        assert any(" ".join(words).startswith(command) for words in commands()), command


def test_every_measure_is_explained() -> None:
    """The page is what the package says; after a change: forcedflow measures > docs/scorecard.md."""
    page = (ROOT / "docs/scorecard.md").read_text(encoding="utf-8")
    assert page == markdown()
    for measure in MEASURES:
        assert f"`{measure.name}`" in page


def test_every_word_of_the_output_is_explained() -> None:
    result = ff.run("simulated", end="2025-01-05")
    measures = {measure.title for measure in MEASURES}
    labels = [label for label, _ in summary_rows(result) if label not in measures]
    assert labels
    said = [word for label in labels for word in label.split() if len(word) > 3] + list(result.blind)
    said += [
        "coverage",
        "implied liquidation rate",
        "ambiguous",
        *(f"on_{kind.name}" for kind in ff.EventKind),
    ]
    assert [word for word in said if word.lower() not in README.lower()] == []


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


EXAMPLES = sorted(path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


def test_the_entrances_have_examples() -> None:
    assert {path.stem for path in EXAMPLES} >= {"backtest", "replay"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_of_docstrings_run(path: Path) -> None:
    module = importlib.import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    failed, tried = doctest.testmod(module)
    assert (failed, tried > 0) == (0, True)
