"""Data and questions that have no answer: a sentence each through every door, never a number that looks fine."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from walkrisk import (
    Estimates,
    WalkriskWarning,
    attributable_fractions,
    categories,
    compare_methods,
    dose_response,
    interaction,
    linear,
    pool,
    product,
    risk_differences,
    risk_ratios,
    risks_at_horizon,
    spline,
    standardised_risks,
    time_substitution,
    weighted_risks,
)
from walkrisk.doors.methods import DIFFERENCE_METHODS, RATIO_METHODS
from walkrisk.errors import WalkriskError

Door = Callable[..., Estimates]


def by_method(door: Door, method: str) -> Door:
    return lambda data, **named: door(data, **{"method": method, **named})


def curve(data: Any, *, exposure: Any, **named: Any) -> Estimates:
    return dose_response(data, exposure="x", **named)


def both(data: Any, *, exposure: Any, **named: Any) -> Estimates:
    return interaction(data, exposure="g", modifier="s", **named)


def otherwise(data: Any, *, exposure: Any, **named: Any) -> Estimates:
    return time_substitution(data, parts=["p1", "p2", "p3"], **named)


def horizon(data: Any, *, outcome: str, **named: Any) -> Estimates:
    return risks_at_horizon(data, time="t", event=outcome, horizon=2, **named)


DOORS: dict[str, Door] = {
    **{f"ratio {m}": by_method(risk_ratios, m) for m in ("auto", *RATIO_METHODS)},
    **{f"difference {m}": by_method(risk_differences, m) for m in ("auto", *DIFFERENCE_METHODS)},
    "standardised": standardised_risks,
    "compare": compare_methods,
    "fractions": attributable_fractions,
    "miettinen": lambda data, **named: attributable_fractions(data, formula="miettinen", **named),
    "curve": curve,
    "interaction": both,
    "time": otherwise,
    "kaplan_meier": lambda data, **named: horizon(data, method="kaplan_meier", **named),
    "cox": lambda data, **named: horizon(data, method="cox", **named),
}


def people(n: int = 120, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    sleep, sit = rng.uniform(300, 500, n), rng.uniform(300, 600, n)
    return pd.DataFrame(
        {
            "y": (rng.random(n) < 0.35).astype(int),
            "g": rng.choice(["a", "b", "c"], n),
            "s": rng.choice(["f", "m"], n),
            "b": rng.integers(0, 2, n),
            "x": np.round(rng.normal(50, 10, n), 1),
            "w": np.round(rng.uniform(0.5, 2, n), 2),
            "id": rng.integers(0, 30, n),
            "st": rng.integers(0, 3, n),
            "psu": rng.integers(0, 6, n),
            "t": np.round(rng.uniform(0.2, 3, n), 1),
            "p1": sleep,
            "p2": sit,
            "p3": 1440 - sleep - sit,
        }
    )


def ask(door: Door, data: Any, **named: Any) -> tuple[Estimates | None, tuple[str, ...]]:
    """The estimates (None where refused) and every sentence; only walkrisk's own faults and warnings may come out."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", WalkriskWarning)
        try:
            made = door(data, **{"outcome": "y", "exposure": "g", **named})
        except WalkriskError as fault:
            return None, tuple(text for text in fault.faults if len(text) > 15)
    assert str(made)
    assert len(made.to_frame()) == len(made.rows)
    return made, made.warnings + made.tried


def sane(made: Estimates | None) -> None:
    """Every number finite and in its order."""
    for row in made.rows if made is not None else ():
        if row.estimate is None:
            assert row.conf_low is None
            assert row.p_value is None
            continue
        assert math.isfinite(row.estimate)
        assert row.std_error is None or (math.isfinite(row.std_error) and row.std_error > 0)
        assert row.p_value is None or 0 <= row.p_value <= 1
        assert not (row.estimand == "risk" and "logistic" in row.method) or 0 <= row.estimate <= 1
        if row.conf_low is not None and row.conf_high is not None and row.estimand != "nnt":
            assert row.conf_low <= row.conf_high
            if row.variance != "bootstrap":
                assert row.conf_low <= row.estimate <= row.conf_high
        if row.estimand == "risk_ratio" and row.std_error is not None:
            assert 1e-6 < row.estimate < 1e6


@pytest.mark.parametrize("name", DOORS)
def test_a_sound_question_has_an_answer_or_says_what_it_needs(name: str) -> None:
    made, _ = ask(DOORS[name], people())
    assert made is not None
    sane(made)
    assert any(row.estimate is not None for row in made.rows)


REFUSED: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], dict[str, Any], str]] = {
    "text outcome": (lambda d: d.assign(y=np.where(d["y"] == 1, "yes", "no")), {}, "recode it to 0 and 1"),
    "outcome of 1 and 2": (lambda d: d.assign(y=d["y"] + 1), {}, "must be 0 or 1"),
    "infinite": (lambda d: d.assign(x=np.where(d.index == 3, np.inf, d["x"])), {"covariates": ["x"]}, "infinite"),
    "huge": (lambda d: d.assign(x=np.where(d.index == 3, 1e200, d["x"])), {"covariates": ["x"]}, "infinite"),
    "all unknown": (lambda d: d.assign(x=np.nan), {"covariates": ["x"]}, "No row"),
    "negative weights": (lambda d: d.assign(w=-d["w"]), {"weights": "w"}, "negative"),
    "zero weights": (lambda d: d.assign(w=0.0), {"weights": "w"}, "all zero"),
    "infinite weights": (lambda d: d.assign(w=np.inf), {"weights": "w"}, "infinite"),
    "one cluster": (lambda d: d.assign(id=1), {"cluster": "id"}, "single cluster"),
    "no such column": (lambda d: d, {"covariates": ["xx"]}, "no column"),
    "no rows": (lambda d: d.iloc[:0], {}, "no rows"),
    "doubled column": (lambda d: pd.concat([d, d[["x"]]], axis=1), {"covariates": ["x"]}, "more than one column"),
    "one PSU a stratum": (lambda d: d.assign(psu=d["st"]), {"strata": "st", "psu": "psu"}, "single primary sampling"),
    "strata alone": (lambda d: d, {"strata": "st"}, "both `strata` and `psu`"),
    "unknown variance": (lambda d: d, {"variance": "HC9"}, "HC9"),
    "confidence of 95": (lambda d: d, {"conf_level": 95}, "conf_level"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("name", DOORS)
def test_what_no_door_can_answer(name: str, case: str) -> None:
    change, named, words = REFUSED[case]
    data = change(people())
    if name in ("curve", "time") and case == "doubled column":
        pytest.skip("x or its parts are the exposure here")
    made, said = ask(DOORS[name], data, **named)
    assert made is None
    words = {"text outcome": "is text", "unknown variance": "variance"}.get(case, words)
    assert any(words in text or words in text.lower() for text in said), said


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("everyone", [0, 1])
def test_nobody_or_everyone_has_the_outcome(name: str, everyone: int) -> None:
    if everyone and name in ("kaplan_meier", "cox"):
        pytest.skip("everyone may have the event in the end: some have it after the horizon")
    made, said = ask(DOORS[name], people().assign(y=everyone))
    sane(made)
    assert said
    if made is not None:
        known = [r for r in made.rows if r.estimate is not None and r.std_error is not None]
        assert not known, known


HARD: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], dict[str, Any]]] = {
    "perfect separation": (
        lambda d: d.assign(g=np.where(d["y"] == 1, "b", "a"), s=np.where(d["y"] == 1, "m", "f")),
        {},
    ),
    "separated by a covariate": (lambda d: d.assign(x=d["y"] * 10.0 + d["b"]), {"covariates": ["x"]}),
    "quasi-separation": (
        lambda d: d.assign(x=np.where(d["y"] == 1, 1.0, (d.index % 2).to_numpy())),
        {"covariates": ["x"]},
    ),
    "a level without cases": (lambda d: d.assign(y=np.where(d["g"] == "c", 0, d["y"])), {}),
    "a level of cases only": (lambda d: d.assign(y=np.where(d["g"] == "c", 1, d["y"])), {}),
    "a reference without cases": (lambda d: d.assign(y=np.where(d["g"] == "a", 0, d["y"])), {}),
    "a category without people": (
        lambda d: d.assign(g=pd.Categorical(d["g"], categories=["a", "b", "c", "none"])),
        {},
    ),
    "a covariate of one level": (lambda d: d.assign(k="same"), {"covariates": ["k"]}),
    "a constant covariate": (lambda d: d.assign(k=2.0), {"covariates": ["k"]}),
    "collinear covariates": (lambda d: d.assign(k=2 * d["x"] + 1), {"covariates": ["b", "k", linear("k", per=3)]}),
    "the exposure again as a covariate": (lambda d: d.assign(k=d["g"]), {"covariates": ["k"]}),
    "clusters of one": (lambda d: d.assign(id=np.arange(len(d))), {"cluster": "id"}),
    "fewer clusters than coefficients": (lambda d: d.assign(id=d["id"] % 2), {"cluster": "id", "covariates": ["x"]}),
    "more coefficients than people": (lambda d: d.iloc[:12], {"covariates": [categories("id"), "x"]}),
    "three people": (lambda d: d.iloc[:3], {}),
    "one person": (lambda d: d.iloc[:1], {}),
    "one case": (lambda d: d.assign(y=(d.index == 5).astype(int)), {}),
    "almost everyone unknown": (lambda d: d.assign(x=d["x"].where(d.index < 4)), {"covariates": ["x"]}),
    "large units": (lambda d: d.assign(x=d["x"] * 1e12), {"covariates": ["x"]}),
    "most weights zero": (lambda d: d.assign(w=np.where(d.index < 8, 1.0, 0.0)), {"weights": "w"}),
    "the outcome as exposure": (lambda d: d.assign(g=d["y"].astype(str), s=d["y"].astype(str)), {}),
    "a constant exposure": (lambda d: d.assign(g="a", s="f", x=1.0), {}),
}


@pytest.mark.parametrize("case", HARD)
@pytest.mark.parametrize("name", DOORS)
def test_hard_data_give_a_sentence_or_numbers_in_order(name: str, case: str) -> None:
    change, named = HARD[case]
    made, said = ask(DOORS[name], change(people()), **named)
    sane(made)
    if made is None:
        assert said
    elif any(row.estimate is None for row in made.rows):
        assert said, "a row without an estimate needs its sentence"


@pytest.mark.parametrize("method", ["modified_poisson", "log_binomial", "logistic", "case_duplication"])
def test_a_level_without_cases_has_no_ratio_and_says_so(method: str) -> None:
    data = people()
    data["y"] = np.where(data["g"] == "c", 0, data["y"])
    made, said = ask(by_method(risk_ratios, method), data)
    assert made is not None
    assert made.rows[2].estimate is None
    assert made.rows[1].estimate is not None
    assert "c" in " ".join(said)


@pytest.mark.parametrize("method", ["modified_poisson", "log_binomial", "mantel_haenszel", "standardisation_logistic"])
def test_a_reference_without_cases_leaves_no_ratio(method: str) -> None:
    data = people()
    data["y"] = np.where(data["g"] == "a", 0, data["y"])
    made, said = ask(by_method(risk_ratios, method), data)
    assert said
    assert made is None or all(row.estimate is None for row in made.rows[1:])


def test_products_need_their_parts_and_references_hold_within_them() -> None:
    data = people()
    made, said = ask(risk_ratios, data, covariates=["x", product("g", "s")])
    assert made is None
    assert "s must stand in the model" in said[0]
    made, said = ask(risk_ratios, data, covariates=["x", product("x", "x")])
    assert made is None
    assert "power" in said[0]
    refused, said = ask(risk_ratios, data, covariates=["x", product("g", "x")], method="modified_poisson")
    assert refused is None
    assert "no single ratio" in said[0]
    made, _ = ask(standardised_risks, data, reference="c", covariates=["x", product("g", "x")], method="poisson")
    assert made is not None
    assert made.fit is not None
    names = ["Intercept", "g[a]", "g[b]", "x", "g[a]:x", "g[b]:x"]
    assert list(made.fit.coefficients.index) == names
    at = data["g"] == "a"
    alone, _ = ask(
        standardised_risks,
        data[at | (data["g"] == "c")].assign(g=lambda d: (d["g"] == "a").astype(int)),
        covariates=["x", product("g", "x")],
        method="poisson",
    )
    assert alone is not None
    assert alone.fit is not None
    assert math.isclose(alone.fit.coefficients["g[1]"], made.fit.coefficients["g[a]"], rel_tol=1e-8)


def test_one_variable_in_two_groupings_keeps_both() -> None:
    data = people()
    groups = [categories("x", quantiles=3), categories("x", cuts=(45,))]
    made, _ = ask(risk_ratios, data, covariates=groups, method="modified_poisson")
    assert made is not None
    assert made.fit is not None
    assert made.fit.parameters == 6
    assert sum(r.n for r in made.rows) == len(data)
    refused, said = ask(risk_ratios, data, exposure=groups[0], covariates=groups[1:], method="modified_poisson")
    assert refused is None
    assert "another form" in said[0]


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"subset": "x"}, "0 and 1"),
        ({"subset": [True, False]}, "a mask"),
        ({"covariates": [3]}, "names of columns"),
        ({"method": "modified_poison"}, "modified_poisson"),
        ({"correlation": "exchangeable", "method": "modified_poisson"}, "needs `cluster`"),
        ({"correlation": "ar1", "method": "log_binomial", "cluster": "id"}, "is for method"),
        ({"cluster": ["id", "st"], "variance": "CR2"}, "one column"),
        ({"cluster": ["id", "st"], "variance": "bootstrap"}, "one column"),
        ({"variance": "bootstrap", "replicates": 0}, "replicates"),
        ({"lonely": "ignore"}, "lonely"),
        ({"limits": "z"}, "limits"),
        ({"exposure": spline("x", knots=4), "method": "modified_poisson"}, "dose_response"),
        ({"exposure": "x", "method": "standardisation_logistic"}, "at"),
        ({"exposure": "x", "method": "standardisation_logistic", "at": [40]}, "two or more"),
        ({"exposure": "x", "method": "iptw"}, "categories"),
    ],
)
def test_what_risk_ratios_cannot_be_asked(named: Mapping[str, Any], words: str) -> None:
    made, said = ask(risk_ratios, people(), **named)
    assert made is None
    assert any(words in text for text in said), said


def test_pooling_of_sets_that_do_not_match() -> None:
    a, _ = ask(risk_ratios, people(seed=1), method="modified_poisson")
    b, _ = ask(risk_ratios, people(seed=2), method="log_binomial")
    assert a is not None
    assert b is not None
    for sets in ([a], [a, b]):
        made, said = ask(lambda data, **named: pool(data), sets)
        assert made is None
        assert said
    made, said = ask(lambda data, **named: pool(data, conf_level=2), [a, a])
    assert made is None


def drawn(rng: np.random.Generator) -> pd.DataFrame:
    """A small frame with something odd about it, often."""
    data = people(int(rng.choice([4, 8, 15, 30, 60])), seed=int(rng.integers(1 << 30)))
    if rng.random() < 0.3:
        data["y"] = (rng.random(len(data)) < rng.choice([0.03, 0.97])).astype(int)
    if rng.random() < 0.2:
        data["x"] = data["x"].where(rng.random(len(data)) < 0.8)
    if rng.random() < 0.2:
        data["b"] = data["y"]
    if rng.random() < 0.2:
        data["w"] = data["w"] * (rng.random(len(data)) < 0.6)
    return data


@pytest.mark.parametrize("seed", range(12))
def test_random_small_frames_through_every_door(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = drawn(rng)
    covariates = [[], ["x"], ["s"], ["x", "s"], ["b", "s", product("b", "s")], [categories("st"), "x"]]
    more: list[dict[str, Any]] = [
        {},
        {"weights": "w"},
        {"cluster": "id"},
        {"strata": "st", "psu": "psu", "lonely": "adjust"},
    ]
    for name, door in DOORS.items():
        if seed % 4 and "ratio" in name and rng.random() < 0.5:
            continue
        exposure = [["g", "b", categories("x", quantiles=3)][rng.integers(3)]][0]
        chosen = [c for c in covariates[rng.integers(len(covariates))] if name != "interaction" or c == "x"]
        chosen = [c for c in chosen if c != exposure and getattr(c, "first", None) != exposure]
        if name == "curve":
            chosen = [c for c in chosen if c == "s"]
        made, _ = ask(door, data, exposure=exposure, covariates=chosen, **more[rng.integers(4)])
        sane(made)


def test_weighted_risks_of_every_population() -> None:
    data = people()
    for named in (
        {"estimand": "ATT", "target": "b"},
        {"estimand": "ATO"},
        {"truncate": (1, 99)},
        {"method": "aipw"},
        {"method": "tmle"},
        {"method": "aipw", "propensity_covariates": ["x"]},
        {"loss_covariates": ["x"]},
    ):
        made, _ = ask(weighted_risks, data, covariates=["x", "s"], **named)
        assert made is not None
        sane(made)
    for named, words in (
        ({"estimand": "ATT"}, "target"),
        ({"estimand": "ATT", "target": "z"}, "`target` must be a level"),
        ({"estimand": "all"}, "unknown"),
        ({"method": "aipw", "estimand": "ATO"}, "iptw"),
        ({"method": "aipw", "loss_covariates": ["x"]}, "iptw"),
        ({"truncate": (99, 1)}, "no range"),
        ({"covariates": ["x", product("g", "x")]}, "cannot hold"),
    ):
        made, said = ask(weighted_risks, data, **{"covariates": ["x"], **named})
        assert made is None
        assert any(words in text for text in said), said
