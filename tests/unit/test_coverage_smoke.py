"""The coverage benchmark: its truths are right, its verdicts can fail, and its files hold together."""

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    if not (FOLDER / "coverage.py").exists():
        pytest.skip("the benchmarks are not part of this distribution")
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("coverage_benchmark", FOLDER / "coverage.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["coverage_benchmark"] = module
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


@pytest.fixture(scope="module")
def people(bench: ModuleType) -> ModuleType:
    return sys.modules["coverage_people"]


def test_standard_risks_are_those_of_a_large_population(people):
    random = np.random.default_rng(1)
    crowd = people.people(random, 400_000)
    own = people.MARGINAL(crowd["x"], crowd["z"], crowd["b"])
    by_level = [people.MARGINAL(np.full(400_000, x), crowd["z"], crowd["b"]) for x in (0.0, 1.0, 2.0)]
    for exact, risks in zip(people.standard_risks(people.MARGINAL), by_level, strict=True):
        assert abs(risks.mean() - exact) < 4 * risks.std() / math.sqrt(400_000)
    fraction = 1 - by_level[0].mean() / own.mean()
    assert fraction == pytest.approx(people.population_fraction(people.MARGINAL), abs=0.003)
    # confounded on purpose: the crude ratio is another one
    crude = own[crowd["x"] == 2].mean() / own[crowd["x"] == 0].mean()
    assert abs(math.log(crude) - people.marginal_truth()["log RR"]) > 0.05


def test_ratios_of_a_log_linear_risk_are_the_same_for_everyone(people):
    risks = people.standard_risks(people.COMMON)
    assert risks[2] / risks[0] == pytest.approx(0.6)
    assert risks[1] / risks[0] == pytest.approx(0.8)
    assert people.NEAR_ONE(np.full(1, 2.0), np.full(1, 2.0), np.ones(1))[0] == pytest.approx(0.943, abs=0.001)


def test_risks_by_the_horizon_and_the_cluster_effect_are_as_said(people):
    random = np.random.default_rng(2)
    data = people.follow_up_draw(random, 200_000)
    truth = people.follow_up_truth()
    kept = data["time"][data["x"] == 1]
    events = data["y"][data["x"] == 1]
    order = np.argsort(kept)
    at_risk = len(kept) - np.arange(len(kept))
    survival = np.cumprod(1 - events[order] / at_risk)[np.searchsorted(kept[order], people.HORIZON) - 1]
    assert 1 - survival == pytest.approx(truth["risk of exposed"], abs=0.004)
    clustered = people.clustered_draw(20_000)(random, 200_000)
    x, y = clustered["x"], clustered["y"]
    assert y[x == 1].mean() / y[x == 0].mean() == pytest.approx(0.7, abs=0.03)
    means = np.bincount(clustered["cluster"].astype(int), weights=y)[::2] / 10
    risk = y[x == 0].mean()
    between = means.var(ddof=1) - risk * (1 - risk) / 10
    assert between / (risk * (1 - risk)) / 0.9 == pytest.approx(0.11, abs=0.03)


def test_a_curve_drawn_from_the_truth_is_found_again(people):
    log_risk = people.curve_at(np.array([1.0, 4.0]))
    assert people.curve_truth()["log RR at 1"] == pytest.approx(log_risk[0] - log_risk[1])
    assert people.curve_at(np.array([0.5]))[0] == pytest.approx(-0.12 * 0.5)  # below the first knot a straight line


def test_a_summary_by_hand(bench):
    values = np.array([[1.0, 0.5, 0.0, 2.0], [2.0, 0.5, 1.0, 3.0], [3.0, 1.0, 2.5, 4.0], [np.nan] * 4])
    found = bench.summary(values, 2.25)
    assert found["mean_estimate"] == 2.0
    assert found["bias"] == -0.25
    assert found["empirical_sd"] == 1.0
    assert found["bias_mcse"] == pytest.approx(1 / math.sqrt(3))
    assert found["coverage"] == pytest.approx(1 / 3)
    assert found["missed_low"] == found["missed_high"] == pytest.approx(1 / 3)
    assert found["without_interval"] == 0.25
    assert found["mean_se"] == pytest.approx(2 / 3)
    infinite = np.array([[1.0, np.nan, -np.inf, 2.0], [2.0, np.nan, 1.0, np.inf]])
    assert bench.summary(infinite, 1.5)["coverage"] == 1.0
    assert bench.verdict(bench.summary(np.full((5, 4), np.nan), 0.0)) == "no estimate"


@pytest.mark.parametrize(
    ("widened", "shifted", "lost", "expected"),
    [
        (1.0, 0.0, 0, ""),
        (0.5, 0.0, 0, "low"),
        (2.0, 0.0, 0, "high"),
        (1.0, 0.7, 0, "low, biased"),
        (1.0, 0.0, 300, "often without"),
    ],
)
def test_verdicts_notice_a_wrong_interval(bench, widened, shifted, lost, expected):
    estimate = np.random.default_rng(3).normal(size=2000)
    half = 1.959964 * widened
    values = np.column_stack([estimate + shifted, np.full(2000, widened), estimate - half, estimate + half])
    values[:, 2:] += shifted
    values[:lost] = np.nan
    assert bench.verdict(bench.summary(values, 0.0)) == expected


def test_an_estimator_with_half_its_standard_error_is_flagged(bench):
    """The whole machinery on a small cell: HC0 passes, HC0 with halved standard errors does not."""
    regressions, scenario = sys.modules["coverage_regressions"], bench.SCENARIOS["common"]
    honest, halved = [], []
    for number in range(300):
        data = scenario.draw(bench.generator("common", 400, number), 400)
        design = regressions.build_design(data, regressions.TERMS, 400)
        fit, out = regressions.fit_model("modified_poisson", design, data["y"]), {}
        regressions.by_variance(out, fit, 2, "log RR", ("HC0",), exposure=regressions.X)
        value, se, low, high = out["modified_poisson", "HC0", "log RR"]
        honest.append((value, se, low, high))
        halved.append((value, se / 2, (value + low) / 2, (value + high) / 2))
    truth = scenario.truth["log RR"]
    assert bench.verdict(bench.summary(np.array(honest), truth)) == ""
    assert bench.verdict(bench.summary(np.array(halved), truth)) == "low"


def test_a_cell_depends_on_its_numbers_alone(bench):
    first, _, _ = bench.cell("strata, ratio", 200, 5)
    bench.cell("curve", 200, 1)
    assert bench.cell("strata, ratio", 200, 5)[0] == first
    other = bench.generator("strata, ratio", 200, 1).random() != bench.generator("strata, ratio", 200, 2).random()
    assert other
    assert bench.generator("curve", 200, 1).random() != bench.generator("strata, ratio", 200, 1).random()


def test_a_level_without_events_is_drawn_when_asked_for(people):
    random = np.random.default_rng(4)
    for _ in range(5):
        data = people.drawn_without_events(people.RARE)(random, 200)
        events = [data["y"][data["x"] == level].sum() for level in (0, 2)]
        assert min(events) == 0


def test_the_committed_results_are_whole_and_in_the_tables(bench):
    rows = bench.read_rows(FOLDER / "coverage.csv")
    cells = {(r["scenario"], int(r["n"])) for r in rows}
    assert cells == {(name, n) for name, s in bench.SCENARIOS.items() for n in s.sizes}
    assert all(int(r["data_sets"]) >= 500 for r in rows)
    for r in rows:
        numbers = {k: float(r[k]) for k in bench.FIELDS[5:-1] if r[k]}
        assert r["verdict"] == bench.verdict(numbers)
    text = (FOLDER / "coverage.md").read_text(encoding="utf-8")
    assert text.split(bench.MARK)[1].strip() == bench.tables(rows).strip()


def test_in_large_samples_only_what_was_broken_on_purpose_is_off(bench):
    rows = [r for r in bench.read_rows(FOLDER / "coverage.csv") if r["n"] == "11000"]
    off = {(r["scenario"], r["estimator"]) for r in rows if any(w in r["verdict"] for w in ("low", "high", "biased"))}
    wrong = {
        ("logistic, one model wrong", "standardisation_logistic, no z in the outcome model"),
        ("logistic, one model wrong", "iptw, no z in the exposure model"),
    }
    assert off - wrong <= {("20 clusters", "modified_poisson"), ("100 clusters", "modified_poisson")}
    assert wrong <= off
    clustered = [r for r in rows if r["scenario"] == "100 clusters"]
    assert {r["interval"] for r in clustered if r["verdict"]} == {"HC0"}
