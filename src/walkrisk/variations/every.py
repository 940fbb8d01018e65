"""The sensitivity analyses a study declares, as work to be carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from walkrisk.errors import WalkriskError
from walkrisk.variations import (
    confounding,
    forms,
    influence,
    jackknife,
    losses,
    measurement,
    missing_data,
    multiverse,
    precision,
    selection,
)
from walkrisk.variations.ground import Ground
from walkrisk.variations.variation import Variation, raise_together

PLANS: tuple[Callable[[Ground], Iterator[Variation]], ...] = (
    missing_data.plan,
    losses.plan,
    confounding.plan,
    measurement.plan,
    selection.plan,
    multiverse.plan,
    influence.plan,
    jackknife.plan,
    forms.plan,
    precision.plan,
)


def every_variation(ground: Ground) -> list[Variation]:
    """Every declared sensitivity analysis, planned. Raises the faults of all that are impossible together."""
    planned: list[Variation] = []
    faults: list[WalkriskError] = []
    for plan in PLANS:
        try:
            planned += plan(ground)
        except WalkriskError as fault:
            faults.append(fault)
    raise_together(faults)
    return planned
