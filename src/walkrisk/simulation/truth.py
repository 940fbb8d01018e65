"""The truth behind a simulated extract, as a JSON-able table: coefficients, solved intercepts, implied risk ratios."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from walkrisk.declarations import key_of
from walkrisk.simulation.declaration import Bernoulli, Contrast, Simulation
from walkrisk.simulation.terms import names_of, predictor

STATEMENT = "Simulated data: no row is a record of any person."


def truth_of(simulation: Simulation, solved: Mapping[str, Mapping[str, float]], *, n: int, seed: int) -> dict[str, Any]:
    """Everything that generated an extract: n, seed, every variable with its coefficients, the implied risk ratios."""
    out: dict[str, Any] = {
        "simulated": True,
        "statement": STATEMENT,
        "title": simulation.title,
        "note": simulation.note,
        "n": n,
        "seed": seed,
    }
    model = outcome_model(simulation)
    if model is not None and simulation.outcome is not None:
        solution = solved[model.name]
        out["outcome"] = {
            "variable": model.name,
            "model": "log risk = intercept + sum of terms",
            "intercept": solution["intercept"],
            "terms": _plain(model.terms),
            "mean_risk": solution["mean"],
            "mean_risk_among": _plain(model.among),
            "largest_risk": solution["largest"],
            "contrasts": [
                {**_plain(contrast), "risk_ratio": contrast_ratio(model, contrast)}
                for contrast in simulation.outcome.contrasts
            ],
        }
    out["variables"] = [
        {**_plain(v), **({"solved": dict(solved[v.name])} if solved[v.name] else {})} for v in simulation.variables
    ]
    if simulation.activity is not None:
        out["activity"] = _plain(simulation.activity)
    return out


def outcome_model(simulation: Simulation) -> Bernoulli | None:
    """The variable declared as the outcome, or None."""
    if simulation.outcome is None:
        return None
    found = [v for v in simulation.variables if v.name == simulation.outcome.variable]
    return found[0] if found and isinstance(found[0], Bernoulli) else None


def contrast_ratio(model: Bernoulli, contrast: Contrast) -> float:
    """exp(predictor at `to` - predictor at `from`), over the terms that hold a variable of the contrast."""
    terms = [term for term in model.terms if set(names_of(term)) & set(contrast.start)]
    ends = []
    for end in (contrast.start, contrast.to):
        values = {name: np.array([value]) for name, value in {**contrast.given, **end}.items()}
        ends.append(float(predictor(terms, values, 1)[0]))
    return math.exp(ends[1] - ends[0])


def _plain(value: Any) -> Any:
    """Dataclasses as tables under their TOML keys, without what is not said; mappings with text keys."""
    if is_dataclass(value) and not isinstance(value, type):
        said = {key_of(f): getattr(value, f.name) for f in fields(value)}
        return {key: _plain(v) for key, v in said.items() if v is not None and v != () and v != {}}
    if isinstance(value, Mapping):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
