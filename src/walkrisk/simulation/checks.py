"""What a simulation declaration must satisfy beyond its grammar: every fault, each with the key it is about."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass

from walkrisk.declarations import key_of, suggest
from walkrisk.simulation.activity import BEHAVIOURS, MAY_BE_ZERO, REST
from walkrisk.simulation.declaration import (
    Activity,
    Bernoulli,
    Categorical,
    Choice,
    Column,
    Condition,
    Date,
    Indicator,
    Missing,
    Normal,
    Ordinal,
    Outcome,
    Simulation,
    Term,
    Uniform,
    Variable,
)
from walkrisk.simulation.terms import names_of

INTEGER_LIMITS = {"int8": 127, "int16": 32767, "int32": 2**31 - 1}
_NAME_LENGTH, _LABEL_LENGTH = 32, 80  # what a Stata file holds
_FEWEST_EPOCHS = 1000  # so that a short day still has room for every behaviour
Faults = list[str]


def faults_of(simulation: Simulation) -> Faults:
    """Every fault of a declaration that is grammatical; empty if it can be simulated."""
    faults: Faults = []
    _finite(simulation, "", faults)
    _defaults(simulation, faults)
    known: dict[str, tuple[int, ...] | None] = {}
    for variable in simulation.variables:
        where = f"variables.{variable.name}"
        if variable.name in known:
            faults.append(f"{where}: the name is used twice.")
        _variable(variable, where, known, faults)
        known[variable.name] = _codes(variable, known)
    if simulation.activity is not None:
        _activity(simulation.activity, known, faults)
    if simulation.outcome is not None:
        _outcome(simulation.outcome, simulation.variables, known, faults)
    _columns(simulation, known, faults)
    return faults


def _finite(value: object, where: str, faults: Faults) -> None:
    """TOML knows nan and inf; no setting here may be one."""
    if isinstance(value, float) and not math.isfinite(value):
        faults.append(f"{where}: must be a finite number, got {value}.")
    elif is_dataclass(value):
        for f in fields(value):
            _finite(getattr(value, f.name), f"{where}.{key_of(f)}" if where else key_of(f), faults)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _finite(item, f"{where}.{key}", faults)
    elif isinstance(value, tuple):
        for i, item in enumerate(value):
            _finite(item, f"{where}.{getattr(item, 'name', '')}" if hasattr(item, "name") else f"{where}[{i}]", faults)


def _defaults(simulation: Simulation, faults: Faults) -> None:
    if simulation.defaults.n < 1:
        faults.append(f"defaults.n: must be 1 or more, got {simulation.defaults.n}.")
    if simulation.defaults.seed < 0:
        faults.append(f"defaults.seed: must be 0 or more, got {simulation.defaults.seed}.")
    if not 0 <= simulation.identifier.first <= 10**9:
        faults.append(f"identifier.first: must be between 0 and 1000000000, got {simulation.identifier.first}.")


def _codes(variable: Variable, known: Mapping[str, tuple[int, ...] | None]) -> tuple[int, ...] | None:
    """The codes a variable can take, or None for a measurement."""
    if isinstance(variable, Bernoulli | Indicator):
        return (0, 1)
    if isinstance(variable, Ordinal):
        return variable.codes
    if isinstance(variable, Categorical):
        return tuple(c.code for c in variable.categories)
    if isinstance(variable, Choice):
        parts = [known.get(variable.then), known.get(variable.otherwise)]
        return None if None in parts else tuple(sorted({c for p in parts if p is not None for c in p}))
    return None


def _known(name: str, where: str, known: Mapping[str, object], faults: Faults) -> bool:
    if name in known:
        return True
    faults.append(f"{where}: {name} is not a variable declared before{suggest(name, known)}.")
    return False


def _variable(variable: Variable, where: str, known: Mapping[str, tuple[int, ...] | None], faults: Faults) -> None:
    _terms(getattr(variable, "terms", ()), f"{where}.terms", known, faults)
    if isinstance(variable, Normal):
        if variable.sd < 0:
            faults.append(f"{where}.sd: must be 0 or more, got {variable.sd:g}.")
        if variable.lower is not None and variable.upper is not None and variable.lower >= variable.upper:
            faults.append(f"{where}.lower: must be below upper, got {variable.lower:g} and {variable.upper:g}.")
    elif isinstance(variable, Uniform):
        if variable.lower >= variable.upper:
            faults.append(f"{where}.lower: must be below upper, got {variable.lower:g} and {variable.upper:g}.")
    elif isinstance(variable, Bernoulli):
        _conditions(variable.among, f"{where}.among", known, None, faults)
        if (variable.intercept is None) == (variable.mean is None):
            faults.append(f"{where}: give either intercept or mean.")
        if variable.mean is not None:
            _probability(variable.mean, f"{where}.mean", faults, is_open=True)
    elif isinstance(variable, Categorical):
        _shares([c.share for c in variable.categories], [c.code for c in variable.categories], where, faults)
        for category in variable.categories:
            _terms(category.terms, f"{where}.categories[{category.code}].terms", known, faults)
    elif isinstance(variable, Ordinal):
        _shares(variable.shares, variable.codes, where, faults)
    elif isinstance(variable, Date):
        _dates(variable, where, faults)
    elif isinstance(variable, Indicator):
        _conditions(variable.when, f"{where}.when", known, None, faults)
    elif isinstance(variable, Choice):
        _conditions(variable.when, f"{where}.when", known, None, faults)
        _known(variable.then, f"{where}.then", known, faults)
        _known(variable.otherwise, f"{where}.otherwise", known, faults)


def _shares(shares: Sequence[float], codes: Sequence[int], where: str, faults: Faults) -> None:
    if len(shares) != len(codes) or not codes:
        faults.append(f"{where}.shares: must be one for each code, got {len(shares)} for {len(codes)} codes.")
    if len(set(codes)) < len(codes):
        faults.append(f"{where}.codes: a code is used twice.")
    if any(s < 0 for s in shares) or abs(sum(shares) - 1) > 1e-6:
        faults.append(f"{where}.shares: must be 0 or more and add up to 1, got a sum of {sum(shares):.6g}.")


def _is_date(text: str | None, where: str, faults: Faults) -> bool:
    if text is None:
        return False
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        faults.append(f'{where}: must be a date as "2018-05-27", got {text!r}.')
        return False
    return True


def _dates(variable: Date, where: str, faults: Faults) -> None:
    limits = [_is_date(getattr(variable, key), f"{where}.{key}", faults) for key in ("earliest", "latest")]
    if all(limits) and variable.earliest > variable.latest:
        faults.append(f"{where}.earliest: must not be after latest, got {variable.earliest} and {variable.latest}.")
    _is_date(variable.mean, f"{where}.mean", faults)
    if (variable.mean is None) != (variable.sd_days is None):
        faults.append(f"{where}: mean and sd_days come together or not at all.")
    if variable.sd_days is not None and variable.sd_days <= 0:
        faults.append(f"{where}.sd_days: must be above 0, got {variable.sd_days:g}.")
    if variable.terms and variable.mean is None:
        faults.append(f"{where}.terms: need mean and sd_days.")


def _terms(terms: Iterable[Term], where: str, known: Mapping[str, tuple[int, ...] | None], faults: Faults) -> None:
    for i, term in enumerate(terms):
        at = f"{where}[{i}]"
        for name in names_of(term):
            _known(name, at, known, faults)
        if (term.coefficient is None) == (not term.effects):
            faults.append(f"{at}: give either a coefficient or effects by code.")
        _code_keys(term.effects, f"{at}.effects", known.get(term.variable), faults)
        if term.by is None and term.factors:
            faults.append(f"{at}.factors: need a modifier in by.")
        if term.by is not None:
            _code_keys(term.factors, f"{at}.factors", known.get(term.by), faults)
        if term.flat_below is not None and term.flat_above is not None and term.flat_below >= term.flat_above:
            faults.append(f"{at}.flat_below: must be below flat_above ({term.flat_above:g}), got {term.flat_below:g}.")
        _is_date(term.center_date, f"{at}.center_date", faults)


def _code_keys(keys: Iterable[int], where: str, codes: tuple[int, ...] | None, faults: Faults) -> None:
    unknown = sorted(set(keys) - set(codes)) if codes is not None else []
    if unknown:
        faults.append(f"{where}: {_list(unknown)} is no code of the variable, which has {_list(codes or ())}.")


def _conditions(
    conditions: Iterable[Condition],
    where: str,
    variables: Mapping[str, object],
    columns: Mapping[str, object] | None,
    faults: Faults,
) -> None:
    for i, condition in enumerate(conditions):
        at = f"{where}[{i}]"
        if (condition.variable is None) == (condition.column is None):
            faults.append(f"{at}: give either a variable or a column.")
        if condition.variable is not None:
            _known(condition.variable, at, variables, faults)
        if condition.column is not None and columns is None:
            faults.append(f"{at}.column: only columns are described by other columns; name a variable.")
        elif condition.column is not None and columns is not None and condition.column not in columns:
            faults.append(
                f"{at}: {condition.column} is not a column declared before{suggest(condition.column, columns)}."
            )
        if not condition.equals and condition.at_least is None and condition.below is None:
            faults.append(f"{at}: give equals, at_least or below.")


def _probability(value: float, where: str, faults: Faults, *, is_open: bool = False) -> None:
    if not (0 < value < 1 if is_open else 0 <= value <= 1):
        faults.append(f"{where}: must be a probability{' above 0 and below 1' if is_open else ''}, got {value:g}.")


def _activity(activity: Activity, known: Mapping[str, tuple[int, ...] | None], faults: Faults) -> None:
    where = "activity"
    if activity.days < 1 or activity.epoch_s < 1 or activity.day_s < 1 or activity.day_s % max(activity.epoch_s, 1):
        faults.append(f"{where}: days, day_s and epoch_s must be 1 or more, and day_s a whole number of epochs.")
    elif activity.day_s // activity.epoch_s < _FEWEST_EPOCHS:
        faults.append(f"{where}.epoch_s: a day must have {_FEWEST_EPOCHS} epochs or more.")
    most = max(known.get(activity.recorded_days) or (0,))
    if most > activity.days:
        faults.append(f"{where}.recorded_days: goes up to {most}, and there are {activity.days} days.")
    variables = [activity.recorded_days, activity.walking_min, activity.split.faster, activity.split.brisk]
    variables += [o.day_probability for o in (activity.running, activity.cycling) if o is not None]
    for name in [*variables, *activity.log_weights.values()]:
        _known(name, where, known, faults)
    _keys(activity.log_weights, REST, f"{where}.log_weights", faults, are_all_needed=True)
    _keys(activity.columns.stems, BEHAVIOURS, f"{where}.columns.stems", faults)
    for key in ("gap_probability", "short_day_probability", "walking_highest_share"):
        _probability(getattr(activity, key), f"{where}.{key}", faults)
    share = activity.short_day_share
    if len(share) != 2 or not 0.05 <= share[0] <= share[1] <= 1:
        faults.append(f"{where}.short_day_share: must be two shares between 0.05 and 1, the lower one first.")
    if activity.walking_highest_share > 0.9:
        faults.append(f"{where}.walking_highest_share: must be 0.9 or less, so that the rest of the day fits in.")
    if "{stem}" not in activity.columns.name or "{day}" not in activity.columns.name:
        faults.append(f"{where}.columns.name: must contain {{stem}} and {{day}}, got {activity.columns.name!r}.")
    if activity.invalid is not None:
        _probability(activity.invalid.probability, f"{where}.invalid.probability", faults)
        _conditions(activity.invalid.all_days_when, f"{where}.invalid.all_days_when", known, None, faults)
        _keys(activity.invalid.shares, MAY_BE_ZERO, f"{where}.invalid.shares", faults)
        if not sum(activity.invalid.shares.values()) > 0 or min(activity.invalid.shares.values(), default=0) < 0:
            faults.append(f"{where}.invalid.shares: must be 0 or more, and not all 0.")


def _keys(
    keys: Iterable[str], allowed: Sequence[str], where: str, faults: Faults, *, are_all_needed: bool = False
) -> None:
    unknown = [key for key in keys if key not in allowed]
    if unknown:
        faults.append(f"{where}: {_list(unknown)} is none of {_list(allowed)}{suggest(unknown[0], allowed)}.")
    if are_all_needed and set(allowed) - set(keys):
        faults.append(f"{where}: {_list(sorted(set(allowed) - set(keys)))} is missing.")


def _outcome(
    outcome: Outcome,
    variables: Iterable[Variable],
    known: Mapping[str, tuple[int, ...] | None],
    faults: Faults,
) -> None:
    model = {v.name: v for v in variables}.get(outcome.variable)
    if not isinstance(model, Bernoulli) or model.link != "log":
        faults.append(f"outcome.variable: {outcome.variable} is not a bernoulli variable with the log link.")
        return
    for contrast in outcome.contrasts:
        where = f"outcome.contrasts.{contrast.name}"
        if set(contrast.start) != set(contrast.to):
            faults.append(f"{where}: from and to must name the same variables.")
        said = set(contrast.start) | set(contrast.given)
        used = {name for term in model.terms for name in names_of(term)}
        for name in sorted(said - used):
            faults.append(f"{where}: {name} is in no term of {model.name}{suggest(name, used)}.")
        moved = [t for t in model.terms if set(names_of(t)) & set(contrast.start)]
        for name in sorted({name for t in moved for name in names_of(t)} - said):
            faults.append(f"{where}.given: must say the value of {name}, which modifies the contrast.")


def _columns(simulation: Simulation, known: Mapping[str, tuple[int, ...] | None], faults: Faults) -> None:
    seen: dict[str, None] = {simulation.identifier.column: None}
    for column in simulation.columns:
        where = f"columns.{column.name}"
        if column.name in seen:
            faults.append(f"{where}: the name is used twice.")
        _column(column, where, known, seen, faults)
        seen[column.name] = None
    labels = {simulation.identifier.column: simulation.identifier.label}
    labels |= {column.name: column.label for column in simulation.columns}
    for name, (label, _, _) in activity_columns(simulation.activity).items():
        if name in seen:
            faults.append(f"activity.columns: {name} is used twice.")
        seen[name] = None
        labels[name] = label
    for name, label in labels.items():
        if len(name) > _NAME_LENGTH or not name.isidentifier():
            faults.append(f"columns.{name}: must be a plain name of at most {_NAME_LENGTH} characters.")
        if len(label) > _LABEL_LENGTH:
            faults.append(f"columns.{name}.label: has {len(label)} characters; a Stata file holds {_LABEL_LENGTH}.")


def _column(
    column: Column,
    where: str,
    known: Mapping[str, tuple[int, ...] | None],
    seen: Mapping[str, None],
    faults: Faults,
) -> None:
    if _known(column.source, f"{where}.from", known, faults) and column.type in INTEGER_LIMITS:
        codes = known[column.source]
        if codes is not None and max(map(abs, codes), default=0) > INTEGER_LIMITS[column.type]:
            faults.append(f"{where}.type: {column.type} cannot hold the code {max(codes, key=abs)}.")
        if codes is not None:
            _code_keys(column.labels, f"{where}.labels", codes, faults)
            _code_keys(column.blank, f"{where}.blank", codes, faults)
    if column.labels and column.type not in INTEGER_LIMITS:
        faults.append(f"{where}.labels: only whole-number columns have value labels.")
    if column.decimals is not None and column.type != "float64":
        faults.append(f"{where}.decimals: only a float64 column is rounded.")
    _probability(column.answered_anyway, f"{where}.answered_anyway", faults)
    _conditions(column.asked_when, f"{where}.asked_when", known, seen, faults)
    _conditions(column.missing_when, f"{where}.missing_when", known, seen, faults)
    if column.missing is not None:
        _missing(column.missing, f"{where}.missing", known, faults)


def _missing(missing: Missing, where: str, known: Mapping[str, tuple[int, ...] | None], faults: Faults) -> None:
    _probability(missing.probability, f"{where}.probability", faults, is_open=True)
    _terms(missing.terms, f"{where}.terms", known, faults)


def activity_columns(activity: Activity | None) -> dict[str, tuple[str, str, int]]:
    """Daily column name -> (label, behaviour, day from 0), in the order of the extract."""
    if activity is None:
        return {}
    out: dict[str, tuple[str, str, int]] = {}
    for day in range(activity.days):
        for behaviour, stem in activity.columns.stems.items():
            name = activity.columns.name.replace("{stem}", stem).replace("{day}", str(day + 1))
            label = activity.columns.label.replace("{behaviour}", behaviour.replace("_", ", "))
            out[name] = (label.replace("{day}", str(day + 1)), behaviour, day)
    return out


def _list(items: Iterable[object]) -> str:
    return ", ".join(str(item) for item in items)
