"""Every shipped hypothesis on every real dataset of the catalog, written up in plain words.

``python -m forcedflow.study.evidence.survey --out docs/evidence.md`` needs the data folder and some minutes.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from forcedflow.data import dataset_names, load_dataset
from forcedflow.study.evidence.evidence import EvidenceSettings, evidence, report
from forcedflow.study.evidence.hypothesis import hypothesis_names, load_hypothesis

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "page"]

_ORDER: Final = ("found", "unclear", "not found", "too few")


def page(reports: Sequence[dict[str, Any]], command: str) -> str:
    """Return the reports of several datasets as Markdown, hypothesis by hypothesis, what was not found included."""
    names = [finding["name"] for finding in reports[0]["findings"]]
    counts: dict[str, int] = {}
    for told in reports:
        for finding in told["findings"]:
            counts[finding["verdict"]] = counts.get(finding["verdict"], 0) + 1
    total = sum(counts.values())
    lines = [
        "# Evidence on real data",
        "",
        f"Command: `{command}`, {datetime.now(UTC):%Y-%m-%d}. Written by the program.",
        "",
        f"{len(names)} hypotheses on {len(reports)} datasets, {total} pairs: "
        + ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items(), key=lambda item: -item[1]))
        + ". *Found* needs every null of a hypothesis to be rejected at 5%, the path placebo for the family of all "
        "hypotheses asked on that dataset. Where nothing is so anywhere, the path placebo alone still rejects "
        f"something for the family on one dataset in twenty; there are {len(reports)}, and they are not independent: "
        "the same coins and months lie behind several of them.",
        "",
        "Effects are those against the path placebo, intervals are 95%. *Least effect* is what such a sample would "
        "find four times in five: where it is large, that nothing was found says little. How many bars it takes to "
        "find a mechanism of known strength is in [power.md](power.md). Four of the hypotheses were defined anew on "
        "simulated markets after earlier definitions had found nothing here.",
        "",
    ]
    lines += ["## In short", ""]
    for number in range(len(names)):
        where: dict[str, list[str]] = {}
        for told in reports:
            where.setdefault(told["findings"][number]["verdict"], []).append(told["dataset"])
        parts = [f"{verdict} on {', '.join(where[verdict])}" for verdict in _ORDER if verdict in where]
        lines.append(f"- {reports[0]['findings'][number]['title']}: {'; '.join(parts)}.")
    lines.append("")
    for number, name in enumerate(names):
        first = reports[0]["findings"][number]
        lines += [
            f"## {first['title']}",
            "",
            f"`{name}`. {first['explanation'].strip()}",
            "",
            f"| dataset | verdict | effect, {first['unit']} | interval | p | family p | least effect | events | days | "
            "not rejected |",
            "| --- | --- | --: | --- | --: | --: | --: | --: | --: | --- |",
        ]
        lines += [_row(told["dataset"], told["findings"][number]) for told in reports]
        lines += ["", *(f"- {told['dataset']}: {told['findings'][number]['sentence']}" for told in reports), ""]
    lines += ["## Caveats by dataset", ""]
    for told in reports:
        caveats = dict.fromkeys(
            text for finding in told["findings"] for text in finding["caveats"] if " without overlap, " not in text
        )
        lines.append(f"- **{told['dataset']}** ({told['title']}, {told['bars']:,} bars): " + "; ".join(caveats) + ".")
    return "\n".join(lines) + "\n"


def _row(dataset: str, finding: dict[str, Any]) -> str:
    main = finding["tests"][0]
    if main["effect"] is None:
        return f"| {dataset} | too few | | | | | | {finding['kept']} | | |"
    spared = [test["null"] for test in finding["tests"] if not test["rejects"]]
    return (
        f"| {dataset} | {finding['verdict']} | {main['effect']:+.3f} | {main['low']:+.3f} to {main['high']:+.3f} | "
        f"{main['p']:.3f} | {main['p_family']:.3f} | {main['mde']:.2g} | {main['n']} | {main['days']} | "
        f"{', '.join(spared) or 'none'} |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Test every shipped hypothesis on every real dataset of the catalog."""
    parser = argparse.ArgumentParser(prog="python -m forcedflow.study.evidence.survey", description=main.__doc__)
    parser.add_argument("--placebos", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    settings = EvidenceSettings(placebos=given.placebos, seed=given.seed, jobs=given.jobs)
    reports = []
    for name in dataset_names():
        if name == "simulated":
            continue
        data = load_dataset(name)
        asked = [load_hypothesis(h) for h in hypothesis_names()]
        reports.append(report(data, evidence(data, asked, settings=settings)))
    command = (
        f"python -m forcedflow.study.evidence.survey --placebos {given.placebos} --seed {given.seed} --out {given.out}"
    )
    given.out.write_text(page(reports, command), encoding="utf-8")


if __name__ == "__main__":
    main()
