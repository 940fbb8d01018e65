"""Sentences on methods and on how to read the results, composed from what a study declares."""

from __future__ import annotations

from collections.abc import Mapping

from walkrisk.cohorts.cohort import Variable
from walkrisk.cohorts.eligibility import Condition
from walkrisk.runs.section_tables import FORMULAS, HORIZON_METHODS
from walkrisk.studies.kinds import without_display
from walkrisk.studies.names import variables_of
from walkrisk.studies.sections import Standardised
from walkrisk.studies.study import RatioAnalysis, Study
from walkrisk.studies.vocabulary import base_of

METHODS = {
    "auto": "the first of modified Poisson, log-binomial and standardisation after a logistic model that holds",
    "modified_poisson": "modified Poisson regression (Poisson regression with a robust variance; Zou 2004)",
    "log_binomial": "log-binomial regression",
    "case_duplication": "logistic regression on a sample with cases duplicated (Schouten 1993)",
    "bias_reduced_poisson": "Poisson regression with Firth's bias reduction",
    "logistic": "logistic regression",
    "firth_logistic": "logistic regression with Firth's bias reduction",
    "identity_binomial": "binomial regression with identity link",
    "identity_poisson": "Poisson regression with identity link",
    "linear": "least squares",
    "standardisation_logistic": "standardisation (g-computation) after logistic regression",
    "standardisation_poisson": "standardisation (g-computation) after Poisson regression",
    "standardisation_log_binomial": "standardisation (g-computation) after log-binomial regression",
    "iptw": "inverse probability weighting",
    "aipw": "augmented inverse probability weighting (doubly robust)",
    "tmle": "targeted maximum likelihood (doubly robust)",
    "mantel_haenszel": "the Mantel-Haenszel estimator over strata of the covariates",
    "cox": "Cox regression (Efron ties)",
}
VARIANCES = {
    "stata": "the robust sandwich times n/(n-1), as Stata prints it",
    "HC0": "the robust sandwich (HC0)",
    "HC1": "the robust sandwich (HC1)",
    "HC2": "the robust sandwich (HC2)",
    "HC3": "the robust sandwich (HC3)",
    "cluster": "cluster-robust",
    "CR2": "cluster-robust, bias-reduced (CR2, Satterthwaite's t limits)",
    "CR3": "cluster-robust, jackknife-like (CR3, t limits)",
    "KC": "Kauermann and Carroll's",
    "MBN": "Morel, Bokossa and Neerchal's",
    "FG": "Fay and Graubard's",
    "survey": "design-based (Taylor linearisation over strata and primary sampling units)",
    "model": "model-based",
    "bootstrap": "of the bootstrap",
}
BOUNDED = ("log_binomial", "identity_binomial", "identity_poisson", "auto")
DIFFERENCES = ("identity_binomial", "identity_poisson", "linear")


def variance_words(study: Study, name: str) -> str:
    """A variance as a sentence names it."""
    base = base_of(name)
    text = VARIANCES.get(base, base)
    if base == "bootstrap":
        text = f"{text} ({study.settings.replicates} samples, seed {study.settings.seed})"
    return text if base == name else f"{text}, by the expected information"


def methods(study: Study) -> tuple[str, ...]:
    """The methods in paragraphs: exposures, models, variance, splines."""
    return tuple(text for text in (_exposures(study), _models(study), _curves(study), _sections(study)) if text)


def interpretation(study: Study, *, simulated: bool) -> tuple[str, ...]:
    """What the numbers can and cannot mean."""
    level = f"{100 * study.settings.conf_level:g}%"
    points = [
        "Ratios are associations conditional on the covariates of each model among people with complete data; whether "
        "they are effects depends on confounding, measurement and selection that no model here removes.",
        f"Intervals are {level} Wald intervals on the log scale (of differences on their own) unless said otherwise, "
        "not adjusted for the number of analyses.",
        "A category without events has no finite ratio and reads as not estimable; its people stay in n.",
    ]
    if study.evalues:
        points.append(
            "An E-value is the smallest risk ratio that an unmeasured confounder would need with both exposure and "
            "outcome, beyond the covariates, to explain a ratio (or its limit) away (VanderWeele & Ding 2017)."
        )
    if study.standardised or study.comparisons or study.horizons:
        points.append(
            "Standardised and weighted risks are what the risk would be if everyone had an exposure level and nothing "
            "else changed, if the models and the covariates suffice; ratios of them are marginal, those of regressions "
            "conditional on the covariates."
        )
    if study.attributable:
        points.append(
            "An attributable fraction is the share of cases that would not have been in the reference category, if the "
            "association were an effect; a negative one is a share prevented."
        )
    if simulated:
        points.insert(0, "The data are simulated: nothing on this page says anything about people.")
    return tuple(points)


def _exposures(study: Study) -> str:
    sentences = []
    analysed = {name for a in study.analyses for name in a.exposures} | {c for x in study.curves for c in x.exposures}
    for name, e in study.exposures.items():
        if name not in analysed:
            continue
        label = e.label or name
        if e.cross:
            sentences.append(f"Categories of {' and '.join(e.cross)} were crossed into joint groups.")
        elif e.quantiles:
            sentences.append(f"{label} was cut into {e.quantiles} quantile groups of the analytic sample.")
        elif e.cuts:
            limits = ", ".join(f"{c:g}" for c in e.cuts)
            sentences.append(f"{label} was cut at {limits} {e.unit}".rstrip() + ".")
    if any(e.quantiles for e in study.exposures.values()):
        sentences.append(
            "Cut points are percentiles as Stata's xtile and R's quantile of type 2 have them (the inverse "
            "distribution with averaging); a value equal to one belongs to the lower group."
        )
    return " ".join(sentences)


def _models(study: Study) -> str:
    s = study.settings
    words = [variance_words(study, v) for v in s.variances]
    variances = "; also reported: ".join([words[0], *([", ".join(words[1:])] if words[1:] else [])])
    sentences = [
        f"{study.outcomes[s.outcome].label} was modelled by {METHODS[s.method]}. Variance: {variances}.",
    ]
    used = {
        s.method,
        *(a.method for a in study.analyses if a.method),
        *(m for c in study.comparisons for m in c.methods),
    }
    if used & set(BOUNDED):
        sentences.append(
            "Where a maximum lies on the boundary (a fitted risk of 0 or 1) no standard error holds, and limits are by "
            "profile likelihood."
        )
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
        knots = "knots at percentiles " + ", ".join(f"{p:g}" for p in curve.knot_percentiles)
        knots = f"{curve.knots} knots by Harrell's rule" if curve.knots else knots
        ratios = "; ratios of risks standardised over everyone's covariates" if curve.standardised else ""
        mutual = ", the other exposures as splines with knots of their own" if curve.mutual else ""
        sentences.append(
            f"{curve.title or curve.analysis}: restricted cubic splines with {knots}, "
            f"reference at percentile {curve.reference_percentile:g}{mutual}{ratios}."
        )
    return " ".join(sentences)


def _sections(study: Study) -> str:
    sentences = [f"{s.title}: {_standardised(study, s)}." for s in study.standardised]
    for c in study.comparisons:
        sentences.append(f"{c.title}: {'; '.join(METHODS[m] for m in c.methods)}.")
    if any(x.additive for x in study.interactions):
        sentences.append(
            "Joint effects, ratios within strata and interaction on the additive scale (RERI, AP, S) come from one "
            "model with the product of both exposures; limits by the delta method and MOVER (Zou 2008). Where an "
            "exposure is preventive they are given again with the joint group of lowest risk as reference (Knol 2011)."
        )
    for a in study.attributable:
        sentences.append(f"{a.title}: {FORMULAS[a.formula]}.")
    for m in study.substitutions:
        sentences.append(f"{m.title}: {m.kind} model of {len(m.parts)} parts of the day.")
    for h in study.horizons:
        sentences.append(f"{h.title}: risks by {h.horizon:g} (unit of follow-up), {HORIZON_METHODS[h.method]}.")
    if sentences and study.settings.variances:
        sentences.append("Their variances are those named above, carried through from each person's contribution.")
    return " ".join(sentences)


def _standardised(study: Study, s: Standardised) -> str:
    over = "everyone analysed" if s.population == "everyone" else f"the people of category {s.population}"
    limits = "delta-method limits"
    if s.intervals != "delta":
        limits = f"{s.intervals} limits of {study.settings.replicates} bootstrap samples (seed {study.settings.seed})"
    return f"{METHODS[f'standardisation_{s.method}']}, averaged over {over}, with {limits}"


def variations(study: Study) -> tuple[str, ...]:
    """One sentence for each analysis besides the main ones: how it differs."""
    labels = {name: v.label for name, v in variables_of(study).items()}
    labels |= {name: e.label or name for name, e in study.exposures.items()}
    hidden = without_display(study)
    described = [(a.title, _differences(study, a, labels, hidden=a.id in hidden)) for a in study.analyses]
    return tuple(f"{title}: {'; '.join(said)}." for title, said in described if said)


def _differences(study: Study, a: RatioAnalysis, labels: Mapping[str, str], *, hidden: bool) -> list[str]:
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
    if a.estimand == "risk_difference" and a.method not in DIFFERENCES:
        said.append("risk differences")
    if a.variances:
        said.append(f"variance {', '.join(variance_words(study, v) for v in a.variances)}")
    if a.weighted:
        said.append("weighted")
    if a.recut:
        said.append("categories cut again in this sample")
    if hidden:
        said.append("its ratios are in estimates.csv, in no table or figure")
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
