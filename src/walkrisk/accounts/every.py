"""The accounts of every sensitivity analysis of a study, in the order of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from walkrisk.accounts import (
    confounding,
    forms,
    losses,
    measurement,
    missing_data,
    multiverse,
    precision,
    robustness,
    selection,
)
from walkrisk.accounts.account import GROUPS, Account, View

ACCOUNTS: tuple[Callable[[View], Iterator[Account]], ...] = (
    missing_data.accounts,
    losses.accounts,
    confounding.accounts,
    measurement.accounts,
    selection.accounts,
    multiverse.accounts,
    robustness.accounts,
    forms.accounts,
    precision.accounts,
)


def every_account(view: View) -> list[Account]:
    """Every account, groups in their order."""
    made = [account for accounts in ACCOUNTS for account in accounts(view)]
    return sorted(made, key=lambda account: GROUPS.index(account.group))
