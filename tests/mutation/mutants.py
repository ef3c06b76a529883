"""Small faults for ``greenws/protocol``: each operator and number that the mutators of Cosmic Ray can make wrong."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

# For each operator its neighbours: what a slip of the pen makes of it. Cosmic Ray has all the other pairs too, but a
# test that notices a sum made a difference notices a sum made a power, and counting both flatters the result.
OPERATORS = (
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("Add_Sub", "Sub_Add", "Mul_FloorDiv", "FloorDiv_Mul", "Mod_Mul")),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("LShift_RShift", "RShift_LShift")),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("BitOr_BitAnd", "BitAnd_BitOr", "BitXor_BitOr")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt")),
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_USub_UAdd",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ExceptionReplacer",
    "NumberReplacer",
    "RemoveDecorator",
    "ZeroIterationForLoop",
)


@dataclass(frozen=True)
class Mutant:
    """One module with one fault.

    Attributes:
        file: the module, as a path within the project.
        source: its text with the fault.
        change: the lines that differ, for people.
    """

    file: str
    source: str
    change: str


def make_mutants(root: Path, file: str) -> Iterator[Mutant]:
    """All mutants of a module, but for those that do the same as another, or as the module itself, or are no Python."""
    original = (root / file).read_text()
    seen = {None, _meaning(original)}
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        for occurrence in count():
            try:
                source = mutate_code(original, operator, occurrence)
            except AttributeError:  # it replaces no exception whose name has a dot
                continue
            if source is None:
                break
            meaning = _meaning(source)
            if meaning not in seen:
                seen.add(meaning)
                yield Mutant(file, source, _change(file, original, source))


class _WhatCounts(ast.NodeTransformer):
    """Takes off what no result depends on.

    Nobody runs annotations: ``from __future__ import annotations`` makes text of them. Options of a dataclass, and a
    cache, save memory, time, or mistakes of ours.
    """

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "dataclass":
                decorator.keywords = []
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        node.decorator_list = [item for item in node.decorator_list if "cache" not in ast.unparse(item)]
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        node.annotation = ast.Constant(None)  # that there is one makes the field of a dataclass
        return node


def _meaning(source: str) -> str | None:
    try:
        return ast.dump(_WhatCounts().visit(ast.parse(source)))
    except SyntaxError:  # the star before keywords, taken for a multiplication
        return None


def _change(file: str, original: str, source: str) -> str:
    lines = difflib.unified_diff(original.splitlines(), source.splitlines(), n=0, lineterm="")
    _, _, where, *changed = lines
    number = where.split()[1].lstrip("-").partition(",")[0]
    return "\n".join((f"{file}:{number}", *changed))
