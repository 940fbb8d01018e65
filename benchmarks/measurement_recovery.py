"""Whether calibration, SIMEX and a corrected outcome recover known ratios that the data as measured do not.

    python benchmarks/measurement_recovery.py [--sets 400] [--people 4000] [--seed 20261130]

A person's usual exposure X drives a log-linear risk; one to seven days of it are seen, with the days varying about X.
`normal`: X and its days are normal, with the same variance for everyone. `skewed`: X is log-normal and a day is X times
log-normal noise, so that whoever has more also varies more, as walking does. The outcome of the third table is
misreported with a known sensitivity and specificity. Tables go into measurement_recovery.md.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: small matrices are slower on many threads

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402

from walkrisk.models.covariance import covariance  # noqa: E402
from walkrisk.models.design import Linear, build_design  # noqa: E402
from walkrisk.models.fit import fit_model  # noqa: E402
from walkrisk.sensitivity.calibration import calibrate, fit_calibrated, measured_by_days  # noqa: E402
from walkrisk.sensitivity.misclassified_outcome import correct_outcome  # noqa: E402
from walkrisk.sensitivity.reliability import person_days, variance_components  # noqa: E402
from walkrisk.sensitivity.simex import (  # noqa: E402
    GRID,
    Form,
    Model,
    Noise,
    PerUnit,
    Quantiles,
    extrapolate,
    replicates,
)

HERE = Path(__file__).resolve().parent
MARK = "<!-- tables: written by measurement_recovery.py -->"
FloatArray = npt.NDArray[np.float64]
Found = dict[str, tuple[float, float]]  # estimator -> log ratio and its standard error

SLOPE, FITS = -0.3, 25  # true log ratio per standard deviation; fits at each size of added error
SHARES = (0.03, 0.03, 0.04, 0.06, 0.2, 0.45, 0.19)  # of people with 1 to 7 days
KINDS = ("normal", "skewed")
SE, SP, EXPOSED = 0.70, 0.96, -0.5  # of the misreported outcome; its true log ratio


@dataclass(frozen=True)
class People:
    """Usual exposure in standard deviations, its days (n, 7), a covariate and the outcome."""

    usual: FloatArray
    days: FloatArray
    z: FloatArray
    risk: FloatArray
    y: FloatArray


def draw(kind: str, n: int, rng: np.random.Generator) -> People:
    """n people of one of KINDS."""
    z, own = rng.standard_normal((2, n))
    noise = rng.standard_normal((n, 7))
    if kind == "normal":
        usual = (0.5 * z + own) / math.sqrt(1.25)
        days = usual[:, None] + 1.5 * noise
    else:
        level = np.exp(0.35 * (0.4 * z + own) / math.sqrt(1.16))
        mean, sd = math.exp(0.35**2 / 2), math.exp(0.35**2 / 2) * math.sqrt(math.expm1(0.35**2))
        usual = (level - mean) / sd
        days = (level[:, None] * np.exp(0.45 * noise - 0.45**2 / 2) - mean) / sd
    k = 1 + rng.choice(7, n, p=SHARES)
    days[np.arange(7) >= k[:, None]] = np.nan
    risk = np.minimum(np.exp(-2.0 + SLOPE * usual + 0.2 * z), 1.0)
    return People(usual, days, z, risk, (rng.random(n) < risk).astype(float))


def true_quarter(kind: str) -> float:
    """The log ratio of the highest against the lowest quarter of usual exposure, adjusted for z, in 400,000 people."""
    p = draw(kind, 400_000, np.random.default_rng(1))
    z = np.column_stack([np.ones(len(p.z)), p.z])
    model = Model(method="modified_poisson", z=z, y=p.risk, form=Quantiles(4))  # risks in place of outcomes: no noise
    return float(model.alone(p.usual).estimates[0, 2])


def one_set(kind: str, n: int, rng: np.random.Generator) -> tuple[Found, Found]:
    """Log ratios per standard deviation and of the highest quarter in one data set, by every estimator."""
    p = draw(kind, n, rng)
    mean = np.nanmean(p.days, axis=1)
    z = np.column_stack([np.ones(n), p.z])
    columns = {"w": mean, "z": p.z}
    design = build_design(columns, [Linear("w"), Linear("z")], n)
    made = fit_calibrated("modified_poisson", design, p.y, calibrate(measured_by_days([p.days]), z), (1,))
    slope: Found = {
        "usual exposure, if it were known": _alone(p, z, PerUnit(), p.usual, 0),
        "as measured": _alone(p, z, PerUnit(), mean, 0),
        "calibrated": (float(made.coefficients()[0]), float(np.sqrt(made.covariance("HC0")[0, 0]))),
    }
    quarter: Found = {
        "usual exposure, if it were known": _alone(p, z, Quantiles(4), p.usual, 2),
        "as measured": _alone(p, z, Quantiles(4), mean, 2),
        "categories of calibrated exposure": _alone(p, z, Quantiles(4), made.calibration.expected[:, 0], 2),
    }
    persons = person_days(p.days)
    variance = variance_components(persons).within / persons.days
    for label, days in (("SIMEX", None), ("SIMEX, empirical noise", p.days)):
        noise = Noise(exposure=mean, variance=variance, days=days)
        for where, form, at in ((slope, PerUnit(), 0), (quarter, Quantiles(4), 2)):
            where |= dict(_simex(p, z, form, noise, rng, at, label))
    return slope, quarter


def _alone(p: People, z: FloatArray, form: Form, exposure: FloatArray, at: int) -> tuple[float, float]:
    found = Model(method="modified_poisson", z=z, y=p.y, form=form).alone(exposure)
    return float(found.estimates[0, at]), float(np.sqrt(found.variances[0, at]))


def _simex(
    p: People, z: FloatArray, form: Form, noise: Noise, rng: np.random.Generator, at: int, label: str
) -> Iterator[tuple[str, tuple[float, float]]]:
    model = Model(method="modified_poisson", z=z, y=p.y, form=form)
    start, _, _ = model.fit(noise.exposure, None)
    added = [replicates(model, noise, size, FITS, rng, start=start) for size in GRID]
    found = extrapolate(model.alone(noise.exposure), GRID, added)
    for name in ("quadratic", "rational"):
        read = found.read[name]
        yield f"{label}, {name}", (float(read.corrected[at]), float(np.sqrt((read.influence[:, at] ** 2).sum())))
        if name == "quadratic":
            yield (
                f"{label}, {name}, variance of Stefanski and Cook",
                (
                    float(read.corrected[at]),
                    float(read.std_errors[at]),
                ),
            )


def outcome_set(n: int, rng: np.random.Generator) -> Found:
    """Log ratios of an exposure in one data set whose outcome is misreported."""
    e, v = (rng.random(n) < 0.5).astype(float), rng.standard_normal(n)
    truth = rng.random(n) < np.exp(-1.6 + EXPOSED * e + 0.2 * v)
    y = np.where(truth, rng.random(n) < SE, rng.random(n) < 1 - SP).astype(float)
    design = build_design({"e": e, "v": v}, [Linear("e"), Linear("v")], n)
    like = fit_model("modified_poisson", design, y)
    known = fit_model("modified_poisson", design, truth.astype(float))
    out: Found = {}
    for name, fit in (("true outcome, if it were known", known), ("as answered", like)):
        out[name] = float(fit.coefficients[1]), float(np.sqrt(covariance(fit, "HC0")[1, 1]))
    for estimator in ("score", "likelihood"):
        made = correct_outcome(np.asarray(design.matrix), y, SE, SP, estimator=estimator)
        out[f"corrected, {estimator}"] = (
            float(made.coefficients[1]),
            float(np.sqrt(made.covariance(like, "HC0")[1, 1])),
        )
    return out


def summary(values: list[tuple[float, float]], truth: float) -> dict[str, float]:
    """Bias, spread, mean standard error and coverage of the estimates with a standard error, and Monte Carlo errors."""
    found = np.array(values)
    fine = np.isfinite(found).all(axis=1)
    estimate, error = found[fine].T
    covered = np.abs(estimate - truth) < 1.959964 * error
    m = len(estimate)
    return {
        "mean": float(estimate.mean()),
        "bias": float(estimate.mean() - truth),
        "bias_mcse": float(estimate.std(ddof=1) / math.sqrt(m)),
        "median": float(np.median(estimate)),
        "sd": float(estimate.std(ddof=1)),
        "se": float(error.mean()),
        "coverage": float(covered.mean()),
        "coverage_mcse": float(math.sqrt(covered.mean() * (1 - covered.mean()) / m)),
        "none": float(len(found) - m),
    }


def gathered(sets: list[Found]) -> Mapping[str, list[tuple[float, float]]]:
    """The same estimator of every data set together."""
    return {name: [s[name] for s in sets] for name in sets[0]}


def table(sets: list[Found], truth: float) -> Iterator[str]:
    """A markdown table of every estimator beside the truth."""
    yield "| | mean | bias (MC error) | median | SD | mean SE | coverage (MC error) | none |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, values in gathered(sets).items():
        s = summary(values, truth)
        yield (
            f"| {name} | {s['mean']:.3f} | {s['bias']:+.3f} ({s['bias_mcse']:.3f}) | {s['median']:.3f} | {s['sd']:.3f} "
            f"| {s['se']:.3f} | {100 * s['coverage']:.1f} % ({100 * s['coverage_mcse']:.1f}) | {s['none']:.0f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--people", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=20261130)
    a = parser.parse_args()
    begun, lines = time.perf_counter(), []
    for number, kind in enumerate(KINDS):
        rng = np.random.default_rng([a.seed, number])
        both = [one_set(kind, a.people, rng) for _ in range(a.sets)]
        p = draw(kind, 100_000, np.random.default_rng(2))
        components = variance_components(person_days(p.days))
        lines += [
            f"### {kind.capitalize()} exposure: reliability of one day {components.reliability(1):.2f}, "
            f"of the days seen {components.study:.2f}",
            "",
            f"Per standard deviation of usual exposure; the true log ratio is {SLOPE:.3f}.",
            "",
            *table([s for s, _ in both], SLOPE),
            "",
        ]
        truth = true_quarter(kind)
        lines += [
            f"Highest against lowest quarter; the true log ratio is {truth:.3f}.",
            "",
            *table([q for _, q in both], truth),
            "",
        ]
    rng = np.random.default_rng([a.seed, 9])
    outcomes = [outcome_set(a.people, rng) for _ in range(a.sets)]
    lines += [
        f"### Misreported outcome: sensitivity {SE:.2f}, specificity {SP:.2f}",
        "",
        f"Log ratio of a binary exposure; the true one is {EXPOSED:.3f}.",
        "",
        *table(outcomes, EXPOSED),
        "",
        f"{a.sets} data sets of {a.people} people each, {FITS} fits at each of {len(GRID)} sizes of added error.",
    ]
    page = HERE / "measurement_recovery.md"
    kept = page.read_text(encoding="utf-8").split(MARK)[0] if page.exists() else ""
    page.write_text(f"{kept}{MARK}\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines), f"\n{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
