"""The accounts of a run's sensitivity analyses, and their sections of the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from walkrisk.accounts.account import Account, View
from walkrisk.accounts.every import every_account
from walkrisk.accounts.facts import rounded
from walkrisk.accounts.summary import summary
from walkrisk.reports.html import Block, FigureBlock, Paragraphs, Section
from walkrisk.runs.tabulations import Tabulation, numbers
from walkrisk.studies.sensitivity import declares_any
from walkrisk.tables.cells import Guard
from walkrisk.tables.table import Table


@dataclass(frozen=True, slots=True, eq=False)
class Accounts:
    """The summary (None without lines) and every account, their tables numbered on from the study's own."""

    summary: Account | None
    every: tuple[Account, ...]

    def all(self) -> tuple[Account, ...]:
        """The summary first."""
        return (*([self.summary] if self.summary else []), *self.every)


def view_of(made: Tabulation) -> View:
    """What accounts are made from."""
    guard = Guard(made.ratio_marks, made.study.settings.min_cell)
    return View(
        made.study,
        made.results,
        made.simulated,
        guard,
        made.variables,
        made.exposures,
        made.characteristic_marks,
    )


def accounts_of(made: Tabulation) -> Accounts:
    """The accounts of a study's sensitivity analyses; none where it declares none."""
    if not declares_any(made.study.sensitivity):
        return Accounts(None, ())
    view = view_of(made)
    every = every_account(view)
    first = summary(view, every)
    number = sum(text.startswith("eTable") for text in numbers(made.study).values())
    numbered: list[Account] = []
    for account in (*([first] if first else []), *every):
        tables = [replace(t, number=f"eTable {number + i}") for i, t in enumerate(account.tables, start=1)]
        number += len(tables)
        said = tuple(rounded(s, view.rounding) for s in account.sentences)
        numbered.append(replace(account, tables=tuple(tables), sentences=said))
    return Accounts(numbered[0] if first else None, tuple(numbered[1:] if first else numbered))


def account_sections(
    accounts: Accounts, tables: Mapping[str, Table], figures: Mapping[str, FigureBlock]
) -> Iterator[Section]:
    """The summary, then a section for each group of sensitivity analyses."""
    if accounts.summary:
        title = "How much would it take: all sensitivity analyses"
        yield Section(
            id="section_summary", title=title, blocks=_blocks(accounts.summary, tables, figures, titled=False)
        )
    for group, members in groupby(accounts.every, key=lambda a: a.group):
        blocks = [b for a in members for b in _blocks(a, tables, figures, titled=True)]
        yield Section(
            id=f"section_{group.lower().replace(' ', '_').replace('-', '_')}", title=group, blocks=tuple(blocks)
        )


def _blocks(
    account: Account, tables: Mapping[str, Table], figures: Mapping[str, FigureBlock], *, titled: bool
) -> tuple[Block, ...]:
    said = Paragraphs(
        title=account.title if titled else "",
        texts=account.methods,
        points=tuple(s.text for s in account.sentences),
    )
    return (
        said,
        *(figures[d.id] for d in account.drawings),
        *(tables[t.id] for t in account.tables),
    )
