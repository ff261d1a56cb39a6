"""The compare report: one self-contained HTML page of sweeps, walk-forwards and runs, in the tearsheet's look.

Drawn from plain values (what ``forcedflow compare --json`` prints). No "best" stands alone: beside it stand the best
plateau, and how much of either to believe.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forcedflow.report.compare_figures import (
    BEST,
    PLATEAU,
    fold_figure,
    heatmap_figure,
    parallel_figure,
    response,
    value_text,
)
from forcedflow.report.curves import Curve, curves
from forcedflow.report.definitions import MEASURES
from forcedflow.report.parts import header, plain_page, tile, warning_list
from forcedflow.report.svg import number
from forcedflow.report.words import shown, tone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["compare_page"]

_SIDE_BY_SIDE: Final = ("total_return", "sharpe", "max_drawdown", "expectancy_r", "trades")
_BY_NAME: Final = {measure.name: measure for measure in MEASURES}
_COLUMNS: Final = ("Total return", "Sharpe", "Max drawdown", "Expectancy", "Trades")
_FOLD_HEADS: Final = [
    *((name, "", True) for name in ("#", "Trained", "Tested", "Chosen")),
    *((name, "", False) for name in ("In training", "In the test", "Return", "Trades")),
]
_LEFT: Final = ' class="left"'
_LISTED: Final = 12  # settings in the table of a sweep
_RUN_COLOURS: Final = ("var(--up)", "var(--warn)", "var(--accent)", "var(--bad)", "var(--text)", "var(--muted)")
_DASHES: Final = ("", "6 3", "2 3")


def compare_page(found: Mapping[str, Any]) -> str:
    """Return the page of a comparison.

    Parameters
    ----------
    found
        ``table`` (its rows), ``runs``, ``readings``, ``walks``, ``sources`` and ``failures``, as plain values.

    Returns
    -------
    str
        HTML with styles, figures and a small script inside; nothing is loaded from elsewhere.
    """
    datasets = dict.fromkeys(row["dataset"] for row in found["table"])
    counts = (("sweep", "readings"), ("walk-forward", "walks"), ("run", "runs"))
    kinds = [_counted(len(found[key]), name) for name, key in counts if found[key]]
    beside = " <em>side by side</em>" if sum(len(found[key]) for _, key in counts) > 1 else ""
    tried = {(row["dataset"], row["trials"]) for row in found["table"] if row["trials"]}
    shared = _shared(found["runs"])
    notes = [
        *found["failures"],
        *shared,
        *(note for reading in found["readings"] for note in reading["notes"]),
        *(
            f"settings tried on {dataset} so far: {count:,}; so many deflate what is best"
            for dataset, count in sorted(tried)
        ),
    ]
    body = [
        header(f"{_listed(kinds)}{beside}", [f"on {', '.join(datasets)}"] if datasets else []),
        warning_list(notes),
        _table(found["table"]),
        *(_reading(reading, k) for k, reading in enumerate(found["readings"])),
        *map(_walk, found["walks"]),
        _runs(found["runs"], shared),
        _FOOTER,
    ]
    return plain_page(f"{_listed(kinds)} on {', '.join(datasets)}: comparison", body, "compare")


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" + ("s" if count != 1 else "")


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "Nothing"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return everything at one sight, a best point directly above or below its best plateau."""
    heads = [("What", "", True), ("Setting", "", True), *((name, "", False) for name in _COLUMNS)]
    heads += [("PSR", _PSR, False), ("DSR", _DSR, False), ("PBO", _PBO, False)]
    several = len({(row["dataset"], row["strategy"]) for row in rows}) > 1
    lines = []
    for row in rows:
        where = f"{row['strategy']} on {row['dataset']}: " if several else ""
        setting = _point(row["point"]) or row["folder"].rstrip("/").rpartition("/")[2] or "chosen fold by fold"
        cells = "".join(_cell(name, row["card"]) for name in _SIDE_BY_SIDE)
        beliefs = "".join(f"<td>{_share(row[name])}</td>" for name in ("psr", "dsr", "pbo"))
        lines.append(
            f'<tr><td class="left">{_what(row["what"])}</td><td class="left wraps">{escape(where + setting)}</td>'
            f"{cells}{beliefs}</tr>"
        )
    return _listing("Side by side", heads, "".join(lines))


def _listing(title: str, heads: Sequence[tuple[str, str, bool]], rows: str, kind: str = "data plain") -> str:
    """Return a table as a section.

    Parameters
    ----------
    title
        HTML.
    heads
        Of each column its name, what it means, and whether it is text.
    """
    head = "".join(
        f'<th scope="col"{_LEFT if left else ""} title="{escape(hint)}">{escape(name)}</th>'
        for name, hint, left in heads
    )
    return (
        f'<section class="card"><h2>{title}</h2><div class="scroll"><table class="{kind}"><thead><tr>{head}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div></section>"
    )


def _what(kind: str) -> str:
    colour = {"best point": BEST, "best plateau": PLATEAU}.get(kind)
    return f'<span class="key" style="--key: {colour}">{escape(kind)}</span>' if colour else escape(kind)


def _cell(name: str, card: Mapping[str, Any]) -> str:
    measure = _BY_NAME[name]
    return f'<td class="{tone(measure, dict(card))}">{escape(shown(measure, dict(card)))}</td>'


def _point(point: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value_text(value)}" for name, value in point.items())


def _share(value: float | None) -> str:
    return (
        "–" if value is None else f"{value:.0%}" if 0.0095 < value < 0.9905 or value in {0.0, 1.0} else f"{value:.1%}"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else number(value)


# --- A sweep ---


def _reading(reading: Mapping[str, Any], k: int) -> str:
    best, plateau, score = reading["best"], reading["plateau"], reading["score"]
    name = f"{reading['strategy']} on {reading['dataset']}"
    asked = f"{_counted(reading['settings'], 'setting')}, by {score}"
    title = f'<h2 class="group" id="sweep-{k}">{escape(name)} <span>{escape(asked)}</span></h2>'
    if best is None or plateau is None or reading["portrait"] is None:
        return f'{title}<section class="card"><p>No setting has a {escape(score)} with its neighbours.</p></section>'
    drawn = reading["portrait"]
    numbers = (best["setting"], plateau["setting"])
    maps = "".join(
        f'<section class="card"><h2>{escape(picture["y"])} over {escape(picture["x"])}</h2>'
        f"{heatmap_figure(picture, score)}</section>"
        for picture in reading["heatmaps"]
    )
    legend = (
        f'<p class="muted legend">Mean {escape(score)} over all other parameters. Framed is the plateau: the cells '
        "around "
        f'<span class="key" style="--key: {PLATEAU}">the best neighbourhood</span> that are among the best quarter. '
        f'<span class="key round" style="--key: {BEST}">The best point</span> is what a search for the maximum would '
        "take.</p>"
        if maps
        else ""
    )
    return "\n".join(
        (
            f'<div class="reading" data-reading>{title}',
            _belief(reading),
            f'<div class="columns maps">{maps}</div>{legend}',
            '<div class="columns two"><section class="card"><h2>Settings to score</h2>'
            f"{parallel_figure(drawn, score, *numbers)}</section>",
            f'<section class="card"><h2>Equity of the settings</h2>{_fan(drawn, *numbers)}</section></div>',
            f'<div class="columns two">{_sensitivity(reading)}{_settings(drawn, score, *numbers)}</div></div>',
        )
    )


def _belief(reading: Mapping[str, Any]) -> str:
    """Say what the best is worth, the plateau beside the point, and the sweep's own overfitting."""
    best, plateau, pbo = reading["best"], reading["plateau"], reading["pbo"]
    belief = best["belief"]
    said = (
        f"Of {belief['trials']:,} settings tried on this data, the best would reach a Sharpe ratio of "
        f"{_number(belief['expected_best'])} without any skill. The best point has {_number(belief['sharpe'])}, and is "
        f"above that with probability {_share(belief['dsr'])}; the best plateau has "
        f"{_number(plateau['belief']['sharpe'])}, with {_share(plateau['belief']['dsr'])}."
    )
    if pbo is not None:
        said += (
            f" What is best on one half of the days falls below the median on the other half in "
            f"{_share(pbo['pbo'])} of {pbo['splits']:,} splits, and loses there in {_share(pbo['loss'])}."
        )
    if (superior := reading["superior"]) is not None:
        said += (
            f" That the best earns nothing has p {superior['spa']:.3f} (SPA); StepM finds {len(superior['settings'])} "
            f"of {reading['settings']:,} settings better than nothing at a family level of 5%."
        )
    choices = "".join(
        _choice(title, choice, reading["score"], colour)
        for title, choice, colour in (("Best plateau", plateau, PLATEAU), ("Best point", best, BEST))
    )
    overfit = "".join(
        (
            tile("PBO", _share(pbo["pbo"]) if pbo else "–", "bad" if pbo and pbo["pbo"] > 0.5 else "", _PBO),
            tile(
                "Loses outside",
                _share(pbo["loss"]) if pbo else "–",
                "",
                "Share of the splits in which the best of one half loses on the other",
            ),
            tile("Degradation", _number(pbo["degradation"]) if pbo else "–", "", _SLOPE),
            tile("Settings tried", f"{belief['trials']:,}", "", "Distinct settings ever tried on these files"),
            tile("Best without skill", _number(belief["expected_best"]), "", "Sharpe ratio expected of so many trials"),
            tile(
                "Failed", f"{reading['failed']:,}", "bad" if reading["failed"] else "", "Settings without a scorecard"
            ),
        )
    )
    return (
        f'<section class="card lead" aria-label="How much to believe"><p>{escape(said)}</p><div class="choices">'
        f'{choices}<div class="choice"><p><b>The sweep as a whole</b></p><div class="tiles">{overfit}</div></div></div>'
        "</section>"
    )


def _choice(title: str, choice: Mapping[str, Any], score: str, colour: str) -> str:
    card, belief = dict(choice["card"]), choice["belief"]
    error = card.get("sharpe_error")
    tiles = [
        tile("Sharpe", _number(belief["sharpe"]), "", _BY_NAME["sharpe"].definition, f"± {error:.2f}" if error else ""),
        tile("PSR", _share(belief["psr"]), "", _PSR),
        tile("Deflated (DSR)", _share(belief["dsr"]), "", _DSR),
        tile(
            "With neighbours",
            _number(choice["robust"]),
            "",
            f"Median {score} of it and {choice['neighbours']} neighbours",
        ),
        tile("Worst neighbour", _number(choice["worst_neighbour"]), "", f"Least {score} one step away"),
        *(
            tile(
                _BY_NAME[name].title, shown(_BY_NAME[name], card), tone(_BY_NAME[name], card), _BY_NAME[name].definition
            )
            for name in ("total_return", "max_drawdown", "trades")
        ),
    ]
    if score.removeprefix("-") not in {"sharpe", "total_return", "max_drawdown", "trades"}:
        tiles.insert(0, tile(score, _number(choice["score"]), "", "What was maximised"))
    return (
        f'<div class="choice"><p><b class="key" style="--key: {colour}">{title}</b> '
        f'<span class="muted">{escape(_point(choice["point"]))}</span></p>'
        f'<div class="tiles">{"".join(tiles)}</div></div>'
    )


def _fan(drawn: Mapping[str, Any], best: int, plateau: int) -> str:
    fan = drawn["fan"]
    if fan is None:
        return '<p class="muted">Daily equity was not kept; sweep with level compact.</p>'
    times = np.array(fan["times"], dtype=np.float64)
    bands = _floats(fan["bands"])
    layers = [Curve(times=times, low=bands[a], high=bands[b], colour="var(--accent)") for a, b in ((0, 4), (1, 3))]
    chosen = {best: ("best point", BEST), plateau: ("best plateau", PLATEAU)}
    tops = []
    for setting, values in zip(drawn["settings"], _floats(fan["curves"]), strict=True):
        if setting in chosen:
            name, colour = chosen[setting]
            tops.append(Curve(times=times, values=values, name=name, colour=colour, setting=setting))
        else:
            layers.append(Curve(times=times, values=values, colour="var(--accent)", strength=0.35, setting=setting))
    tops.sort(key=lambda c: c.name == "best plateau")
    layers.append(Curve(times=times, values=bands[2], name="median", colour="var(--text)", dash="4 3"))
    label = (
        f"Equity of {len(drawn['settings'])} settings over time, bands of the middle half and of nine tenths of all, "
        "the best plateau and the best point on top"
    )
    return curves(label, [*layers, *tops])


def _floats(rows: Any) -> Any:
    return np.array([[np.nan if v is None else v for v in row] for row in rows], dtype=np.float64)


def _sensitivity(reading: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><td class="left">{escape(each["name"])}</td><td>{_bar(each["main"])}</td><td>{_bar(each["total"])}</td>'
        f'<td class="left">{escape(value_text(each["values"][0]))}</td><td>{response(each)}</td>'
        f'<td class="left">{escape(value_text(each["values"][-1]))}</td></tr>'
        for each in reading["sensitivity"]
        if len(each["values"]) > 1
    )
    heads = [
        ("Parameter", "", True),
        ("Alone", "Of the score's variance, the share that it explains alone", False),
        ("With interactions", "The share that is left when all others are held; only of a whole grid", False),
        ("from", "", True),
        (f"mean {reading['score']}", "Over all other parameters", True),
        ("to", "", True),
    ]
    return _listing("What each parameter does", heads, rows)


def _bar(share: float | None) -> str:
    if share is None:
        return "–"
    return (
        f'{share:.0%} <span class="bar" aria-hidden="true"><i style="width: {100 * min(share, 1.0):.0f}%"></i></span>'
    )


def _settings(drawn: Mapping[str, Any], score: str, best: int, plateau: int) -> str:
    """List the best neighbourhoods; a row pointed at or focused is lit in the figures."""
    first = list(range(min(len(drawn["settings"]), _LISTED)))
    if best not in {drawn["settings"][k] for k in first}:
        first = [*first[: _LISTED - 1], drawn["settings"].index(best)]
    names = [scale["name"] for scale in drawn["scales"]]
    kinds = {best: "best point", plateau: "best plateau"}
    rows = "".join(
        f'<tr tabindex="0" data-setting="{drawn["settings"][k]}"><td class="left">{drawn["settings"][k]}</td>'
        f'<td class="left">{_what(kinds.get(drawn["settings"][k], ""))}</td>'
        + "".join(f"<td>{escape(value_text(drawn['points'][k][name]))}</td>" for name in names)
        + f"<td>{_number(drawn['robust'][k])}</td><td>{_number(drawn['scores'][k])}</td></tr>"
        for k in first
    )
    heads = [("#", "", True), ("", "", True), *((name, "", False) for name in names)]
    heads += [("with neighbours", "", False), (score, "", False)]
    title = 'Best neighbourhoods <span class="muted">point at a row, or use the arrow keys, to see it above</span>'
    return _listing(title, heads, rows, "data")


# --- A walk-forward ---


def _walk(walk: Mapping[str, Any]) -> str:
    card, out = dict(walk["out_of_sample"]["card"]), walk["out_of_sample"]
    ends = np.array(out["ends"], dtype=np.float64) / 1e9
    equity = np.array(out["equity"], dtype=np.float64)
    spans = [(_seconds(fold["times"][2]), _seconds(fold["times"][3])) for fold in walk["folds"]]
    line = Curve(times=ends, values=equity / equity[0], name="out of sample", colour="var(--up)")
    tiles = "".join(
        (
            *(
                tile(
                    _BY_NAME[name].title,
                    shown(_BY_NAME[name], card),
                    tone(_BY_NAME[name], card),
                    _BY_NAME[name].definition,
                )
                for name in ("total_return", "sharpe", "max_drawdown", "cvar_95")
            ),
            tile("PSR", _share(walk["psr"]), "", _PSR),
            tile("Efficiency", _number(walk["efficiency"]), "", "Mean score in the tests over that in training"),
            tile("Folds", str(len(walk["folds"])), "", f"{walk['mode']}, chosen by {walk['choose']}"),
            tile("Settings tried", f"{walk['trials']:,}", "", "Distinct settings ever tried on these files"),
        )
    )
    rows = "".join(_fold(fold, k) for k, fold in enumerate(walk["folds"]))
    score = walk["score"]
    chosen = "best plateau" if walk["choose"] == "plateau" else "best point"
    said = (
        f"Chosen {len(walk['folds'])} times by the {chosen} of {score} in training, traded in the test after it "
        f"({walk['mode']}). Nothing here was chosen by what it shows."
    )
    return (
        f'<h2 class="group">Walk-forward of {escape(walk["strategy"])} on {escape(walk["dataset"])}</h2>'
        f'<section class="card lead"><p>{escape(said)}</p><div class="tiles">{tiles}</div></section>'
        '<div class="columns two"><section class="card"><h2>Equity out of sample</h2>'
        f"{curves('Equity of the tests, one after the other; folds shaded in turn', [line], spans=spans)}</section>"
        f'<section class="card"><h2>{escape(score)} in training and after</h2>{fold_figure(walk["folds"], score)}'
        f"</section></div>{_listing('Folds', _FOLD_HEADS, rows)}"
    )


def _fold(fold: Mapping[str, Any], k: int) -> str:
    times = [str(t)[:10] for t in fold["times"]]
    chosen = _point(fold["point"]) if fold["setting"] is not None else "none had a score: not traded"
    cells = "".join(_cell(name, fold["test_card"]) for name in ("total_return", "trades"))
    return (
        f'<tr><td class="left">{k + 1}</td><td class="left">{escape(times[0])} to {escape(times[1])}</td>'
        f'<td class="left">{escape(times[2])} to {escape(times[3])}</td><td class="left wraps">{escape(chosen)}</td>'
        f"<td>{_number(fold['train_score'])}</td><td>{_number(fold['test_score'])}</td>{cells}</tr>"
    )


def _seconds(text: str) -> float:
    return float(np.datetime64(text.removesuffix("Z"), "s").astype(np.int64))


# --- Runs ---


def _shared(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the warnings that all runs have."""
    return [text for text in runs[0]["warnings"] if all(text in run["warnings"] for run in runs)] if runs else []


def _runs(runs: Sequence[Mapping[str, Any]], shared: Sequence[str]) -> str:
    if not runs:
        return ""
    names = [_point(run["point"]) or run["folder"].rstrip("/").rpartition("/")[2] for run in runs]
    count = len(_RUN_COLOURS)
    drawn = [
        Curve(
            times=np.array(run["times"], dtype=np.float64),
            values=np.array([np.nan if v is None else v for v in run["growth"]], dtype=np.float64),
            name=run["folder"].rstrip("/").rpartition("/")[2] or f"run {k + 1}",
            colour=_RUN_COLOURS[k % count],
            dash=_DASHES[k // count % len(_DASHES)],
        )
        for k, run in enumerate(runs)
    ]
    rows = "".join(
        f'<tr><td class="left"><span class="key" style="--key: {curve.colour}">{escape(curve.name)}</span></td>'
        f'<td class="left">{escape(run["strategy"])} on {escape(run["dataset"])}</td>'
        f'<td class="left wraps">{escape(name)}</td><td class="left wraps">{escape(_own(run, shared))}</td></tr>'
        for run, name, curve in zip(runs, names, drawn, strict=True)
    )
    heads = [(name, "", True) for name in ("Run", "Of", "Differs in", "Warnings")]
    return (
        '<h2 class="group">Runs</h2><div class="columns two"><section class="card"><h2>Equity</h2>'
        f"{curves(f'Equity of {len(runs)} runs over their initial equity', drawn)}</section>"
        f"{_listing('What differs, and what to bear in mind', heads, rows)}</div>"
    )


def _own(run: Mapping[str, Any], shared: Sequence[str]) -> str:
    return "; ".join(text for text in run["warnings"] if text not in shared) or "none of its own"


_PSR: Final = "Probability that the true Sharpe ratio is above zero, were this the only trial"
_DSR: Final = (
    "Probability that the true Sharpe ratio is above what the best of all tried settings reaches without skill"
)
_PBO: Final = (
    "Share of the splits of days in which the setting that is best on one half ranks in the lower half on the other"
)
_SLOPE: Final = "Slope of the chosen setting's Sharpe ratio out of sample on that in sample"
_FOOTER: Final = (
    "<footer>Made by forcedflow. PSR, DSR, PBO: Bailey, Lopez de Prado and others, 2012, 2014, 2017. A plateau is less "
    "likely to be luck than a peak; neither is proof.</footer>"
)
