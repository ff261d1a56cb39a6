"""How good is the map: ``simulate``, ``calibrate``, ``score-map``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forcedflow.cli.shell import Json, Set, app, market_setting, print_json, print_table, read_setting
from forcedflow.errors import SettingsError

if TYPE_CHECKING:
    from forcedflow.data.series import Dataset
    from forcedflow.study.calibration.flow_score import FlowScore
    from forcedflow.study.calibration.forecasts import Gain
    from forcedflow.study.calibration.map_score import MapScore

__all__ = ["calibrate", "score_map", "simulate"]


@app.command()
def simulate(
    market: Annotated[
        str, typer.Argument(help="bundled, coupled, null, walk, magnet or void: which truth the market has.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the dataset; must not exist.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="K=V", help="A setting of the market; may be repeated.")
    ] = None,
    bars: Annotated[int | None, typer.Option(help="Bars that are kept.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides all chance.")] = None,
    as_json: Json = False,
) -> None:
    """Make a market whose truth is known, and write it as a dataset with its true map."""
    from forcedflow.data.simulated import write_dataset  # noqa: PLC0415
    from forcedflow.data.simulation import simulate  # noqa: PLC0415
    from forcedflow.record import refuse_existing  # noqa: PLC0415

    refuse_existing(out)
    changes = dict(map(_plain_setting, settings or ()))
    changes |= {key: value for key, value in (("bars", bars), ("seed", seed)) if value is not None}
    made = simulate(market, **changes)
    path = write_dataset(made, out)
    days = len(made.ts) * made.interval / 86_400e9
    rate = float((made.long_liquidated + made.short_liquidated).sum() / 2 / made.open_interest.mean() / days)
    if as_json:
        print_json(
            {
                "dataset": str(path),
                "bars": len(made.ts),
                "exogenous": made.settings.exogenous,
                "liquidated_per_day": rate,
            }
        )
        return
    moved = "no agent's order moves price" if made.settings.exogenous else "orders move price"
    typer.echo(f"{len(made.ts):,} bars, {moved}; {rate:.2%} of open interest is liquidated a day")
    typer.echo(str(path))


@app.command()
def calibrate(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset, or path of its TOML file.")],
    out: Annotated[Path | None, typer.Option(help="TOML file that the fitted profile is written to.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Fit before this time, score from it on; ISO, UTC; the middle if left out.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="[market.]K=V", help="A calibration or market setting; may be repeated."),
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="First time, ISO, UTC.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last time, ISO, UTC.")] = None,
    as_json: Json = False,
) -> None:
    """Fit holders to realised liquidations, or falls of open interest, and score them against the shipped profiles."""
    from forcedflow.data import load_dataset  # noqa: PLC0415
    from forcedflow.settings import MarketSettings, parse  # noqa: PLC0415
    from forcedflow.study.calibration.fit import CalibrationSettings, compare, rows_of  # noqa: PLC0415
    from forcedflow.study.calibration.fit import calibrate as fit  # noqa: PLC0415
    from forcedflow.venues import dump_profile  # noqa: PLC0415

    if out is not None and out.exists():
        raise SettingsError(f"--out: {out} exists; choose another file or remove it first")
    given = [read_setting(text) for text in settings or ()]
    chosen = parse(CalibrationSettings, {k: v for where, k, v in given if where == "params"}, "calibration")
    market = parse(MarketSettings, {k: v for where, k, v in given if where == "market"}, "market")
    data = load_dataset(dataset, start, end)
    at = _split_bar(data, split)
    fitted = fit(data.between(None, int(data.bars.ts[at])), chosen, market)
    contenders = compare(
        data,
        at,
        {"calibrated": (fitted.profile, fitted.hazard_per_hour)},
        market,
        target=fitted.target,
        group_minutes=chosen.group_minutes,
    )
    if out is not None:
        out.write_text(dump_profile(fitted.profile), encoding="utf-8")
    if as_json:
        print_json(
            {
                "target": fitted.target,
                "hazard_per_hour": fitted.hazard_per_hour,
                "weights": [
                    dict(zip(("offset", "weight", "low", "high"), row, strict=True)) for row in rows_of(fitted)
                ],
                "scores": {c.name: _score_json(c.score) if c.score else {"why_not": c.why_not} for c in contenders},
            }
        )
        return
    typer.echo(
        f"fitted to {fitted.target.replace('_', ' ')}, {fitted.rows:,} rows; hazard {fitted.hazard_per_hour:g}/h"
    )
    weights = [(name, f"{weight:.3f}", f"{low:.3f} to {high:.3f}") for name, weight, low, high in rows_of(fitted)]
    print_table(("holders", "weight", f"{chosen.level:.0%} band"), weights)
    header = ("out of sample", "R2 of controls", "gain", "R2 as it is", "rank corr.", "timing", "nats over distance")
    print_table(header, [(c.name, *_score_cells(c.score)) if c.score else (c.name, c.why_not) for c in contenders])
    if out is not None:
        typer.echo(f"market.hazard_per_hour={fitted.hazard_per_hour:g} market.profile={out}")


@app.command("score-map")
def score_map(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset, or path of its TOML file.")],
    split: Annotated[
        str | None, typer.Option(help="Coefficients before this time, figures from it on; the middle if left out.")
    ] = None,
    settings: Set = None,
    minutes: Annotated[int, typer.Option(help="Flow is summed over so long.")] = 60,
    as_json: Json = False,
) -> None:
    """Score the map against what was liquidated, and against the true map where the market is simulated."""
    from forcedflow.data import load_dataset  # noqa: PLC0415
    from forcedflow.data.simulated import find_true_map, read_true_map  # noqa: PLC0415
    from forcedflow.market.tape import make_tape  # noqa: PLC0415
    from forcedflow.settings import MarketSettings, parse  # noqa: PLC0415
    from forcedflow.study.calibration.flow_score import flow_rows, score_flow  # noqa: PLC0415
    from forcedflow.study.calibration.map_score import score_snapshots  # noqa: PLC0415

    market = parse(MarketSettings, dict(map(market_setting, settings or ())), "market")
    data = load_dataset(dataset)
    tape = make_tape(data, market, snapshots=0)
    located = int((tape.market_bars["coverage_long"] >= 0.5).argmax())
    rows = flow_rows(data, group=max(minutes * 60_000_000_000 // data.bars.interval, 1), first=located)
    flow = score_flow(tape, rows, _split_bar(data, split))
    path = find_true_map(dataset)
    true = None if path is None else score_snapshots(data, market, read_true_map(path, data.bars))
    if as_json:
        print_json({"flow": _score_json(flow), "map": None if true is None else _score_json(true)})
        return
    typer.echo(f"against {flow.target.replace('_', ' ')}, {flow.rows:,} rows out of sample")
    header = ("R2 of controls", "gain", "R2 as it is", "rank corr.", "timing", "nats over distance")
    print_table(header, [_score_cells(flow)])
    if true is None:
        return
    typer.echo(f"against the true map, {true.closes:,} closes out of sample; slope {true.slope:.2f}")
    bands = [
        (f"{b.near:.1%} to {b.far:.1%}", f"{b.truth_share:.1%}", _gain(b.distance), f"{b.rank_correlation:.2f}")
        for b in true.bands
    ]
    overall = [(f"all, over {name}", "", _gain(getattr(true, name)), "") for name in ("distance", "spot", "average")]
    print_table(("distance from price", "of true mass", "nats", "rank corr."), [*overall, *bands])


def _plain_setting(text: str) -> tuple[str, Any]:
    where, name, value = read_setting(text)
    if where != "params":
        raise SettingsError(f"a simulated market has settings of its own only, such as --set impact=0; was {text!r}")
    return name, value


def _split_bar(data: Dataset, split: str | None) -> int:
    """Return the first bar of the second part: of ``split``, or the middle."""
    from forcedflow.data import instant_ns  # noqa: PLC0415

    if split is None:
        return len(data.bars) // 2
    at = int(data.bars.ts.searchsorted(instant_ns(split)))
    if not 0 < at < len(data.bars):
        raise SettingsError(f"--split: {split} is not within the bars")
    return at


def _score_json(score: FlowScore | MapScore) -> dict[str, Any]:
    """Return a score's figures; undefined ones as null."""
    from dataclasses import asdict  # noqa: PLC0415

    def defined(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: defined(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [defined(inner) for inner in value]
        return None if isinstance(value, float) and value != value else value  # noqa: PLR0124  (NaN)

    figures: dict[str, Any] = defined(asdict(score))
    return figures


def _score_cells(score: FlowScore) -> tuple[str, ...]:
    return (
        f"{score.r2_controls:.3f}",
        f"{score.r2_gain:+.4f} (se {score.gain_error:.4f})",
        f"{score.r2_level:.2f}",
        f"{score.rank_correlation:.3f}",
        f"{score.timing:.3f}",
        _gain(score.distance),
    )


def _gain(gain: Gain) -> str:
    return f"{gain.nats:+.4f} (se {gain.error:.4f})"
