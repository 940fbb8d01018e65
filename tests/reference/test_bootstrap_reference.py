"""Bootstrap of a standardised risk ratio from the resamples of another program: R boot 1.3-28.1."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from walkrisk.estimates.bootstrap import bootstrap_intervals
from walkrisk.estimates.resampled_risks import differences, influence_of_risks, jackknife_risks, log_ratios
from walkrisk.models.batch import fit_batch
from walkrisk.models.resampling import acceleration, jackknife_influence, regression_influence, weights_of_indices


@pytest.fixture(scope="module")
def boot(shared: Path) -> dict[str, Any]:
    folder = shared / "reference" / "statistics"
    said = json.loads((folder / "out" / "boot_bca.json").read_text())
    with (folder / "data" / "breastcancer.csv").open() as file:
        people = list(csv.DictReader(file))
    y = np.array([float(person["death"]) for person in people])
    columns = [
        [person["receptor"] == "Low", person["stage"] == "Stage II", person["stage"] == "Stage III"]
        for person in people
    ]
    x = np.column_stack([np.ones(len(y)), np.array(columns, dtype=float)])
    exposed, unexposed = x.copy(), x.copy()
    exposed[:, 1], unexposed[:, 1] = 1, 0
    with gzip.open(folder / "data" / "boot_indices_breastcancer.csv.gz", "rt") as file:
        counts = weights_of_indices(np.loadtxt(file, delimiter=",", dtype=int) - 1, len(y))
    with gzip.open(folder / "data" / "boot_replicates_breastcancer.csv.gz", "rt") as file:
        replicates = np.loadtxt(file, delimiter=",", skiprows=1)
    return {
        "said": said, "x": x, "y": y, "designs": [unexposed, exposed], "counts": counts, "replicates": replicates,
    }  # fmt: skip


def _statistics(risks: np.ndarray) -> np.ndarray:
    """Log RR and RD of the exposed against the unexposed."""
    return np.concatenate([log_ratios(risks), differences(risks)], axis=-1)


def _standardised(boot: dict[str, Any], weights: np.ndarray) -> np.ndarray:
    found = fit_batch("logistic", boot["x"], boot["y"], weights)
    assert found.converged.all()
    risks = [(weights / (1 + np.exp(-found.coefficients @ d.T))).sum(axis=1) for d in boot["designs"]]
    return np.column_stack(risks) / weights.sum(axis=1)[:, None]


def test_replicates_are_those_of_r(boot: dict[str, Any]) -> None:
    risks = _standardised(boot, boot["counts"])
    ours = np.column_stack([_statistics(risks), risks[:, ::-1]])
    np.testing.assert_allclose(ours, boot["replicates"], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.mean(axis=0), boot["said"]["boot_mean"], rtol=1e-9)
    np.testing.assert_allclose(ours.std(axis=0, ddof=1), boot["said"]["boot_sd"], rtol=1e-9)


@pytest.mark.parametrize(("place", "name"), [(0, "log_rr"), (1, "rd")])
def test_limits_are_those_of_r(boot: dict[str, Any], place: int, name: str) -> None:
    values = _statistics(_standardised(boot, boot["counts"]))
    left_out = jackknife_risks("logistic", boot["x"], boot["y"], boot["designs"])
    estimate = _statistics(left_out.estimate)
    said = boot["said"][name]
    np.testing.assert_allclose(estimate, boot["said"]["t0"][:2], rtol=1e-10)
    deleted = jackknife_influence(_statistics(left_out.risks), estimate)
    by_regression = regression_influence(boot["counts"], values)
    assert acceleration(deleted)[place] == pytest.approx(said["a_jack"], rel=1e-8)

    def limits(kind: str, influence: np.ndarray | None = None) -> tuple[float, float]:
        found = bootstrap_intervals(values, estimate, kind=kind, influence=influence)
        assert found.sentences == ()
        assert found.z0[place] == pytest.approx(said["z0"], rel=1e-10)
        ranks = {"percentile": "order_statistics_perc", "bca": "order_statistics_bca"}.get(kind)
        if ranks is not None and influence is not by_regression:
            np.testing.assert_allclose([found.rank_low[place], found.rank_high[place]], said[ranks], atol=0.00501)
        return float(found.conf_low[place]), float(found.conf_high[place])

    np.testing.assert_allclose(limits("normal"), said["norm"], rtol=1e-8)
    np.testing.assert_allclose(limits("basic"), said["basic"], rtol=1e-8)
    np.testing.assert_allclose(limits("percentile"), said["perc"], rtol=1e-8)
    np.testing.assert_allclose(limits("bca", deleted), said["bca_jackknife"], rtol=1e-8)
    np.testing.assert_allclose(limits("bca", by_regression), said["bca_regression_empinf"], rtol=1e-8)


def test_infinitesimal_influence_is_near_that_of_leaving_one_out(boot: dict[str, Any]) -> None:
    left_out = jackknife_risks("logistic", boot["x"], boot["y"], boot["designs"])
    deleted = jackknife_influence(left_out.risks, left_out.estimate)
    smooth = influence_of_risks("logistic", boot["x"], boot["y"], boot["designs"])
    np.testing.assert_allclose(smooth, deleted, atol=0.05 * np.abs(deleted).max())
