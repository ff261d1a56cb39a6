"""The house: public names, light imports, layers that a linter cannot see, and what no committed file may say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import forcedflow as ff
from forcedflow.kernels import market_pass
from forcedflow.market.tape import MarketPass
from forcedflow.tables import EVENT_COLUMNS, EVENT_INTS, MARKET_BARS, Events

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "engine/forcedflow"
HOMES: dict[str, str] = vars(ff)["_HOMES"]
KERNELS = sorted((PACKAGE / "kernels").glob("[!_]*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (module, name) for everything that a file imports, wherever it does."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


# --- Public names ---


def test_all_is_sorted_and_is_what_the_package_offers() -> None:
    assert ff.__all__ == sorted(ff.__all__)
    assert set(ff.__all__) == {*HOMES, "__version__"}
    assert dir(ff) == ff.__all__
    for name in ff.__all__:
        assert getattr(ff, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'liquidations'"):
        _ = ff.liquidations  # type: ignore[attr-defined]


def test_the_stub_says_the_same() -> None:
    """Type checkers read the stub, Python reads _HOMES: each name comes from the same place in both."""
    body = tree(PACKAGE / "__init__.pyi").body
    stub = {
        alias.asname: (node.module, alias.name)
        for node in body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in body:  # load_run = _record.read: a stub cannot export an import under another name
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute):
            (target,) = node.targets
            assert isinstance(target, ast.Name)
            module = ".".join(filter(None, stub.pop(ast.unparse(node.value.value))))
            stub[target.id] = (module, node.value.attr)
    homes = {}
    for name, home in HOMES.items():
        module, colon, inner = f"forcedflow.{home}".partition(":")
        parent, _, child = module.rpartition(".")
        homes[name] = (parent, child) if colon and not inner else (module, inner or name)
    assert stub == homes


def test_no_public_name_hides_a_top_level_module() -> None:
    assert not {path.stem for path in PACKAGE.iterdir()} & set(ff.__all__)


def test_import_is_light() -> None:
    code = (
        "import sys, forcedflow; dir(forcedflow)\n"
        "heavy = {'numba', 'numpy', 'pandas', 'pyarrow', 'pydantic', 'typer', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert forcedflow.run and forcedflow.Replay\n"
        "late = {'pandas', 'matplotlib', 'vectorbt', 'typer'} & set(sys.modules)\n"
        "assert not late, late"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- Who may do what ---


@pytest.mark.parametrize("path", [*KERNELS, PACKAGE / "kernels/__init__.py"], ids=lambda path: path.stem)
def test_kernels_import_kernels_only(path: Path) -> None:
    ours = [module for module, _ in imports(path) if module.startswith("forcedflow") or module == ""]
    assert all(module == "forcedflow.kernels" or module.startswith("forcedflow.kernels.") for module in ours)


def test_only_kernels_import_numba() -> None:
    for path in PACKAGE.rglob("*.py"):
        modules = {module.partition(".")[0] for module, _ in imports(path)}
        assert "numba" not in modules or path.parent.name == "kernels", path


def test_only_the_command_line_prints() -> None:
    def writes(node: ast.AST) -> bool:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return node.func.id == "print"
        return isinstance(node, ast.Attribute) and node.attr in {"echo", "stdout", "stderr"}

    printing = {path.parent for path in PACKAGE.rglob("*.py") if any(map(writes, ast.walk(tree(path))))}
    assert printing == {PACKAGE / "cli"}


def functions(path: Path) -> dict[str, ast.FunctionDef]:
    """Return the compiled functions of a kernel file."""
    return {
        node.name: node
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef)
        if any(isinstance(d, ast.Name) and d.id.endswith("kernel") for d in node.decorator_list)
    }


def test_every_kernel_has_a_twin() -> None:
    """A kernel is compared with naive code: by a test that names it beside its twin, or inside a kernel that is.

    The entry points of a module with a twin of the same name in tests/naive count as compared.
    """
    naive_tests = [p for p in (ROOT / "tests").rglob("test_*.py") if any("naive" in m for m, _ in imports(p))]
    twins = {name.rpartition(".")[2] for p in naive_tests for name, _ in imports(p) if name.startswith("naive")}
    defined = {(path.stem, name): node for path in KERNELS for name, node in functions(path).items()}
    named = {
        (module.rpartition(".")[2], name)
        for path in naive_tests
        for module, name in imports(path)
        if module.startswith("forcedflow.kernels.")
    }
    assert twins >= {"account", "liquidation_map", "market_pass", "measures", "simulation", "zones"}
    todo = [key for key in defined if key in named or (key[0] in twins and not key[1].startswith("_"))]
    compared = set(todo)
    while todo:
        module, name = todo.pop()
        scope = {n: (m.rpartition(".")[2], n) for m, n in imports(PACKAGE / f"kernels/{module}.py")}
        for node in ast.walk(defined[module, name]):
            called = scope.get(node.id, (module, node.id)) if isinstance(node, ast.Name) else None
            if called in defined and called not in compared:
                compared.add(called)
                todo.append(called)
    assert compared == set(defined)


# --- One thing said in two places ---


def test_event_kinds_have_one_number() -> None:
    for kind in ff.EventKind:
        assert getattr(market_pass, kind.name) == kind


def test_events_have_one_schema() -> None:
    names = market_pass.EVENT.names
    assert names == EVENT_COLUMNS == Events.__slots__
    assert set(Events.__annotations__) == set(EVENT_COLUMNS)
    assert [name for name in ff.Event.__annotations__ if not name.startswith("_")] == list(EVENT_COLUMNS)
    assert all(market_pass.EVENT[n] == ("i8" if n in EVENT_INTS else "f8") for n in EVENT_COLUMNS)


def test_market_bars_have_one_schema() -> None:
    market = MarketPass(ff.load_dataset("simulated", end="2025-01-02"))
    market.advance()
    table = market.market_bars()
    assert list(table) == list(MARKET_BARS)
    assert {name: column.dtype.name for name, column in table.items()} == MARKET_BARS


def test_versions_agree() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert ff.__version__ == version
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [version]
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] in {"Unreleased", version}


# --- Files ---


def committed() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [path for path in map(ROOT.joinpath, listed.splitlines()) if path.is_file()]


def test_no_file_names_a_workplace() -> None:
    """No registry's host (users choose their own mirror), no path of this machine, no page outside the repository."""
    words = ("py" + "pi.org", "python" + "hosted", "FACTS" + ".md", "DESIGN" + ".md", "STYLE" + ".md")
    place = re.compile(r"(?<![\w./~-])/wo" + r"rk(?![\w-])")
    for path in committed():
        text = path.read_bytes().decode(errors="ignore")
        assert not [word for word in words if word in text], path
        assert not (path.suffix not in {".parquet", ".png"} and place.search(text)), path


def test_shipped_strategies_load_and_explain_themselves() -> None:
    shipped = [path.stem for path in (ROOT / "strategies").glob("*.py")]
    assert "zone_entry" in shipped
    assert {"zone_entry", *shipped} <= set(ff.strategy_names())
    for name in shipped:
        kind = ff.find_strategy(name)
        kind()
        assert len((kind.__doc__ or "").splitlines()[0]) > 20
        for parameter, field in kind.model_fields.items():
            assert field.description, f"{name}: {parameter} says nothing"
