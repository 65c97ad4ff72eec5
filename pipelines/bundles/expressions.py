"""Which `$` expressions a bundle may hold: looked at as a syntax tree, never by evaluating.

MONAI gives the text behind `$` to eval(). So every node, name, attribute and call must be one of the few below; what
the stock bundles use is, and what reaches for a file, a module, or a dunder is not.
"""

import ast
import re

from pipelines.errors import BundleRefused

REFERENCE = re.compile(r"@\w*(?:(?:#|::)\w+)*")
"""`@id`, `@id#key`, `@id::key`: another item of the configuration. MONAI replaces them before it evaluates."""

NODES = (
    ast.Expression, ast.Constant, ast.Name, ast.Attribute, ast.Call, ast.keyword, ast.List, ast.Tuple, ast.Dict,
    ast.Set, ast.Subscript, ast.Slice, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Lambda,
    ast.arguments, ast.arg, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension, ast.Starred,
    ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip
BUILTINS = frozenset(
    re.findall(
        r"\w+", "abs all any bool dict enumerate float int len list max min range round set sorted str sum tuple zip"
    )
)
ROOTS = {"np": "numpy", "pd": "pandas"}
"""Short names of modules."""
FUNCTIONS = re.compile(
    r"""
    torch\.(device | cuda\.is_available | where | nan_to_num | tensor | as_tensor | zeros | ones | stack | cat | argmax
        | softmax | sigmoid | clamp | sum | max | min | abs | u?int\d+ | float\d* | bfloat16 | half | long | bool
        | backends\.cudnn)
    | numpy\.(array | asarray | zeros | ones | arange | where | stack | u?int\d+ | float\d+ | bool_?)
    | monai\.networks\.nets\.(resnet\.resnet\d+ | resnet\d+ | [A-Z]\w*)
    | monai\.apps\.detection\.networks\.retinanet_network\.resnet_fpn_feature_extractor
    | monai\.utils\.set_determinism
    | monai\.data\.(utils\.)?(no_collation | list_data_collate | pad_list_data_collate | load_decathlon_datalist)
    | monai\.handlers\.from_engine
    | os\.path\.(join | basename | exists) | glob\.glob | pandas\.read_csv
    """,
    re.VERBOSE,
)
METHODS = frozenset(
    re.findall(
        r"\w+",
        "to cpu float long half bool int shape ndim dtype device meta keys values items get run eval t2 unsqueeze"
        " squeeze create_dataset set_target_keys set_box_selector_parameters set_sliding_window_inferer",
    )
)
"""Attributes of anything that is no module."""
MODULES = {
    "copy",
    "glob",
    "ignite",
    "json",
    "math",
    "monai",
    "numpy",
    "os",
    "pandas",
    "pathlib",
    "torch",
    "torchvision",
}
"""`$import x` of these is passed over: import lines are never evaluated here."""
ROOM = 4000


def check_expression(text: str) -> None:
    """Raises BundleRefused, with the part at fault, unless `text`, what stands behind `$`, is on the lists above."""
    if len(text) > ROOM:
        raise BundleRefused(f"an expression of {len(text)} characters")
    plain = REFERENCE.sub("ref__", text.strip())
    try:
        body = ast.parse(plain).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BundleRefused(f"{_short(text)} is no Python expression") from error
    if len(body) == 1 and isinstance(body[0], (ast.Import, ast.ImportFrom)):
        _check_import(body[0], text)
    elif len(body) != 1 or not isinstance(body[0], ast.Expr):
        raise BundleRefused(f"{_short(text)} is a statement, not an expression")
    else:
        _Look(text).visit(ast.Expression(body[0].value))


def _check_import(line: ast.Import | ast.ImportFrom, text: str) -> None:
    plain = isinstance(line, ast.Import)
    for name in [alias.name for alias in line.names] if isinstance(line, ast.Import) else [line.module or ""]:
        if name.split(".")[0] not in (MODULES | {"scripts"} if plain else {"scripts"}):
            raise BundleRefused(f"{_short(text)} imports from {name}")


class _Look(ast.NodeVisitor):
    """Walks one expression; names bound by a lambda or a comprehension in it count as values."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._bound: set[str] = {"ref__"}

    def generic_visit(self, node: ast.AST) -> None:
        if not isinstance(node, NODES):
            raise self._refuse(type(node).__name__)
        super().generic_visit(node)

    def visit_Expression(self, node: ast.Expression) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.arg):
                self._bind(part.arg)
            if isinstance(part, ast.comprehension):
                for name in ast.walk(part.target):
                    if isinstance(name, ast.Name):
                        self._bind(name.id)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id not in self._bound | BUILTINS:
            raise self._refuse(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        path = find_path(node)
        if path is not None and path.split(".")[0] not in self._bound:
            if not FUNCTIONS.fullmatch(path) or "__" in path or "._" in path:
                raise self._refuse(path)
            return
        if node.attr not in METHODS:
            raise self._refuse(f".{node.attr}")
        self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        """`setattr(torch.backends.cudnn, 'benchmark', True)` is in most bundles; no other setattr passes."""
        if isinstance(node.func, ast.Name) and node.func.id == "setattr":
            if ast.unparse(node) not in {f"setattr(torch.backends.cudnn, 'benchmark', {on})" for on in (True, False)}:
                raise self._refuse("setattr")
            return
        self.generic_visit(node)

    def _bind(self, name: str) -> None:
        if name.startswith("__"):
            raise self._refuse(name)
        self._bound.add(name)

    def _refuse(self, what: str) -> BundleRefused:
        return BundleRefused(f"{_short(self._text)} uses {what}, which no configuration may")


def find_path(node: ast.expr) -> str | None:
    """`torch.cuda.is_available` of the tree of it, short names of modules written out; None when it does not begin with
    a name."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([ROOTS.get(node.id, node.id), *reversed(names)])


def _short(text: str) -> str:
    """An expression as a message shows it."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
