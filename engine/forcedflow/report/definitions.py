"""What every number of the scorecard means: definition, unit, formula, how to read it, source.

This is the one place where a measure is described; the tearsheet, ``docs/scorecard.md`` and ``forcedflow measures``
show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["GROUPS", "HORIZONS", "MEASURES", "RUIN", "SWEEP_MEASURES", "Group", "Measure", "Unit", "markdown"]

Unit = Literal["share", "ratio", "days", "bars", "R", "ATR", "quote", "count", "bps"]
Group = Literal["Return", "Drawdown", "Chance", "Trades", "Risk by the map", "Costs"]

GROUPS: Final[tuple[Group, ...]] = ("Return", "Drawdown", "Chance", "Trades", "Risk by the map", "Costs")

HORIZONS: Final = (12, 48, 192)
"""Bars after entry at which the edge ratio is taken."""

RUIN: Final = 0.5
"""Share of equity whose loss counts as ruin."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What a number on the scorecard means."""

    name: str
    title: str
    unit: Unit
    group: Group
    definition: str
    formula: str
    reading: str
    """How to read it."""
    source: str = "identity"
    signed: bool = False
    """Whether more than zero is good and less is bad."""
    single: bool = False
    """Whether it is of single runs only: it needs the market around the trades, or a simulation of its own."""


_BAILEY: Final = "Bailey and Lopez de Prado (2012), The Sharpe Ratio Efficient Frontier"
_SWEENEY: Final = "Sweeney (1996), Maximum Adverse Excursion"
_THARP: Final = "Tharp (1998), Trade Your Way to Financial Freedom"
_FELLER: Final = "Feller (1968), An Introduction to Probability Theory, vol. 1"
_FAITH: Final = "Faith (2007), Way of the Turtle"
_OURS: Final = "this project"


def _edge_ratio(bars: int) -> Measure:
    return Measure(
        f"edge_ratio_{bars}",
        f"Edge ratio, {bars} bars",
        "ratio",
        "Trades",
        f"Mean best over mean worst excursion of price within {bars} bars after the entry bar, each in ATR at entry; "
        "trades with fewer bars to come are left out.",
        "mean(MFE / ATR) / mean(MAE / ATR)",
        "Entries without an edge give about 1. It knows nothing of exits: over 1 here and a loss in R: exits lose.",
        _FAITH,
        single=True,
    )


MEASURES: Final = (
    # --- Return: daily equity ---
    Measure(
        "total_return", "Total return", "share", "Return",
        "Last equity over initial equity, less 1.",
        "E_n / E_0 - 1",
        "What the account gained, open positions at the last close.",
        signed=True,
    ),
    Measure(
        "cagr", "CAGR", "share", "Return",
        "Total return compounded to a year: (1 + total) ** (days a year / days), less 1.",
        "(E_n / E_0) ** (D / n) - 1, D = 365 for 24/7 markets, else the trading days a year that the run saw",
        "Of little meaning under a year: a good month compounds into nonsense.",
        signed=True,
    ),
    Measure(
        "volatility", "Volatility", "share", "Return",
        "Standard deviation (n - 1) of daily returns, times the root of the days in a year.",
        "sd(r) * sqrt(D)",
        "Days without a position count: a strategy that rarely trades looks calm.",
    ),
    Measure(
        "sharpe", "Sharpe ratio", "ratio", "Return",
        "Mean over standard deviation of daily returns, annualised; no risk-free rate.",
        "mean(r) / sd(r) * sqrt(D)",
        "Read it beside its standard error: within two of them of zero it says nothing.",
        "Sharpe (1994), The Sharpe Ratio",
        signed=True,
    ),
    Measure(
        "sharpe_error", "Sharpe standard error", "ratio", "Return",
        "Standard error of the Sharpe ratio for independent, non-normal returns, annualised.",
        "sqrt((1 - g3 * s + (g4 - 1) / 4 * s ** 2) / (n - 1)) * sqrt(D), s = mean / sd a day, g3 skewness, g4 kurtosis",
        "About 2 in 60 days, 1 in a year of days: short runs prove little.",
        f"Mertens (2002); {_BAILEY}",
    ),
    Measure(
        "sortino", "Sortino ratio", "ratio", "Return",
        "Mean daily return over the root mean square of losses, every day counted, annualised.",
        "mean(r) / sqrt(mean(min(r, 0) ** 2)) * sqrt(D)",
        "As Sharpe, but gains are no risk. Undefined where no day lost.",
        "Sortino and Price (1994)",
        signed=True,
    ),
    Measure(
        "calmar", "Calmar ratio", "ratio", "Return",
        "CAGR over maximum drawdown.",
        "CAGR / max drawdown",
        "Years of growth that the worst loss cost, inverted. It falls as runs get longer, since drawdowns only deepen.",
        "Young (1991)",
        signed=True,
    ),
    Measure(
        "omega", "Omega ratio", "ratio", "Return",
        "Sum of gains over sum of losses of daily returns, threshold 0.",
        "sum(max(r, 0)) / sum(max(-r, 0))",
        "Over 1 where days gained more than they lost.",
        "Keating and Shadwick (2002)",
    ),
    Measure(
        "skew", "Skewness", "ratio", "Return",
        "Third central moment of daily returns over the cube of their standard deviation.",
        "m3 / m2 ** 1.5, moments over n",
        "Negative: rare large losses pay for frequent small gains.",
    ),
    Measure(
        "kurtosis", "Kurtosis", "ratio", "Return",
        "Fourth central moment of daily returns over their squared variance.",
        "m4 / m2 ** 2, moments over n",
        "A normal has 3. Large: a few days decide the result, and the standard errors are optimistic.",
    ),
    Measure(
        "var_95", "VaR 95%", "share", "Return",
        "Loss of a day that 5% of days exceed, linear between neighbours.",
        "-quantile(r, 0.05), type 7",
        "The threshold of a bad day; CVaR says how bad it gets beyond.",
        "Hyndman and Fan (1996)",
    ),
    Measure(
        "cvar_95", "CVaR 95%", "share", "Return",
        "Mean loss of the worst 5% of days; the boundary day counts by its fraction.",
        "-(sum of the k worst + (0.05 n - k) * the next) / (0.05 n), k = floor(0.05 n)",
        "What a bad day costs on average. Under 100 days it rests on fewer than five of them.",
        "Rockafellar and Uryasev (2002)",
    ),
    Measure(
        "exposure", "Exposure", "share", "Return",
        "Share of bars that close with a position.",
        "mean(position != 0)",
        "Divide return by it to see what time in the market earned.",
    ),
    Measure(
        "days", "Days", "count", "Return",
        "Daily returns that the measures above rest on.",
        "n",
        "Under 250, take every ratio as a hint.",
    ),
    # --- Drawdown: equity at every bar's close (the ulcer index: of every day), initial equity included ---
    Measure(
        "max_drawdown", "Max drawdown", "share", "Drawdown",
        "Largest loss from a high so far at a bar's close, as a share of that high; the initial equity is a high.",
        "max(1 - E_t / max(E_0..E_t))",
        "Expect more than you see: the worst is one draw, and it deepens with time.",
    ),
    Measure(
        "drawdown_length", "Days to the trough", "days", "Drawdown",
        "Time from the high before the largest drawdown to its lowest close.",
        "t(trough) - t(high)",
        "A fast fall is a stop that gapped, a slow one an edge that went.",
    ),
    Measure(
        "drawdown_recovery", "Days to recover", "days", "Drawdown",
        "Time from that lowest close until equity reached the high again; empty while it has not.",
        "t(first E >= high after trough) - t(trough)",
        "Empty with a drawdown: the run ended under water.",
    ),
    Measure(
        "under_water", "Longest under water", "days", "Drawdown",
        "Longest time from a high until equity reached it again, or until the end.",
        "max over highs of t(E >= high again) - t(high)",
        "How long one would have had to believe.",
    ),
    Measure(
        "time_under_water", "Time under water", "share", "Drawdown",
        "Share of bars that close below a high so far.",
        "mean(E_t < max(E_0..E_t))",
        "Close to 1 for nearly every strategy; the depth matters more.",
    ),
    Measure(
        "ulcer", "Ulcer index", "share", "Drawdown",
        "Root mean square of the drawdown at the end of each day, below the highest such equity so far.",
        "sqrt(mean((1 - E_d / max(E_0..E_d)) ** 2))",
        "Depth and length in one: a deep dip that recovers soon weighs less than a shallow one that lasts.",
        "Martin and McCann (1989)",
    ),
    # --- Chance: what luck alone would do ---
    Measure(
        "psr", "Probabilistic Sharpe", "share", "Chance",
        "Probability that the true Sharpe ratio is above zero, given the measured one and its standard error.",
        "Phi(sharpe / sharpe_error)",
        "0.95 is the usual bar, for a strategy that was tried once.",
        _BAILEY,
    ),
    Measure(
        "deflated_sharpe", "Deflated Sharpe", "share", "Chance",
        "The same against the best Sharpe ratio that as many trials without skill would be expected to show.",
        "Phi((s - s0) / se), s0 = sd * ((1 - y) * Q(1 - 1/N) + y * Q(1 - 1/(N e))), y = 0.5772, sd that of the trials, "
        "or 1 / sqrt(n - 1) where they are not known",
        "Count every setting that was looked at as a trial. With one trial it is the probabilistic ratio.",
        "Bailey and Lopez de Prado (2014), The Deflated Sharpe Ratio",
    ),
    Measure(
        "trials", "Trials", "count", "Chance",
        "Settings that were tried before this one was chosen, this one included, as the caller says.",
        "N",
        "1 means that nobody counted, unless this truly was the first.",
    ),
    Measure(
        "ruin", "Risk of ruin", "share", "Chance",
        f"Probability that a year of such days takes away {RUIN:.0%} of equity at some close: days are drawn in blocks "
        "of the root of their number, 2,000 paths.",
        f"share of paths with min(prod(1 + r)) <= {1 - RUIN:g}, circular block bootstrap of daily returns",
        "It repeats the past, crashes that did not happen are not in it. 0 means less than 1 in 2,000. "
        "Empty under 20 days.",
        "Politis and Romano (1992), circular block bootstrap",
        single=True,
    ),
    Measure(
        "losing_streak", "Longest losing streak", "count", "Chance",
        "Most closed trades in a row without a profit, in order of their exits.",
        "longest run of net <= 0",
        "Size positions so that twice as many are survivable.",
    ),
    Measure(
        "losing_streak_chance", "Chance of such a streak", "share", "Chance",
        "Probability that as many independent trades with the same hit rate have a streak as long.",
        "recursion over trades and current streak",
        "Near 0: losses cluster, so trades are not independent and standard errors are too small.",
        _FELLER,
    ),
    # --- Trades: closed ones ---
    Measure(
        "trades", "Closed trades", "count", "Trades",
        "Trades that ended within the run.",
        "count",
        "Under 30, an average of trades is an anecdote.",
    ),
    Measure(
        "trades_open", "Open trades", "count", "Trades",
        "Trades marked at the last close.",
        "count",
        "They count in equity and in sums of money, in no average of trades.",
    ),
    Measure(
        "hit_rate", "Hit rate", "share", "Trades",
        "Share of trades with a profit after costs.",
        "mean(net > 0)",
        "Nothing by itself: read it with payoff.",
    ),
    Measure(
        "payoff", "Payoff", "ratio", "Trades",
        "Mean profit of winning trades over mean loss of losing ones.",
        "mean(net | net > 0) / mean(-net | net < 0)",
        "Breaks even at (1 - hit rate) / hit rate.",
    ),
    Measure(
        "profit_factor", "Profit factor", "ratio", "Trades",
        "Sum of profits over sum of losses.",
        "sum(max(net, 0)) / sum(max(-net, 0))",
        "Over 1 where trades gained. Undefined where none lost.",
    ),
    Measure(
        "expectancy_r", "Expectancy", "R", "Trades",
        "Mean net result of a trade over the loss that its stop meant to allow.",
        "mean(r), r = net / (qty * |entry - stop|)",
        "What a trade earns for each unit risked, costs paid.",
        _THARP,
        signed=True,
    ),
    Measure(
        "median_r", "Median trade", "R", "Trades",
        "Middle of the same results.",
        "median(r)",
        "Far below the mean: a few trades carry the result.",
        _THARP,
        signed=True,
    ),
    Measure(
        "mae_r", "Mean MAE", "R", "Trades",
        "Mean worst excursion against the trade.",
        "mean(mae_r), at most 0",
        "Near -1 for winners too: stops are barely wide enough.",
        _SWEENEY,
    ),
    Measure(
        "mfe_r", "Mean MFE", "R", "Trades",
        "Mean best excursion for the trade.",
        "mean(mfe_r), at least 0",
        "Far above the mean R: exits give back what entries found.",
        _SWEENEY,
    ),
    *(_edge_ratio(bars) for bars in HORIZONS),
    Measure(
        "bars_held", "Mean holding", "bars", "Trades",
        "Mean bars from entry to exit.",
        "mean(exit bar - entry bar)",
        "The scale on which costs and funding must be earned.",
    ),
    Measure(
        "ambiguous", "Ambiguous exits", "count", "Trades",
        "Trades whose last bar held both stop and target; the intrabar rule decided them.",
        "count",
        "Many: results hang on the rule. Use finer bars.",
    ),
    # --- Risk by the map: what this product is for ---
    Measure(
        "stopped", "Stopped", "share", "Risk by the map",
        "Share of closed trades that ended at their stop.",
        "mean(exit reason = stop)",
        "Read the next two before blaming stops.",
        single=True,
    ),
    Measure(
        "stopped_then_target", "Stopped, then target", "share", "Risk by the map",
        "Of trades that were stopped, the share whose target traded afterwards, before price went as far again beyond "
        "the stop, within the longest holding time of the run; an undecided bar counts against.",
        "share with target touched before stop - (entry - stop), from the bar after the exit",
        "Above its chance below: stops sit where price goes before it turns. Trades without a target are left out.",
        _OURS,
        single=True,
    ),
    Measure(
        "stopped_then_target_chance", "Same, by chance", "share", "Risk by the map",
        "What a price without memory would give: d / (d + distance from stop to target), d from entry to stop.",
        "mean(|entry - stop| / (|entry - stop| + |target - stop|))",
        "The benchmark of the measure above; with a time limit chance gives a little less.",
        f"gambler's ruin: {_FELLER}",
        single=True,
    ),
    Measure(
        "stops_inside", "Stops inside a zone", "share", "Risk by the map",
        "Share of trades whose stop lay between the edges of a zone that was known when the order was placed.",
        "mean(near <= stop <= far) over the event's own zone and the nearest above and below",
        "A stop inside a zone is one of the orders that the zone is made of.",
        _OURS,
        single=True,
    ),
    Measure(
        "stops_beyond", "Stops beyond a zone", "share", "Risk by the map",
        "Share of trades whose stop lay past the far edge of such a zone.",
        "mean(far edge between entry and stop), stop in no zone",
        "The zone must be eaten before the stop is reached.",
        _OURS,
        single=True,
    ),
    Measure(
        "stopped_inside", "Stopped, stop inside", "share", "Risk by the map",
        "Share of the closed trades with a stop inside a zone that were stopped.",
        "mean(stopped | inside)",
        "Compare with the next one; unequal distances make them unlike, so it is a hint, not a contrast.",
        _OURS,
        single=True,
    ),
    Measure(
        "stopped_beyond", "Stopped, stop beyond", "share", "Risk by the map",
        "Share of the closed trades with a stop beyond a zone that were stopped.",
        "mean(stopped | beyond)",
        "Lower than inside is what the thesis says.",
        _OURS,
        single=True,
    ),
    Measure(
        "entries_inside", "Entries inside a zone", "share", "Risk by the map",
        "Share of trades entered at a price between the edges of a zone that was known when the order was placed.",
        "mean(near <= entry <= far)",
        "How much of the result rests on zones at all.",
        _OURS,
        single=True,
    ),
    Measure(
        "r_inside", "Expectancy inside", "R", "Risk by the map",
        "Mean R of closed trades entered inside a zone.",
        "mean(r | inside)",
        "Against the next: whether zones were the better places. Not paired; selection above is the fair contrast.",
        _OURS,
        signed=True,
        single=True,
    ),
    Measure(
        "r_outside", "Expectancy outside", "R", "Risk by the map",
        "Mean R of closed trades entered outside any known zone.",
        "mean(r | outside)",
        "See above.",
        _OURS,
        signed=True,
        single=True,
    ),
    Measure(
        "mae_inside", "MAE inside", "R", "Risk by the map",
        "Mean worst excursion of closed trades entered inside a zone.",
        "mean(mae_r | inside)",
        "Smaller than outside: the zone's flow was absorbed and price turned.",
        _OURS,
        single=True,
    ),
    Measure(
        "mae_outside", "MAE outside", "R", "Risk by the map",
        "Mean worst excursion of closed trades entered outside any known zone.",
        "mean(mae_r | outside)",
        "See above.",
        _OURS,
        single=True,
    ),
    Measure(
        "opposing_fuel", "Opposing fuel", "bars", "Risk by the map",
        "Forced orders between price and stop that would push price on to the stop, in bars of average volume, mean "
        "over the pictures of the map while a trade was open.",
        "mean(mass of the losing side's layers between close and stop / average volume per bar)",
        "High: the way to the stop is paved, slippage there will be worse than modelled.",
        _OURS,
        single=True,
    ),
    Measure(
        "supporting_fuel", "Supporting fuel", "bars", "Risk by the map",
        "Forced orders between price and target that would push price on to the target, likewise.",
        "mean(mass of the winning side's layers between close and target / average volume per bar)",
        "The thesis wants more of it than of opposing fuel.",
        _OURS,
        single=True,
    ),
    Measure(
        "liquidation_distance", "Nearest own liquidation", "ATR", "Risk by the map",
        "Least distance of price from the account's own liquidation price while a position was open.",
        "min(|ln(worst price of the bar / liquidation price)| / ATR), 0 where price reached it",
        "Under 5, one bad bar away. Empty where the account has no liquidation price.",
        _OURS,
        single=True,
    ),
    Measure(
        "forced_share", "Filled on forced flow", "share", "Risk by the map",
        "Share of filled quantity that met forced flow.",
        "sum(forced qty) / sum(qty)",
        "0 unless `participation` is set: the map grants itself no free execution.",
        _OURS,
    ),
    # --- Costs ---
    Measure("gross", "Gross result", "quote", "Costs", "Sum of trades before costs.", "sum(gross)",
            "What prices gave.", signed=True),
    Measure("fees", "Fees", "quote", "Costs", "Maker and taker fees of fills, own liquidations left out.",
            "sum(fee)", "Negative: rebates."),
    Measure("spread", "Half-spread", "quote", "Costs", "What the half-spread took from all fills.",
            "sum(spread cost)", "Market and stop fills pay it."),
    Measure("impact", "Impact", "quote", "Costs", "What market impact took from all fills.",
            "sum(impact cost)", "0 where the account has no impact model: read capacity instead."),
    Measure("funding", "Funding", "quote", "Costs", "Funding paid, less received.",
            "-sum(funding)", "Empty where the account pays none; negative: received."),
    Measure("liquidation", "Liquidation fees", "quote", "Costs", "Fees of the account's own liquidations.",
            "sum(fee | reason = liquidation)", "Empty where the account cannot be liquidated."),
    Measure("net", "Net result", "quote", "Costs", "Sum of trades after costs.", "sum(net)",
            "Gross less all of the above.", signed=True),
    Measure(
        "saved", "Slippage saved", "quote", "Costs",
        "Impact that the part filled on forced flow did not pay, over fills that paid impact on the rest.",
        "sum(impact * ((qty / (qty - forced)) ** 1.5 - 1))",
        "What the map's counter-flow was worth, by the account's own impact law.",
        _OURS,
    ),
    Measure(
        "turnover", "Turnover", "ratio", "Costs",
        "Notional of all fills over initial equity.",
        "sum(qty * price) / E_0",
        "Each unit of it pays the cost below.",
    ),
    Measure(
        "cost_bps", "Cost paid", "bps", "Costs",
        "Costs over notional of all fills.",
        "1e4 * (gross - net) / sum(qty * price)",
        "Per fill; a round trip pays it twice.",
    ),
    Measure(
        "break_even_bps", "Break-even cost", "bps", "Costs",
        "Cost at which the net result would be zero, over notional of all fills.",
        "1e4 * gross / sum(qty * price)",
        "Below the cost paid, the strategy loses; negative, it loses without costs.",
        _OURS,
    ),
    Measure(
        "capacity", "Capacity", "ratio", "Costs",
        "Multiple of the traded sizes at which square-root impact takes the whole net result; 0 where there is none.",
        "(net before impact / I) ** 2, I = sum(vol * sqrt(qty / volume) * qty * price), volatility and average "
        "volume of a bar before the fill",
        "An order of magnitude: the law's factor is taken as 1. Under 1, the sizes traded are already too large.",
        "Toth et al. (2011), Anomalous Price Impact; Bouchaud et al. (2018), Trades, Quotes and Prices",
        single=True,
    ),
)  # fmt: skip
"""Every number of the scorecard, in the order in which it is shown."""

SWEEP_MEASURES: Final = tuple(measure for measure in MEASURES if not measure.single)
"""Those of them that a sweep takes of each of its settings."""


_OPENING: Final = """# The scorecard

Every run is scored by the measures below: `scorecard.json` of its record, the tables of its tearsheet, and
`Run.scorecard` hold them under the names in code type. What is undefined is empty (`null`), never infinite. This page
is what `forcedflow measures` prints; a test compares them.

Return measures and the ulcer index are taken on the equity at the end of each UTC day, other drawdowns on the equity at
every bar's close; both begin with the initial equity. In 24/7 markets every day counts and a year has 365; in markets
with sessions days with bars count, as many a year as the run saw. Averages of trades count closed trades; sums of money
count every trade, open ones at the last close. Losses (drawdown, VaR, CVaR) are positive numbers.

What the map contributed is not a measure of one account, so it is not here: see the two blind contrasts.
"""

_LIBRARIES: Final = """## Where libraries part ways

The tests compare the measures with quantstats, empyrical-reloaded, skfolio, vectorbt, scipy and pandas on random and
real returns. Where definitions agree, numbers agree to 1e-9. They do not where:

| measure | library | difference |
| --- | --- | --- |
| Max drawdown, Calmar | vectorbt | forgets the first bar's loss; ours starts with the initial equity |
| CVaR | empyrical-reloaded, vectorbt | tail rounded to whole days; ours counts the boundary day by its fraction |
| CVaR, VaR | quantstats | a normal distribution is assumed unless told otherwise |
| Sharpe, Sortino | vectorbt | infinite where returns do not vary; ours is empty |
| Sortino | skfolio | semi-deviation with n - 1; ours, as the others, with n |
| Skewness, kurtosis | pandas, quantstats | corrected for bias, kurtosis less 3; ours are the sample's own |
| Ulcer index | quantstats | divides by n - 1 daily values; ours by n |
| Probabilistic Sharpe | quantstats | moments corrected for bias; ours equals skfolio's |
| Omega | all | agree at threshold 0, and say NaN or infinity without a loss; ours is empty |
| all | quantstats | takes a series that never falls below 0 and exceeds 1 for prices |
"""


def markdown() -> str:
    """Return the page ``docs/scorecard.md``."""
    parts = [_OPENING]
    for group in GROUPS:
        chosen = [measure for measure in MEASURES if measure.group == group]
        parts.append(f"## {group}\n")
        parts.extend(
            f"### {m.title}\n\n`{m.name}` · {m.unit}\n\n{m.definition}\n\n- Formula: `{m.formula}`\n"
            f"- Reading: {m.reading}\n- Source: {m.source}\n"
            + ("- Of single runs, not of a sweep's settings.\n" if m.single else "")
            for m in chosen
        )
    return "\n".join([*parts, _LIBRARIES])
