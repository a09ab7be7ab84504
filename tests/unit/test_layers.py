"""The direction of imports (ARCHITECTURE.md): a part knows what lies below it and nothing else."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import evorelay

ROOT = Path(evorelay.__file__).parent
PACKAGE = "evorelay"
OWN_LAYERS = ("storage.ports", "settings.values")
"""Modules that may be imported where the rest of their package may not."""

MAY_IMPORT: dict[str, set[str]] = {
    "model": {"model"},
    "config": {"model"},
    "secrets": {"model", "config"},
    "settings.values": {"model"},
    "settings": {"model", "config", "protocol", "settings", "settings.values"},
    "config_load": {"model", "config", "settings", "settings.values"},
    "storage.ports": {"model", "storage.ports"},
    "storage": {"model", "storage.ports", "storage"},
    "protocol": {"model", "config", "protocol"},
    "relay": {"model", "config", "protocol", "storage.ports", "telemetry", "relay"},
    "edge": {
        *("model", "config", "settings.values", "protocol", "storage.ports"),
        *("telemetry", "runtime", "relay", "edge"),
    },
    "runtime": {"runtime"},
    "telemetry": {"telemetry"},
    "simulator": {"model", "simulator"},
    "console": set(),
}
"""What stands at the top (cli, app, assembly, __main__) may import anything below it."""

TOP = ("cli", "app", "assembly", "__main__")


def modules() -> dict[str, ast.Module]:
    """Dotted name below the package -> its syntax tree."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name or PACKAGE] = ast.parse(path.read_text("utf-8"))
    return found


MODULES = modules()


def imports(tree: ast.Module) -> Iterator[str]:
    """Full names of what a module imports, wherever in it; ``from a import b`` is ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


IMPORTS = {name: frozenset(imports(tree)) for name, tree in MODULES.items()}


def layer(name: str) -> str:
    """The layer a module of ours belongs to."""
    for own in OWN_LAYERS:
        if name == own or name.startswith(own + "."):
            return own
    return name.partition(".")[0]


def ours(name: str) -> set[str]:
    """Which of our modules a module imports."""
    return {
        found.removeprefix(PACKAGE + ".")
        for found in IMPORTS[name]
        if found.startswith(PACKAGE + ".")
    }


def importers(of: str) -> set[str]:
    """Modules of ours that import a third party's or the standard library's ``of``."""
    return {
        name
        for name, all_found in IMPORTS.items()
        if any(found == of or found.startswith(of + ".") for found in all_found)
    }


def test_the_tree_is_found() -> None:
    assert {"relay.hub", "storage.ports", "cli.main", PACKAGE} <= set(MODULES)


@pytest.mark.parametrize("name", [name for name in MODULES if layer(name) not in (*TOP, PACKAGE)])
def test_imports_go_one_way(name: str) -> None:
    used = {layer(one) for one in ours(name)} - {"__version__"}
    assert used - MAY_IMPORT[layer(name)] == set()


@pytest.mark.parametrize(
    ("top", "users"),
    [
        ("cli", {"cli", "__main__"}),
        ("app", {"cli"}),
        ("assembly", {"app", "assembly"}),
        ("__main__", set()),
    ],
)
def test_the_top_has_an_order_of_its_own(top: str, users: set[str]) -> None:
    found = {name for name in MODULES if any(layer(one) == top for one in ours(name))}
    assert {layer(name) for name in found} <= users


def test_only_the_composition_names_the_drivers() -> None:
    """Of the drivers, ``storage/open.py`` knows which there are; they know each other."""
    users = {
        name for name in MODULES if any(one.startswith("storage.sqlite") for one in ours(name))
    }
    assert {name for name in users if not name.startswith("storage.sqlite")} == {"storage.open"}


def test_only_the_composition_opens_stores() -> None:
    users = {name for name in MODULES if any("storage.open" in one for one in ours(name))}
    assert {layer(name) for name in users} <= set(TOP)


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("apsw", {"storage.sqlite"}),
        (
            "httpx",
            {"edge.http_client", "edge.downloads", "edge.evolution", "cli.daemon", "simulator"},
        ),
        ("trio_websocket", {"edge"}),
        ("hypercorn", {"edge", "simulator"}),
        ("quart", {"edge.http", "simulator"}),
        ("quart_trio", {"edge.http", "simulator"}),
        ("jwt", {"edge", "protocol", "cli", "simulator"}),
        ("httptools", {"protocol", "edge"}),
        ("prometheus_client", {"telemetry", "assembly", "edge.http"}),
        ("click", {"cli"}),
        ("rich", {"cli", "simulator"}),
        ("sqlite3", set()),
        ("asyncio", set()),
        ("requests", set()),
    ],
)
def test_a_library_has_one_home(library: str, homes: set[str]) -> None:
    """What is replaced one day (httpx is dormant) is named in few places."""
    strangers = {
        name
        for name in importers(library)
        if not any(name == home or name.startswith(home + ".") for home in homes)
    }
    assert strangers == set()


@pytest.mark.parametrize("layer_name", ["protocol", "model"])
def test_deciding_code_does_no_io(layer_name: str) -> None:
    """Sans-IO: no trio, no sockets, no files; time and chance are arguments (model/clock, ids)."""
    forbidden = {"trio", "socket", "os", "pathlib", "threading", "random"}
    for name, all_found in IMPORTS.items():
        if layer(name) == layer_name:
            roots = {found.partition(".")[0] for found in all_found}
            assert roots & forbidden == set(), name


def test_the_environment_is_read_at_the_top_only() -> None:
    readers = {
        name
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    assert {layer(name) for name in readers} <= {"settings", "cli", "app"}


def test_nothing_is_caught_wholesale_but_at_a_boundary() -> None:
    """``except Exception`` hides bugs; these places answer for others' connections and lives."""
    boundaries = {"runtime.supervisor", "relay.pipeline", "relay.again", "relay.instance_lane"}
    boundaries |= {"relay.ledger", "storage.sqlite.store"}  # several works share a commit
    boundaries |= {"relay.fetching", "relay.watch"}  # a file's or an instance's bug is its own
    boundaries |= {"relay.backups"}  # nobody who is served waits for one
    catchers = {
        name
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception"))
    }
    strangers = {name for name in catchers - boundaries if layer(name) != "edge"}
    assert strangers == set()
