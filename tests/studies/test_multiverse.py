"""Multiverses of a whole study: rows against the ordinary machinery, parts in any order, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from walkrisk.accounts.account import View
from walkrisk.accounts.multiverse import accounts
from walkrisk.cohorts.days import ValidDay, daily_seconds
from walkrisk.cohorts.eligibility import Condition, Exclusion
from walkrisk.cohorts.readers import read_extract
from walkrisk.cohorts.variables import Ratio
from walkrisk.errors import DataFault, StudyFault
from walkrisk.estimates.results import Results, Specification
from walkrisk.figures.render import render
from walkrisk.runs.accounting import view_of
from walkrisk.runs.compute import compute, make_cohort
from walkrisk.runs.tabulations import tabulation
from walkrisk.studies.analyse import ratio_rows
from walkrisk.studies.bench import Rows, make_bench
from walkrisk.studies.declaration import check_study, contracts, load_study
from walkrisk.studies.missing_data import Imputation
from walkrisk.studies.multiverse import (
    AsDeclaredOption,
    CategoriesOption,
    CovariatesOption,
    Decision,
    DerivationOption,
    MethodOption,
    MissingDataOption,
    Multiverse,
    OutcomeOption,
    PerUnitOption,
    RestrictOption,
    SplineOption,
    ValidDaysOption,
)
from walkrisk.studies.sensitivity import Sensitivity
from walkrisk.studies.study import Study
from walkrisk.variations.ground import Ground, main_analysis, vary
from walkrisk.variations.multiverse import plan, specifications
from walkrisk.variations.specifications import Specified, specified, two_values
from walkrisk.variations.variation import Arrays

AS_IS = AsDeclaredOption(id="as_is", op="as_declared")
STEEPER = Ratio(
    op="ratio_of_means",
    weights={"walking_slow_min_day": 2.5, "walking_moderate_min_day": 3.8, "walking_brisk_min_day": 5.5},
    total="walking_min_day",
)
DAYS = Decision(
    id="days",
    options=(
        AS_IS,
        ValidDaysOption(id="every", op="valid_days", valid=ValidDay()),
        ValidDaysOption(id="four", op="valid_days", fewest=4),
    ),
)
FORM = Decision(
    id="form",
    title="Form of the exposure",
    options=(
        AS_IS,
        CategoriesOption(id="thirds", op="categories", quantiles=3),
        CategoriesOption(id="fixed", op="categories", cuts={"volume": (80.0, 120.0), "intensity": (3.0, 3.2)}),
        PerUnitOption(id="line", op="per_unit"),
        SplineOption(id="spline", op="spline", knots=4),
    ),
)
COVARIATES = Decision(
    id="covariates",
    options=(
        AS_IS,
        CovariatesOption(id="age", op="covariates", model="age_adjusted"),
        CovariatesOption(
            id="bmi", op="covariates", add=("bmi",), drop=("income",), replace={"depression": "depression8"}
        ),
    ),
)
PEOPLE = Decision(
    id="people",
    options=(
        AS_IS,
        RestrictOption(id="no_pain", op="restrict", require=(Condition(variable="msp_t0", equals=0.0),)),
        RestrictOption(id="all_covariates", op="restrict", without=("complete_covariates",)),
    ),
)
OUTCOME = Decision(id="outcome", options=(AS_IS, OutcomeOption(id="severe", op="outcome", outcome="severe_lbp")))
ESTIMATOR = Decision(
    id="estimator",
    options=(
        AS_IS,
        MethodOption(id="odds", op="method", method="logistic"),
        MethodOption(id="standardised", op="method", method="standardisation_logistic"),
    ),
)
WEIGHTS = Decision(
    id="weights",
    exposures=("intensity",),
    options=(AS_IS, DerivationOption(id="steeper", op="derivation", variables={"walking_intensity_met": STEEPER})),
)
WIDE = Multiverse(
    id="wide", decisions=(DAYS, FORM, COVARIATES, PEOPLE, OUTCOME, ESTIMATOR, WEIGHTS), sample=60, permutations=0
)
SMALL = Multiverse(id="small", decisions=(DAYS, FORM, COVARIATES), permutations=60, exposures=("volume",))
MI = Imputation(
    id="mi",
    sets=2,
    cycles=2,
    replaces=("complete_covariates",),
    impute=dict.fromkeys(("education", "income", "work_status", "smoking", "depression"), "auto"),
)


def with_multiverses(study: Study, *declared: Multiverse, **more: Any) -> Study:
    main = next(a for a in study.analyses if a.id == "main")
    return replace(
        study,
        analyses=(replace(main, models=("multi_adjusted",)),),
        sensitivity=Sensitivity(model="multi_adjusted", multiverses=declared, **more),
        curves=(), trends=(), interactions=(), standardised=(), comparisons=(), attributable=(), evalues=(),
        characteristics=(), tables=(), curve_figures=(), forest_figures=(), heat_figures=(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def reference(reference_toml: Path) -> Study:
    return load_study(reference_toml)


@pytest.fixture(scope="module")
def ground(reference: Study, simulated_frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    path = tmp_path_factory.mktemp("multiverse") / "extract.parquet"
    simulated_frame.to_parquet(path, index=False)
    extract = read_extract(path, contracts(reference))
    study = with_multiverses(reference, WIDE, SMALL)
    columns = {n: extract.frame[n].to_numpy(dtype=np.float64) for n in extract.frame if n != "PID_114165"}
    cohort, _ = make_cohort(study, extract)
    assert study.days is not None
    return Ground(study, columns, daily_seconds(study.days, columns), make_bench(study, cohort))


def declaring(ground: Ground, *declared: Multiverse, **more: Any) -> Ground:
    study = with_multiverses(ground.study, *declared, **more)
    return replace(ground, study=study, bench=replace(ground.bench, study=study))


def rows_of(ground: Ground) -> tuple[Rows, list[Arrays]]:
    (variation,) = plan(ground)
    made = [part.work() for part in variation.parts]
    return variation.finish(made), made


def by_number(rows: Rows, exposure: str) -> Mapping[int, Specification]:
    return {s.specification: s for s in rows.specifications if s.exposure == exposure}


def expected(ground: Ground, spec: Specified, exposure: str) -> tuple[float, float, int] | None:
    """Ratio, standard error and people by `vary` and the study's own ratio rows; None for what these do not have."""
    bench = vary(ground, study=spec.study)
    analysis = spec.analysis
    if isinstance(spec.form, SplineOption) or (
        isinstance(spec.form, PerUnitOption) and spec.method.startswith("stand")
    ):
        return None
    if isinstance(spec.form, PerUnitOption):
        declared = spec.study.exposures[exposure]
        low, high = two_values(ground.study, exposure, bench.sample.columns[declared.variable or ""])
        changed = replace(declared, per=high - low)
        bench = replace(bench, study=replace(bench.study, exposures={**bench.study.exposures, exposure: changed}))
        analysis = replace(analysis, form="per_unit")
    rows = ratio_rows(bench, analysis, exposure)
    (row,) = [e for e in rows.estimates if e.variance == "stata"][-1:]
    assert row.estimate is not None
    assert row.std_error is not None
    return row.estimate, row.std_error, rows.diagnostics[0].n


@pytest.mark.filterwarnings("ignore::walkrisk.doors.results.WalkriskWarning")
@pytest.mark.parametrize("exposure", ["volume", "intensity"])
def test_specifications_equal_the_study_changed_by_hand(ground: Ground, exposure: str) -> None:
    wide = declaring(ground, replace(WIDE, exposures=(exposure,)))
    rows, _ = rows_of(wide)
    found = by_number(rows, exposure)
    specs = specifications(wide, wide.study.sensitivity.multiverses[0], exposure)
    assert len(found) == len(specs) == 60
    compared = 0
    for spec in specs[:40]:
        wanted = expected(wide, spec, exposure)
        if wanted is None:
            continue
        got = found[spec.number]
        assert got.estimate == pytest.approx(wanted[0], rel=1e-9), got.choices
        assert got.std_error == pytest.approx(wanted[1], rel=1e-8), got.choices
        assert got.n == wanted[2]
        assert got.conf_low is not None
        assert got.p_value is not None
        compared += 1
    assert compared >= 20
    if exposure == "volume":
        assert all("weights=as_is" in s.choices for s in rows.specifications)
    else:
        assert any("weights=steeper" in s.choices for s in rows.specifications)


def test_the_first_specification_is_the_main_analysis(ground: Ground) -> None:
    small = declaring(ground, SMALL)
    rows, _ = rows_of(small)
    first = by_number(rows, "volume")[1]
    main = next(e for e in ratio_rows(small.bench, main_analysis(small.study), "volume").estimates if e.level == "Q4")
    assert first.choices == "days=as_is; form=as_is; covariates=as_is"
    assert first.estimate == pytest.approx(main.estimate, rel=1e-10)
    assert first.conf_low == pytest.approx(main.conf_low, rel=1e-8)
    assert len(rows.specifications) == 45
    shares = [e.estimate for e in rows.estimates if e.estimand == "share_of_variance"]
    assert math.fsum(s for s in shares if s is not None) == pytest.approx(1)
    p = {e.level: e.p_value for e in rows.estimates if e.estimand == "joint"}
    assert set(p) == {"median", "sign", "significant", "mean_z"}
    assert all(v is not None and 1 / 61 <= v <= 1 for v in p.values())
    gap = {e.level: e.estimate for e in rows.estimates if e.estimand == "one_step_deviation"}
    assert all(v is not None and v < 0.3 for v in gap.values())


@pytest.mark.parametrize("null", ["shuffled", "flipped"])
def test_parts_leave_the_same_bytes_in_any_order_and_by_any_number_of_threads(ground: Ground, null: Any) -> None:
    declared = replace(SMALL, null=null)
    (first,), (second,) = (list(plan(declaring(ground, declared))) for _ in range(2))
    forward = [part.work() for part in first.parts]
    with ThreadPoolExecutor(3) as threads:
        backward = list(threads.map(lambda part: part.work(), reversed(second.parts)))[::-1]
    for a, b in zip(forward, backward, strict=True):
        assert set(a) == set(b)
        for name, values in a.items():
            assert values.dtype.kind in "fiU"
            assert values.tobytes() == b[name].tobytes(), name


def test_the_study_without_association_has_no_small_p(ground: Ground) -> None:
    """Outcomes dealt out at random among people: P of the mean z is not in its lowest 2%."""
    variable = "MSPaLum_NT4CovQ"
    random = np.random.default_rng(8)
    columns = dict(ground.columns)
    known = np.flatnonzero(ground.bench.cohort.included)
    columns["MSPaLY_NT4CovQ"] = columns["MSPaLY_NT4CovQ"].copy()
    columns[variable] = columns[variable].copy()
    order = random.permutation(known)
    for name in ("MSPaLY_NT4CovQ", variable):
        columns[name][known] = ground.columns[name][order]
    moved = replace(declaring(ground, replace(SMALL, permutations=99)), columns=columns)
    moved = replace(moved, bench=vary(moved))
    rows, _ = rows_of(moved)
    p = next(e.p_value for e in rows.estimates if e.estimand == "joint" and e.level == "mean_z")
    assert p is not None
    assert p > 0.02


def test_imputed_and_unknown_as_a_level(ground: Ground) -> None:
    missing = Decision(
        id="missing",
        options=(
            AS_IS,
            MissingDataOption(id="imputed", op="missing_data", approach="imputed", imputation="mi", sets=2),
            MissingDataOption(
                id="level",
                op="missing_data",
                approach="indicator",
                variables=("education", "income", "smoking"),
                without=("complete_covariates",),
            ),
        ),
    )
    form = replace(FORM, options=(AS_IS, FORM.options[3]))
    declared = Multiverse(id="mv", decisions=(missing, form), permutations=20, exposures=("volume",))
    rows, _ = rows_of(declaring(ground, declared, imputations=(MI,)))
    found = {s.choices: s for s in rows.specifications}
    complete, imputed, level = (found[f"missing={o}; form=as_is"] for o in ("as_is", "imputed", "level"))
    assert complete.n is not None
    assert imputed.n is not None
    assert level.n is not None
    assert imputed.n > level.n > complete.n
    for s in found.values():
        assert s.estimate is not None
        assert s.std_error == pytest.approx(complete.std_error, rel=0.25)
    joint = next(e for e in rows.estimates if e.level == "in the joint test")
    assert joint.estimate == 4  # those that impute stay out of it


def test_what_cannot_be_estimated_is_a_row_with_its_sentence(ground: Ground) -> None:
    nobody = RestrictOption(id="nobody", op="restrict", require=(Condition(variable="age", above=150.0),))
    people = Decision(id="people", options=(AS_IS, nobody))
    estimator = Decision(id="estimator", options=(AS_IS, MethodOption(id="iptw", op="method", method="iptw")))
    form = replace(FORM, options=(AS_IS, FORM.options[3]))
    declared = Multiverse(id="m", decisions=(people, estimator, form), permutations=0, exposures=("volume",))
    rows, _ = rows_of(declaring(ground, declared))
    found = {s.choices: s for s in rows.specifications}
    lost = found["people=nobody; estimator=as_is; form=as_is"]
    assert lost.estimate is None
    assert "Nobody is left" in lost.warnings
    line = found["people=as_is; estimator=iptw; form=line"]
    assert line.estimate is None
    assert "compares categories" in line.warnings
    assert found["people=as_is; estimator=iptw; form=as_is"].estimate is not None
    counts = {e.level: e.estimate for e in rows.estimates if e.estimand == "count"}
    assert counts == {"specifications": 8.0, "without estimate": 5.0}


def test_a_multiverse_in_which_nobody_is_left_ends_in_a_sentence(ground: Ground) -> None:
    young = RestrictOption(id="young", op="restrict", require=(Condition(variable="age", below=1.0),), reference=True)
    old = RestrictOption(id="old", op="restrict", require=(Condition(variable="age", above=150.0),))
    declared = Multiverse(id="m", decisions=(Decision(id="people", options=(young, old)), FORM), exposures=("volume",))
    with pytest.raises(
        DataFault, match=r"sensitivity.multiverses \(m\): nobody is left in any specification of volume"
    ):
        list(plan(declaring(ground, declared)))


def test_distances_bring_groups_to_one_scale(ground: Ground) -> None:
    form = replace(FORM, options=FORM.options[:2])
    declared = Multiverse(id="m", decisions=(form, OUTCOME), permutations=0, exposures=("volume",))
    plain, scaled = (
        {s.choices: s for s in rows_of(declaring(ground, replace(declared, scale=scale)))[0].specifications}
        for scale in ("groups", "distance")
    )
    quarters, thirds = "form=as_is; outcome=as_is", "form=thirds; outcome=as_is"
    assert scaled[quarters].estimate == pytest.approx(plain[quarters].estimate, rel=1e-12)
    values = ground.bench.sample.columns["walking_min_day"]
    low, high = two_values(ground.study, "volume", values)
    limits = np.quantile(values, [1 / 3, 2 / 3], method="averaged_inverted_cdf")
    own = np.median(values[values > limits[1]]) - np.median(values[values <= limits[0]])
    factor = (high - low) / own
    assert factor > 1
    assert scaled[thirds].estimate == pytest.approx((plain[thirds].estimate or 0) ** factor, rel=1e-10)


def test_accounts_are_made_of_rows_alone(
    ground: Ground, reference: Study, simulated_frame: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "extract.parquet"
    simulated_frame.to_parquet(path, index=False)
    study = with_multiverses(reference, SMALL)
    extract = read_extract(path, contracts(reference))
    made = compute(study, extract)
    results: Results = made.results
    view: View = view_of(tabulation(study, results, simulated=True))
    (account,) = accounts(view)
    methods = " ".join(account.methods)
    assert account.title == "Every combination of choices"
    assert account.title != account.group
    assert "the smallest P these data sets can give is one over their number plus one, 1/61." in methods
    assert ("Combinations that the study declares to be left out were not estimated." in methods) == bool(SMALL.never)
    said = " ".join(s.text for s in account.sentences)
    assert "in 45 specifications the ratio lay between" in said
    assert "against 60 data sets without association" in said
    assert [t.id for t in account.tables] == ["small_summary", "small_options"]
    assert [d.id for d in account.drawings] == ["small_volume", "small_variance"]
    assert all(render(d.figure, "png")[:4] == b"\x89PNG" for d in account.drawings)
    (row,) = account.lines[0].rows
    assert (row.level, row.reference) == ("Q4", "Q1")


def _faults(reference: Study, declared: Multiverse, **more: Any) -> list[str]:
    with pytest.raises(StudyFault) as caught:
        check_study(with_multiverses(reference, declared, **more))
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (replace(SMALL, never=({"days": ("as_is", "every", "four")},)), "leaves no admissible specification"),
        (replace(SMALL, never=({"days": ("as_is",), "form": ("as_is",)},)), "leaves the study's own combination out"),
        (replace(SMALL, never=({"dayz": ("as_is",)},)), "there is no decision 'dayz'; did you mean days?"),
        (replace(SMALL, decisions=(DAYS,)), "there must be from 2 to 12"),
        (replace(SMALL, decisions=(DAYS, replace(DAYS, id="again"))), "both change the valid day"),
        (replace(SMALL, permutations=5), "must be 0 or at least 20"),
        (replace(SMALL, exposures=("joint",)), "there is no exposure with a variable 'joint'"),
        (
            replace(SMALL, decisions=(DAYS, replace(FORM, options=(AS_IS, replace(AS_IS, id="same"))))),
            "as_is and same say the same",
        ),
        (
            replace(
                SMALL,
                decisions=(DAYS, Decision(id="o", options=(AS_IS, OutcomeOption(id="x", op="outcome", outcome="x")))),
            ),
            "there is no outcome 'x'",
        ),
        (
            replace(
                SMALL,
                decisions=(DAYS, Decision(id="m", options=(AS_IS, MethodOption(id="r", op="method", method="linear")))),
            ),
            "linear gives no ratio",
        ),
        (
            replace(
                SMALL,
                decisions=(
                    DAYS,
                    Decision(
                        id="missing",
                        options=(
                            AS_IS,
                            MissingDataOption(id="mi", op="missing_data", approach="imputed", imputation="other"),
                        ),
                    ),
                ),
            ),
            "there is no imputation 'other'",
        ),
    ],
)  # fmt: skip
def test_contradictions_are_refused(reference: Study, declared: Multiverse, said: str) -> None:
    assert any(said in fault for fault in _faults(reference, declared, imputations=(MI,))), _faults(
        reference, declared, imputations=(MI,)
    )


def test_a_decision_of_one_option_and_two_references_are_refused(reference: Study) -> None:
    one = replace(SMALL, decisions=(DAYS, Decision(id="one", options=(AS_IS,))))
    assert any("needs two options or more" in f for f in _faults(reference, one))
    two = replace(FORM, options=tuple(replace(o, reference=True) for o in FORM.options))
    assert any(
        "exactly one option is the reference" in f for f in _faults(reference, replace(SMALL, decisions=(DAYS, two)))
    )


FloatArray = npt.NDArray[np.float64]


def test_each_option_changes_the_one_thing_it_names(ground: Ground) -> None:
    study = ground.study
    assert study.days is not None
    main = main_analysis(study)
    steps = study.exclusions

    def made(decision: Decision, place: int) -> Specified:
        declared = Multiverse(id="m", decisions=(decision, WEIGHTS), permutations=0)
        return specified(study, declared, 1, (place, 0))

    assert made(DAYS, 0).study == study
    assert made(DAYS, 1).study == replace(study, days=replace(study.days, valid=ValidDay()))
    four = Exclusion(id="multiverse_four", reason="four", require=(Condition(variable="valid_days", at_least=4.0),))
    assert made(DAYS, 2).study == replace(study, exclusions=(*steps, four))
    volume = study.exposures["volume"]
    assert made(FORM, 1).study.exposures["volume"] == replace(volume, quantiles=3)
    assert made(FORM, 2).study.exposures["volume"] == replace(volume, quantiles=None, cuts=(80.0, 120.0))
    assert made(FORM, 1).study.exposures["joint"] == study.exposures["joint"]
    sets = [made(COVARIATES, i).study.models["multi_adjusted"].covariates for i in range(3)]
    assert sets[1] == ("age",)
    assert sets[2] == ("age", "sex", "education", "work_status", "smoking", "depression8", "bmi")
    assert len(made(PEOPLE, 1).study.exclusions) == len(steps) + 1
    assert [s.id for s in steps if s not in made(PEOPLE, 2).study.exclusions] == ["complete_covariates"]
    assert made(OUTCOME, 1).analysis == replace(main, outcome="severe_lbp")
    assert made(ESTIMATOR, 1).analysis == replace(main, method="logistic")
    declared = Multiverse(id="m", decisions=(DAYS, WEIGHTS), permutations=0)
    other = specified(study, declared, 1, (0, 1)).study.variables["walking_intensity_met"]
    own = study.variables["walking_intensity_met"]
    assert isinstance(other, Ratio)
    assert other.weights == STEEPER.weights
    assert (other.label, other.unit, other.decimals) == (own.label, own.unit, own.decimals)
