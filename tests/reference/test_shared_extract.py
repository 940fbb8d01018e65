"""The reference study on the large extract beside the checkout, against a third program's numbers.

`../shared/reference/haddadj2025`: 31,000 rows, `expected.csv` from an own IRLS, sandwich and spline in R.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyreadstat
import pytest

from walkrisk.cohorts.readers import read_extract
from walkrisk.runs.compute import Computed, compute
from walkrisk.studies.declaration import contracts
from walkrisk.studies.study import Study

HELD = {
    "flow": 16,
    "cutpoints": 12,
    "table1": 400,
    "table1_by_intensity": 400,
    "table_supp": 300,
    "compare_included": 200,
    "compare_ax3": 200,
    "compare_msk_data": 200,
    "main": 1008,
    "mutual": 224,
    "strat_age": 448,
    "strat_sex": 448,
    "strat_intensity": 448,
    "interaction": 30,
    "x_interaction": 45,
    "rcs": 5900,
    "rcs_mutual": 5900,
    "trend": 168,
    "evalue": 252,
    "sens1_bmi": 224,
    "sens2_other_pa": 224,
    "sens3_four_days": 224,
    "sens4_no_msp": 224,
    "sens5_pain_below_moderate": 224,
    "sens6_good_health": 224,
    "sens6b_good_health_known": 224,
    "sens7_no_disease": 224,
    "sens8_severe": 224,
    "x_fixed_cuts": 336,
    "x_hads8": 112,
    "logbin": 600,
}


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    """The extract and its numbers."""
    found = shared / "reference" / "haddadj2025" / "seed_1"
    if not (found / "expected.csv").is_file():
        pytest.skip("../shared/reference/haddadj2025/seed_1 is not here: its extract is kept beside the checkout")
    return found


@pytest.fixture(scope="module")
def computed(folder: Path, study: Study) -> Computed:
    return compute(study, read_extract(folder / "extract.dta", contracts(study)))


@pytest.fixture(scope="module")
def comparison(oracle: Any, folder: Path, computed: Computed) -> Any:
    return oracle.compare(oracle.read(folder / "expected.csv"), computed.results, grid_every=1)


@pytest.mark.parametrize("analysis", HELD)
def test_every_number_of_an_analysis_is_that_of_the_oracle(oracle: Any, comparison: Any, analysis: str) -> None:
    oracle.check(comparison, analysis, at_least=HELD[analysis])


def test_no_analysis_of_the_oracle_is_left_out(comparison: Any) -> None:
    assert set(comparison.compared) | set(comparison.differences) == set(HELD)


def _sav_ready(frame: pd.DataFrame) -> pd.DataFrame:
    """Nullable integers as floats, dates as they are: what an SPSS file can hold."""
    return frame.assign(
        **{
            name: column.astype("float64")
            for name, column in frame.items()
            if pd.api.types.is_numeric_dtype(column.dtype)
        }
    )


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".sav"])
def test_every_format_gives_the_same_results(
    folder: Path, study: Study, computed: Computed, tmp_path: Path, suffix: str
) -> None:
    path = folder / "extract.parquet"
    if suffix != ".parquet":
        frame = pd.read_parquet(path)
        path = tmp_path / f"extract{suffix}"
        if suffix == ".csv":
            frame.to_csv(path, index=False, date_format="%Y-%m-%d")
        else:
            pyreadstat.write_sav(_sav_ready(frame), str(path))
    assert compute(study, read_extract(path, contracts(study))).results == computed.results
