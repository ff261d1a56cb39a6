"""One run, end to end: what it records, what it warns of, what it refuses, and that it can be repeated."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import forcedflow as ff
from forcedflow.backtest import RunConfig, reopened_share, run_config
from forcedflow.errors import RecordError, SettingsError, StrategyError, VenueError
from forcedflow.tables import LAYERS, MARKET_BARS

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
import numpy as np
import forcedflow as ff
from pydantic import PrivateAttr
"""
RAISES = f"""{HEAD}
class Breaks(ff.Strategy):
    listens = (ff.EventKind.ZONE_NEAR,)
    def plan(self, events):
        if (events.bar > 2000).any():
            raise ZeroDivisionError("oops")
        return ff.Plan(0, size=1)
"""
HANDLER = f"""{HEAD}
class Counts(ff.Strategy):
    every: int = 3
    _seen: int = PrivateAttr(default=0)
    def on_forced_flow(self, event, market, account):
        self._seen += 1
        if self._seen % self.every == 0:
            stop = event.close * np.exp(3 * event.side * event.atr)
            account.submit(-event.side, size=0.005, stop=stop, hold=50)
"""
HANDLER_RAISES = HANDLER.replace("self._seen += 1", "self._seen += 1; assert self._seen < 5, 'five'")
AMBIGUOUS = f"""{HEAD}
class Tight(ff.Strategy):
    listens = (ff.EventKind.FORCED_FLOW,)
    def plan(self, events):
        width = np.exp(-0.3 * events.side * events.atr)
        return ff.Plan(events.side, size=0.001, stop=events.close * width, target=events.close / width, hold=20)
"""


def written(folder: Path, text: str, name: str = "mine") -> str:
    path = folder / f"{name}.py"
    path.write_text(text)
    return str(path)


@pytest.fixture(scope="module")
def result() -> ff.Run:
    return ff.run("simulated", params={"mode": "ride", "min_reward": 0})


@pytest.fixture(scope="module")
def tape() -> ff.Tape:
    return ff.make_tape(ff.load_dataset("simulated"), snapshots=5)


def test_a_run_holds_what_the_parts_give(result: ff.Run, tape: ff.Tape) -> None:
    strategy = ff.find_strategy("zone_entry").model_validate({"mode": "ride", "min_reward": 0})
    trading = ff.trade(ff.Exchange.of(tape), tape.events, strategy, ff.AccountSettings())
    for name in ("orders", "fills", "trades", "equity"):
        table, direct = getattr(result, name), getattr(trading, name)
        assert all(np.array_equal(table[c], direct[c], equal_nan=table[c].dtype.kind == "f") for c in direct)
    assert result.blind == ff.contrasts(tape, strategy, ff.AccountSettings())
    assert result.scorecard["net"] == pytest.approx(trading.trades["net"].sum())
    np.testing.assert_array_equal(result.market_bars["open"], tape.bars.open)
    for name in MARKET_BARS:
        np.testing.assert_array_equal(result.market_bars[name], tape.market_bars[name])


def test_the_summary_counts(result: ff.Run, tape: ff.Tape) -> None:
    summary, kinds = result.summary, [ff.EventKind(kind).title for kind in result.events.kind]
    assert summary["bars"] == len(result.equity["bar"]) == 10_000
    assert summary["events"] == {kind.title: kinds.count(kind.title) for kind in ff.EventKind}
    assert summary["trades"] == len(result.trades["trade_id"]) > 0
    assert summary["ambiguous_bars"] == 0
    assert 0.5 < summary["coverage"] == tape.coverage <= 1
    assert summary["venues"] == ["binance-um BTCUSDT"]
    assert not summary["estimated_open_interest"]
    assert any("SIMULATED" in warning for warning in summary["warnings"])
    config = result.config
    assert config["data_hash"] == tape.dataset.data_hash
    assert len(config["strategy_hash"]) == 64
    assert set(config["versions"]) == {"forcedflow", "numba", "numpy", "python"}
    assert set(result.timings) == {"market_pass_s", "trade_pass_s"}


def test_fills_against_forced_flow_are_told_beside_what_is_without_them() -> None:
    params = {"mode": "absorb", "min_reward": 0.0, "min_coverage": 0.0}
    account = {"cash": 3e6, "participation": 0.2}
    meets = ff.run("simulated", params=params, account=account)
    alone = ff.run("simulated", params=params, account=account | {"participation": 0.0})
    assert 0 < meets.fills["forced_qty"].sum() < meets.fills["qty"].sum()
    assert not alone.fills["forced_qty"].any()
    told = f"equity ends at {meets.equity['equity'][-1]:,.2f}; without that at {alone.equity['equity'][-1]:,.2f}"
    assert any(told in warning for warning in meets.summary["warnings"])
    assert not any("forced flow" in warning for warning in alone.summary["warnings"])
    looped = ff.Replay("simulated", "zone_entry", params=params, account=account).finish()
    np.testing.assert_array_equal(looped.equity["equity"], meets.equity["equity"])
    np.testing.assert_array_equal(looped.fills["forced_qty"], meets.fills["forced_qty"])


def test_a_count_of_ticks_is_no_volume_to_trade_against(shared_data: Path) -> None:
    del shared_data
    data = ff.load_dataset("silver-1h", end="2023-04-01")
    assert data.counts_ticks
    of_batch = ff.run("silver-1h", end="2023-04-01")
    looped = ff.Replay(data, "zone_entry").finish()
    assert len(of_batch.fills["bar"]) > 0
    assert not of_batch.fills["impact_cost"].any()
    np.testing.assert_array_equal(looped.equity["equity"], of_batch.equity["equity"])


def test_a_record_repeats_its_run_byte_for_byte(result: ff.Run, tmp_path: Path) -> None:
    first = ff.save(result, tmp_path / "first")
    again = ff.save(run_config(RunConfig.of(json.loads((first / "run.json").read_text()))), tmp_path / "again")
    names = {file.name for file in first.iterdir()}
    assert names == {file.name for file in again.iterdir()} >= {"run.json", "tearsheet.html", "scorecard.json"}
    for name in names - {"timings.json"}:
        assert (first / name).read_bytes() == (again / name).read_bytes(), name


def test_the_seed_decides_the_contrasts_only(result: ff.Run) -> None:
    other = ff.run("simulated", params={"mode": "ride", "min_reward": 0}, seed=1)
    assert other.blind["placement"]["mean"] != result.blind["placement"]["mean"]
    assert other.scorecard == result.scorecard


def test_a_record_is_never_overwritten(result: ff.Run, tmp_path: Path) -> None:
    folder = ff.save(result, tmp_path / "run")
    with pytest.raises(RecordError, match="never overwritten"):
        ff.save(result, folder)
    back = ff.load_run(folder)
    assert back.config == result.config
    assert back.summary == result.summary


def test_start_and_end_bound_the_bars() -> None:
    part = ff.run("simulated", start="2025-01-10", end="2025-01-12T00:00:00Z")
    assert part.summary["bars"] == 576
    assert (part.summary["from"], part.summary["to"]) == ("2025-01-10T00:00:00Z", "2025-01-12T00:00:00Z")


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    ff.run("simulated", end="2025-01-05", progress=lambda done, total: told.append((done, total)))
    assert told
    assert told[-1][0] == told[-1][1] > 0


def test_parameters_reach_strategy_market_and_account() -> None:
    given = {"params": {"risk": 0.001}, "market": {"bin_bps": 20}, "account": ff.AccountSettings(cash=500)}
    config = ff.run("simulated", end="2025-01-03", **given).config  # type: ignore[arg-type]
    assert (config["params"]["risk"], config["market"]["bin_bps"], config["account"]["cash"]) == (0.001, 20, 500)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"params": {"mod": "ride"}}, ("mod", "Known", "min_reward")),
        ({"params": {"mode": "sideways", "risk": 3}}, ("mode", "risk", "sideways")),
        ({"market": {"bin_bp": 3}}, ("market.bin_bp", "run config")),
        ({"market": {"zone_on": 0.001}}, ("zone_off must not exceed zone_on",)),
        ({"account": {"cash": -1}}, ("account.cash", "-1")),
        ({"seed": "x"}, ("seed",)),
    ],
)
def test_wrong_settings_are_all_named(given: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError) as caught:
        ff.run("simulated", **given)
    assert all(word in str(caught.value) for word in words)


def test_a_config_refuses_what_it_does_not_know() -> None:
    with pytest.raises(SettingsError, match="datset"):
        RunConfig.of({"datset": "simulated"})


@pytest.mark.parametrize(
    ("text", "name", "what"),
    [(RAISES, "Breaks", "ZeroDivisionError: oops"), (HANDLER_RAISES, "Counts", "AssertionError: five")],
)
def test_a_strategy_that_raises_stops_the_run(text: str, name: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=rf"strategy {name}, (ZoneNear|ForcedFlow) in bar \d+ .*{what}"):
        ff.run("simulated", written(tmp_path, text), folder=tmp_path / "records" / "run")
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize("handles", [False, True])
def test_a_record_written_while_its_run_goes_on_is_the_one_written_after(
    handles: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("market.tape", "record"):
        monkeypatch.setattr(f"forcedflow.{module}.GROUP", 1024)  # so that the market pass hands out some pieces
    strategy = written(tmp_path, HANDLER) if handles else "zone_entry"
    early, late = tmp_path / "early", tmp_path / "late"
    ff.save(ff.run("simulated", strategy, folder=early), late)
    names = {file.name for file in early.iterdir()}
    assert names == {file.name for file in late.iterdir()}
    assert all((early / name).read_bytes() == (late / name).read_bytes() for name in names)


def test_a_handler_strategy_runs_and_repeats(tmp_path: Path) -> None:
    path = written(tmp_path, HANDLER)
    result = ff.run("simulated", path, params={"every": 20})
    flows = np.count_nonzero(result.events.kind == ff.EventKind.FORCED_FLOW)
    assert len(result.orders["order_id"]) == flows // 20
    assert result.blind == {"placement": None, "selection": None}
    assert result.summary["bars"] == len(result.snapshots.bar) * 10
    first, again = (
        ff.save(r, tmp_path / n) for r, n in ((result, "a"), (run_config(RunConfig.of(result.config)), "b"))
    )
    for file in first.iterdir():
        assert file.name == "timings.json" or file.read_bytes() == (again / file.name).read_bytes(), file.name


def test_ambiguous_bars_are_counted_and_told(tmp_path: Path) -> None:
    path = written(tmp_path, AMBIGUOUS)
    worst = ff.run("simulated", path)
    best = ff.run("simulated", path, account={"intrabar": "target_first"})
    count = worst.summary["ambiguous_bars"]
    assert count >= len(set(worst.trades["exit_bar"][worst.trades["ambiguous"]])) > 0
    assert any("a stop and a target" in warning and str(count) in warning for warning in worst.summary["warnings"])
    assert best.scorecard["net"] > worst.scorecard["net"]


def test_an_implausible_map_and_a_blind_one_are_told() -> None:
    wild = ff.run("simulated", market={"profile": "uniform-distance"})
    rate = wild.summary["implied_liquidation_rate"]
    told = [warning for warning in wild.summary["warnings"] if "liquidated a day" in warning]
    assert bool(told) == (not 0.002 <= rate <= 0.03)
    peers = ff.run("simulated", market={"profile": "peers"})
    assert peers.summary["implied_liquidation_rate"] > 0.03
    assert any("liquidated a day; prints say 0.2% to 3%" in warning for warning in peers.summary["warnings"])
    early = ff.run("simulated", end="2025-01-02", market={"min_coverage": 0.9})
    assert any("is located (the map starts empty" in warning for warning in early.summary["warnings"])
    assert early.summary["events"]["ZoneEntry"] == 0


def test_reopened_share_counts_what_comes_back(tape: ff.Tape) -> None:
    market = tape.market_bars
    swept = [sum(market[f"swept_{layer}"][bar] for layer in LAYERS) for bar in range(len(tape.bars))]
    level = float(np.quantile(swept, 0.99))
    opened = market["opened_long"] + market["opened_short"]
    large = [bar for bar, burn in enumerate(swept) if burn > 0 and burn >= level]
    after = [max(opened[bar], opened[min(bar + 1, len(swept) - 1)]) for bar in large]
    again = sum(min(swept[bar], came) for bar, came in zip(large, after, strict=True))
    share = reopened_share(tape)
    assert share == pytest.approx(again / sum(swept[bar] for bar in large))
    assert 0 < share < 1  # type: ignore[operator]
    none = {name: np.zeros(len(tape.bars)) for name in market}
    assert reopened_share(replace(tape, market_bars=none)) is None


def test_the_implied_rate_is_a_mean_over_bars_that_the_map_knows(tape: ff.Tape) -> None:
    market = tape.market_bars
    shares = [
        (market["swept_long_liq"][k] + market["swept_short_liq"][k]) / 2 / market["oi"][k - 1]
        for k in range(1, len(tape.bars))
        if market["coverage_long"][k] + market["coverage_short"][k] >= 0.5 and market["oi"][k] > 0
    ]
    assert tape.implied_liquidation_rate == pytest.approx(np.mean(shares) * 288)
    unknown = market | {"oi": np.zeros(len(tape.bars))}
    assert replace(tape, market_bars=unknown).implied_liquidation_rate is None


REAL = [name for name in ff.dataset_names() if name != "simulated"]


@pytest.mark.parametrize("name", REAL)
def test_every_real_dataset_ends_with_a_record_and_a_tearsheet(name: str, shared_data: Path, tmp_path: Path) -> None:
    found = ff.run(name)
    folder = ff.save(found, tmp_path / name)
    assert found.summary["trades"] > 0
    assert found.summary["coverage"] > 0.9
    assert 0.002 < found.summary["implied_liquidation_rate"] < 0.07
    doubtful = found.summary["implied_liquidation_rate"] > 0.03
    assert doubtful == any("liquidated a day" in warning for warning in found.summary["warnings"])
    assert found.summary["estimated_open_interest"] == (name == "silver-1h")
    assert 100_000 < (folder / "tearsheet.html").stat().st_size < 3_000_000
    assert ff.load_run(folder).summary == found.summary


def test_fees_are_the_venues_unless_they_are_set(shared_data: Path) -> None:
    silver = ff.run("silver-1h", start="2026-01-05", end="2026-02-10", params={"once_per_group": False})
    assert silver.config["account"]["taker_fee"] == 0.00001
    assert any(warning.startswith("fees of comex are assumed") for warning in silver.summary["warnings"])
    chosen = ff.run("silver-1h", start="2026-01-05", end="2026-02-10", account={"taker_fee": 0.0005, "maker_fee": 0.0})
    assert chosen.config["account"]["taker_fee"] == 0.0005
    assert not any("fees of" in warning for warning in chosen.summary["warnings"])
    replay = ff.Replay(
        "silver-1h", "zone_entry", start="2026-01-05", end="2026-02-10", params={"once_per_group": False}
    )
    np.testing.assert_array_equal(replay.finish().equity["equity"], silver.equity["equity"])


def test_a_replay_takes_what_a_run_takes() -> None:
    with pytest.raises(SettingsError, match="bin_bp"):
        ff.Replay("simulated", market={"bin_bp": 5})
    with pytest.raises(SettingsError, match="mode"):
        ff.Replay("simulated", "zone_entry", params={"mode": "up"})


PEEKS = f"""{HEAD}
class Peeks(ff.Strategy):
    def on_zone_near(self, event, market, account):
        assert len(market.bars) == event.bar + 1 == market.bar + 1
        for what, name in ((market, "dataset"), (account, "advance"), (account, "observe"), (account, "result")):
            assert not hasattr(what, name), name
"""


def test_a_handler_sees_no_later_bar_and_cannot_move_time(tmp_path: Path) -> None:
    found = ff.run("simulated", written(tmp_path, PEEKS), end="2025-01-20")
    assert found.summary["events"]["ZoneNear"] > 0
    assert any("no blind contrasts" in warning for warning in found.summary["warnings"])


def test_a_strategy_that_ends_the_process_is_an_error(tmp_path: Path) -> None:
    quits = RAISES.replace('ZeroDivisionError("oops")', "SystemExit(0)")
    with pytest.raises(StrategyError, match=r"Breaks.*ZoneNear in bar \d+.*SystemExit"):
        ff.run("simulated", written(tmp_path, quits))


def test_a_map_between_two_prices_in_either_order() -> None:
    replay = ff.Replay("simulated")
    seen = 0
    for event in replay:
        if event.kind is ff.EventKind.ZONE_ENTRY and event.mass_after > 0:
            there = replay.map.between(event.near, event.far)
            assert there.tolist() == replay.map.between(event.far, event.near).tolist()
            side = there[[0, 2]] if event.side < 0 else there[[1, 3]]
            assert side.sum() == pytest.approx(event.mass_after * replay.map.open_interest)
            seen += 1
    assert seen > 10


def test_contracts_must_be_the_venues(tape: ff.Tape) -> None:
    data = tape.dataset
    inverse = replace(data, venues=(replace(data.venues[0], contract="inverse"),))
    with pytest.raises(VenueError, match="binance-um has linear contracts"):
        ff.make_tape(inverse)


def test_without_volume_the_map_goes_on_and_it_is_said(tape: ff.Tape) -> None:
    data = tape.dataset
    silent = replace(data.bars, volume=np.zeros(len(data.bars)))
    found = ff.make_tape(replace(data, bars=silent))
    assert any("no volume" in note for note in found.notes)
    assert not (found.events.kind == ff.EventKind.FORCED_FLOW).any()
    strategy = ff.find_strategy("zone_entry")()
    assert len(ff.trade(silent, found.events, strategy, ff.AccountSettings()).trades["net"]) > 0
