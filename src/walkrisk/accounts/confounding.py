"""The accounts of unmeasured confounding, and of selection by priors."""

from __future__ import annotations

from collections.abc import Iterator

from walkrisk.accounts.account import Account, View
from walkrisk.accounts.benchmarks import benchmark_account, contour_account
from walkrisk.accounts.confounder_array import array_account
from walkrisk.accounts.confounding_priors import probabilistic_account
from walkrisk.accounts.evalues import evalue_account


def accounts(view: View) -> Iterator[Account]:
    """The accounts of every declared analysis of unmeasured confounding and of selection by priors."""
    s = view.study.sensitivity
    for curves in s.evalue_curves:
        yield evalue_account(view, curves)
    for benchmarks in s.benchmarks:
        yield benchmark_account(view, benchmarks)
    for contours in s.contours:
        yield contour_account(view, contours)
    for array in s.confounder_arrays:
        yield array_account(view, array)
    for confounder in s.probabilistic_confounders:
        yield probabilistic_account(view, confounder)
    for selected in s.probabilistic_selections:
        yield probabilistic_account(view, selected)
