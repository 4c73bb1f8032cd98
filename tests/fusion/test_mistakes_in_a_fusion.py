"""What one writes wrong in a fusion of one's own: one error each, with place, finding, way out."""

import pytest

FUSION = '''
import torch
from torch import nn
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import Projections


@FUSIONS.register("mine")
class Mine(Fusion):
    """Mine."""

    level = Level.FEATURE
    additive = True

    def __init__(self, specs, dim):
        super().__init__(specs, dim)
        self.project = Projections(specs, dim)

    def forward(self, items):
        h, present = self.project.pooled(items)
        return one_view(h.sum(1), present)
'''
RETURNS = "return one_view(h.sum(1), present)"
INIT = "def __init__(self, specs, dim):"
SUPER = "super().__init__(specs, dim)"
DECISION = {"Level.FEATURE": "Level.DECISION", RETURNS: "return FusedItems(h, present)\n"}
VIEW, THERE = "h.sum(1, keepdim=True)", "present.any(1, keepdim=True)"


def method(text):
    """A method more, at the end of a class."""
    return DECISION | {"FusedItems(h, present)\n": f"FusedItems(h, present)\n\n    {text}\n"}


# (what is another text in the file, and which; place, what was found, what is expected)
MISTAKES = {
    "a tensor": (
        {RETURNS: "return h.sum(1)"},
        "Mine.forward",
        "found a tensor (16, 4) of float32",
        "expected FusedItems(views, present)",
    ),
    "nothing": ({RETURNS: "h.sum(1)"}, "Mine.forward", "found None", "expected FusedItems"),
    "two tensors": (
        {RETURNS: "return h, present"},
        "Mine.forward",
        "found a tuple of 2",
        "expected FusedItems",
    ),
    "no axis of views": (
        {RETURNS: f"return FusedItems(h.sum(1), {THERE})"},
        "Mine.forward",
        "views: a tensor (16, 4) of float32",
        "(B items, K = n_views, D = dim), here (16, 1, 4)",
    ),
    "more views than named": (
        {RETURNS: "return FusedItems(h, present)"},
        "Mine.forward",
        "views: a tensor (16, 3, 4)",
        "here (16, 1, 4)",
    ),
    "views of another width": (
        {RETURNS: f"return FusedItems({VIEW}[..., :2], {THERE})"},
        "Mine.forward",
        "views: a tensor (16, 1, 2)",
        "here (16, 1, 4)",
    ),
    "views of no items": (
        {RETURNS: f"return FusedItems({VIEW}.sum(0, keepdim=True), {THERE})"},
        "Mine.forward",
        "views: a tensor (1, 1, 4)",
        "here (16, 1, 4)",
    ),
    "views of integers": (
        {RETURNS: f"return FusedItems({VIEW}.long(), {THERE})"},
        "Mine.forward",
        "views: a tensor (16, 1, 4) of int64",
        "of floating-point numbers",
    ),
    "presence as numbers": (
        {RETURNS: f"return FusedItems({VIEW}, {THERE}.float())"},
        "Mine.forward",
        "present: a tensor (16, 1) of float32",
        "expected a tensor of bool",
    ),
    "presence of no views": (
        {RETURNS: f"return FusedItems({VIEW}, present.any(1))"},
        "Mine.forward",
        "present: a tensor (16,) of bool",
        "here (16, 1)",
    ),
    "no presence": (
        {RETURNS: f"return FusedItems({VIEW}, None)"},
        "Mine.forward",
        "present: None",
        "here (16, 1)",
    ),
    "a penalty of the whole batch": (
        {RETURNS: f"return FusedItems({VIEW}, {THERE}, h.square().mean())"},
        "Mine.forward",
        "penalty: a tensor () of float32",
        "(B items,), here (16,)",
    ),
    "scores that nobody combines": (
        DECISION,
        "Mine: ",
        "found 3 views and neither fold, view_weights nor combine",
        "expected one of them",
    ),
    "a fold of one view without it": (  # nothing folds before the whole catalogue is scored
        {RETURNS: f"{RETURNS}\n\n    def fold(self, present): return present.float().mean(-1)"},
        "Mine.fold",
        "weights: a tensor (16,)",
        "(N, K), here (16, 1)",
    ),
    "a fold without views": (
        method("def fold(self, present): return present.float().mean(-1)"),
        "Mine.fold",
        "weights: a tensor (80, 2) of float32",
        "(..., N, K), here (80, 2, 3)",
    ),
    "weights without candidates": (
        method("def view_weights(self, scores, query, present): return scores.mean(-2)"),
        "Mine.view_weights",
        "weights: a tensor (80, 3)",
        "(..., N, K), here (80, 2, 3)",
    ),
    "scores that stay by view": (
        method("def combine(self, scores, query, present): return scores"),
        "Mine.combine",
        "scores: a tensor (80, 2, 3)",
        "here (80, 2)",
    ),
    "an option that is positional": (
        {INIT: "def __init__(self, specs, dim, hidden=3):"},
        "Mine.__init__",
        "found the positional argument 'hidden', which is no option",
        "expected (self, specs, dim, *, hidden: TYPE = DEFAULT)",
    ),
    "nobody takes the width": (
        {INIT: "def __init__(self, specs):"},
        "Mine.__init__",
        "found the arguments (self, specs)",
        "expected (self, specs, dim, *, and then options)",
    ),
    "any options": (
        {INIT: "def __init__(self, specs, dim, **options):"},
        "Mine.__init__",
        "found **options, of which no option is known",
        "OPTION: TYPE = DEFAULT",
    ),
    "an option without a type": (
        {INIT: "def __init__(self, specs, dim, *, hidden=3):"},
        "Mine.__init__",
        "found no type of the option 'hidden'",
        "expected `hidden: int = ...`",
    ),
    "a type that is nowhere": (
        {INIT: "def __init__(self, specs, dim, *, hidden: 'Hiden' = 3):"},
        "Mine.__init__",
        "name 'Hiden' is not defined",
        "defines or imports",
    ),
    "a type that YAML cannot hold": (
        {INIT: "def __init__(self, specs, dim, *, inner: nn.Module):"},
        "Mine.__init__",
        "found an option that YAML cannot hold",
        "expected types such as int",
    ),
    "a default of another type": (
        {INIT: "def __init__(self, specs, dim, *, hidden: int = 'many'):"},
        "Mine.__init__",
        "found the default 'many' of the option 'hidden'",
        "valid integer",
    ),
    "an option of a name that is taken": (
        {INIT: "def __init__(self, specs, dim, *, name: str = 'x'):"},
        "Mine.__init__",
        "found the option 'name'",
        "expected a name that is free",
    ),
    "no forward": (
        {"def forward(": "def foward("},
        "Mine: ",
        "found no method 'forward'",
        "expected def forward(self, items)",
    ),
    "a forward of more arguments": (
        {"forward(self, items)": "forward(self, items, mask)"},
        "Mine.forward",
        "missing a required argument: 'mask'",
        "expected def forward(self, items)",
    ),
    "no level": (
        {"level = Level.FEATURE": ""},
        "Mine: ",
        "found no 'level'",
        "level = Level.FEATURE or Level.DECISION or Level.MODEL",
    ),
    "a level in words": (
        {"Level.FEATURE": "'feature'"},
        "Mine.level",
        "found 'feature'",
        "Level.FEATURE or",
    ),
    "additive is not said": (
        {"additive = True": ""},
        "Mine: ",
        "found no 'additive'",
        "additive = True or False",
    ),
    "names that are no property": (
        {RETURNS: f"{RETURNS}\n\n    def view_names(self): return ('x',)"},
        "Mine.view_names",
        "found a method",
        "write @property above it",
    ),
    "no super": (
        {SUPER: "pass"},
        "Mine.__init__",
        "found no super().__init__(specs, dim)",
        "expected it first; line 17: cannot assign",
    ),
    "super without arguments": (
        {SUPER: "super().__init__()"},
        "Mine.__init__",
        "found no super().__init__(specs, dim)",
        "line 16: Fusion.__init__() missing 2",
    ),
    "super of another class": (
        {SUPER: "nn.Module.__init__(self)"},
        "Mine.__init__",
        "found no super().__init__(specs, dim)",
        "expected it first",
    ),
    "the name of a built-in part": (
        {'"mine"': '"concat"'},
        "fusion 'concat' is registered twice",
        "concat.py: Concat",
        "expected another name",
    ),
    "one name for two": (
        {RETURNS: f"{RETURNS}\n\n@FUSIONS.register('mine')\nclass Other(Mine): pass"},
        "fusion 'mine' is registered twice",
        "mine.py: Other",
        "expected another name",
    ),
    "no name": (
        {'.register("mine")': ".register"},
        "Mine: ",
        "found no name to register under",
        '.register("NAME")',
    ),
    "a function": (
        {"class Mine(Fusion):": "def mine(specs, dim):\n    pass\n\n\nclass Mine(Fusion):"},
        "mine: ",
        "a fusion must be a subclass of",
        "fusionlab.fusion.contract.Fusion",
    ),
    "an import of nothing": (
        {"import torch\n": "import torch\nimport no_such_library\n"},
        "plug-in mine.py, line 3",
        "No module named 'no_such_library'",
        "",
    ),
}


def with_changes(changes):
    """The plug-in with other texts in it; each text stands there once."""
    source = FUSION
    for old, new in changes.items():
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    return source


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_is_told_with_place_finding_and_way_out(mistake, run_with_plugin):
    changes, *told = mistake
    result, said = run_with_plugin(with_changes(changes), "fusion=mine")
    assert result.exit_code == 1, said
    assert isinstance(result.exception, SystemExit)
    assert said.count("Error: ") == 1
    for part in told:
        assert part in said


def test_the_same_without_a_mistake_is_no_error(run_with_plugin):
    for changes in ({}, method("def fold(self, present): return present.float()")):
        result, said = run_with_plugin(with_changes(changes), "fusion=mine")
        assert result.exit_code == 0, said


def test_an_error_inside_the_own_code_keeps_its_traceback(run_with_plugin):
    broken = {RETURNS: "return one_view(h.sum(1) @ torch.ones(3, 3), present)"}
    result, _ = run_with_plugin(with_changes(broken), "fusion=mine")
    assert isinstance(result.exception, RuntimeError)
    assert "cannot be multiplied" in str(result.exception)
    result, _ = run_with_plugin("raise ValueError('mine')\n", "fusion=mine")
    assert isinstance(result.exception, ValueError)
