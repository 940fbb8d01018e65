"""Examples at the end of a drafted study: strata, sensitivity analyses, further sections, each ready to be in force."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from walkrisk.studies.draft_parts import Parts, adjusted_words, lower
from walkrisk.studies.toml_text import Value, comment, lines

OLD_AGE = 65


def examples(parts: Parts) -> list[str]:
    """Every example that the columns of a study allow, each with a sentence on what it does."""
    out: list[str] = []
    for sentence, block in [*_variants(parts), *_sections(parts), *_sensitivity(parts)]:
        out += ["", *comment(sentence), *as_example(block)]
    return out


def as_example(block: Sequence[str]) -> list[str]:
    """Lines with a # and no space before them."""
    return [f"#{line.lstrip()}" for line in block]


Example = tuple[str, list[str]]


def _shown(p: Parts, content: dict[str, Value], *, dropped: str = "") -> list[str]:
    """A ratio analysis and the table that shows it."""
    notes = [adjusted_words([c for c in covariates if c.name != dropped]) for _, covariates in p.models.values()]
    table: dict[str, Value] = {
        "id": f"table_{content['id']}",
        "title": content["title"],
        "analysis": [str(content["id"])],
        "models": content["models"],
        "footnotes": notes,
    }
    return [*lines("[[analyses]]", content), *lines("[[tables]]", table)]


def _variants(p: Parts) -> Iterator[Example]:
    """Further ratio analyses: strata, a restricted sample, per unit, another method."""
    exposures, models = [e.name for e in p.exposures], list(p.models)
    if p.factor:
        levels = {str(code): text for code, text in p.factor.levels.items()}
        yield (
            f"Strata: the same ratios by {lower(p.factor.title)}.",
            _shown(
                p,
                {
                    "id": "strata",
                    "title": f"By {lower(p.factor.title)}",
                    "group": "strata",
                    "exposures": exposures,
                    "models": models,
                    "stratify": {"by": p.factor.name, "names": levels, "drop": [p.factor.name]},
                },
                dropped=p.factor.name,
            ),
        )
    number = next((c for c in p.covariates if not c.levels and c.minimum is not None and c.maximum is not None), None)
    if number and number.minimum is not None and number.maximum is not None:
        middle = OLD_AGE if number.minimum < OLD_AGE < number.maximum and number.unit == "years" else None
        limit = middle if middle is not None else (number.minimum + number.maximum) / 2
        yield (
            "A sensitivity analysis in a restricted sample. Conditions: equals, not_equals, one_of, at_least, above, "
            "at_most, below.",
            _shown(
                p,
                {
                    "id": "restricted",
                    "title": f"{number.title} below {limit:g}",
                    "group": "sensitivity",
                    "exposures": exposures,
                    "models": models,
                    "restrict": [{"variable": number.name, "below": limit}],
                },
            ),
        )
    if p.numbers:
        yield (
            "Ratios per unit (the `per` of an exposure) instead of by group.",
            _shown(
                p,
                {
                    "id": "per_unit",
                    "title": "Per unit",
                    "form": "per_unit",
                    "exposures": [e.name for e in p.numbers],
                    "models": models,
                },
            ),
        )
    yield (
        "The same ratios by another method: log_binomial, standardisation_logistic, iptw, tmle, cox and others.",
        _shown(
            p,
            {
                "id": "standardised_ratios",
                "title": "Standardised over everyone's covariates",
                "group": "sensitivity",
                "method": "standardisation_logistic",
                "exposures": exposures,
                "models": models,
            },
        ),
    )


def _sections(p: Parts) -> Iterator[Example]:
    """Sections of other estimates."""
    exposures = [e.name for e in p.exposures]
    yield (
        "Absolute risks by group, with differences and numbers needed to treat.",
        lines(
            "[[standardised]]",
            {"analysis": "risks", "title": "Risks by group", "exposures": exposures, "models": [p.last_model]},
        ),
    )
    if p.factor:
        yield (
            f"Does {lower(p.factor.title)} modify the association? Joint groups, RERI, AP and S with additive = true.",
            lines(
                "[[interactions]]",
                {
                    "analysis": "interaction",
                    "exposure": exposures[0],
                    "modifier": p.factor.name,
                    "model": p.last_model,
                    "drop": [p.factor.name],
                },
            ),
        )
    yield (
        "How strong would unmeasured confounding have to be?",
        lines("[[evalues]]", {"analysis": "evalue", "of": ["main"], "model": p.last_model}),
    )


def _sensitivity(p: Parts) -> Iterator[Example]:
    """The section [sensitivity], which may stand in a sensitivity.toml beside the study instead."""
    incomplete = [c for c in p.covariates if not c.complete]
    if incomplete:
        yield (
            "Multiple imputation of covariates. In a sensitivity.toml of its own (walkrisk run ... --sensitivity) the "
            "header is [[imputations]].",
            lines(
                "[[sensitivity.imputations]]",
                {
                    "id": "imputed",
                    "impute": {c.name: "auto" for c in incomplete},
                    "replaces": ["covariates_known"],
                },
            ),
        )
    if p.factor:
        yield (
            "The main ratios without each group in turn.",
            lines("[[sensitivity.leave_one_out]]", {"id": "left_out", "variables": [p.factor.name]}),
        )
    yield (
        "How much the main ratios rest on single people (how many, never who).",
        lines("[[sensitivity.influence]]", {"id": "influence"}),
    )
