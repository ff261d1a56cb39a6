"""Contract 3 for long tapes: any chunks, stopped and resumed anywhere, of memory or of files: the same bits."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import forcedflow
from benchmarks import long_stream
from forcedflow.data import load_dataset
from forcedflow.data.chunks import chunks_of
from forcedflow.data.series import Dataset
from forcedflow.errors import DataError, RecordError
from forcedflow.market import checkpoint
from forcedflow.market.stream import TapeChunk, TapeStream, stream
from forcedflow.market.tape import MarketPass, make_tape
from forcedflow.settings import MarketSettings
from generators import COARSE, HOUR, JIT, Shape, dataset, examples, shapes
from test_contracts import FINE, REAL, real

REVERSALS = COARSE.model_copy(update={"pivots": "reversal", "channel": "pivot", "reversal_atr": 3.0})
DONCHIAN = COARSE.model_copy(update={"channel": "donchian", "pivot_bars": 7, "exhaust_bars": 3})


def in_pieces(market: Dataset, settings: MarketSettings, seed: int, most: int, stops: float = 0.2) -> list[TapeChunk]:
    """Stream in chunks of 1 to ``most`` bars, and now and then stop and go on from a file."""
    rng = np.random.default_rng(seed)
    parts: list[TapeChunk] = []
    tape = TapeStream(chunks_of(market), settings)
    with TemporaryDirectory() as folder:
        while (part := tape.take(int(rng.integers(1, most + 1)))) is not None:
            parts.append(part)
            assert part.first + len(part.bars) == tape.bar
            if rng.random() < stops:
                tape = stream(market, settings, resume=tape.checkpoint(Path(folder) / "checkpoint.npz"))
    return parts


def assert_whole(parts: list[TapeChunk], market: Dataset, settings: MarketSettings) -> None:
    whole = make_tape(market, settings, snapshots=0)
    assert sum(len(part.bars) for part in parts) == len(market.bars)
    assert b"".join(part.events.rows.tobytes() for part in parts) == whole.events.rows.tobytes()
    for name, column in whole.market_bars.items():
        assert np.concatenate([part.market_bars[name] for part in parts]).tobytes() == column.tobytes(), name


@examples(24)
@given(shapes(bars=80), st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 40]))
def test_chunks_and_stops_change_nothing(shape: Shape, seed: int, most: int) -> None:
    market = dataset(shape)
    assert_whole(in_pieces(market, COARSE, seed, most), market, COARSE)


@examples(24)
@given(shapes(bars=80, gaps=True), st.integers(0, 2**32 - 1), st.sampled_from([REVERSALS, DONCHIAN]))
def test_every_kind_of_structure_is_carried_over(shape: Shape, seed: int, settings: MarketSettings) -> None:
    market = dataset(shape)
    assert_whole(in_pieces(market, settings, seed, 9), market, settings)


@examples(12)
@given(shapes(bars=80, venues=("volume",), gaps=True), st.integers(0, 2**32 - 1))
def test_estimated_open_interest_is_carried_over(shape: Shape, seed: int) -> None:
    for calendar in ("24/7", "sessions"):
        market = replace(dataset(shape), calendar=calendar)
        assert_whole(in_pieces(market, COARSE, seed, 9), market, COARSE)


def test_open_interest_may_pause_for_many_chunks() -> None:
    market = dataset(Shape(seed=4, bars=400, lag=3))
    (venue,) = market.venues
    oi = venue.open_interest
    assert oi is not None
    kept = (oi.stamp < market.bars.close_ts[20]) | (oi.stamp > market.bars.close_ts[390])
    sparse = type(oi)(oi.stamp[kept], oi.available_at[kept], oi.value[kept])
    market = replace(market, venues=(replace(venue, open_interest=sparse),))
    assert_whole(in_pieces(market, COARSE, 0, 5), market, COARSE)


@pytest.mark.parametrize(("name", "first"), REAL)
def test_real_markets_are_the_same_in_chunks(shared_data: Path, name: str, first: int) -> None:
    market = real(name, first)
    assert_whole(in_pieces(market, FINE, 1, 120 if JIT else 30), market, FINE)


@pytest.mark.skipif(not JIT, reason="ten thousand bars take minutes without compiled code")
def test_a_file_is_streamed_like_a_dataset() -> None:
    market = load_dataset("simulated")
    assert_whole(list(stream("simulated", chunk=3_333)), market, MarketSettings())


def test_what_is_swept_is_listed_chunk_by_chunk() -> None:
    market = dataset(Shape(seed=3, bars=90, step=0.03))
    whole = make_tape(market, COARSE, log_swept=True).swept
    assert whole is not None
    chunks = chunks_of(market)
    first = chunks.take(40)
    assert first is not None
    live = MarketPass(first, COARSE, log_swept=True, span=market.span)
    masses = []
    while True:
        live.advance()
        swept = live.swept()
        assert swept is not None
        masses.append(swept.mass)
        assert len(swept.start) == len(live.dataset.bars) + 1
        if (more := chunks.take(40)) is None:
            break
        live.follow(more)
    assert len(whole.mass) > 0
    assert np.concatenate(masses).tobytes() == whole.mass.tobytes()


def test_memory_is_that_of_a_chunk() -> None:
    """What a pass holds after many chunks is what it holds after a few."""
    market = dataset(Shape(seed=5, bars=600 if JIT else 120, step=0.001))
    sizes = []
    tape = TapeStream(chunks_of(market), COARSE)
    with TemporaryDirectory() as folder:
        while tape.take(20) is not None:
            file = tape.checkpoint(Path(folder) / "checkpoint.npz")
            arrays = checkpoint.read(file)[1]
            sizes.append(sum(a.nbytes for name, a in arrays.items() if name != "stored"))
    assert len(sizes) >= 6
    assert max(sizes[3:]) <= sizes[2]


# --- What is refused ---


def test_a_checkpoint_goes_on_with_nothing_else(tmp_path: Path) -> None:
    market = dataset(Shape(bars=60))
    file = tmp_path / "checkpoint.npz"
    tape = TapeStream(chunks_of(market), COARSE)
    with pytest.raises(DataError, match="no bar was taken"):
        tape.checkpoint(file)
    tape.take(30)
    tape.checkpoint(file)
    with pytest.raises(RecordError, match=r"another settings: \{'bin_bps': 50.0\}, not \{'bin_bps': 25.0\}"):
        stream(market, COARSE.model_copy(update={"bin_bps": 25.0}), resume=file).take(1)
    with pytest.raises(RecordError, match="those before bar 30 differ"):
        stream(dataset(Shape(bars=60, seed=1)), COARSE, resume=file)
    other = replace(market, venues=(replace(market.venues[0], symbol="ETH"),))
    with pytest.raises(RecordError, match="another venues"):
        stream(other, COARSE, resume=file).take(1)
    with pytest.raises(RecordError, match="no such checkpoint"):
        stream(market, COARSE, resume=tmp_path / "none.npz")
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(RecordError, match="damaged"):
        stream(market, COARSE, resume=file)


def test_a_checkpoint_of_other_kernels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    market = dataset(Shape(bars=60))
    tape = TapeStream(chunks_of(market), COARSE)
    tape.take(30)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_FORMAT", {"format": 1, "kernels": "others"})
        file = tape.checkpoint(tmp_path / "checkpoint.npz")
    with pytest.raises(RecordError, match="another version"):
        stream(market, COARSE, resume=file)


def test_chunks_must_follow() -> None:
    market = dataset(Shape(bars=60))
    one, two = (market.between(*span) for span in ((None, int(market.bars.ts[30])), (int(market.bars.ts[30]), None)))
    live = MarketPass(one, COARSE, span=market.span)
    with pytest.raises(DataError, match="still to be taken"):
        live.follow(two)
    with pytest.raises(DataError, match="still to be taken"):
        live.checkpoint("nowhere.npz")
    live.advance()
    with pytest.raises(DataError, match="must follow on"):
        live.follow(one)
    drawn = MarketPass(one, COARSE, snapshots=3)
    drawn.advance()
    with pytest.raises(DataError, match="snapshots"):
        drawn.follow(two)
    with pytest.raises(DataError, match="at least one bar"):
        stream(market, chunk=0)


# --- Data that grow, jobs that are killed ---


def cut(source: Path, folder: Path, rows: int) -> Path:
    """Write the first rows of a dataset's bars, with all of its open interest, as another dataset."""
    shutil.copytree(source, folder)
    pq.write_table(pq.read_table(source / "bars.parquet").slice(0, rows), folder / "bars.parquet")
    return folder / "long.toml"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    long_stream.make(folder, 6_000 if JIT else 300)
    return folder


def test_events_are_written_in_parts_and_a_killed_job_goes_on(files: Path, tmp_path: Path) -> None:
    rows = len(load_dataset(files / "long.toml").bars)
    step = rows // 6
    settings = COARSE
    whole = make_tape(load_dataset(files / "long.toml"), settings, snapshots=0).events
    out = tmp_path / "events"
    done: list[tuple[int, int]] = []

    def kill(bars: int, total: int) -> None:
        done.append((bars, total))
        if len(done) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forcedflow.write_events(files / "long.toml", out, settings, chunk=step, progress=kill)
    assert done == [(step, rows), (2 * step, rows), (3 * step, rows)]
    with pytest.raises(RecordError, match="go on with it"):
        forcedflow.write_events(files / "long.toml", out, settings)
    # Killed between a part and its checkpoint: that part is there, and is replaced by one of another length.
    (out / f"events-{4 * step:012d}.parquet").write_bytes(b"half")
    written = forcedflow.write_events(files / "long.toml", out, settings, chunk=2 * step, resume=True)
    assert (written.begin, written.bars) == (3 * step, rows)
    assert sorted(path.name for path in out.iterdir()) == [
        "_checkpoint.npz",
        *(f"events-{first:012d}.parquet" for first in (0, step, 2 * step, 3 * step, 5 * step)),
    ]
    table = pq.read_table(out)
    assert all(table[name].to_numpy().tobytes() == getattr(whole, name).tobytes() for name in table.column_names)
    again = forcedflow.write_events(files / "long.toml", out, settings, resume=True)
    assert (again.begin, again.bars, again.events) == (rows, rows, {})


def test_data_may_grow_between_two_jobs(files: Path, tmp_path: Path) -> None:
    rows = len(load_dataset(files / "long.toml").bars)
    shorter = cut(files, tmp_path / "data", rows // 2)
    out = tmp_path / "events"
    forcedflow.write_events(shorter, out, COARSE, chunk=rows // 5)
    shutil.copy(files / "bars.parquet", shorter.parent / "bars.parquet")
    written = forcedflow.write_events(shorter, out, COARSE, chunk=rows // 5, resume=True)
    assert (written.begin, written.bars) == (rows // 2, rows)
    whole = make_tape(load_dataset(files / "long.toml"), COARSE, snapshots=0).events
    assert pq.read_table(out)["group"].to_numpy().tobytes() == whole.group.tobytes()


def test_margin_changes_that_come_later_are_met(tmp_path: Path) -> None:
    """A checkpoint before silver's margins rose goes on with data in which they do."""
    market = dataset(Shape(seed=2, bars=120, interval=HOUR, venues=("margins", "inverse")))
    short = market.between(None, int(market.bars.close_ts[5]))
    assert not len(MarketPass(short, COARSE).map.arrays.changes)
    assert len(MarketPass(market, COARSE).map.arrays.changes)
    tape = TapeStream(chunks_of(short), COARSE)
    first = tape.take(6)
    assert first is not None
    file = tape.checkpoint(tmp_path / "checkpoint.npz")
    assert_whole([first, *stream(market, COARSE, chunk=11, resume=file)], market, COARSE)


@pytest.mark.deep
@pytest.mark.parametrize("recorded", [False, True])
def test_peak_memory_does_not_grow_with_the_bars(recorded: bool) -> None:
    few, many = (long_stream.run(bars, recorded=recorded)["peak_rss_mb"] for bars in (1_000_000, 5_000_000))
    assert many < few + 40


def test_a_chunk_of_a_file_holds_what_its_rows_say(files: Path) -> None:
    table = pq.read_table(files / "bars.parquet")
    source = chunks_of(files / "long.toml")
    source.skip(100)
    part = source.take(7)
    assert part is not None
    assert part.bars.ts.tolist() == table["ts"][100:107].to_pylist()
    assert part.bars.close.tolist() == table["close"][100:107].cast(pa.float64()).to_pylist()
    assert source.end == table["ts"][-1].as_py() + long_stream.BAR
