"""Wildcards: what they match, and that no pattern takes a time of its own choosing."""

import re
import subprocess
import sys
from itertools import product

import pytest

from node.dicom.matching import to_pattern

PATIENCE = 120.0
"""Seconds, for what takes years where each `*` multiplies the time."""


def words(letters, longest):
    return ["".join(one) for length in range(longest + 1) for one in product(letters, repeat=length)]


def test_every_short_pattern_matches_what_it_says():
    texts = words("ab\n", 4)
    for pattern in words("ab*?", 4):
        said = {"*": "(.|\n)*", "?": "(.|\n)"}
        plain = re.compile("".join(said.get(letter, letter) for letter in pattern))
        found = to_pattern(pattern)
        assert [text for text in texts if bool(found.fullmatch(text)) != bool(plain.fullmatch(text))] == [], pattern


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("a.c", "abc", False),
        ("[x]*", "[x]y", True),
        ("*(a+)+$*", "(a+)+$", True),
        ("*lung*right*", "the lung, right", True),
        ("*lung*right", "lung right left", False),
        ("a**b", "ab", True),
        ("*ab*ab", "ab", False),
    ],
)
def test_letters_stand_for_themselves(pattern, text, fits):
    assert bool(to_pattern(pattern).fullmatch(text)) == fits


@pytest.mark.parametrize("pattern", ["*e" * 20 + "*#", "*?" * 20 + "#", "*e?" * 20 + "*#", "*" * 40 + "#"])
def test_a_pattern_that_nearly_fits_often_is_done_soon(pattern):
    code = f"from node.dicom.matching import to_pattern; print(to_pattern({pattern!r}).fullmatch('e' * 1000))"
    done = subprocess.run([sys.executable, "-c", code], timeout=PATIENCE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr
