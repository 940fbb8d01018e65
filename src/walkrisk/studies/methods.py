"""Sentences on methods and on how to read the results, composed from what a study declares."""

from __future__ import annotations

from collections.abc import Mapping

from walkrisk.cohorts.cohort import Variable
from walkrisk.cohorts.eligibility import Condition
from walkrisk.studies.compute import variables_of
from walkrisk.studies.study import RatioAnalysis, Study

METHODS = {
    "modified_poisson": "modified Poisson regression (Poisson regression with a robust variance; Zou 2004)",
    "log_binomial": "log-binomial regression",
    "logistic": "logistic regression",
    "cox": "Cox regression (Efron ties)",
}
VARIANCES = {
    "stata": "the robust sandwich times n/(n-1), as Stata prints it",
    "HC0": "the robust sandwich (HC0)",
    "HC1": "HC1",
    "HC2": "HC2",
    "HC3": "HC3",
    "cluster": "cluster-robust",
    "survey": "design-based (Taylor linearisation over strata and primary sampling units)",
    "model": "model-based",
}


def methods(study: Study) -> tuple[str, ...]:
    """The methods in paragraphs: exposures, models, variance, splines."""
    return tuple(text for text in (_exposures(study), _models(study), _curves(study)) if text)


def interpretation(study: Study, *, simulated: bool) -> tuple[str, ...]:
    """What the numbers can and cannot mean."""
    level = f"{100 * study.settings.conf_level:g}%"
    points = [
        "Ratios are associations conditional on the covariates of each model among people with complete data; whether "
        "they are effects depends on confounding, measurement and selection that no model here removes.",
        f"Intervals are {level} Wald intervals on the log scale, not adjusted for the number of analyses.",
        "A category without events has no finite ratio and reads as not estimable; its people stay in n.",
    ]
    if study.evalues:
        points.append(
            "An E-value is the smallest risk ratio that an unmeasured confounder would need with both exposure and "
            "outcome, beyond the covariates, to explain a ratio (or its limit) away (VanderWeele & Ding 2017)."
        )
    if simulated:
        points.insert(0, "The data are simulated: nothing on this page says anything about people.")
    return tuple(points)


def _exposures(study: Study) -> str:
    sentences = []
    for name, e in study.exposures.items():
        label = e.label or name
        if e.cross:
            sentences.append(f"Categories of {' and '.join(e.cross)} were crossed into joint groups.")
        elif e.quantiles:
            sentences.append(f"{label} was cut into {e.quantiles} quantile groups of the analytic sample.")
        elif e.cuts:
            limits = ", ".join(f"{c:g}" for c in e.cuts)
            sentences.append(f"{label} was cut at {limits} {e.unit}".rstrip() + ".")
    if any(e.quantiles for e in study.exposures.values()):
        sentences.append("Cut points follow the inverse distribution with averaging; a value equal to one goes down.")
    return " ".join(sentences)


def _models(study: Study) -> str:
    s = study.settings
    variances = "; also reported: ".join(
        [VARIANCES[s.variances[0]], *([", ".join(VARIANCES[v] for v in s.variances[1:])] if s.variances[1:] else [])]
    )
    sentences = [
        f"{study.outcomes[s.outcome].label} was modelled by {METHODS[s.method]}. Variance: {variances}.",
    ]
    variables = variables_of(study)
    for name, model in study.models.items():
        terms = ", ".join(_covariate(variables[c]) for c in model.covariates) or "no covariates"
        sentences.append(f"{model.label or name}: {terms}.")
    sentences.append("Each model uses the people with all of its variables known.")
    return " ".join(sentences)


def _covariate(variable: Variable) -> str:
    return f"{variable.label} ({'categories' if variable.levels else 'linear'})"


def _curves(study: Study) -> str:
    sentences = []
    for curve in study.curves:
        knots = ", ".join(f"{p:g}" for p in curve.knot_percentiles)
        mutual = ", the other exposures as splines with knots of their own" if curve.mutual else ""
        sentences.append(
            f"Dose-response ({curve.title or curve.analysis}): restricted cubic splines with knots at percentiles "
            f"{knots}, reference at percentile {curve.reference_percentile:g}{mutual}."
        )
    return " ".join(sentences)


def variations(study: Study) -> tuple[str, ...]:
    """One sentence for each analysis besides the main ones: how it differs."""
    labels = {name: v.label for name, v in variables_of(study).items()}
    labels |= {name: e.label or name for name, e in study.exposures.items()}
    described = [(a.title, _differences(study, a, labels)) for a in study.analyses]
    return tuple(f"{title}: {'; '.join(said)}." for title, said in described if said)


def _differences(study: Study, a: RatioAnalysis, labels: Mapping[str, str]) -> list[str]:
    said = []
    if a.stratify:
        said.append(f"separate models in strata of {labels[a.stratify.by]}")
        if a.stratify.drop:
            said.append(f"without {', '.join(labels[c] for c in a.stratify.drop)}")
    said += [_restriction(c, labels) for c in a.restrict]
    said += [f"{labels[e]} cut at {', '.join(f'{c:g}' for c in cuts)}" for e, cuts in a.fixed_cuts.items()]
    for addition in a.add:
        whose = f" in the models of {', '.join(labels[e] for e in addition.exposures)}" if addition.exposures else ""
        said.append(f"also adjusted for {', '.join(labels[c] for c in addition.covariates)}{whose}")
    said += [f"{labels[new]} in place of {labels[old]}" for old, new in a.replace_covariates.items()]
    if a.outcome:
        said.append(f"outcome {study.outcomes[a.outcome].label}")
    if a.method:
        said.append(METHODS[a.method])
    if a.weighted:
        said.append("weighted")
    if a.recut:
        said.append("categories cut again in this sample")
    return said


def _restriction(condition: Condition, labels: Mapping[str, str]) -> str:
    limits = [
        f"{word} {value:g}"
        for word, value in (
            ("equal to", condition.equals),
            ("not", condition.not_equals),
            ("at least", condition.at_least),
            ("above", condition.above),
            ("at most", condition.at_most),
            ("below", condition.below),
        )
        if value is not None
    ]
    if condition.one_of:
        limits.append("one of " + ", ".join(f"{v:g}" for v in condition.one_of))
    kept = " (unknown kept)" if condition.missing == "keep" else ""
    return f"only people with {labels[condition.variable]} {' and '.join(limits) or 'known'}{kept}"
