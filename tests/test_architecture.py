"""The dependency direction: a stage imports only from stages before it, never from a later one."""

import ast
from pathlib import Path

import pytest

import fusionlab

PACKAGE = Path(fusionlab.__file__).parent
STAGES = [
    ("errors", "schema", "seal", "plugins", "processes", "clusters", "part_class", "registry"),
    ("layers", "returned"),
    ("spaces", "sections", "tuning", "config"),
    ("linear",),
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
    return imported_in(file.read_text(), file.relative_to(PACKAGE.parent).with_suffix("").parts)


def imported_in(text: str, place: tuple[str, ...] = ("fusionlab", "data", "x")) -> set[str]:
    """The same of a module's text; ``place`` are the parts of its name."""
    tree = ast.parse(text)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            above = ".".join(place[: len(place) - node.level]) if node.level else ""
            module = ".".join(filter(None, [above, node.module]))
            names |= {f"{module}.{alias.name}" for alias in node.names}
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names |= {one.value for one in node.args if isinstance(one, ast.Constant)}
    inside = [name.split(".") for name in names if name.startswith("fusionlab.")]
    return {parts[1] for parts in inside} & FLOOR.keys()


@pytest.mark.parametrize(
    "text",
    [
        "from fusionlab.serving.recommend import Service",
        "from fusionlab import serving",
        "import fusionlab.serving.recommend",
        "from ..serving import recommend",
        "from .. import serving",
        "def f():\n    import fusionlab.serving as s",
        "importlib.import_module('fusionlab.serving.recommend')",
        "if TYPE_CHECKING:\n    pass\nelse:\n    from fusionlab.serving import recommend",
    ],
)
def test_every_form_of_import_is_seen(text):
    assert imported_in(text) == {"serving"}


def test_what_types_alone_need_is_no_import():
    assert imported_in("if TYPE_CHECKING:\n    from fusionlab.serving import recommend") == set()


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
