"""From what was measured on a part to what each stage will cost in full."""

from __future__ import annotations

from graphprune.ledger import Cost
from graphprune.planning.account import Account, PlannedRun, visits
from graphprune.planning.arms import reckon_arms, training_cost
from graphprune.planning.calibrate import Calibration
from graphprune.planning.measured import resident_mib
from graphprune.registry import create
from graphprune.scores.last_visits import LastVisits
from graphprune.stages.audit import audit_lengths
from graphprune.stages.complexity import wants_seed_errors
from graphprune.stages.job import Job
from graphprune.stages.looks import looks_recorder
from graphprune.stages.methods import methods_of
from graphprune.stages.seeds import read_seeds

_MIB = 2**20
# The page holds its plotting library and at most 50,000 samples.
_PAGE_BYTES = 5 * _MIB
_PAGE_BYTES_PER_SAMPLE = 60


def reckon(
    job: Job, scored: Job, measured: Calibration, *, labels: Cost | None, loading: float
) -> tuple[Account, list[str]]:
    """The planned stages of a job, and what could not be known of them.

    Args:
        job: As the final trainings see it; its folder holds the drawn seeds.
        scored: As the scoring stages do.
        measured: Its calibration.
        labels: What finding labels will cost, if that is done.
        loading: Seconds that reading the data took.
    """
    run = PlannedRun(job.run.path)
    before = _Scoring(scored, measured, run)
    if labels is not None:
        run.book("labels", {"labels": labels}, disk_bytes=8 * before.n)
    run.book("seeds", job.run.costs("seeds"))
    before.seed_run()
    before.graph()
    before.short_run()
    before.extrapolation()
    before.full_runs()
    before.judgement()
    notes, trainings = reckon_arms(job, measured, run)
    tests = trainings * len(job.config.training.random_states)
    passes = measured.passes.test.seconds_for(len(job.data.test))
    page = _PAGE_BYTES + _PAGE_BYTES_PER_SAMPLE * min(before.n, 50_000)
    run.book("other", {"other": Cost(loading + tests * passes, resident_mib())}, disk_bytes=page)
    if measured.methods.untried:
        untried = ", ".join(measured.methods.untried)
        notes.append(f"not tried beforehand, and reckoned as taking no time: {untried}")
    return run.account, notes


class _Scoring:
    """The stages before the arms."""

    def __init__(self, job: Job, measured: Calibration, run: PlannedRun) -> None:
        self.job, self.config, self.measured, self.run = job, job.config, measured, run
        self.n = len(job.data.train)
        self.seeds = len(read_seeds(job).ids)
        self.scores = len(self.config.scores)

    def seed_run(self) -> None:
        """The training on seeds, its evaluation passes and its looks."""
        config, settings = self.config, self.config.seed_training
        an_epoch = self.seeds + min(self.n - self.seeds, round(config.seeds.background * self.seeds))
        costs = {"seed_training": self._train("seed", visits(an_epoch, settings.epochs))}
        disk = self.measured.weight_bytes + self.scores * self._table_bytes(self.seeds)
        epochs = int(settings.epochs)
        length = {"epochs": epochs, "num_classes": self.job.data.info.num_classes}
        looks = looks_recorder(self.job, length)
        if self._evaluates():
            costs["seed_training_evaluation"] = self._evaluation("seed", self.seeds, epochs)
        if looks is not None:
            assert looks.eval_epochs is not None
            own = self.seeds if self._evaluates() else 0
            costs["seed_looks"] = self._evaluation("seed", self.n - own, len(looks.eval_epochs))
            kept = sum(score.visits for score in looks.scores.values() if isinstance(score, LastVisits))
            disk += 8 * kept * self.n
        self.run.book("score_seeds", costs, disk_bytes=disk)

    def graph(self) -> None:
        """The embedding, the graph, and what controls of windows read."""
        config, measured, n = self.config, self.measured, self.n
        embed = measured.passes.embed.cost_for(n)
        disk = 4 * n * measured.passes.embeddings.shape[1]
        if config.embedding.source in ("seed_model", "reference"):
            embed.forward_samples = n
        if config.embedding.source == "seed_model":
            disk += 4 * n * (self.job.data.info.num_classes or 0)
        self.run.book("embed", {"embed": embed}, disk_bytes=disk)
        exact = config.graph.backend == "exact" or n <= 200_000
        search = measured.methods.graph.cost_for(n, power=2.0 if exact else 1.5)
        self.run.book("graph", {"graph": search}, disk_bytes=8 * n * config.graph.k)
        if measured.passes.complexity is not None:
            cost = measured.passes.complexity.cost_for(n)
            self.run.book("input_complexity", {"input_complexity": cost}, disk_bytes=4 * n)
        if wants_seed_errors(self.job):
            errors = measured.passes.forward.cost_for(n)
            errors.forward_samples = n
            self.run.book("seed_errors", {"seed_errors": errors}, disk_bytes=4 * n)

    def short_run(self) -> None:
        """The training on everything for as many passes as the seed run makes."""
        config = self.config.short_run
        if config is None:
            return
        share = min(1.0, self.seeds / self.n * (1 + self.config.seeds.background))
        epochs = config.epochs or max(1, round(self.config.seed_training.epochs * share))
        signals = 1 if self.job.data.info.num_classes is None else 3
        cost = self._train("short_run", visits(self.n, epochs))
        self.run.book("short_run", {"short_run": cost}, disk_bytes=2 * signals * epochs * self.n)

    def extrapolation(self) -> None:
        """Each method on each score: fitted to be judged, fitted on all seeds."""
        disk = self._table_bytes(self.n + self.config.seeds.heldout * self.seeds)
        for score in self.config.scores:
            for method, fit in self.measured.methods.fits.items():
                stage = f"extrapolate/{score.name}/{method}"
                # Fitted on part of the seeds to be judged, and once more on all.
                once = fit.cost_for(self.n)
                costs = {f"{stage}/judge": once, f"{stage}/fit": once, f"{stage}/predict": Cost()}
                self.run.book(stage, costs, disk_bytes=disk)

    def full_runs(self) -> None:
        """The oracle, and the full runs that an audit begins."""
        config, n = self.config, self.n
        epochs = config.training.epochs
        disk = self.measured.weight_bytes + self.scores * self._table_bytes(n)
        for number in range(config.oracle.runs if config.oracle else 0):
            stage = f"oracle/{number}"
            costs = {stage: self._train("oracle", visits(n, epochs))}
            if self._evaluates():
                costs[f"{stage}_evaluation"] = self._evaluation("oracle", n, int(epochs))
            self.run.book(stage, costs, disk_bytes=disk)
        if config.audit is None:
            return
        last = audit_lengths(config)[-1]
        cost = self._train("oracle", visits(n, last)) + self._evaluation("oracle", n, last)
        for number in range(config.audit.runs):
            self.run.book(f"audit/{number}", {f"audit/{number}": cost}, disk_bytes=12 * self.scores * n)

    def judgement(self) -> None:
        methods, others = self.measured.methods, self.n - self.seeds
        rows = self.config.seeds.heldout * self.seeds + (others if self.config.oracle else 0)
        one = methods.judge.cost_for(rows)
        if methods.audit is not None:
            one = one + methods.audit.cost_for(others)
        pairs = self.scores * len(methods_of(self.job))
        self.run.book("evaluate", {"evaluate": Cost(pairs * one.seconds, one.peak_mib)})

    def _train(self, kind: str, samples: int) -> Cost:
        return training_cost(self.job, self.measured.training[kind], samples)

    def _evaluates(self) -> bool:
        """Whether a score of the job is recorded on evaluation passes."""
        return any(create("score", s.name, **s.options).phase == "eval" for s in self.config.scores)

    def _evaluation(self, kind: str, samples: int, passes: int) -> Cost:
        measured = self.measured.evaluation.get(kind)
        if measured is None:
            return Cost()
        each = 1 + self.job.paradigm_for(self.config.seed_training).extra_observed
        forward = passes * round(samples * each)
        return Cost(measured.seconds_for(forward), measured.peak_mib, forward_samples=forward)

    def _table_bytes(self, rows: float) -> float:
        return self.measured.methods.row_bytes * rows
