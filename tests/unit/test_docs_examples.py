"""The examples in the docstrings of the public names give what they show."""

from __future__ import annotations

import doctest
import warnings
from typing import Any

import pytest

import walkrisk

DOORS = sorted(
    name
    for name in walkrisk.__all__
    if callable(getattr(walkrisk, name)) and getattr(walkrisk, name).__module__.startswith("walkrisk.doors")
)
FUNCTIONS = [name for name in DOORS if not isinstance(getattr(walkrisk, name), type)]


def examples(name: str) -> list[doctest.DocTest]:
    thing: Any = getattr(walkrisk, name)
    return [
        found
        for found in doctest.DocTestFinder(recurse=False).find(
            thing, name, globs={n: getattr(walkrisk, n) for n in DOORS}
        )
        if found.examples
    ]


@pytest.mark.parametrize("name", DOORS)
def test_the_examples_of_a_public_name_run(name: str) -> None:
    for example in examples(name):
        said: list[str] = []
        example.globs.pop("found", None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", walkrisk.WalkriskWarning)
            result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=said.append)
        assert result.attempted > 0
        assert result.failed == 0, "".join(said)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_has_an_example(name: str) -> None:
    assert examples(name), f"{name} shows no example"


@pytest.mark.parametrize(
    "name", [n for n in FUNCTIONS if n not in ("categories", "example_cohort", "linear", "power", "product", "spline")]
)
def test_every_door_names_what_it_takes_returns_and_rests_on(name: str) -> None:
    thing: Any = getattr(walkrisk, name)
    text = thing.__doc__
    assert "References:" in text or "Reference:" in text
    assert "doi 10." in text
    assert "raises" in text.lower()
    assert "Returns" in text or "Rows" in text or "rows" in text


def test_a_wrong_example_would_be_noticed() -> None:
    def shown() -> None:
        """>>> 1 + 1
        3
        """

    test = doctest.DocTestFinder().find(shown, "shown", globs={})[0]
    assert doctest.DocTestRunner(verbose=False).run(test, out=lambda _: None).failed == 1
