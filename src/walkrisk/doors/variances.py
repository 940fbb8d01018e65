"""One choice of variance, carried through everything a question computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from walkrisk.declarations import suggest
from walkrisk.doors.frames import CLUSTERED, ModelFrame
from walkrisk.errors import DataFault, UsageFault
from walkrisk.models.bootstrap_covariance import bootstrap_covariance
from walkrisk.models.covariance import (
    EXPECTED,
    NEED_CLUSTERS,
    SEVERAL_WAYS,
    VARIANCES,
    covariance,
    degrees_of_freedom,
    influence,
    influence_covariance,
)
from walkrisk.models.fit import Fit
from walkrisk.models.survey import Lonely, SurveyDesign, survey_design

FloatArray = npt.NDArray[np.float64]

Limits = Literal["normal", "t"]
BOOTSTRAP = "bootstrap"
MOST_REPLICATES = 1_000_000
FEW_CLUSTERS = 40


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Choice:
    """A variance with what it needs, and how its limits are made."""

    name: str
    cluster: FloatArray | None = None
    survey: SurveyDesign | None = None
    limits: Limits = "normal"
    strata: FloatArray | None = None  # with a bootstrap: within which clusters are drawn
    replicates: int = 2000
    seed: int = 1
    sentences: tuple[str, ...] = ()

    def covariance(self, fit: Fit) -> FloatArray:
        """Covariance (q, q) of the estimated coefficients of a fit."""
        if self.name == BOOTSTRAP:
            return bootstrap_covariance(
                fit, replicates=self.replicates, seed=self.seed, cluster=self.cluster, strata=self.strata
            )
        return covariance(fit, self.name, cluster=self.cluster, design=self.survey)

    def influence(self, fit: Fit) -> FloatArray:
        """Adjusted contribution (n, q) of each row to the estimated coefficients."""
        return influence(fit, self.name, cluster=self.cluster)

    def of(self, phi: FloatArray, fit: Fit) -> FloatArray:
        """Covariance (k, k) of k functionals by their influence phi (n, k) on each row."""
        return influence_covariance(phi, fit, self.name, cluster=self.cluster, design=self.survey)

    def df(self, fit: Fit, contrast: FloatArray | None = None) -> float:
        """Degrees of freedom of t limits for a contrast (q,) of the coefficients; infinite for normal limits.

        Without a contrast those of what is no linear combination (a standardised risk): the fewest of any coefficient.
        """
        if self.limits == "normal":
            return float("inf")
        found = degrees_of_freedom(
            fit, self.name, contrasts=contrast, cluster=self.cluster, design=self.survey, residual=True
        )
        return float(np.min(found))

    def groups_df(self) -> float:
        """Degrees of freedom of t limits of what rests on no regression: clusters - 1, or units - strata."""
        if self.limits == "normal":
            return float("inf")
        if self.survey is not None:
            return float(self.survey.degrees_of_freedom())
        if self.cluster is None:
            return float("inf")
        return float(fewest_clusters(self.cluster) - 1)


def fewest_clusters(cluster: FloatArray) -> int:
    """Number of clusters, of the column with the fewest."""
    columns = cluster if cluster.ndim > 1 else cluster[:, None]
    return min(len(np.unique(c)) for c in columns.T)


def chosen(
    frame: ModelFrame,
    variance: str,
    *,
    limits: str | None = None,
    replicates: int = 2000,
    seed: int = 1,
    lonely: str = "fail",
) -> Choice:
    """The variance a user named, with the clusters or survey design of the frame.

    A cluster without a variance that uses it becomes `cluster`, a survey design `survey`; that is said. Limits are
    normal, except for CR2 and CR3 (Satterthwaite's t) and below 40 clusters (t on clusters - 1; normal limits of 20
    clusters cover 92 to 93 per cent). Raises UsageFault for a name that is none, or lacks what it
    needs.
    """
    faults: list[str] = []
    sentences: list[str] = []
    name = variance
    if lonely not in get_args(Lonely):
        faults.append(f"`lonely` must be one of {', '.join(get_args(Lonely))}, got {lonely!r}.")
    if limits not in (None, *get_args(Limits)):
        faults.append(f'`limits` must be "normal" or "t", got {limits!r}.')
    if not 1 < replicates <= MOST_REPLICATES:
        faults.append(f"`replicates` must be 2 to {MOST_REPLICATES:,} bootstrap samples, got {replicates}.")
    if name == BOOTSTRAP:
        if limits == "t":
            faults.append("Bootstrap limits are not of Student's t; leave `limits` out.")
        if frame.cluster is not None and frame.cluster.ndim > 1:
            faults.append("A bootstrap draws one kind of cluster; give `cluster` one column.")
        if faults:
            raise UsageFault(faults)
        _check_clusters(frame, sentences, name)
        return Choice(
            name=name,
            cluster=frame.psu if frame.psu is not None else frame.cluster,
            strata=frame.strata,
            replicates=replicates,
            seed=seed,
            sentences=tuple(s for s in sentences if "Student" not in s),
        )
    if name.removesuffix(EXPECTED) not in VARIANCES:
        faults.append(
            f"There is no variance {variance!r}{suggest(variance, VARIANCES) or '.'} Stata's vce(robust) is 'stata', "
            "its vce(cluster) 'cluster', R's sandwich 'HC0' (vcovHC: 'HC3'). There are "
            f"{', '.join((*VARIANCES, BOOTSTRAP))}."
        )
    designed = frame.strata is not None
    if frame.cluster is not None and designed:
        faults.append(
            "Give `cluster` or `strata` and `psu`, not both: the sampling units are the clusters of a survey."
        )
    if name.removesuffix(EXPECTED) in NEED_CLUSTERS and frame.cluster is None:
        faults.append(f"Variance {name!r} needs `cluster`, the column that says which rows belong together.")
    if name == "survey" and not designed:
        faults.append("Variance 'survey' needs `strata` and `psu`.")
    if faults:
        raise UsageFault(faults)
    if frame.cluster is not None and name.removesuffix(EXPECTED) not in CLUSTERED:
        name = _clustered_instead(name, sentences)
    if designed and name.removesuffix(EXPECTED) != "survey":
        name = _surveyed_instead(name, sentences)
    few = _check_clusters(frame, sentences, name)
    if frame.cluster is not None and frame.cluster.ndim > 1 and name.removesuffix(EXPECTED) not in SEVERAL_WAYS:
        raise UsageFault(
            f"Variance {name!r} takes one column of clusters; for several choose one of {', '.join(SEVERAL_WAYS)}."
        )
    by_default = name.removesuffix(EXPECTED) in ("CR2", "CR3") or few
    survey = _survey(frame, lonely)
    if survey is not None and survey.degrees_of_freedom() < FEW_CLUSTERS and limits is None:
        sentences.append(
            f"The design has {survey.degrees_of_freedom()} degrees of freedom (sampling units less strata), few for "
            'normal limits; limits="t" takes those of a design-based regression.'
        )
    kind: Limits = "t" if limits == "t" or (limits is None and by_default) else "normal"
    return Choice(name=name, cluster=frame.cluster, survey=survey, limits=kind, sentences=tuple(sentences))


def _clustered_instead(name: str, sentences: list[str]) -> str:
    if name != "HC0":
        raise UsageFault(f"Variance {name!r} does not use `cluster`; choose one of {', '.join(CLUSTERED)}.")
    sentences.append("Rows of a cluster belong together, so the variance is `cluster` (HC0 summed within clusters).")
    return "cluster"


def _surveyed_instead(name: str, sentences: list[str]) -> str:
    if name != "HC0":
        raise UsageFault(f"Variance {name!r} does not use `strata` and `psu`; choose 'survey'.")
    sentences.append("`strata` and `psu` are given, so the variance is `survey` (Taylor linearisation).")
    return "survey"


def _check_clusters(frame: ModelFrame, sentences: list[str], name: str) -> bool:
    """Whether the clusters are so few that normal limits are too narrow; a single one is refused."""
    if frame.cluster is None:
        return False
    clusters = fewest_clusters(frame.cluster)
    if clusters == 1:
        raise DataFault(
            "All rows belong to a single cluster, so nothing is known of the variation between clusters; "
            "choose a variance without clusters, or check the column."
        )
    if clusters == frame.n:
        sentences.append("Every row is a cluster of its own, so clustering changes nothing but small-sample factors.")
    elif clusters < FEW_CLUSTERS:
        words = f"{clusters} clusters are few for a cluster-robust variance, so limits are of Student's t"
        better = "" if name.startswith(("CR2", "CR3", "KC")) else "; variance CR2 has less bias still"
        sentences.append(f"{words}{better}.")
        return True
    return False


def _survey(frame: ModelFrame, lonely: str) -> SurveyDesign | None:
    if frame.strata is None or frame.psu is None:
        return None
    try:
        return survey_design(frame.strata, frame.psu, whole=frame.whole, lonely=lonely)  # type: ignore[arg-type]
    except ValueError as error:
        said = str(error)
        raise DataFault(
            f"{said[:1].upper()}{said[1:]}, so no design-based variance exists; merge these strata, or say by `lonely` "
            "what they add: 'adjust' (their distance from the overall mean) or 'certainty' (nothing)."
        ) from None
