"""The dependency direction: a stage imports only from stages before it, never from a later one."""

import ast
from pathlib import Path

import fusionlab

PACKAGE = Path(fusionlab.__file__).parent
STAGES = [
    ("errors", "schema", "seal", "plugins", "processes", "clusters", "registry", "layers"),
    ("spaces", "sections", "tuning", "config"),
    ("data",),
    ("encoders",),
    ("llm",),
    ("fusion",),
    ("recommenders",),
    ("evaluation",),
    ("balancing", "training"),
    ("studies",),
    ("serving",),
    ("statistics",),
    ("reporting",),
    ("benchmarking", "explorer"),
    ("describe", "doctor", "terminal"),
    ("paper",),
    ("cli_options",),
    ("cli_audit", "cli_bench", "cli_explore", "cli_serve", "cli_forget", "cli_update"),
    ("cli_paper", "cli_tune"),
    ("cli",),
    ("__main__",),
]
FLOOR = {name: floor for floor, names in enumerate(STAGES) for name in names}


def imports(file: Path) -> set[str]:
    """Top-level parts of the package that a file imports at run time, inside functions too."""
    found = set()
    tree = ast.parse(file.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fusionlab"):
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found & FLOOR.keys()


def stage_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_file_has_a_stage():
    stages = {stage_of(file) for file in PACKAGE.rglob("*.py")} - {"__init__"}
    assert stages <= FLOOR.keys()


def test_no_file_imports_from_a_later_stage():
    wrong = [
        f"{file.relative_to(PACKAGE)} imports {name}"
        for file in PACKAGE.rglob("*.py")
        if stage_of(file) != "__init__"
        for name in imports(file)
        if FLOOR[name] > FLOOR[stage_of(file)]
    ]
    assert not wrong


def test_the_page_on_the_architecture_knows_every_stage():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    named = {name for name in FLOOR if not name.startswith(("cli_", "__"))}
    assert {name for name in named if f"`{name}`" not in page} == set()
