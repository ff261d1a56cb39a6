"""Evidence for and against hypotheses on a dataset: effects, intervals, p-values, and a plain verdict.

``evidence("btcusdt-5m", ["magnet"])`` registers the hypothesis, replays the market once as it was and some hundred
times as it was not, and sets what was seen beside what chance makes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import Field

from forcedflow.data import load_dataset
from forcedflow.data.series import Dataset
from forcedflow.data.times import DAY, time_text
from forcedflow.errors import SettingsError, extra_needed
from forcedflow.ledger import count_trials, files_hash
from forcedflow.market.tape import MarketPass
from forcedflow.report.chance import expected_best
from forcedflow.report.told import Block, Told
from forcedflow.settings import MarketSettings, Settings, settings_of
from forcedflow.study.evidence.effects import Matter, gather
from forcedflow.study.evidence.hypothesis import Hypothesis, load_hypothesis
from forcedflow.study.evidence.inference import ALPHA, Estimate, adjust, estimate, rank_p
from forcedflow.study.evidence.nulls import NULLS, check_pair
from forcedflow.study.evidence.placebo import other_holders, placebos
from forcedflow.tables import PLAUSIBLE_RATE, FloatArray

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from forcedflow.data.bars import Bars
    from forcedflow.market.tape import Tape
    from forcedflow.study.evidence.registry import Registration, Registry

__all__ = ["EvidenceSettings", "Finding", "NullTest", "evidence", "report", "symmetry_check"]

_SHUFFLES: Final = 19
_STREAM: Final = 4  # of chance, apart from those of the placebos
_CHECKS: Final = 499  # flips behind the check of symmetry: they cost no replay


class EvidenceSettings(Settings):
    """How evidence is gathered."""

    placebos: int = Field(default=200, ge=19, le=100_000, description="placebo paths")
    seed: int = Field(default=0, ge=0, description="of all chance")
    jobs: int = Field(default=1, ge=1, le=1024, description="processes")


@dataclass(frozen=True, slots=True)
class NullTest:
    """One hypothesis under one null."""

    null: str
    title: str
    symmetry: str
    estimate: Estimate | None
    """None: too few events or days."""
    drawn: FloatArray | None = None
    """Studentised effects on the placebo paths; None where the null is not by placebo paths."""
    p_family: float | None = None
    """p over all hypotheses asked together (max-T), on placebo paths."""

    def rejects(self) -> bool:
        """Tell whether chance under this null is ruled out at 5%."""
        return self.estimate is not None and (self.estimate.p if self.p_family is None else self.p_family) <= ALPHA


@dataclass(frozen=True, slots=True, repr=False)
class Finding(Told):
    """What is known of one hypothesis on one dataset; shows itself in a terminal and a notebook."""

    hypothesis: Hypothesis
    registration: Registration | None
    tests: tuple[NullTest, ...]
    asked: int
    """Events that met the condition."""
    kept: int
    """Events left after overlapping ones were dropped."""
    coverage: float
    """Mean located share of open interest at these events."""
    verdict: str
    """``found``, ``not found``, ``unclear`` or ``too few``."""
    sentence: str
    caveats: tuple[str, ...]

    def blocks(self) -> list[Block]:
        """Return the verdict with its caveats, and each null's test."""
        head = (f"{self.hypothesis.title}.", self.sentence, *(f"! {caveat}" for caveat in self.caveats))
        header = ("null", "effect", "95% interval", "p", "events", "days")
        return [Block(head, header, tuple(_told(test) for test in self.tests))]


def _told(test: NullTest) -> tuple[str, ...]:
    found = test.estimate
    if found is None:
        return (test.null, "too few events", "", "", "", "")
    interval = f"{found.low:+.3g} to {found.high:+.3g}"
    return (test.null, f"{found.effect:+.3g}", interval, f"{found.p:.3f}", str(found.n), str(found.days))


def evidence(
    dataset: Dataset | str | Path,
    hypotheses: Sequence[Hypothesis | str | Path | Mapping[str, object]],
    *,
    nulls: Sequence[str] = (),
    market: Mapping[str, Any] | MarketSettings | None = None,
    settings: EvidenceSettings | None = None,
    registry: Registry | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Finding]:
    """Test hypotheses on a dataset.

    Parameters
    ----------
    dataset
        A dataset, a name in the catalog, or the path of its TOML file.
    hypotheses
        Names of shipped ones, TOML files, mappings or objects. Several are tested as one family: each has also a
        p-value that holds for all of them together.
    nulls
        In place of those that each hypothesis names.
    registry
        Where hypotheses are noted before they run; None notes nothing, and the finding then says nothing of looks.
    progress
        Called with replays done and replays in all.

    Raises
    ------
    SettingsError
        Without scipy; for an unsound hypothesis, and for a null that is not valid for a hypothesis.
    ForcedFlowError
        Whatever is wrong with the data.
    """
    if find_spec("scipy") is None:
        raise extra_needed("evidence", "scipy", "evidence")
    chosen = settings or EvidenceSettings()
    asked = [h if isinstance(h, Hypothesis) else load_hypothesis(h) for h in hypotheses]
    if not asked:
        raise SettingsError("name at least one hypothesis")
    if len({h.name for h in asked}) < len(asked):
        raise SettingsError("two of the hypotheses have one name; give each its own")
    pairs = [tuple(dict.fromkeys(nulls or h.nulls)) for h in asked]
    for hypothesis, names in zip(asked, pairs, strict=True):
        for name in names:
            check_pair(hypothesis, name)
    data = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    configured = settings_of(MarketSettings, market, "market")
    notes: list[Registration | None] = [None] * len(asked)
    if registry is not None:
        notes = [
            registry.ask(h.name, h.digest, data.data_hash, dataset=data.name, nulls=list(names))
            for h, names in zip(asked, pairs, strict=True)
        ]
    found = _Study(data, configured, asked, pairs, chosen, progress).findings(notes)
    if registry is not None:
        for finding in found:
            h = finding.hypothesis
            registry.see(h.name, h.digest, data.data_hash, dataset=data.name, verdict=finding.verdict)
    return found


def report(dataset: Dataset, findings: Sequence[Finding], command: str = "") -> dict[str, Any]:
    """Return findings as plain values: what ``--json`` prints and the page is drawn from.

    ``trials`` is the ledger's count of strategy settings that were ever tried on the dataset, ``best_without_skill``
    the annual Sharpe ratio that the best of so many shows over its span without any skill.
    """
    bars = dataset.bars
    tried = count_trials(dataset.data_hash, files_hash(dataset.files, dataset.data_hash)).files
    years = (int(bars.close_ts[-1]) - int(bars.ts[0])) / (365 * DAY)
    return {
        "dataset": dataset.name,
        "title": dataset.title,
        "data_hash": dataset.data_hash,
        "from": time_text(int(bars.ts[0])),
        "to": time_text(int(bars.close_ts[-1])),
        "bars": len(bars),
        "command": command,
        "trials": tried,
        "best_without_skill": expected_best(tried, years**-0.5),
        "findings": [_plain(finding, bars.interval) for finding in findings],
    }


def _plain(finding: Finding, interval: int) -> dict[str, Any]:
    h = finding.hypothesis
    horizon, hold = h.bars(interval)
    note = finding.registration
    return {
        **h.model_dump(mode="json", exclude={"nulls", "hold"}),
        "unit": h.unit,
        "horizon_bars": horizon,
        "hold_bars": hold,
        "digest": h.digest,
        "registration": None if note is None else note.sentence,
        "changed_after_a_look": None if note is None else note.changed,
        "verdict": finding.verdict,
        "sentence": finding.sentence,
        "asked": finding.asked,
        "kept": finding.kept,
        "coverage": finding.coverage,
        "caveats": list(finding.caveats),
        "tests": [_plain_test(test) for test in finding.tests],
    }


def _plain_test(test: NullTest) -> dict[str, Any]:
    nothing = dict.fromkeys(f.name for f in fields(Estimate))
    drawn = None if test.drawn is None else [float(t) if np.isfinite(t) else None for t in test.drawn]
    return {
        "null": test.null,
        "title": test.title,
        "symmetry": test.symmetry,
        **(nothing if test.estimate is None else asdict(test.estimate)),
        "p_family": test.p_family,
        "rejects": test.rejects(),
        "drawn": drawn,
    }


class _Study:
    """Several hypotheses on one dataset."""

    def __init__(
        self,
        data: Dataset,
        market: MarketSettings,
        hypotheses: list[Hypothesis],
        pairs: list[tuple[str, ...]],
        settings: EvidenceSettings,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.data, self.market, self.hypotheses, self.pairs, self.settings = data, market, hypotheses, pairs, settings
        ran = MarketPass(data, market)
        ran.advance()
        self.tape: Tape = ran.tape()
        self.matters = [gather(h, data.bars, self.tape.events) for h in hypotheses]
        self._done = 0
        wanted = {name for names in pairs for name in names}
        self._total = settings.placebos * ("path_placebo" in wanted) + _SHUFFLES * ("shuffled_leverage" in wanted)
        self._progress = progress

    def findings(self, notes: Sequence[Registration | None]) -> list[Finding]:
        rng = [np.random.default_rng((self.settings.seed, 3)) for _ in self.hypotheses]  # as the placebos' scores
        own = [matter.sample(r) for matter, r in zip(self.matters, rng, strict=True)]
        estimates = [estimate(s, h.tail, self._rng()) for s, h in zip(own, self.hypotheses, strict=True)]
        tests: list[dict[str, NullTest]] = [{} for _ in self.hypotheses]
        self._placebos(estimates, tests)
        self._holders(own, tests)
        for k, names in enumerate(self.pairs):
            for name in names:
                if (sample := NULLS[name].sample) is not None:
                    scores = sample(self.tape, self.matters[k], self._rng())
                    tests[k][name] = _test(name, estimate(scores, self.hypotheses[k].tail, self._rng()))
        ordered = [tuple(found[name] for name in names) for found, names in zip(tests, self.pairs, strict=True)]
        asymmetric = symmetry_check(self.data.bars, self.settings.seed)
        return [
            _finding(h, note, found, matter, self.tape, asymmetric)
            for h, note, found, matter in zip(self.hypotheses, notes, ordered, self.matters, strict=True)
        ]

    def _placebos(self, estimates: list[Estimate | None], tests: list[dict[str, NullTest]]) -> None:
        """Hold the hypotheses against the same placebo paths, one by one and as a family."""
        at = [k for k, names in enumerate(self.pairs) if "path_placebo" in names]
        if not at:
            return
        chosen = [self.hypotheses[k] for k in at]
        effect, t = placebos(
            self.data, self.market, chosen, count=self.settings.placebos, seed=self.settings.seed,
            jobs=self.settings.jobs, progress=self._count,
        )  # fmt: skip
        observed = np.array([np.nan if (e := estimates[k]) is None else e.t for k in at])
        family = adjust(observed, t, [h.tail for h in chosen])
        for column, k in enumerate(at):
            held = estimates[k]
            if held is not None:
                held = _among(held, effect[:, column], t[:, column], self.hypotheses[k].tail)
            p = float(family[column]) if len(at) > 1 and held is not None else None
            tests[k]["path_placebo"] = _test("path_placebo", held, t[:, column], p)

    def _holders(self, own: list[Any], tests: list[dict[str, NullTest]]) -> None:
        at = [k for k, names in enumerate(self.pairs) if "shuffled_leverage" in names]
        if not at:
            return
        differences = other_holders(
            self.data, self.market, [self.hypotheses[k] for k in at], [own[k] for k in at], count=_SHUFFLES,
            seed=self.settings.seed, jobs=self.settings.jobs, progress=self._count,
        )  # fmt: skip
        for k, sample in zip(at, differences, strict=True):
            found = estimate(sample, self.hypotheses[k].tail, self._rng())
            if found is not None:  # a sample of daily differences counts days: these are the events behind them
                found = replace(found, n=len(own[k]) if own[k].x is None else int(own[k].x.sum()))
            tests[k]["shuffled_leverage"] = _test("shuffled_leverage", found)

    def _count(self, done: int, total: int) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng((self.settings.seed, _STREAM))


def _test(
    name: str, found: Estimate | None, drawn: FloatArray | None = None, p_family: float | None = None
) -> NullTest:
    return NullTest(name, NULLS[name].title, NULLS[name].symmetry, found, drawn, p_family)


def _among(own: Estimate, effect: FloatArray, t: FloatArray, tail: str) -> Estimate:
    """Return an estimate whose inference is by placebo paths: what they show on average is no effect."""
    met = np.isfinite(t)
    centre = float(effect[met].mean()) if met.any() else 0.0
    spread = np.nan_to_num(t, nan=0.0)
    spread = spread - spread.mean()
    reach = float(np.quantile(np.abs(spread), 1 - ALPHA))
    critical = reach if tail == "two-sided" else float(np.quantile(spread if tail == "greater" else -spread, 1 - ALPHA))
    return Estimate(
        effect=own.effect - centre,
        error=own.error,
        t=own.t,
        p=rank_p(own.t, t, tail),
        low=own.effect - centre - reach * own.error,
        high=own.effect - centre + reach * own.error,
        mde=(critical + 0.84 * float(spread.std())) * own.error,
        n=own.n,
        days=own.days,
        method=f"rank among {len(t)} placebo paths",
    )


# --- What the numbers say ---


def symmetry_check(bars: Bars, seed: int) -> dict[str, float]:
    """Return p-values (two-sided) of three ways in which signs of bars may not be exchangeable, against flipped bars.

    ``drift``: bars rise more than they fall; ``memory``: a bar's sign says something of the next one's; ``leverage``:
    falls are followed by larger bars than rises. Each is a correlation, so flipping signs alone shows how large
    chance makes it.
    """
    step = np.diff(np.log(bars.close))
    if len(step) < 3 or not step.any():
        return {}
    size = np.abs(step)
    centred = size[1:] - size.mean()
    rng = np.random.default_rng((seed, _STREAM))

    def measures(r: FloatArray) -> FloatArray:
        return np.abs([r.sum(), (r[:-1] * r[1:]).sum(), (r[:-1] * centred).sum()])

    seen = measures(step)
    drawn = np.array([measures(step * rng.choice((-1.0, 1.0), len(step))) for _ in range(_CHECKS)])
    p = (1 + (drawn >= seen).sum(axis=0)) / (1 + _CHECKS)
    return dict(zip(("drift", "memory", "leverage"), map(float, p), strict=True))


_ASYMMETRY: Final = {
    "drift": "price drifted",
    "memory": "one bar's direction says something of the next one's",
    "leverage": "falls are followed by larger bars than rises",
}


def _finding(
    h: Hypothesis,
    note: Registration | None,
    tests: tuple[NullTest, ...],
    matter: Matter,
    tape: Tape,
    asymmetric: dict[str, float],
) -> Finding:
    verdict, sentence = _verdict(h, tests, note)
    market = tape.market_bars
    covered = (market["coverage_long"] + market["coverage_short"])[matter.cases.bar] / 2
    coverage = float(covered.mean()) if len(covered) else 0.0
    caveats = list(dict.fromkeys(tape.notes))
    if note is not None and note.changed:
        caveats.insert(0, note.sentence)
    if any(v.estimated_oi for v in tape.dataset.venues):
        caveats.append("open interest is estimated from volume: the map is a guess, and so is what it misses")
    if len(covered) and coverage < 0.5:
        caveats.append(f"at these events only {coverage:.0%} of open interest was located")
    rate = tape.implied_liquidation_rate
    if rate is not None and not PLAUSIBLE_RATE[0] <= rate <= PLAUSIBLE_RATE[1]:
        low, high = PLAUSIBLE_RATE
        caveats.append(
            f"the map implies {rate:.2%} of open interest liquidated a day; prints say {low:.1%} to {high:.0%}"
        )
    broken = [f"{_ASYMMETRY[name]} (p {p:.3f})" for name, p in asymmetric.items() if p <= ALPHA]
    if broken:
        caveats.append(
            f"signs of bars are not exchangeable here: {'; '.join(broken)}. Tests that rest on the fair coin may "
            "reject for that alone"
        )
    span = f"{time_text(int(tape.bars.ts[0]))} to {time_text(int(tape.bars.close_ts[-1]))}"
    caveats.append(f"{matter.asked} events, {len(matter.cases)} without overlap, {span}")
    return Finding(h, note, tests, matter.asked, len(matter.cases), coverage, verdict, sentence, tuple(caveats))


def _verdict(h: Hypothesis, tests: tuple[NullTest, ...], note: Registration | None) -> tuple[str, str]:
    """Return the verdict and say it in one plain sentence. The first null is the main one."""
    main = tests[0]
    e = main.estimate
    if e is None:
        return "too few", "Can't tell: there are too few events, or all on too few days, to tell anything from chance."
    figures = (
        f"{e.effect:+.3g} {h.unit} (95% interval {e.low:+.3g} to {e.high:+.3g}; {e.n} events on {e.days} days; "
        f"p {e.p:.3f}{f', {main.p_family:.3f} for the family' if main.p_family is not None else ''})"
    )
    if not main.rejects():
        other_way = (h.tail == "greater" and e.high < 0) or (h.tail == "less" and e.low > 0)
        unseen = f"an effect under {e.mde:.2g} {h.unit} would probably not have been seen"
        if other_way:
            return "not found", f"Not found, and the data points the other way: {figures}."
        return "not found", f"Not found: {figures}. Chance makes as much; {unseen}."
    unmoved = [test.null for test in tests[1:] if not test.rejects()]
    if unmoved:
        return (
            "unclear",
            f"Unclear: {figures} is more than the first null makes, but {', '.join(unmoved)} can explain it.",
        )
    changed = " It was changed after a look at this data." if note is not None and note.changed else ""
    return "found", f"Found: {figures}, more than any of the {len(tests)} nulls makes.{changed}"
