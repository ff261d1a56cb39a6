"""Is the edge real: ``evidence``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from forcedflow.cli.shell import Json, Set, app, market_setting, new_folder, print_blocks, print_json, progress_bar

__all__ = ["evidence"]


@app.command()
def evidence(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset, or path of its TOML file.")],
    hypothesis: Annotated[
        list[str] | None,
        typer.Option(help="Name of a hypothesis, or path of its TOML file; may be repeated; else all."),
    ] = None,
    null: Annotated[
        list[str] | None, typer.Option(help="In place of those that the hypothesis names; may be repeated.")
    ] = None,
    placebos: Annotated[int, typer.Option(help="Placebo paths.")] = 200,
    seed: Annotated[int, typer.Option(help="Of all chance.")] = 0,
    jobs: Annotated[int, typer.Option(help="Processes.")] = 1,
    settings: Set = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the report; must not exist.")] = None,
    as_json: Json = False,
) -> None:
    """Tell whether a claim about the map holds on a dataset, or is what chance makes."""
    with progress_bar("replays", quiet=as_json, unit="replays") as progress:
        from forcedflow.data import load_dataset  # noqa: PLC0415
        from forcedflow.record import refuse_existing  # noqa: PLC0415
        from forcedflow.report.evidence_page import evidence_page  # noqa: PLC0415
        from forcedflow.settings import parse  # noqa: PLC0415
        from forcedflow.study.evidence.evidence import EvidenceSettings, evidence, report  # noqa: PLC0415
        from forcedflow.study.evidence.hypothesis import hypothesis_names  # noqa: PLC0415
        from forcedflow.study.evidence.registry import Registry  # noqa: PLC0415

        asked = hypothesis or list(hypothesis_names())
        folder = out or new_folder(dataset, "evidence" if len(asked) > 1 else asked[0])
        refuse_existing(folder)
        chosen = parse(EvidenceSettings, {"placebos": placebos, "seed": seed, "jobs": jobs}, "evidence")
        data = load_dataset(dataset)
        market = dict(map(market_setting, settings or ()))
        found = evidence(
            data, asked, nulls=null or (), market=market, settings=chosen, registry=Registry(), progress=progress
        )
        told = report(data, found, " ".join(["forcedflow", *sys.argv[1:]]))
        folder.mkdir(parents=True)
        (folder / "evidence.json").write_text(json.dumps(told, allow_nan=False, indent=1), encoding="utf-8")
        (folder / "evidence.html").write_text(evidence_page(told), encoding="utf-8")
    if as_json:
        print_json({"report": str(folder / "evidence.html"), **told})
        return
    typer.echo(f"{data.title}\n")
    print_blocks(block for finding in found for block in finding.blocks())
    typer.echo(str(folder / "evidence.html"))
