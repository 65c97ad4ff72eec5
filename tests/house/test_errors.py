"""The error trees are drawn where they are defined, and the drawing is true."""

import inspect

import pytest

from node import errors as node_errors
from pipelines import errors as mind_errors


def read_drawing(text):
    """{class: (parent, transient)} of a drawn tree."""
    tree, path = {}, []
    for line in text.splitlines():
        mark = max(line.find("├── "), line.find("└── "))
        name = line[mark + 4 :].split()[0] if mark >= 0 else line.strip()
        if not name.endswith(tuple("abcdefghijklmnopqrstuvwxyz")) or (mark < 0 and not name.endswith("Error")):
            continue
        depth = 0 if mark < 0 else mark // 4 + 1
        path[depth:] = [name]
        tree[name] = (path[depth - 1] if depth else "Exception", "transient" in line)
    return tree


@pytest.mark.parametrize("module", [node_errors, mind_errors])
def test_the_drawn_tree_is_the_tree(module):
    classes = [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ == module.__name__
    ]
    real = {kind.__name__: (kind.__bases__[0].__name__, getattr(kind, "transient", False)) for kind in classes}
    assert read_drawing(module.__doc__) == real
    assert len(real) >= 5


def test_every_error_says_what_it_is():
    for _, kind in inspect.getmembers(node_errors, inspect.isclass):
        assert kind.__doc__
