"""Comparing a run's Results with the numbers an independent program left, one number at a time."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from walkrisk.cohorts.readers import read_extract
from walkrisk.estimates.results import Characteristic, CutPoint, Diagnostic, Results
from walkrisk.estimates.rows import CurvePoint, Estimate
from walkrisk.runs.compute import Computed, compute
from walkrisk.studies.declaration import contracts, load_study
from walkrisk.studies.study import Study

HERE = Path(__file__).resolve().parent
STUDY = HERE.parents[1] / "analyses" / "walking_low_back_pain" / "study.toml"

# The witnesses' short names -> those of the study.
MODEL = {
    "crude": "crude",
    "age": "age_adjusted",
    "multi": "multi_adjusted",
    "multi_mutual": "multi_adjusted",
    "": "",
}
VARIANCE = {"stata": "stata", "hc0": "HC0", "model": "model", "": ""}
LOG_BINOMIAL_VARIANCE = {"oim": "model", "hc0_oim": "HC0", "stata_oim": "stata"}
STRATUM = {
    "<65": "age<65",
    ">=65": "age>=65",
    "vq": "volume",
    "iq": "intensity",
    **{f"intensity_Q{q}": f"intensity Q{q}" for q in range(1, 5)},
}
TABLE = {
    "table1": "table1",
    "table1_by_intensity": "table1_by_intensity",
    "table_supp": "exercise_and_work",
    "compare_included": "included",
    "compare_ax3": "accelerometer",
    "compare_msk_data": "baseline_pain",
}
GROUP = {
    "compare_included": {"0": "Not included", "1": "Included"},
    "compare_ax3": {"0": "No accelerometer day", "1": "Accelerometer day"},
    "compare_msk_data": {"0": "Missing", "1": "Known"},
}
VARIABLE = {
    "vdw": "valid_days",
    "met": "walking_intensity_met",
    "vol": "walking_min_day",
    "exerc_freq": "exercise_frequency",
}
STATISTIC = {"count": "count", "pct": "percent", "mean": "mean", "sd": "sd"}

# What a witness holds and walkrisk does not put into its rows: coefficients of covariates, estimators of later rooms,
# Stata's single-precision storage, and figures that others here already determine.
NOT_IN_RESULTS = frozenset(
    {
        ("flow", "risk"),
        ("main_coef", "log_rr"),
        ("crude_risk", "risk"),
        ("interaction", "ratio_of_rr"),
        ("x_interaction", "ratio_of_rr"),
        ("evalue", "shown_by_published_rule"),
        *((a, t) for a in ("rcs", "rcs_mutual") for t in ("coef", "covariance", "wald_overall_chi2", "rr_at")),
    }
)
OTHER_ROOMS = ("distribution", "margstd", "reri", "x_single")
EXACT, CUT, ESTIMATE = 0.0, 1e-9, 1e-6


@dataclass
class Comparison:
    """Numbers compared by analysis, and every difference as a sentence."""

    compared: Counter[str] = field(default_factory=Counter)
    differences: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, analysis: str, key: object, what: str, expected: Any, got: Any, tolerance: float) -> None:
        """Compare one number; missing equals missing only."""
        e, g = _number(expected), _number(got)
        self.compared[analysis] += 1
        if (e is None) != (g is None):
            self.differences[analysis].append(f"{key} {what}: expected {e}, got {g}")
        elif e is not None and g is not None and not abs(g - e) <= tolerance * abs(e):
            self.differences[analysis].append(f"{key} {what}: expected {e!r}, got {g!r}")


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


@dataclass(frozen=True)
class Index:
    """The rows of Results by what names them; a repeated name is an error."""

    estimates: Mapping[tuple[str, ...], Estimate]
    characteristics: Mapping[tuple[str, ...], Characteristic]
    cutpoints: Mapping[tuple[str, ...], CutPoint]
    diagnostics: Mapping[tuple[str, ...], list[Diagnostic]]
    curves: Mapping[tuple[str, ...], list[CurvePoint]]
    results: Results


def _by(rows: Iterable[Any], *names: str) -> dict[tuple[str, ...], Any]:
    out: dict[tuple[str, ...], Any] = {}
    for row in rows:
        key = tuple(getattr(row, name) for name in names)
        assert key not in out, f"two rows {key}"
        out[key] = row
    return out


def _lists(rows: Iterable[Any], *names: str) -> dict[tuple[str, ...], list[Any]]:
    out: dict[tuple[str, ...], list[Any]] = defaultdict(list)
    for row in rows:
        out[tuple(getattr(row, name) for name in names)].append(row)
    return dict(out)


def index_of(results: Results) -> Index:
    """Look-up tables of Results."""
    return Index(
        _by(results.estimates, "analysis", "exposure", "stratum", "level", "model", "variance", "estimand", "method"),
        _by(results.characteristics, "table", "variable", "level", "group", "statistic"),
        _by(results.cutpoints, "analysis", "exposure", "cut"),
        _lists(results.diagnostics, "analysis", "exposure", "stratum", "model"),
        _lists(results.curves, "analysis", "exposure"),
        results,
    )


def read_witness(path: Path) -> pd.DataFrame:
    """The numbers of an independent program; texts empty where not applicable, numbers NaN."""
    texts = ("analysis", "exposure", "stratum", "level", "model", "variance", "term")
    table = pd.read_csv(
        path,
        dtype=dict.fromkeys(texts, str),
        keep_default_na=False,
        na_values={
            name: [""] for name in ("n", "cases", "estimate", "std_error_log", "conf_low", "conf_high", "p_value")
        },
    )
    return table


def compare_all(witness: pd.DataFrame, results: Results, *, grid_every: int) -> Comparison:
    """Every number of a witness against Results; a kind of row nobody knows is a difference too."""
    comparison, index = Comparison(), index_of(results)
    for row in witness.itertuples(index=False):
        kind = (row.analysis, row.term)
        if kind in NOT_IN_RESULTS or row.analysis.startswith(OTHER_ROOMS) or row.term == "max_abs_score":
            continue
        if row.term in ("rr_grid", "grid_points"):
            continue
        rule = _rule_of(row)
        if rule is None:
            comparison.differences[row.analysis].append(f"no rule to compare {kind}")
            continue
        try:
            rule(comparison, index, row)
        except KeyError as missing:
            comparison.differences[row.analysis].append(f"no row {missing} for {kind}")
    _compare_curves(comparison, index, witness, grid_every)
    return comparison


Rule = Callable[[Comparison, Index, Any], None]


def _rule_of(row: Any) -> Rule | None:
    if row.analysis == "flow":
        return _flow
    if row.analysis in TABLE:
        return _characteristic
    if row.analysis == "logbin":
        return _log_binomial
    return {
        "rr": _ratio,
        "cut_point": _cut_point,
        "knot": _knot,
        "loglik": _log_likelihood,
        "lr_chi2": _interaction_test,
        "robust_wald_chi2": _interaction_test,
        "lr_df": _interaction_models,
        "loglik_with": _interaction_models,
        "loglik_without": _interaction_models,
        "log_rr_per_unit": _trend,
        "evalue_point": _evalue,
        "evalue_ci": _evalue,
        "wald_nonlinear_chi2": _nonlinearity,
    }.get(row.term)


def _level(level: str) -> str:
    return f"Q{level[1]}/Q{level[3]}" if level.startswith("V") else level


def _analysis(row: Any) -> str:
    if row.analysis == "main" and row.exposure == "joint":
        return "joint"
    return {"rcs": "main", "rcs_mutual": "mutual"}.get(row.analysis, row.analysis)


def _inference(c: Comparison, row: Any, key: object, e: Estimate) -> None:
    c.add(row.analysis, key, "std_error", row.std_error_log, e.std_error, ESTIMATE)
    c.add(row.analysis, key, "conf_low", row.conf_low, e.conf_low, ESTIMATE)
    c.add(row.analysis, key, "conf_high", row.conf_high, e.conf_high, ESTIMATE)
    c.add(row.analysis, key, "p_value", row.p_value, e.p_value, ESTIMATE)


def _counts(c: Comparison, row: Any, key: object, e: Estimate | Diagnostic) -> None:
    c.add(row.analysis, key, "n", row.n, e.n, EXACT)
    c.add(row.analysis, key, "events", row.cases, e.events, EXACT)


def _ratio(c: Comparison, index: Index, row: Any) -> None:
    key = (
        _analysis(row),
        row.exposure,
        STRATUM.get(row.stratum, row.stratum),
        _level(row.level),
        MODEL[row.model],
        VARIANCE[row.variance],
        "risk_ratio",
        "modified_poisson",
    )
    e = index.estimates[key]
    _counts(c, row, key, e)
    c.add(row.analysis, key, "estimate", row.estimate or math.nan, e.estimate, ESTIMATE)
    _inference(c, row, key, e)


def _log_binomial(c: Comparison, index: Index, row: Any) -> None:
    if row.term in ("loglik", "max_fitted"):
        key = ("x_log_binomial", row.exposure, "", MODEL[row.model])
        (d,) = index.diagnostics[key]
        _counts(c, row, key, d)
        got = d.log_likelihood if row.term == "loglik" else d.max_fitted_risk
        c.add(row.analysis, key, row.term, row.estimate, got, ESTIMATE)
        return
    assert row.term == "rr", row.term
    variance = LOG_BINOMIAL_VARIANCE.get(row.variance)  # R's glm has the expected information: its ratios only
    names = ("x_log_binomial", row.exposure, "", row.level, MODEL[row.model])
    e = index.estimates[(*names, variance or "HC0", "risk_ratio", "log_binomial")]
    _counts(c, row, names, e)
    c.add(row.analysis, names, "estimate", row.estimate, e.estimate, ESTIMATE)
    if variance:
        _inference(c, row, (*names, variance), e)


def _flow(c: Comparison, index: Index, row: Any) -> None:
    flow = index.results.flow
    if row.term in ("mean", "sd"):
        got = index.characteristics[("followup", "followup_years", "", "Total", row.term)]
        c.add("flow", row.level, row.term, row.estimate, got.value, ESTIMATE)
        c.add("flow", row.level, "known", row.n, got.known, EXACT)
    elif row.term == "cases":
        (crude,) = index.diagnostics[("main", "volume", "", "crude")]
        c.add("flow", row.level, "cases", row.estimate, crude.events, EXACT)
    elif row.level == "0_start":
        c.add("flow", row.level, "remaining", row.estimate, flow[0].n_before, EXACT)
    else:
        step = flow[int(row.level.split("_")[0]) - 1]
        got_n = step.n_after if row.term == "remaining" else step.n_excluded
        c.add("flow", row.level, row.term, row.estimate, got_n, EXACT)


def _characteristic(c: Comparison, index: Index, row: Any) -> None:
    variable, _, level = row.level.partition("=")
    if row.analysis == "table1" and variable == "education":  # six levels; the table shows three
        return
    variable = "" if variable == "participants" else VARIABLE.get(variable, variable)
    statistic = "n" if not variable else STATISTIC[row.term]
    group = GROUP.get(row.analysis, {}).get(row.stratum, row.stratum)
    if row.analysis == "table1_by_intensity" and variable == "education":
        return
    key = (TABLE[row.analysis], variable, level, group, statistic)
    got = index.characteristics[key]
    c.add(row.analysis, key, "value", row.estimate, got.value, EXACT if statistic in ("n", "count") else ESTIMATE)
    c.add(row.analysis, key, "known", row.n, got.known, EXACT)


def _cut_point(c: Comparison, index: Index, row: Any) -> None:
    analyses = ("main", "joint") if row.analysis == "cutpoints" else (row.analysis,)
    for analysis in analyses:
        key = (analysis, row.exposure, row.level)
        c.add(row.analysis, key, "cut", row.estimate, index.cutpoints[key].value, CUT)


def _knot(c: Comparison, index: Index, row: Any) -> None:
    key = (_analysis(row), row.exposure, {"k1": "knot_p10", "k2": "knot_p50", "k3": "knot_p90"}[row.level])
    c.add(row.analysis, key, "knot", row.estimate, index.cutpoints[key].value, CUT)


def _log_likelihood(c: Comparison, index: Index, row: Any) -> None:
    curve = row.analysis.startswith("rcs")
    key = (_analysis(row), row.exposure, STRATUM.get(row.stratum, row.stratum), MODEL[row.model])
    fits = [d for d in index.diagnostics[key] if d.method == "modified_poisson"]
    # A curve and the ratios of its analysis have a fit each under the same names; the curve's comes later.
    d = fits[-1] if curve else fits[0]
    c.add(row.analysis, key, "log_likelihood", row.estimate, d.log_likelihood, ESTIMATE)
    _counts(c, row, key, d)


def _interaction_test(c: Comparison, index: Index, row: Any) -> None:
    method = "likelihood_ratio" if row.term == "lr_chi2" else "wald"
    stratum = STRATUM.get(row.stratum, row.stratum)
    names = (row.analysis, row.exposure, stratum, "", MODEL[row.model], VARIANCE[row.variance])
    e = index.estimates[(*names, "p_interaction", method)]
    _counts(c, row, names, e)
    c.add(row.analysis, names, "chi2", row.estimate, e.estimate, ESTIMATE)
    c.add(row.analysis, names, "p_value", row.p_value, e.p_value, ESTIMATE)


def _interaction_models(c: Comparison, index: Index, row: Any) -> None:
    key = (row.analysis, row.exposure, STRATUM.get(row.stratum, row.stratum), MODEL[row.model])
    without, added = index.diagnostics[key]
    got: dict[str, float | None] = {
        "lr_df": added.parameters - without.parameters,
        "loglik_without": without.log_likelihood,
        "loglik_with": added.log_likelihood,
    }
    c.add(row.analysis, key, row.term, row.estimate, got[row.term], EXACT if row.term == "lr_df" else ESTIMATE)


def _trend(c: Comparison, index: Index, row: Any) -> None:
    names = ("trend", row.exposure, "", row.level, MODEL[row.model], VARIANCE[row.variance])
    e = index.estimates[(*names, "p_trend", "modified_poisson")]
    _counts(c, row, names, e)
    c.add(row.analysis, names, "estimate", row.estimate, e.estimate, ESTIMATE)
    _inference(c, row, names, e)


def _evalue(c: Comparison, index: Index, row: Any) -> None:
    estimand = "e_value" if row.term == "evalue_point" else "e_value_ci"
    names = ("evalue", row.exposure, "", _level(row.level), "multi_adjusted", VARIANCE[row.variance])
    e = index.estimates[(*names, estimand, "modified_poisson")]
    _counts(c, row, names, e)
    c.add(row.analysis, names, estimand, row.estimate, e.estimate, ESTIMATE)


def _nonlinearity(c: Comparison, index: Index, row: Any) -> None:
    names = (_analysis(row), row.exposure, "", "", "multi_adjusted", VARIANCE[row.variance])
    e = index.estimates[(*names, "p_nonlinearity", "wald")]
    _counts(c, row, names, e)
    c.add(row.analysis, names, "chi2", row.estimate, e.estimate, ESTIMATE)
    c.add(row.analysis, names, "p_value", row.p_value, e.p_value, ESTIMATE)


def _compare_curves(c: Comparison, index: Index, witness: pd.DataFrame, every: int) -> None:
    for analysis, mine in (("rcs", "main"), ("rcs_mutual", "mutual")):
        for exposure in ("volume", "intensity"):
            of = witness[(witness.analysis == analysis) & (witness.exposure == exposure)]
            expected = of[(of.term == "rr_grid") & (of.variance == "stata")]
            points = index.curves.get((mine, exposure), [])
            for total in of[of.term == "grid_points"].estimate:
                c.add(analysis, exposure, "grid points", total, len(points), EXACT)
            c.add(analysis, exposure, "points shown", len(expected), len(points[::every]), EXACT)
            for row, point in zip(expected.itertuples(), points[::every], strict=False):
                key = (analysis, exposure, row.level)
                c.add(analysis, key, "x", float(row.level), point.x, 1e-12)
                c.add(analysis, key, "estimate", row.estimate, point.estimate, ESTIMATE)
                c.add(analysis, key, "conf_low", row.conf_low, point.conf_low, ESTIMATE)
                c.add(analysis, key, "conf_high", row.conf_high, point.conf_high, ESTIMATE)


def assert_all_agree(comparison: Comparison, analysis: str, *, at_least: int) -> None:
    """Fails with the first differences of an analysis, or if fewer numbers than `at_least` were compared."""
    differences = comparison.differences.get(analysis, [])
    shown = "\n".join(differences[:12])
    assert not differences, f"{len(differences)} of {comparison.compared[analysis]} numbers differ:\n{shown}"
    assert comparison.compared[analysis] >= at_least


@dataclass(frozen=True)
class Oracle:
    """The doors of this module, as a fixture hands them to the tests."""

    compare: Callable[..., Comparison]
    read: Callable[[Path], pd.DataFrame]
    check: Callable[..., None]


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    """Reads a witness, compares it with Results, and asserts that an analysis agrees."""
    return Oracle(compare_all, read_witness, assert_all_agree)


@pytest.fixture(scope="session")
def study() -> Study:
    """The reference study."""
    return load_study(STUDY)


@pytest.fixture(scope="session")
def small(study: Study) -> Computed:
    """The reference study on the small simulated extract that is kept here."""
    return compute(study, read_extract(HERE / "reference_study_extract.csv.gz", contracts(study)))
