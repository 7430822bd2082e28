"""The watch over training that goes astray: skip a bad step, then roll back to good weights at half the rate."""

# pyright: basic
from __future__ import annotations

from pathlib import Path

from designkit.errors import TrainingStopped
from designkit.training.learner import Learner, Update

MAX_BAD_STEPS = 3
"""How many steps on end may be skipped before the weights are rolled back."""

MAX_ROLLBACKS = 4
"""How often a run is rolled back before it is given up."""


class Watch:
    """Counts the bad steps of a learner whose checkpoints are in `folder`."""

    def __init__(self, learner: Learner, folder: Path) -> None:
        self.learner = learner
        self.folder = folder
        self.num_bad_steps = 0

    @property
    def is_calm(self) -> bool:
        """Whether the last step was good, so that what is there may be kept."""
        return self.num_bad_steps == 0

    def heed(self, update: Update) -> tuple[str, ...]:
        """Look at an update, roll back where needed, and say so; raises TrainingStopped after MAX_ROLLBACKS."""
        if update.is_good:
            self.num_bad_steps = 0
            return ()
        self.num_bad_steps += 1
        step = self.learner.counters.step
        wrong = ", ".join(f"{name} {loss:g}" for name, loss in update.losses.items())
        # A skipped step leaves the weights whole, but statistics that a forward pass keeps may be spoilt.
        if self.num_bad_steps < MAX_BAD_STEPS and self.learner.is_finite():
            return (f"step {step} is skipped: a loss or gradient is no finite number (loss: {wrong})",)
        return self.roll_back(f"no finite loss or gradient at step {step} (loss: {wrong})")

    def roll_back(self, reason: str) -> tuple[str, ...]:
        """Take up the newest checkpoint with half the learning rate; the time that was spent stays spent."""
        learner, seconds = self.learner, self.learner.counters.seconds
        scale, count = learner.counters.rate_scale, learner.counters.num_rollbacks + 1
        micro_batch = learner.counters.micro_batch
        if count > MAX_ROLLBACKS:
            raise TrainingStopped(
                f"{reason}, after {MAX_ROLLBACKS} rollbacks; the checkpoint in {self.folder} is good",
                fix="lower learning_rate, or look at the pictures that this step uses, and run again",
            )
        found = learner.restore(self.folder)
        assert found is not None, "a run begins with a checkpoint"
        learner.counters.seconds, learner.counters.micro_batch = seconds, micro_batch
        learner.counters.rate_scale, learner.counters.num_rollbacks = scale / 2, count
        self.num_bad_steps = 0
        return (
            f"{reason}: back to step {learner.counters.step}, learning rate times {learner.counters.rate_scale:g} "
            f"({count} of {MAX_ROLLBACKS})",
            *found,
        )
