"""What a text of the source reads like, with what is filled in between braces."""

import ast
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import product

Texts = dict[str, list[ast.expr]]
"""What variables may hold."""


def texts_at(line: int, functions: Sequence[ast.FunctionDef]) -> Texts:
    """What variables may hold on this line, where its function gives them texts alone."""
    function = _innermost(line, functions)
    if function is None:
        return {}
    nodes = [*ast.walk(function)]
    names = [one for one in nodes if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
    stored, texts = Counter(one.id for one in names), defaultdict(list)
    for one in nodes:
        if isinstance(one, ast.Assign) and isinstance(one.value, ast.JoinedStr | ast.Constant):
            texts[ast.unparse(one.targets[0])].append(one)
    statement = _innermost(line, [one for one in nodes if isinstance(one, ast.stmt)])
    return {
        name: [one.value for one in _reaching(statement, given)]
        for name, given in texts.items()
        if len(given) == stored[name]
    }


def _innermost(line: int, nodes: Sequence[ast.stmt]) -> ast.stmt | None:
    within = [one for one in nodes if one.lineno <= line <= one.end_lineno]
    return max(within, key=lambda one: one.lineno, default=None)


def _reaching(statement: ast.stmt, given: Sequence[ast.Assign]) -> list[ast.Assign]:
    """Those before the statement, from the last one on that no branch passes by."""
    before = sorted((one for one in given if one.lineno < statement.lineno), key=lambda x: x.lineno)
    sure = [k for k, one in enumerate(before) if one.col_offset <= statement.col_offset]
    return before[sure[-1] if sure else 0 :]


def templates(node: ast.expr, texts: Texts) -> list[str]:
    """The texts as they may be read, with what is filled in between braces."""
    if isinstance(node, ast.Constant):
        return [str(node.value).replace("\n", "\\n")]
    if isinstance(node, ast.JoinedStr):
        return ["".join(one) for one in product(*(templates(part, texts) for part in node.values))]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = templates(node.left, texts), templates(node.right, texts)
        return ["".join(one) for one in product(*sides)]
    if isinstance(node, ast.List | ast.Tuple):
        return [": ".join(one) for one in product(*(templates(one, texts) for one in node.elts))]
    filled = node.value if isinstance(node, ast.FormattedValue) else node
    if isinstance(filled, ast.Name) and filled.id in texts:
        others = {name: held for name, held in texts.items() if name != filled.id}
        return [text for one in texts[filled.id] for text in templates(one, others)]
    if isinstance(filled, ast.Constant):
        return templates(filled, texts)
    return ["{" + ast.unparse(filled) + "}"]
