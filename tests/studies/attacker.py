"""An attacker who holds everything a run published, and the declaration of the study, and wants the counts it hides.

What is read is the csv files (the tables, sentences and figures are made from them, which another test holds). Every
count is a whole number that is not negative; what is known of them are sums (of categories, strata, joint groups,
levels, groups, steps), the differences of analyses of nearly the same people, and what crude ratios, percentages, means
and pairs of standard errors give back. A count is found if one number only fits all of it.
"""

from __future__ import annotations

import csv
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

Cell = tuple[Hashable, ...]
COUNTED = ("risk_ratio", "risk_difference", "risk", "odds_ratio", "nnt", "paf")
CRUDE = ("risk_ratio",)


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@dataclass
class System:
    """Cells with the least and the largest they can be, equalities (cell -> factor, sum) and ranges of sums."""

    limits: dict[Cell, tuple[float, float]] = field(default_factory=dict)
    equal: list[tuple[dict[Cell, float], float]] = field(default_factory=list)
    between: list[tuple[dict[Cell, float], float, float]] = field(default_factory=list)
    largest: float = 10_000.0
    base: int = 0  # of rounding, in what is read now

    def cell(self, name: Cell, text: str = "", limits: tuple[float, float] | None = None) -> Cell:
        """A cell; known if a number is printed for it."""
        low, high = self.limits.get(name, (0.0, self.largest))
        if text:
            value = float(text)
            nearest = (value - self.base // 2, value + (self.base - 1) // 2) if self.base else (value, value)
            low, high = max(low, nearest[0]), min(high, nearest[1])
        elif limits and low != high:
            low, high = max(low, limits[0]), min(high, limits[1])
        self.limits[name] = (low, high)
        return name

    def total(self, whole: Cell, parts: Iterable[Cell]) -> None:
        """The parts add up to the whole."""
        factors: dict[Cell, float] = {self.cell(whole): -1.0}
        for part in parts:
            factors[self.cell(part)] = factors.get(part, 0.0) + 1.0
        self.equal.append((factors, 0.0))

    def known(self, cell: Cell) -> bool:
        return self.limits[cell][0] == self.limits[cell][1]

    def propagate(self) -> None:
        """Fill in every cell that stands alone in an equality."""
        changed = True
        while changed:
            changed = False
            for factors, total in self.equal:
                left = [c for c in factors if not self.known(c)]
                if len(left) == 1:
                    rest = total - sum(f * self.limits[c][0] for c, f in factors.items() if c != left[0])
                    value = round(rest / factors[left[0]])
                    self.limits[left[0]] = (value, value)
                    changed = True

    def found(self, cells: Sequence[Cell]) -> dict[Cell, int]:
        """Those of the cells that can be one number only."""
        self.propagate()
        out = {c: int(self.limits[c][0]) for c in cells if self.known(c)}
        names = list(self.limits)
        at = {c: i for i, c in enumerate(names)}
        low, high = (np.array([self.limits[c][side] for c in names]) for side in (0, 1))
        lines = [(f, t, t) for f, t in self.equal] + self.between
        entries = [(r, at[c], v) for r, (f, _, _) in enumerate(lines) for c, v in f.items()]
        matrix = csr_array(
            ([v for *_, v in entries], ([r for r, *_ in entries], [c for _, c, _ in entries])),
            shape=(len(lines), len(names)),
        )
        floor, roof = (np.array([line[side] for line in lines]) for side in (1, 2))
        constraint = LinearConstraint(matrix, floor - 1e-6, roof + 1e-6)
        witnesses: list[np.ndarray] = []
        for cell in (c for c in cells if c not in out):
            seen = {round(w[at[cell]]) for w in witnesses}
            ends = []
            for sign in (1.0, -1.0):
                if len(seen) > 1:
                    break
                goal = np.zeros(len(names))
                goal[at[cell]] = sign
                answer = milp(goal, constraints=constraint, bounds=Bounds(low, high), integrality=np.ones(len(names)))
                assert answer.x is not None, "nothing fits: the attacker has made an equation that does not hold"
                ends.append(round(answer.x[at[cell]]))
                witnesses.append(answer.x)
                seen.add(ends[-1])
            if len(seen) == 1:
                out[cell] = seen.pop()
        return out


@dataclass(frozen=True)
class Study:
    """What the declaration tells: the analyses of the same people, the restricted ones, strata and joint groups."""

    main: str
    same: tuple[str, ...]
    restricted: tuple[str, ...]
    strata: Mapping[str, str]  # analysis -> exposure, its strata adding up to the main analysis
    joint: Mapping[str, tuple[str, str]]  # exposure -> the two crossed
    other_limits: Mapping[tuple[str, str], tuple[float, ...]]  # (analysis, exposure) -> limits
    by_exposure: Mapping[str, str]
    outcome: str
    min_cell: int = 5


def read(system: System, folder: Path, study: Study, run: str = "", *, base: int = 0) -> None:
    """Everything that one release tells, as cells named after `run`; its counts are rounded to multiples of `base`."""
    system.base = base
    _Reader(system, folder, study, run).all()


@dataclass
class _Reader:
    system: System
    folder: Path
    study: Study
    run: str

    def all(self) -> None:
        self.hidden = self._reasons()
        self.blocks = self._blocks()
        self._sums()
        self._ties()
        self._nested()
        self._other_limits()
        self._flow()
        self._described()
        self._lost()
        self._crude()
        self._two_variances()

    def _reasons(self) -> dict[tuple[str, ...], str]:
        return {
            (r["file"], r["analysis"], r["exposure"], r["stratum"], r["level"], r["column"]): r["reason"]
            for r in rows(self.folder, "disclosure")
            if r["item"] in ("", "count")
        }

    def _limits(self, *place: str) -> tuple[float, float] | None:
        reason = self.hidden.get(place)
        return (1.0, self.study.min_cell - 1.0) if reason == "small" else None

    def r(self, analysis: str, exposure: str, stratum: str, level: str, what: str) -> Cell:
        return ("ratio", self.run, analysis, exposure, stratum, level, what)

    # ------------------------------------------------------------ analyses

    def _blocks(self) -> dict[tuple[str, str, str], list[str]]:
        blocks: dict[tuple[str, str, str], list[str]] = {}
        named = {self.study.main, *self.study.same, *self.study.restricted, *self.study.strata}
        named |= {a for a, _ in self.study.other_limits}
        for e in rows(self.folder, "estimates"):
            joint = e["exposure"] in self.study.joint
            if e["estimand"] in COUNTED and e["level"] not in ("", "total") and (e["analysis"] in named or joint):
                place = (e["analysis"], e["exposure"], e["stratum"])
                levels = blocks.setdefault(place, [])
                if e["level"] not in levels:
                    levels.append(e["level"])
                for what in ("n", "events"):
                    limits = self._limits("estimates", *place, e["level"], what)
                    self.system.cell(self.r(*place, e["level"], what), e[what], limits)
        for d in rows(self.folder, "diagnostics"):
            place = (d["analysis"], d["exposure"], d["stratum"])
            if place in blocks:
                for what in ("n", "events"):
                    self.system.cell(self.r(*place, "", what), d[what], self._limits("estimates", *place, "", what))
        return blocks

    def _sums(self) -> None:
        for place, levels in self.blocks.items():
            for level in (*levels, ""):
                self.system.total(self.r(*place, level, "n"), (self.r(*place, level, w) for w in ("events", "rest")))
            whole = len(levels) >= len(self.blocks.get((self.study.main, place[1], ""), ()))  # with the reference
            for what in ("n", "events", "rest") if whole else ():
                self.system.total(self.r(*place, "", what), (self.r(*place, level, what) for level in levels))

    def _equal(self, a: Cell, b: Cell) -> None:
        self.system.total(a, (b,))

    def _ties(self) -> None:
        study, main = self.study, self.study.main
        for analysis, exposure, stratum in self.blocks:
            if analysis in study.same and not stratum:
                for level in self.blocks[main, exposure, ""]:
                    for what in ("n", "events"):
                        self._equal(
                            self.r(analysis, exposure, "", level, what), self.r(main, exposure, "", level, what)
                        )
        for analysis, exposure in study.strata.items():
            strata = [s for a, e, s in self.blocks if (a, e) == (analysis, exposure)]
            for level in self.blocks[main, exposure, ""]:
                for what in ("n", "events", "rest"):
                    parts = (self.r(analysis, exposure, s, level, what) for s in strata)
                    self.system.total(self.r(main, exposure, "", level, what), parts)
        for (analysis, exposure, _), levels in self.blocks.items():
            for side, part in enumerate(study.joint.get(exposure, ())):
                for level in self.blocks[main, part, ""]:
                    cells = [v for v in levels if v.split("/")[side] == level]
                    for what in ("n", "events", "rest"):
                        parts = (self.r(analysis, exposure, "", v, what) for v in cells)
                        self.system.total(self.r(main, part, "", level, what), parts)

    def _nested(self) -> None:
        for analysis, exposure, stratum in self.blocks:
            if analysis in self.study.restricted:
                for level in (*self.blocks[self.study.main, exposure, ""], ""):
                    self.left_out((self.run, self.study.main), (self.run, analysis), exposure, stratum, level)

    def left_out(
        self, large: tuple[str, str], little: tuple[str, str], exposure: str, stratum: str, level: str
    ) -> None:
        """Those of one analysis who are not in another, of one release or two."""
        for what in ("n", "events", "rest"):
            cells = [("ratio", run, analysis, exposure, stratum, level, what) for run, analysis in (large, little)]
            gone: Cell = ("left out", *large, *little, exposure, stratum, level, what)
            self.system.total(cells[0], (cells[1], gone))

    def _other_limits(self) -> None:
        main = self.study.main
        cuts = [r for r in rows(self.folder, "cutpoints") if r["analysis"] == main and r["cut"][0] == "p"]
        for (analysis, exposure), limits in self.study.other_limits.items():
            own = tuple(float(r["value"]) for r in cuts if r["exposure"] == exposure)
            if len(own) + 1 != len(self.blocks[main, exposure, ""]):
                continue
            edges = sorted({float("-inf"), float("inf"), *own, *limits})
            for name, inside in ((main, own), (analysis, limits)):
                ends = pairwise((float("-inf"), *inside, float("inf")))
                for level, (low, high) in zip(self.blocks[name, exposure, ""], ends, strict=True):
                    for what in ("n", "events", "rest"):
                        fine = [a for a, b in pairwise(edges) if a >= low and b <= high]
                        parts = (("between", self.run, exposure, a, what) for a in fine)
                        self.system.total(self.r(name, exposure, "", level, what), parts)

    # ------------------------------------------------------------ flow, descriptive tables

    def _flow(self) -> None:
        system = self.system
        steps = rows(self.folder, "flow")
        for step in steps:
            names = step["step"].split("+")
            before, after = (("flow", self.run, names[i], side) for i, side in ((0, "before"), (-1, "after")))
            system.cell(before, step["n_before"])
            system.cell(after, step["n_after"])
            system.total(before, (after, *(("flow", self.run, n, "excluded") for n in names)))
        if steps:
            last = ("flow", self.run, steps[-1]["step"].split("+")[-1], "after")
            for exposure in {e for a, e, _ in self.blocks if a == self.study.main}:
                self._equal(last, self.r(self.study.main, exposure, "", "", "n"))

    def c(self, table: str, group: str, variable: str, level: str) -> Cell:
        return ("described", self.run, table, group, variable, level)

    def _described(self) -> None:
        tables: dict[str, dict[str, dict[str, list[dict[str, str]]]]] = {}
        for r in rows(self.folder, "characteristics"):
            if r["group"]:
                tables.setdefault(r["table"], {}).setdefault(r["group"], {}).setdefault(r["variable"], []).append(r)
        for table, groups in tables.items():
            for group, variables in groups.items():
                self._group(table, group, variables)
            self._groups(table, groups)

    def _group(self, table: str, group: str, variables: Mapping[str, list[dict[str, str]]]) -> None:
        system, size = self.system, self.c(table, group, "", "")
        system.cell(size, variables[""][0]["value"], self._limits("characteristics", table, "", group, "", "value"))
        for variable, cells in variables.items():
            if not variable:
                continue
            known = self.c(table, group, variable, "known")
            unknown = self.c(table, group, variable, "unknown")
            system.cell(known, cells[0]["known"])
            system.cell(unknown, "", self._limits("characteristics", table, variable, group, "unknown", "known"))
            system.total(size, (known, unknown))
            counts = []
            for r in cells:
                if r["statistic"] == "count":
                    limits = self._limits("characteristics", table, variable, group, r["level"], "value")
                    counts.append(system.cell(self.c(table, group, variable, r["level"]), r["value"], limits))
                if r["statistic"] == "percent" and r["value"] and not system.base:
                    factors = {self.c(table, group, variable, r["level"]): 100.0, known: -float(r["value"])}
                    system.between.append((factors, -1e-6, 1e-6) if _full(r["value"]) else (factors, -5e3, 5e3))
            if counts and table != "outcome":  # which has the events only
                system.total(known, counts)

    def _groups(self, table: str, groups: Mapping[str, Mapping[str, list[dict[str, str]]]]) -> None:
        system, study = self.system, self.study
        parts = [g for g in groups if g != "Total"]
        if parts and "Total" in groups:
            for variable, cells in groups["Total"].items():
                levels = {r["level"] for r in cells if r["statistic"] == "count"} | {"known", "unknown"}
                for level in levels if variable else {""}:
                    names = (self.c(table, g, variable, level) for g in parts)
                    system.total(self.c(table, "Total", variable, level), names)
                self._means(table, groups, variable, parts)
        exposure = study.by_exposure.get(table)
        if exposure:
            for level in self.blocks[study.main, exposure, ""]:
                self._equal(self.c(table, level, "", ""), self.r(study.main, exposure, "", level, "n"))
                if study.outcome in groups[level]:
                    cell = self.c(table, level, study.outcome, "1")
                    self._equal(cell, self.r(study.main, exposure, "", level, "events"))

    def _means(
        self, table: str, groups: Mapping[str, Mapping[str, list[dict[str, str]]]], variable: str, parts: Sequence[str]
    ) -> None:
        """The sum of everyone is that of the groups: known people times means."""
        means = {g: next((r["value"] for r in groups[g][variable] if r["statistic"] == "mean"), "") for g in groups}
        if variable and all(means.values()):
            factors = {self.c(table, g, variable, "known"): float(means[g]) for g in parts}
            factors[self.c(table, "Total", variable, "known")] = -float(means["Total"])
            slack = 1e-4 if all(map(_full, means.values())) else 0.05 * self.system.largest
            self.system.between.append((factors, -slack, slack))

    # ------------------------------------------------------------ sensitivity analyses

    def _lost(self) -> None:
        """Loss to follow-up: counts by category, and what worst cases and imputation add."""
        system, main = self.system, self.study.main
        for e in rows(self.folder, "estimates"):
            place = (e["analysis"], e["exposure"], e["level"])
            if e["estimand"] == "share" and e["exposure"] and not e["model"] and e["n"]:
                system.cell(("eligible", self.run, *place), e["n"])
                if e["estimate"]:
                    system.cell(("lost", self.run, *place), str(round(float(e["n"]) * float(e["estimate"]))))
                system.cell(("lost", self.run, *place))
                parts = (("lost", self.run, *place), ("kept", self.run, *place))
                system.total(("eligible", self.run, *place), parts)
                kept = self.r(main, e["exposure"], "", e["level"], "n")
                system.total(("kept", self.run, *place), (kept, ("dropped", self.run, *place)))
            if e["estimand"] == "count" and e["stratum"] in ("followed", "lost") and e["level"]:
                system.cell((e["stratum"], self.run, *place), e["estimate"])
                if e["stratum"] == "followed":
                    self._equal(("followed", self.run, *place), self.r(main, e["exposure"], "", e["level"], "n"))
            if e["stratum"] in ("highest", "lowest") and e["n"]:
                system.cell(("both", self.run, *place), e["n"])
                parts = (("followed", self.run, *place), ("lost", self.run, *place))
                system.total(("both", self.run, *place), parts)

    # ------------------------------------------------------------ numbers that follow from counts

    def _crude(self) -> None:
        """A crude ratio is one of few pairs of risks: what is left of its counts."""
        for e in rows(self.folder, "estimates"):
            place = (e["analysis"], e["exposure"], e["stratum"])
            plain = e["model"] == "crude" and e["estimand"] in CRUDE and place in self.blocks
            if plain and e["estimate"] and e["level"] != e["reference"]:
                cells = [self.r(*place, v, w) for v in (e["level"], e["reference"]) for w in ("events", "n")]
                self._fit(cells, float(e["estimate"]), 1e-9 if _full(e["estimate"]) else 0.005)

    def _fit(self, cells: Sequence[Cell], ratio: float, slack: float) -> None:
        ranges = [np.arange(low, min(high, 400) + 1) for low, high in (self.system.limits[c] for c in cells)]
        if np.prod([len(r) for r in ranges], dtype=float) > 3e6:
            return
        grid = np.meshgrid(*ranges, indexing="ij", sparse=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            near = np.abs(grid[0] * grid[3] / (grid[1] * grid[2]) - ratio) <= slack * max(ratio, 1.0)
        near &= (grid[0] <= grid[1]) & (grid[2] <= grid[3])
        if near.any():
            for axis, cell in enumerate(cells):
                fits = ranges[axis][near.any(axis=tuple(i for i in range(4) if i != axis))]
                self.system.cell(cell, "", (float(fits.min()), float(fits.max())))

    def _two_variances(self) -> None:
        """The robust variance as Stata prints it is n / (n - 1) times HC0: the two tell n."""
        fits: dict[tuple[str, ...], dict[str, str]] = {}
        for e in rows(self.folder, "estimates"):
            if e["std_error"] and e["level"] and e["variance"] in ("stata", "HC0"):
                key = (e["analysis"], e["exposure"], e["stratum"], e["model"], e["method"], e["level"], e["estimand"])
                fits.setdefault(key, {})[e["variance"]] = e["std_error"]
        for (analysis, exposure, stratum, *_), errors in fits.items():
            if len(errors) == 2 and (analysis, exposure, stratum) in self.blocks:
                times = (float(errors["stata"]) / float(errors["HC0"])) ** 2
                n = times / (times - 1)
                if abs(n - round(n)) < 1e-3:
                    self.system.cell(self.r(analysis, exposure, stratum, "", "n"), str(round(n)))


def _full(text: str) -> bool:
    """Whether a number is printed with more digits than a rounded one."""
    return len(text.partition(".")[2]) > 2


def small(truth: System, cells: Iterable[Cell], min_cell: int = 5) -> Iterator[Cell]:
    """Those of the cells whose true number is small, of a system whose every cell is known."""
    for cell in cells:
        low, high = truth.limits[cell]
        if low == high and 1 <= low < min_cell:
            yield cell
