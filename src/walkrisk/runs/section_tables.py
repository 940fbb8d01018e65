"""The tables of absolute risks, methods side by side, joint effects, attributable fractions and moved time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from walkrisk.cohorts.cohort import Variable
from walkrisk.studies.kinds import category_names, comparison_id, joint_id, levels_of
from walkrisk.studies.section_rows import TIME_EXPOSURE
from walkrisk.studies.sections import Attributable, Comparison, Horizon, Standardised, Substitution
from walkrisk.studies.study import Interaction, Study
from walkrisk.tables.categories import category_labels, cuts_of
from walkrisk.tables.impact import Modifier, fraction_table, joint_table, substitution_table
from walkrisk.tables.ratios import ModelColumn
from walkrisk.tables.risks import Shown, comparison_table, risk_table
from walkrisk.tables.table import Table

MODEL_WORDS = {"logistic": "a logistic model", "poisson": "a Poisson model", "log_binomial": "a log-binomial model"}
FORMULAS = {
    "standardised": "by standardisation (cases expected with everyone in the reference category, against all cases)",
    "miettinen": "from the categories of the cases and adjusted risk ratios (Miettinen)",
    "levin": "from the categories of everyone and risk ratios (Levin), which adjusted ratios bias",
}
HORIZON_METHODS = {
    "kaplan_meier": "Kaplan-Meier, weighted for the covariates",
    "aalen_johansen": "Aalen-Johansen, weighted for the covariates",
    "cox": "a Cox model with Breslow baseline, standardised over the covariates",
}


class SectionTables:
    """Makes the tables of a run's sections from its rows."""

    def __init__(
        self, study: Study, shown: Shown, numbers: Mapping[str, str], variables: Mapping[str, Variable]
    ) -> None:
        self.study, self.base, self.numbers, self.variables = study, shown, numbers, variables

    def tables(self) -> Iterator[Table]:
        """Every table, in the order of `section_table_ids`."""
        for s in self.study.standardised:
            yield self._standardised(s)
        for h in self.study.horizons:
            yield self._horizon(h)
        for c in self.study.comparisons:
            for exposure in c.exposures:
                yield self._comparison(c, exposure)
        for x in self.study.interactions:
            if x.additive:
                yield self._joint(x)
        for a in self.study.attributable:
            yield self._attributable(a)
        for sub in self.study.substitutions:
            yield self._substitution(sub)

    def _shown(self, analysis: str, *, variances: Sequence[str] = (), outcome: str | None = None) -> Shown:
        s = self.study.settings
        base = self.base
        return Shown(
            analysis=analysis,
            results=base.results,
            exposures=base.exposures,
            variance=(*variances, *s.variances)[0],
            events=self.study.outcomes[outcome or s.outcome].event_word,
            conf_level=s.conf_level,
            guard=base.guard,
            rounding=base.rounding,
        )

    def _models(self, models: Sequence[str]) -> list[ModelColumn]:
        return [ModelColumn(id=m, label=self._model(m), crude=self._crude(m)) for m in models]

    def _model(self, model: str) -> str:
        return self.study.models[model].label or model

    def _crude(self, model: str, drop: Sequence[str] = ()) -> bool:
        return not set(self.study.models[model].covariates) - set(drop)

    def _adjusted(self, model: str) -> str:
        return f"{self._model(model)} model."

    def _standardised(self, s: Standardised) -> Table:
        over = "everyone analysed" if s.population == "everyone" else f"the people of category {s.population}"
        limits = "" if s.intervals == "delta" else f" Limits by bootstrap ({s.intervals})."
        note = f"Risks after {MODEL_WORDS[s.method]}, standardised over the covariates of {over}.{limits}"
        return risk_table(
            s.analysis,
            s.title,
            self._shown(s.analysis, variances=s.variances, outcome=s.outcome),
            exposures=s.exposures,
            models=self._models(s.models),
            estimands=s.estimands if "odds_ratio" in s.estimands[:1] else [e for e in s.estimands if e != "odds_ratio"],
            values=s.at,
            notes=(note, *(self._adjusted(m) for m in s.models if len(s.models) == 1)),
            number=self.numbers[s.analysis],
        )

    def _horizon(self, h: Horizon) -> Table:
        note = f"Risks by {h.horizon:g} (in the unit of follow-up), by {HORIZON_METHODS[h.method]}."
        return risk_table(
            h.analysis,
            h.title,
            self._shown(h.analysis, variances=h.variances, outcome=h.outcome),
            exposures=h.exposures,
            models=self._models(h.models),
            estimands=[e for e in h.estimands if e != "odds_ratio"],
            notes=(note, *(self._adjusted(m) for m in h.models if len(h.models) == 1)),
            number=self.numbers[h.analysis],
        )

    def _comparison(self, c: Comparison, exposure: str) -> Table:
        id = comparison_id(c, exposure)
        title = c.title if len(c.exposures) == 1 else f"{c.title}: {_lower(self.base.exposures[exposure].label)}"
        return comparison_table(
            id,
            title,
            self._shown(c.analysis, variances=(c.variance,) if c.variance else (), outcome=c.outcome),
            exposure=exposure,
            methods=c.methods,
            crude=self._crude(c.model),
            notes=(self._adjusted(c.model),),
            number=self.numbers[id],
        )

    def _joint(self, x: Interaction) -> Table:
        label = self.base.exposures[x.exposure].label
        id = joint_id(x)
        modifier = self._modifier(x)
        return joint_table(
            id,
            f"Joint effects and interaction of {_lower(label)} and {_lower(modifier.label)}",
            self._shown(x.analysis),
            exposure=x.exposure,
            modifier=modifier,
            crude=self._crude(x.model, (*x.drop, x.modifier)),
            notes=(self._adjusted(x.model),),
            number=self.numbers[id],
        )

    def _modifier(self, x: Interaction) -> Modifier:
        name = x.modifier
        if name not in self.study.exposures:
            levels = list(levels_of(self.study, name).values())
            return Modifier(id=name, label=self._label(name), levels=dict(zip(levels, levels, strict=True)))
        label = self.base.exposures[name]
        levels = list(category_names(self.study, name))
        cuts = cuts_of(self.base.results.cutpoints, x.analysis, name)
        texts = category_labels(cuts, label.decimals, whole=label.whole)
        named = dict(zip(levels, texts if len(texts) == len(levels) else levels, strict=True))
        return Modifier(id=name, label=label.label, levels=named)

    def _attributable(self, a: Attributable) -> Table:
        method = a.method or ("logistic" if a.formula == "standardised" else "modified_poisson")
        note = (
            f"Fractions {FORMULAS[a.formula]}; {method.replace('_', ' ')} model. "
            "Negative: fewer cases than at the reference."
        )
        return fraction_table(
            a.analysis,
            a.title,
            self._shown(a.analysis, variances=a.variances, outcome=a.outcome),
            exposures=a.exposures,
            models=self._models(a.models),
            notes=(note,),
            number=self.numbers[a.analysis],
        )

    def _substitution(self, s: Substitution) -> Table:
        note = (
            "Isotemporal substitution: the other parts and the total held constant."
            if s.kind == "isotemporal"
            else "Compositional model (isometric log-ratios); time is moved at the mean composition of the sample."
        )
        return substitution_table(
            s.analysis,
            s.title,
            self._shown(s.analysis, variances=s.variances, outcome=s.outcome),
            exposure=TIME_EXPOSURE,
            parts={p: self._label(p) for p in s.parts},
            unit=self.variables[s.parts[0]].unit,
            notes=(note, self._adjusted(s.model)),
            number=self.numbers[s.analysis],
        )

    def _label(self, variable: str) -> str:
        return self.variables[variable].label


def _lower(label: str) -> str:
    return label if label[:2].isupper() else label[:1].lower() + label[1:]
