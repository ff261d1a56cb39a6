"""The command line: what it prints where, its exit codes, and the files that it leaves."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import forcedflow as ff
from forcedflow import cli
from forcedflow.data import data_root
from forcedflow.errors import CatalogError, SettingsError

SPAN = ("--from", "2025-01-10", "--to", "2025-01-14")
RUN_KEYS = {
    *("run", "dataset", "data_hash", "bars", "coverage", "implied_liquidation_rate", "events", "trades"),
    *("scorecard", "blind", "market_pass_s", "trade_pass_s", "ambiguous_bars", "warnings"),
}
LIQPRICE = (
    *("liqprice", "--venue", "binance-um", "--symbol", "BTCUSDT", "--entry", "60000"),
    *("--qty", "1", "--leverage", "10", "--at", "2024-10-24"),
)
OWN_DATA = """
title = "Mine"
source = "me"
licence = "mine"
[bars]
file = "bars.parquet"
interval = "5min"
columns = { ts = { column = "ts", unit = "ns" } }
[[venues]]
id = "binance-um"
symbol = "BTCUSDT"
profile = "hyperliquid-like"
"""
OWN_STRATEGY = '''
import forcedflow as ff
class Mine(ff.Strategy):
    """Buys when sold to.

    At the market.
    """
    listens = (ff.EventKind.FORCED_FLOW,)
    def plan(self, events):
        return ff.Plan(1, size=1, size_rule="units")
'''


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object that stdout must be."""
        assert self.code == 0, self.err
        assert self.out.count("\n") == 1
        value = json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
        assert isinstance(value, dict)
        return value

    def assert_error(self, *words: str, code: int = 2) -> None:
        """One line on stderr that holds the words, nothing on stdout."""
        assert (self.code, self.out) == (code, "")
        (line,) = [line for line in self.err.splitlines() if "compiling kernels" not in line]
        assert line.startswith("forcedflow: ")
        for word in words:
            assert word in line


Cli = Callable[..., Result]


@pytest.fixture
def run_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Call the command line as a process would, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["forcedflow", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        return Result(code, *capsys.readouterr())

    return call


# --- run ---


def test_run_prints_one_json_object(run_cli: Cli, tmp_path: Path) -> None:
    told = run_cli("run", "--json", *SPAN, "--out", "deep/er/here").json
    assert told.keys() >= RUN_KEYS
    assert told["dataset"] == "simulated"
    assert told["bars"] == 4 * 288
    assert set(told["events"]) == {kind.title for kind in ff.EventKind}
    assert set(told["blind"]) == {"placement", "selection"}
    folder = Path(told["run"])
    assert folder == tmp_path / "deep/er/here"
    assert json.loads((folder / "scorecard.json").read_text()) == told["scorecard"]
    assert ff.load_run(folder).config["data_hash"] == told["data_hash"]


def test_run_prints_a_table_and_the_page_for_people(run_cli: Cli, tmp_path: Path) -> None:
    result = run_cli("run", *SPAN)
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0] == "zone_entry on SIMULATED market of leveraged agents, 5 min"
    assert "2025-01-10T00:00:00Z to 2025-01-14T00:00:00Z, 1,152 bars" in lines[1]
    assert any(line.startswith("! SIMULATED") for line in lines)
    assert "Max drawdown" in result.out
    (folder,) = (tmp_path / "results").iterdir()
    assert folder.name.endswith("-simulated-zone_entry")
    assert lines[-1].endswith(f"{folder.name}/tearsheet.html")
    assert "\x1b" not in result.out


def test_two_runs_in_one_second_get_two_folders(run_cli: Cli, tmp_path: Path) -> None:
    for _ in range(3):
        run_cli("run", *SPAN, "--json")
    assert len(list((tmp_path / "results").iterdir())) == 3


def test_set_reaches_parameters_market_and_account(run_cli: Cli, tmp_path: Path) -> None:
    settings = ("mode=ride", "market.bin_bps=20", "account.cash=5e3", "risk=0.01", "once_per_group=false")
    run_cli("run", *SPAN, "--out", "a", *(word for s in settings for word in ("--set", s)))
    config = json.loads((tmp_path / "a/run.json").read_text())
    assert (config["params"]["mode"], config["params"]["risk"]) == ("ride", 0.01)
    assert config["params"]["once_per_group"] is False
    assert (config["market"]["bin_bps"], config["account"]["cash"]) == (20.0, 5000.0)


def test_config_repeats_a_run_and_the_command_line_wins(run_cli: Cli, tmp_path: Path) -> None:
    run_cli("run", *SPAN, "--out", "a", "--set", "mode=ride", "--set", "market.bin_bps=20", "--seed", 3)
    again = run_cli("run", "--config", "a/run.json", "--out", "b", "--json").json
    for file in (tmp_path / "a").iterdir():
        assert file.name == "timings.json" or file.read_bytes() == (Path(again["run"]) / file.name).read_bytes()
    (tmp_path / "c.toml").write_text(
        'start = "2025-01-10"\nend = "2025-01-12"\n[params]\nmode = "ride"\nrisk = 0.002\n'
    )
    run_cli("run", "--config", "c.toml", "--to", "2025-01-11", "--set", "risk=0.003", "--out", "c")
    config = json.loads((tmp_path / "c/run.json").read_text())
    assert (config["start"], config["end"]) == ("2025-01-10", "2025-01-11")
    assert (config["params"]["mode"], config["params"]["risk"]) == ("ride", 0.003)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing",), ("no dataset 'nothing'", "simulated")),
        (("missing.toml",), ("missing.toml", "no such file")),
        (("--strategy", "nothing"), ("no strategy 'nothing'", "zone_entry")),
        (("--set", "mod=ride"), ("mod", "Known", "mode")),
        (("--set", "mode"), ("key=value", "'mode'")),
        (("--set", "=3"), ("key=value",)),
        (("--set", "zone.on=3"), ("market.K", "'zone.on'")),
        (("--set", "market.bin_bps=-1"), ("bin_bps", "greater than or equal to 0.1")),
        (("--from", "yesterday"), ("yesterday",)),
        (("--from", "2030-01-01"), ("no bar between", "the data covers")),
        (("--config", "missing.json"), ("cannot read missing.json",)),
        (("--repair", "everything"), ("everything",)),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_exit_2(
    run_cli: Cli, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    run_cli("run", *arguments).assert_error(*words)
    assert not list(tmp_path.iterdir())


def test_a_config_that_is_no_table_is_refused(run_cli: Cli, tmp_path: Path) -> None:
    for name, text in (("a.json", "[1, 2]"), ("b.json", "{"), ("c.toml", "x = ")):
        (tmp_path / name).write_text(text)
        run_cli("run", "--config", name).assert_error(name)


def test_a_traceback_only_with_debug(run_cli: Cli) -> None:
    with pytest.raises(SettingsError):
        run_cli("--debug", "run", "--set", "mod=ride")


def test_a_record_is_never_overwritten(run_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    run_cli("run", *SPAN, "--out", "taken").assert_error("never overwritten")
    assert not list((tmp_path / "taken").iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_strategy_that_raises_is_named_with_event_and_bar(run_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(OWN_STRATEGY.replace("return", "return 1 / 0,"))
    run_cli("run", "--strategy", "bad.py").assert_error("strategy Mine, ForcedFlow in bar ", "ZeroDivisionError")
    assert not (tmp_path / "results").exists()


def test_a_users_own_strategy_is_found_by_name(run_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies/mine.py").write_text(OWN_STRATEGY)
    assert run_cli("run", *SPAN, "--strategy", "mine", "--json").json["trades"] > 0
    assert run_cli("strategies", "--json").json["strategies"]["mine"] == "Buys when sold to."


def test_a_users_own_data_from_elsewhere(run_cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "mine.toml").write_text(OWN_DATA)
    close = 50_000 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.004, 3000)))
    open_ = np.concatenate(([50_000], close[:-1]))
    columns = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close}
    ts = 1_735_689_600_000_000_000 + 300_000_000_000 * np.arange(3000)
    table = pa.table({"ts": ts, **columns, "volume": np.full(3000, 10.0)})
    parquet.write_table(table, folder / "bars.parquet")
    told = run_cli("run", "data/mine.toml", "--json").json
    assert told["bars"] == 3000
    assert "-mine-" in told["run"]
    assert any("estimated" in warning for warning in told["warnings"])
    findings = run_cli("data", "check", "data/mine.toml", "--json").json["findings"]
    assert ["binance-um open interest", "none: estimated from volume"] in findings

    columns["low"][7] = columns["high"][7] * 2
    parquet.write_table(pa.table({"ts": ts, **columns, "volume": np.full(3000, 10.0)}), folder / "bars.parquet")
    run_cli("run", "data/mine.toml").assert_error("bars.parquet", "row 7", "column 'low'")


# --- map ---


def test_map_writes_pages_pictures_and_tables(run_cli: Cli, tmp_path: Path) -> None:
    for name in ("m.html", "m.parquet"):
        result = run_cli("map", "simulated", "--at", "2025-01-20T12:00:00Z", "--out", name)
        assert (result.code, result.out) == (0, f"{name}\n")
    assert "SIMULATED" in (tmp_path / "m.html").read_text()
    now = parquet.read_table(tmp_path / "m.parquet")
    assert now.num_rows > 10
    later = run_cli("map", "simulated", "--out", "later.parquet", "--set", "market.bin_bps=20")
    assert later.code == 0
    assert not parquet.read_table(tmp_path / "later.parquet").equals(now)


def test_map_writes_png(run_cli: Cli, tmp_path: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        run_cli("map", "simulated", "--out", "m.png").assert_error("matplotlib")
        return
    assert run_cli("map", "simulated", "--out", "m.png").code == 0
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--out", "m.gif"), (".html, .png, .parquet",)),
        (("--out", "nowhere/m.html"), ("no folder nowhere",)),
        (("--out", "m.html", "--set", "mode=ride"), ("market settings", "'mode=ride'")),
        (("--out", "m.html", "--at", "2020-01-01"), ("no bar",)),
    ],
)
def test_map_refuses(run_cli: Cli, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    run_cli("map", "simulated", *arguments).assert_error(*words)


# --- events ---


def test_events_are_written_in_parts_and_resumed(run_cli: Cli, tmp_path: Path) -> None:
    first = run_cli("events", "simulated", "--out", "e", "--chunk", "4000", "--set", "market.bin_bps=20")
    assert (first.code, first.out.splitlines()[-1]) == (0, str(tmp_path / "e"))
    assert first.out.startswith("bars 0 to 10,000: ")
    table = parquet.read_table(tmp_path / "e")
    assert table["bar"].to_numpy().max() > 8000
    run_cli("events", "simulated", "--out", "e").assert_error("go on with it")
    again = run_cli("events", "simulated", "--out", "e", "--resume", "--set", "market.bin_bps=20", "--json").json
    assert (again["begin"], again["bars"], again["events"]) == (10_000, 10_000, {})
    run_cli("events", "simulated", "--out", "f", "--set", "mode=ride").assert_error("market settings")


# --- liqprice ---


def test_liqprice_gives_the_venues_own_number(run_cli: Cli) -> None:
    told = run_cli(*LIQPRICE, "--side", "long", "--json").json
    assert told["liquidation_price"] == pytest.approx(54221.1055, abs=5e-5)
    assert told["bankruptcy_price"] == pytest.approx(54_000)
    assert told["bracket"]["rate"] == 0.005
    text = run_cli(*LIQPRICE, "--side", "long")
    assert text.out.splitlines()[0] == "liquidation price  54,221.1055"
    assert run_cli(*LIQPRICE, "--side", "short", "--json").json["liquidation_price"] > 60_000


def test_liqprice_that_never_comes_is_null(run_cli: Cli) -> None:
    arguments = [*LIQPRICE, "--side", "long", "--json"]
    arguments[arguments.index("--leverage") + 1] = "1"
    assert run_cli(*arguments).json["liquidation_price"] is None
    assert "never" in run_cli(*arguments[:-1]).out


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("--side", "up", ("long or short", "'up'")),
        ("--venue", "mtgox", ("mtgox", "binance-um")),
        ("--leverage", "0", ("leverage",)),
        ("--leverage", "1000", ("1000",)),
        ("--entry", "nan", ("entry",)),
        ("--at", "yesterday", ("yesterday",)),
    ],
)
def test_liqprice_refuses(run_cli: Cli, name: str, value: str, words: tuple[str, ...]) -> None:
    arguments = [*LIQPRICE, "--side", "long"]
    arguments[arguments.index(name) + 1] = value
    run_cli(*arguments).assert_error(*words)


# --- strategies, data ---


def test_strategies_are_listed_and_shown(run_cli: Cli) -> None:
    assert "zone_entry" in run_cli("strategies", "--json").json["strategies"]
    assert "Trade where price meets a zone of forced orders." in run_cli("strategies").out
    shown = run_cli("strategies", "zone_entry")
    for word in ("absorb | ride", "stop_atr", "<= 20", "share of equity lost if the stop fills", "0.005"):
        assert word in shown.out
    told = run_cli("strategies", "zone_entry", "--json").json
    assert told["parameters"]["risk"]["maximum"] == 0.1
    assert told["doc"].startswith("Trade where price")
    run_cli("strategies", "nothing").assert_error("nothing", "zone_entry")


def test_a_strategy_is_shown_with_what_a_trader_asks(run_cli: Cli, tmp_path: Path) -> None:
    shown = run_cli("strategies", "channel_breakout").out
    for word in ("Hears ChannelBreak", "placement: the same entries", "backed | bare | all", "true | false", "breaks"):
        assert word in shown
    assert shown.index("max_target_atr") < shown.index("of the account") < shown.index("conflict")
    told = run_cli("strategies", "void_exhaustion", "--json").json
    assert (told["form"], told["hears"]) == ("plan", ["VoidExhaustion"])
    assert told["contrasts"] == ["placement", "selection"]
    run_cli("new", "strategy", "mine", "--form", "handlers")
    assert "No blind contrasts" in run_cli("strategies", "mine").out


@pytest.mark.parametrize("form", ["plan", "handlers"])
def test_a_new_strategy_passes_the_checks_and_runs(run_cli: Cli, tmp_path: Path, form: str) -> None:
    told = run_cli("new", "strategy", "fade_it", "--form", form, "--dir", "own")
    path = tmp_path / "own/fade_it.py"
    first, _, *commands = told.out.splitlines()
    assert (told.code, first) == (0, "own/fade_it.py")
    assert "class FadeIt(ff.Strategy)" in path.read_text()
    for command in commands:
        assert run_cli(*command.split()[1:]).code == 0, command
    assert run_cli("check", "own/fade_it.py", "--json").json["passed"] is True
    path.write_text("mine now")
    run_cli("new", "strategy", "fade_it", "--dir", "own").assert_error("own/fade_it.py", "never overwritten")
    assert path.read_text() == "mine now"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("new", "strategy", "Fade"), ("small letters", "'Fade'")),
        (("new", "strategy", "../fade"), ("small letters", "'../fade'")),
        (("new", "strategy", "class"), ("small letters", "'class'")),
        (("new", "strategy", "zone_entry"), ("'zone_entry' ships", "another name")),
        (("new", "strategy", "fade", "--form", "handler"), ("'handler' (did you mean 'handlers'?)", "plan")),
        (("check", "zone_enty"), ("did you mean 'zone_entry'?",)),
        (("check", "zone_entry", "--set", "stop_art=2"), ("stop_art: unknown (did you mean 'stop_atr'?)",)),
        (("check", "zone_entry", "--set", "market.bin_bps=2"), ("parameters only", "market.bin_bps")),
        (("run", "simulatde"), ("did you mean 'simulated'?",)),
        (
            ("run", "--set", "market.bin_bp=2"),
            ("market.bin_bp: unknown (did you mean 'bin_bps'?)", "Known in market: "),
        ),
        (("run", "--set", "account.chash=2"), ("(did you mean 'cash'?)", "Known in account: cash, ")),
        (("run", "--set", "bin_bps=2"), ("bin_bps: unknown", "Set market.bin_bps")),
        (("run", "--set", "makret.bin_bps=2"), ("did you mean 'market'?",)),
    ],
)
def test_what_is_misspelt_is_told_what_was_meant(
    run_cli: Cli, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    run_cli(*arguments).assert_error(*words)
    assert not list(tmp_path.iterdir())


def test_a_strategy_that_fails_a_check_is_one_line_and_exit_2(run_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN_STRATEGY.replace("size=1,", "size=float(len(events)),"))
    run_cli("check", "mine.py").assert_error("mine.py fails 'elementwise': ", "column 'size' changes")
    told = run_cli("check", "mine.py", "--json")
    assert told.code == 2
    assert [f["check"] for f in json.loads(told.out)["findings"] if f["status"] == "failed"] == ["elementwise"]


def test_data_is_listed_and_checked(run_cli: Cli) -> None:
    assert list(run_cli("data", "list", "--json").json["datasets"]) == list(ff.dataset_names())
    assert "silver-1h" in run_cli("data", "list").out
    findings = dict(run_cli("data", "check", "simulated", "--json").json["findings"])
    assert "10000 of 5 min" in findings["bars"]
    assert len(findings["data hash"]) == 64
    assert "SIMULATED" in run_cli("data", "check", "simulated").out


def test_data_that_is_not_here_names_the_variable(
    run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCEDFLOW_DATA", str(tmp_path / "nowhere"))
    for command in (("run", "btcusdt-5m"), ("data", "check", "btcusdt-5m"), ("map", "silver-1h", "--out", "m.html")):
        run_cli(*command).assert_error("FORCEDFLOW_DATA", "nowhere")
    monkeypatch.delenv("FORCEDFLOW_DATA")
    monkeypatch.setattr("forcedflow.data.catalog.__file__", str(tmp_path / "a/b/c/d/e.py"))
    with pytest.raises(CatalogError, match="set FORCEDFLOW_DATA"):
        data_root()


# --- The process ---


def process(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "forcedflow", *arguments]
    return subprocess.run(command, cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False)


def test_an_unwritable_cache_folder_falls_back_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    env = {"FORCEDFLOW_CACHE_DIR": str(tmp_path / "file" / "below"), "TMPDIR": str(tmp_path)}
    ended = process("run", "--to", "2025-01-02", "--json", cwd=tmp_path, NUMBA_DISABLE_JIT="1", **env)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["bars"] == 288
    assert "cannot write compiled code" in ended.stderr
    assert "FORCEDFLOW_CACHE_DIR" in ended.stderr


def test_help_and_mistakes_do_not_import_the_engine(tmp_path: Path) -> None:
    code = (
        "import sys; from forcedflow import cli\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'numba', 'numpy', 'pandas', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    for arguments in (["--help"], ["run", "--help"]):
        subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    ended = process("liqprice", "--side", "long", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "--venue" in ended.stderr
