"""Every error that designkit raises on purpose.

    DesignkitError            exit code
    +- InputRefused           2    a prompt file, option or picture that cannot be used
    +- ImagesFailed           3    the run ended, some images could not be made
    +- TrainingStopped        3    a training that cannot go on; what it learned so far is kept
    +- StorageError           4    an output place that cannot be written
    +- RunInUse               5    another process holds the run folder
    +- ModelRefused           7    a model that is missing, damaged, unsafe or unknown
    +- ImageFailed            3    one image could not be made (its reason; the run goes on)

An error says what is wrong with which value, where, and what to do. Only `cli/` turns one into text
on the terminal and an exit code.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake: a stable code, what is wrong, where, and how to mend it.

    `file` is the path as the user gave it, `line` counts from 1, `key` is dotted (`model.steps`).
    """

    code: str
    message: str
    file: str | None = None
    line: int | None = None
    key: str | None = None
    fix: str | None = None

    @property
    def place(self) -> str:
        """`file:line:key`, as far as each is known; empty where nothing is."""
        return ":".join(str(part) for part in (self.file, self.line, self.key) if part is not None)

    def __str__(self) -> str:
        """Place, message and fix on one line."""
        text = f"{self.place}: {self.message}" if self.place else self.message
        return f"{text} Fix: {self.fix}" if self.fix else text


class DesignkitError(Exception):
    """The root of the tree; `problems` holds every mistake found, `exit_code` what the command returns."""

    exit_code = 1

    def __init__(self, problems: str | Problem | Iterable[Problem], *, fix: str | None = None) -> None:
        if isinstance(problems, str):
            problems = Problem(code=type(self).__name__, message=problems, fix=fix)
        if isinstance(problems, Problem):
            problems = (problems,)
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InputRefused(DesignkitError):
    """A prompt file, option or picture that cannot be used; all its mistakes at once."""

    exit_code = 2


class ImagesFailed(DesignkitError):
    """The run reached its end, but some images could not be made."""

    exit_code = 3


class TrainingStopped(DesignkitError):
    """Training cannot go on: no number in the loss, or no memory; the last checkpoint is good."""

    exit_code = 3


class ImageFailed(DesignkitError):
    """One image could not be made; the others of its run are not touched by it."""

    exit_code = 3


class StorageError(DesignkitError):
    """An output place that cannot be created, written or trusted."""

    exit_code = 4


class RunInUse(DesignkitError):
    """Another process is writing to this run folder."""

    exit_code = 5


class ModelRefused(DesignkitError):
    """A model that is missing, damaged, unsafe to load, or unknown by name."""

    exit_code = 7
