"""The evidence report: one self-contained HTML page that leads with what chance makes, and where the data falls.

Drawn from plain values (what ``forcedflow evidence --json`` prints), in the tearsheet's look.
"""

from __future__ import annotations

from html import escape
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forcedflow.report.parts import header, plain_page, warning_list

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forcedflow.tables import FloatArray

__all__ = ["evidence_page"]

_BINS: Final = 32
_WIDTH, _HEIGHT, _AXIS = 920.0, 210.0, 26.0
_TONES: Final = {"found": "good", "unclear": "", "not found": "", "too few": ""}


def evidence_page(report: Mapping[str, Any]) -> str:
    """Return the page of a report.

    Parameters
    ----------
    report
        ``dataset``, ``title``, ``command``, ``version``, ``data_hash``, ``from``, ``to``, ``bars``, and ``findings``:
        a list of what :func:`forcedflow.study.evidence.evidence.evidence` found, as plain values.

    Returns
    -------
    str
        HTML with styles and drawings inside, and no script but the one that switches dark and light.
    """
    findings = report["findings"]
    names = ", ".join(finding["name"] for finding in findings)
    shared = [text for text in findings[0]["caveats"] if all(text in found["caveats"] for found in findings)]
    body = [
        _header(report),
        warning_list(shared),
        _summary(findings) if len(findings) > 1 else "",
        *(_finding(found, shared) for found in findings),
        _tried(report),
        _FOOTER,
    ]
    return plain_page(f"{names} on {report['dataset']}: evidence", body)


def _header(report: Mapping[str, Any]) -> str:
    span = f"{report['from']} to {report['to']}"
    heading = f"Evidence <em>on</em> {escape(str(report['title']))}"
    return header(heading, [span, f"{report['bars']:,} bars", f"data {str(report['data_hash'])[:8]}"])


def _summary(findings: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f'<tr><td><a href="#{escape(f["name"])}">{escape(f["title"])}</a></td>'
        f'<td class="{_TONES[f["verdict"]]}">{escape(f["verdict"])}</td></tr>'
        for f in findings
    )
    return f'<section class="card"><h2>In short</h2><table class="measures">{rows}</table></section>'


def _tried(report: Mapping[str, Any]) -> str:
    """Say what strategies were tried on the data: a finding here doesn't make their best result any less chosen."""
    if not report["trials"]:
        return ""
    said = (
        f"The trial ledger counts {report['trials']:,} settings of strategies tried on these files. The best of so "
        f"many shows an annual Sharpe ratio of {report['best_without_skill']:.2f} over this span without any skill: "
        "hold what a strategy earned here against that. <code>forcedflow compare</code> does, with the deflated Sharpe "
        "ratio, the probability of overfitting (PBO), SPA and StepM."
    )
    return f'<section class="card"><h2>Strategies on this data</h2><p>{said}</p></section>'


def _finding(found: Mapping[str, Any], shared: Sequence[str]) -> str:
    main, own = found["tests"][0], [text for text in found["caveats"] if text not in shared]
    parts = [
        f'<section class="card" id="{escape(found["name"])}"><h2>{escape(found["name"])}</h2>',
        f'<p style="font-size: 20px; font-weight: 650">{escape(found["title"])}</p>',
        f'<p style="margin: 6px 0 14px"><b class="{_TONES[found["verdict"]]}">{_words(found["sentence"])}</b></p>',
        _distribution(main, found["tail"]),
        f'<p class="muted" style="margin: 4px 0 14px">{_fair(main)}.</p>',
        _tests(found),
        "</section>",
        warning_list(own, f"Caveats of {found['name']}"),
        '<section class="card"><details><summary>What was asked, and when</summary>'
        f'<p style="margin-top: 8px">{escape(found["explanation"])}</p>{_definition(found)}</details></section>',
    ]
    return "\n".join(part for part in parts if part)


def _words(text: str) -> str:
    return escape(text.replace("-0", "−0").replace(" -", " −"))


def _number(value: float | None, form: str = "+.3g") -> str:
    return "–" if value is None else format(value, form).replace("-", "−")


# --- The null distribution, and where the data falls ---


def _distribution(test: Mapping[str, Any], tail: str) -> str:
    """Draw the studentised effects that chance makes, the data's among them, and what counts as rare."""
    seen = test["t"]
    if seen is None:
        return ""
    drawn = test.get("drawn")
    values = np.array([0.0 if t is None else t for t in drawn]) if drawn else _normal()
    reach = float(max(np.abs(values).max(), abs(seen), 3.0)) * 1.08
    edges = np.linspace(-reach, reach, _BINS + 1)
    counts = np.histogram(values, edges)[0]
    base = _HEIGHT - _AXIS
    unit = (base - 30.0) / max(counts.max(), 1)
    wide = _WIDTH / _BINS

    def x(t: float) -> float:
        return (t + reach) / (2 * reach) * _WIDTH

    bars = "".join(
        f'<rect x="{k * wide + 1:.1f}" y="{base - count * unit:.1f}" width="{wide - 2:.1f}" '
        f'height="{count * unit:.1f}"/>'
        for k, count in enumerate(counts)
        if count
    )
    spans = [(x(max(begin, -reach)), x(min(end, reach))) for begin, end in _rare(values, tail)]
    shades = "".join(
        f'<rect x="{begin:.1f}" y="18" width="{max(end - begin, 0):.1f}" height="{base - 18:.1f}" fill="var(--accent)" '
        'opacity=".09"/>'
        for begin, end in spans
    )
    ticks = "".join(
        f'<text x="{x(t):.1f}" y="{_HEIGHT - 8:.0f}" text-anchor="middle">{_number(t, "+.0f" if t else "")}</text>'
        for t in range(-int(reach), int(reach) + 1)
    )
    at = x(seen)
    anchor = "end" if at > 0.7 * _WIDTH else "start"
    offset = -8 if anchor == "end" else 8
    what = f"{len(drawn)} placebo paths" if drawn else "chance, normal"
    return (
        f'<svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" style="width: 100%; height: auto; display: block" '
        f'font-size="12" fill="var(--muted)" aria-label="Histogram of {what}; the data lies at t {seen:+.2f}">'
        f'{shades}<g fill="var(--muted)" opacity=".55">{bars}</g>'
        f'<line x1="0" x2="{_WIDTH:.0f}" y1="{base:.1f}" y2="{base:.1f}" stroke="var(--line)"/>'
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="18" y2="{base:.1f}" stroke="var(--text)" stroke-width="2.5"/>'
        f'<text x="{at + offset:.1f}" y="30" text-anchor="{anchor}" fill="var(--text)" font-weight="650">the data, t '
        f"{_number(seen, '+.2f')}</text>"
        f'<text x="2" y="12">{what}: effect over its error (t); shaded: the rarest 5%</text>'
        f"{ticks}</svg>"
    )


def _rare(values: FloatArray, tail: str) -> list[tuple[float, float]]:
    """Return the spans of the rarest 5%."""
    if tail == "greater":
        return [(float(np.quantile(values, 0.95)), np.inf)]
    if tail == "less":
        return [(-np.inf, float(np.quantile(values, 0.05)))]
    return [(-np.inf, float(np.quantile(values, 0.025))), (float(np.quantile(values, 0.975)), np.inf)]


def _normal() -> FloatArray:
    """Return evenly spaced quantiles of a standard normal, for nulls that are not drawn."""
    return np.array([NormalDist().inv_cdf((k + 0.5) / 2000) for k in range(2000)])


# --- Effects ---


def _tests(found: Mapping[str, Any]) -> str:
    unit = escape(found["unit"])
    reach = max((abs(t[k]) for t in found["tests"] for k in ("low", "high") if t[k] is not None), default=1.0) or 1.0
    rows = "".join(_row(test, reach) for test in found["tests"])
    heads = (f"effect, {unit}", "95% interval", "against zero", "p", "family p", f"least effect seen, {unit}", "events")
    titles = "".join(f"<th>{title}</th>" for title in (*heads, "days", "by"))
    return (
        '<div class="scroll" style="margin-bottom: 0"><table class="data"><thead><tr><th class="left">null</th>'
        f"{titles}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _fair(test: Mapping[str, Any]) -> str:
    return f"{escape(test['title'])}. Fair where {escape(test['symmetry'])}"


def _row(test: Mapping[str, Any], reach: float) -> str:
    name = f'<td class="left" title="{_fair(test)}">{escape(test["null"])}</td>'
    if test["effect"] is None:
        return f'<tr>{name}<td colspan="9" class="left muted">too few events or days</td></tr>'
    low, middle, high = (50 + 48 * test[key] / reach for key in ("low", "effect", "high"))
    drawn = (
        '<svg style="width: 100%; height: 16px; display: block; overflow: visible" aria-hidden="true">'
        '<line x1="50%" x2="50%" y1="0" y2="16" stroke="var(--muted)"/>'
        f'<line x1="{low:.2f}%" x2="{high:.2f}%" y1="8" y2="8" stroke="var(--accent)" stroke-width="3"/>'
        f'<circle cx="{middle:.2f}%" cy="8" r="4" fill="var(--text)"/></svg>'
    )
    tone = "good" if test["rejects"] else ""
    return (
        f"<tr>{name}<td>{_number(test['effect'])}</td><td>{_number(test['low'])} to {_number(test['high'])}</td>"
        f'<td style="min-width: 200px">{drawn}</td>'
        f'<td class="{tone}">{_number(test["p"], ".3f")}</td><td>{_number(test["p_family"], ".3f")}</td>'
        f"<td>{_number(test['mde'], '.2g')}</td><td>{test['n']:,}</td><td>{test['days']:,}</td>"
        f'<td class="muted">{escape(test["method"])}</td></tr>'
    )


def _definition(found: Mapping[str, Any]) -> str:
    asked = {
        "event": ", ".join(found["event"]),
        "condition": found["condition"] or "all",
        "treated": found["treated"] or "all events",
        "matched by": ", ".join(found["match"]) or "–",
        "side": found["side"],
        "level": found["level"] or "–",
        "outcome": f"{found['outcome']}, {found['unit']}",
        "horizon": f"{found['horizon_bars']} bars" + (f", then {found['hold_bars']}" if found["hold_bars"] else ""),
        "test": f"one-sided, {found['tail']}" if found["tail"] != "two-sided" else "two-sided",
        "registration": found["registration"] or "not registered",
        "digest": found["digest"],
    }
    rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in asked.items())
    return f'<dl class="definitions">{rows}</dl>'


_FOOTER: Final = (
    "<footer>Made by forcedflow. An effect is told from chance only where every null that was asked rejects it; an "
    "interval that contains zero is no proof that there is nothing.</footer>"
)
