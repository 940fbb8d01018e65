"""Tables into frozen dataclasses: every fault with its key, all together, and nothing evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jsonschema
import pytest

from walkrisk.declarations import Name, as_table, build, json_schema, option, suggest


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """A square."""

    op: Literal["square"]
    side: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """A circle."""

    op: Literal["circle"]
    radius: float = option(doc="In metres.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A drawing."""

    title: str
    source: Name = option(key="from")
    n: int = 3
    ratio: float | None = None
    exact: bool = False
    colour: Literal["red", "green"] = "red"
    names: Mapping[int, str] = option(factory=dict)
    shapes: Mapping[Name, Square | Circle] = option(factory=dict)
    marks: tuple[float, ...] = ()
    first: Square | None = None


def built(table: object) -> tuple[Drawing | None, list[str]]:
    faults: list[str] = []
    return build(Drawing, table, "", faults), faults


WHOLE = {
    "title": "t",
    "from": "x_1",
    "n": 4,
    "ratio": 2,
    "names": {"1": "one", "-2": "minus two"},
    "shapes": {"a": {"op": "square", "side": 1}, "b": {"op": "circle", "radius": 2.5}},
    "marks": [1, 2.5],
    "first": {"op": "square", "side": 0},
}


def test_a_table_becomes_what_it_declares() -> None:
    got, faults = built(WHOLE)
    assert faults == []
    assert got == Drawing(
        title="t",
        source="x_1",
        n=4,
        ratio=2.0,
        names={1: "one", -2: "minus two"},
        marks=(1.0, 2.5),
        shapes={"a": Square(op="square", side=1.0), "b": Circle(op="circle", radius=2.5)},
        first=Square(op="square", side=0.0),
    )
    assert isinstance(got.ratio, float)


def test_the_way_back_leaves_defaults_out() -> None:
    got, _ = built(WHOLE)
    assert as_table(got) == {**WHOLE, "ratio": 2.0}
    assert as_table(Drawing(title="t", source="x")) == {"title": "t", "from": "x"}
    assert built(as_table(got))[0] == got


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"titel": "t"}, "titel: unknown key; did you mean title?"),
        ({"zzz": 1}, "zzz: unknown key."),
        ({"title": 3}, "title: must be a text, got 3."),
        ({"n": 2.5}, "n: must be a whole number, got 2.5."),
        ({"n": True}, "n: must be a whole number, got True."),
        ({"n": "3"}, "n: must be a whole number, got '3'."),
        ({"ratio": "much"}, "ratio: must be a finite number, got 'much'."),
        ({"ratio": True}, "ratio: must be a finite number, got True."),
        ({"exact": 1}, "exact: must be true or false, got 1."),
        ({"colour": "gren"}, "colour: must be one of red, green, got 'gren'; did you mean green?."),
        ({"names": {"one": "x"}}, "names: keys must be whole-number codes, got 'one'."),
        ({"names": {"1.0": "x"}}, "names: keys must be whole-number codes, got '1.0'."),
        ({"names": ["a"]}, "names: must be a table, got a list."),
        ({"marks": 3}, "marks: must be a list, got a number."),
        ({"marks": [1, "2"]}, "marks[1]: must be a finite number, got '2'."),
        (
            {"shapes": {"a": {"op": "circel"}}},
            "shapes.a.op: must be one of circle, square; got 'circel'; did you mean circle?.",
        ),
        ({"shapes": {"a": {}}}, "shapes.a.op: must be one of circle, square; it is missing."),
        ({"shapes": {"a": {"op": "square"}}}, "shapes.a.side: is missing and has no default."),
        (
            {"shapes": {"a b": {"op": "square", "side": 1}}},
            "shapes: keys must be plain names (up to 64 letters, digits, underscores), got 'a b'.",
        ),
        ({"first": 3}, "first: must be a table, got a number."),
    ],
)
def test_faults_name_their_key_and_say_what_is_wanted(change: dict[str, Any], fault: str) -> None:
    got, faults = built({"title": "t", "from": "x", **change})
    assert got is None
    assert [f.rstrip(".") for f in faults] == [fault.rstrip(".")]


@pytest.mark.parametrize(
    "code",
    [
        "__import__('os').system('x')",
        "np.log(age)",
        "age + sex",
        "C(age)",
        "I(x**2)",
        "age:sex",
        "",
        "a b",
        "1a",
        "x\n",
    ],
)
def test_an_expression_is_no_name(code: str) -> None:
    got, faults = built({"title": "t", "from": code})
    assert got is None
    (fault,) = faults
    assert fault.startswith("from: must be the plain name of a column or variable")
    assert "nothing in a declaration is evaluated" in fault


def test_the_name_a_column_has_in_the_file_is_led_to_the_one_declared() -> None:
    _, (fault,) = built({"title": "t", "from": "age.years"})
    assert "a column goes by the name in [columns.NAME] here" in fault


def test_a_word_misspelt_or_cut_short_leads_to_the_one_that_is_there() -> None:
    assert suggest("agge", ["age", "sex"]) == "; did you mean age?"
    assert suggest("age", ["age.years", "sex"]) == "; did you mean age.years?"
    assert suggest("age", ["age.2000", "age.2010", "sex"]) == "", "either could be meant"


def test_all_faults_come_together() -> None:
    _, faults = built({"from": "a b", "n": "x", "colour": "blue", "marks": ["y"], "exakt": True})
    assert [f.split(":")[0] for f in faults] == ["exakt", "title", "from", "n", "colour", "marks[0]"]


def test_what_is_no_table_is_said() -> None:
    assert built([1])[1] == ["the file: must be a table, got a list."]


def test_a_long_wrong_value_is_shortened() -> None:
    _, faults = built({"title": "t", "from": "x", "n": "9" * 500})
    assert len(faults[0]) < 120


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_must_be_finite(value: float) -> None:
    assert built({"title": "t", "from": "x", "ratio": value})[1]


def test_a_code_named_twice_is_a_fault() -> None:
    assert built({"title": "t", "from": "x", "names": {"1": "one", "01": "uno"}})[1]


SCHEMA = json_schema(Drawing, title="drawing")


def test_the_schema_is_one_and_takes_what_the_grammar_takes() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(WHOLE, SCHEMA)
    assert SCHEMA["required"] == ["title", "from"]
    assert SCHEMA["$defs"]["Circle"]["properties"]["radius"]["description"] == "In metres."


@pytest.mark.parametrize(
    "change",
    [
        {"titel": 1},
        {"n": 2.5},
        {"colour": "blue"},
        {"from": "a+b"},
        {"names": {"x": "y"}},
        {"shapes": {"a": {"op": "c"}}},
    ],
)
def test_the_schema_refuses_what_the_grammar_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"title": "t", "from": "x", **change}, SCHEMA)
