"""What the market pass spends its time on: ``python tests/benchmarks/market_pass_parts.py``.

Each part is taken out of a copy of the package, the copy is compiled, and the time a bar is compared with the whole
pass. Parts overlap (without channels there are no breaks to report), so they need not sum up to the whole. Processor
time, the least of five passes over 1,000,000 one-minute bars; compiling takes a few minutes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = TESTS.parent / "engine" / "forcedflow"
KERNEL = "kernels/market_pass.py"
PARTS = {
    "fitting channels, and what follows from them": (
        "if is_due(channel, queue, bar):",
        "if False and is_due(channel, queue, bar):",
    ),
    "pivots": ("        note_pivots(pivots, high, low, close, averages.atr, bar, first)\n", ""),
    "watching zones near the close, and their events": ("if not _nothing_near(", "if False and not _nothing_near("),
    "completing the rows of events": ("if count > begin:", "if False and count > begin:"),
    "writing the market columns": ("        _note(head, venues, market, averages, channel, at)\n", ""),
}
"""What is replaced in the kernel to take a part out."""
MEASURE = """
import time
from benchmarks.test_market_pass import bare_map, grown, minutes
from forcedflow.market.tape import MarketPass

BARS = 1_000_000
dataset = minutes(BARS)
MarketPass(minutes(2_000)).advance()
bare_map(*grown(minutes(2_000)))

def least(setup, action):
    times = []
    for _ in range(5):
        made = setup()
        begun = time.process_time()
        action(made)
        times.append(time.process_time() - begun)
    return min(times) / BARS * 1e9

whole = least(lambda: MarketPass(dataset, event_rows=1 << 17), lambda market: market.advance())
print(whole, least(lambda: grown(dataset), lambda arguments: bare_map(*arguments)))
"""


def measure(cache: Path, old: str = "", new: str = "") -> tuple[float, float]:
    """Return nanoseconds a bar of the pass and of the bare map, with something of the kernel replaced."""
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "forcedflow"
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        source = (copy / KERNEL).read_text()
        if old:
            if source.count(old) != 1:
                raise SystemExit(f"{KERNEL} should hold once: {old.strip()!r}")
            source = source.replace(old, new)
        (copy / KERNEL).write_text(source)
        paths = os.pathsep.join((folder, str(TESTS)))
        environment = os.environ | {"PYTHONPATH": paths, "FORCEDFLOW_CACHE_DIR": str(cache)}
        done = subprocess.run(
            [sys.executable, "-c", MEASURE], env=environment, check=True, capture_output=True, text=True
        )
    whole, bare = done.stdout.split()
    return float(whole), float(bare)


def main() -> None:
    """Print a table of the parts."""
    print("| part | ns a bar |\n| --- | --: |")
    with TemporaryDirectory() as cache:
        whole, bare = measure(Path(cache))
        print(f"| whole pass | {whole:.0f} |\n| the bare map: burn, fade, settle, add | {bare:.0f} |")
        for part, (old, new) in PARTS.items():
            without, _ = measure(Path(cache), old, new)
            print(f"| {part} | {whole - without:.0f} |", flush=True)


if __name__ == "__main__":
    main()
