"""Questions at the terminal: numbered lists with a default, answered by numbers or names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from walkrisk.errors import UsageFault
from walkrisk.studies.guesses import Guess, clean
from walkrisk.studies.roles import Wishes, covariates_of, default_event, exposures_of, outcomes, usual_covariates

MOST_SHOWN = 30
MOST_TRIES = 5
NONE = "-"
Ask = Callable[[str], str]
Say = Callable[[str], None]


def ask_wishes(wishes: Wishes, columns: Sequence[Guess], day_values: Sequence[Guess], *, ask: Ask, say: Say) -> Wishes:
    """The wishes with what was left open asked for: outcome, event, exposures, covariates.

    Raises UsageFault where the answers end, or none of five is one of those offered.
    """
    by_name = {c.name: c for c in (*columns, *day_values)}
    outcome = wishes.outcome or _one("Which column is the outcome?", outcomes(columns), ask, say)
    chosen = next((c for c in columns if outcome in (c.name, c.source)), None)
    event = wishes.event
    if event is None and chosen and chosen.levels:
        event = _event(chosen, ask, say)
    exposures = wishes.exposures
    if not exposures:
        offered = [*day_values, *exposures_of(columns, without=(chosen,))]
        exposures = _several("Which are the exposures?", offered, offered[:1], ask, say)
    covariates = wishes.covariates
    if covariates is None:
        out = (chosen, *(by_name.get(name) for name in exposures))
        offered = covariates_of([*columns, *day_values], without=out)
        usual = usual_covariates(columns, without=out)
        offered.sort(key=lambda c: c not in usual)
        covariates = _several("Which covariates is it adjusted for?", offered, usual, ask, say)
    return Wishes(id=wishes.id, outcome=outcome, event=event, exposures=exposures, covariates=covariates)


def _one(question: str, offered: Sequence[Guess], ask: Ask, say: Say) -> str:
    if not offered:
        raise UsageFault("No column of the file has few enough values to be an outcome; code one as 0 and 1.")
    return _chosen(question, {c.name: _line(c) for c in offered}, (offered[0].name,), 1, ask, say)[0]


def _several(question: str, offered: Sequence[Guess], default: Sequence[Guess], ask: Ask, say: Say) -> tuple[str, ...]:
    if not offered:
        return ()
    return _chosen(question, {c.name: _line(c) for c in offered}, tuple(c.name for c in default), None, ask, say)


def _event(outcome: Guess, ask: Ask, say: Say) -> str:
    default = default_event(outcome)
    levels = {str(code): text for code, text in outcome.levels.items()}
    if outcome.kind == "category":
        levels = dict.fromkeys(outcome.levels.values(), "")
    first = str(default) if outcome.kind != "category" else outcome.levels.get(default or 0, "")
    usual = (first,) if default is not None else (list(levels)[-1],)
    return _chosen(f"Which value of {clean(outcome.source)} is an event?", levels, usual, 1, ask, say)[0]


def _chosen(
    question: str, offered: Mapping[str, str], default: tuple[str, ...], most: int | None, ask: Ask, say: Say
) -> tuple[str, ...]:
    """The names that are chosen from those offered (name -> what is said of it)."""
    names = list(offered)
    say(question)
    for i, name in enumerate(names[:MOST_SHOWN], start=1):
        say(f"  {i:>2}  {name}{f': {offered[name]}' if offered[name] else ''}")
    if len(names) > MOST_SHOWN:
        say(f"      and {len(names) - MOST_SHOWN} more, by name")
    numbers = ", ".join(str(names.index(name) + 1) for name in default) or NONE
    how = "number" if most == 1 else f"numbers, with commas; {NONE} for none"
    for _ in range(MOST_TRIES):
        try:
            answer = ask(f"{how} [{numbers}]: ").strip()
        except EOFError:
            raise UsageFault("The answers ended before everything was asked; give --outcome and --exposure.") from None
        if not answer:
            return default
        if answer == NONE and most is None:
            return ()
        found = [_named(part.strip(), names) for part in answer.split(",") if part.strip()]
        if found and all(found) and (most is None or len(found) <= most):
            return tuple(dict.fromkeys(name for name in found if name))
        say(f"That is not one of them; answer by {how}, or by name.")
    raise UsageFault("No answer was one of those offered; give --outcome, --exposure and --covariates instead.")


def _named(answer: str, names: Sequence[str]) -> str | None:
    if answer in names:
        return answer
    if answer.isdecimal() and 1 <= int(answer) <= len(names):
        return names[int(answer) - 1]
    return next((name for name in names if name.casefold() == answer.casefold()), None)


def _line(c: Guess) -> str:
    called = "" if c.source == c.name else f"{clean(c.source)}; "
    levels = ", ".join(list(c.levels.values())[:4]) + (", ..." if len(c.levels) > 4 else "")
    return called + "; ".join(text for text in (c.meaning, levels or c.unit or str(c.kind)) if text)
