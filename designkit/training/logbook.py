"""What a training run leaves to look at: `log.csv`, `curves.png`, `previews/`, and TensorBoard events where wanted.

Reports pass through unchanged; what is written is never read by training itself.
"""

# pyright: basic
from __future__ import annotations

import csv
import io
import time
from collections.abc import Generator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from designkit.errors import InputRefused, Problem, StorageError
from designkit.files import storage_error, write_durably
from designkit.training.curves import draw_curves

if TYPE_CHECKING:
    from designkit.training.loop import StepReport

_FIXED = ("step", "seconds", "learning_rate", "samples_per_second")
_NOTE = "note"
_FLUSH_EVERY = 50
_DRAW_SECONDS = 30.0
"""The curves are drawn at most so often, and at the end."""


def record(reports: Generator[StepReport], folder: Path, *, tensorboard: bool = False) -> Generator[StepReport]:
    """Pass the reports of a run on, and write down what they say in `folder`; closing this closes `reports`.

    A run that goes on after a stop goes on in the same files: rows behind its first step are dropped. Raises
    StorageError, and InputRefused where TensorBoard is wanted but not installed.
    """
    with ExitStack() as stack:
        stack.enter_context(closing(reports))
        events = stack.enter_context(closing(_events(folder))) if tensorboard else None
        book: _Book | None = None
        for report in reports:
            if book is None:
                book = _Book(folder, report)
                stack.callback(book.close)
            book.add(report)
            if events is not None:
                _add_events(events, report)
            yield report


class _Book:
    """`log.csv` while it is being written; nothing of it is kept in memory."""

    def __init__(self, folder: Path, first: StepReport) -> None:
        self.folder = folder
        self.path = folder / "log.csv"
        self.columns = [*_FIXED, *_values(first), _NOTE]
        self.num_rows = 0
        self.last_drawn = time.monotonic()
        rows = [row for row in self._read() if row["step"].isdigit() and int(row["step"]) < first.step]
        self._write(rows)

    def add(self, report: StepReport) -> None:
        """Write one step's row, and its pictures."""
        values = {
            "step": str(report.step), "seconds": f"{report.seconds:.3f}",
            "learning_rate": f"{report.learning_rate:.6g}", "samples_per_second": f"{report.samples_per_second:.4g}",
            **{name: f"{value:.6g}" for name, value in _values(report).items()}, _NOTE: "; ".join(report.notes),
        }  # fmt: skip
        if new := [name for name in values if name not in self.columns]:
            self.columns[-1:] = [*new, _NOTE]
            self.file.close()
            self._write(self._read())
        try:
            csv.DictWriter(self.file, self.columns, restval="").writerow(values)
            self.num_rows += 1
            if self.num_rows % _FLUSH_EVERY == 0 or report.notes or report.looks:
                self.file.flush()
        except OSError as error:
            raise storage_error(self.path, error) from error
        for step, look in report.looks:
            if look.picture is not None:
                folder = self.folder / "previews"
                folder.mkdir(exist_ok=True)
                data = io.BytesIO()
                look.picture.save(data, "PNG")
                write_durably(folder / f"step-{step:08d}.png", data.getvalue())
        if time.monotonic() - self.last_drawn > _DRAW_SECONDS:
            self.file.flush()
            self._draw()

    def close(self) -> None:
        """Write out what is held back, and the curves."""
        try:
            self.file.close()
        except OSError as error:
            raise storage_error(self.path, error) from error
        self._draw()

    def _read(self) -> list[dict[str, str]]:
        """The rows that are there; their columns come first from now on."""
        if not self.path.exists():
            return []
        with self.path.open(encoding="utf-8", errors="replace", newline="") as file:
            kept = csv.DictReader(file)
            self.columns = list(dict.fromkeys([*(kept.fieldnames or (_NOTE,))[:-1], *self.columns[:-1], _NOTE]))
            # A kill may have left half a row at the end.
            return [row for row in kept if row.get("step") and row.get(_NOTE) is not None]

    def _write(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        write_durably(self.path, text.getvalue().encode())
        self.file = self.path.open("a", encoding="utf-8", newline="")

    def _draw(self) -> None:
        curves: dict[str, list[tuple[int, float]]] = {}
        for row in self._read():
            for name in self.columns:
                if name not in ("step", "seconds", _NOTE) and row.get(name):
                    curves.setdefault(name, []).append((int(row["step"]), float(row[name])))
        data = io.BytesIO()
        draw_curves(curves).save(data, "PNG")
        write_durably(self.folder / "curves.png", data.getvalue())
        self.last_drawn = time.monotonic()


def _values(report: StepReport) -> dict[str, float]:
    """The columns of one report: losses by phase, measures, and those of looks, in this order."""
    looks = {f"look {name}": value for _, look in report.looks for name, value in look.metrics.items()}
    return {**{f"{name} loss": loss for name, loss in report.losses.items()}, **report.metrics, **looks}


def _events(folder: Path) -> Any:
    try:
        import tensorboard  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise InputRefused(
            Problem(
                code="extra-missing", key="tensorboard", message="TensorBoard is not installed",
                fix="pip install 'designkit[tensorboard]', or leave it out: log.csv and curves.png are always written",
            )
        ) from None  # fmt: skip
    from torch.utils.tensorboard import SummaryWriter

    try:
        return SummaryWriter(str(folder / "tensorboard"))
    except OSError as error:
        raise StorageError(f"{folder} cannot take TensorBoard's files: {error}") from error


def _add_events(events: Any, report: StepReport) -> None:
    for name, value in _values(report).items():
        events.add_scalar(name.replace(" ", "/"), value, report.step)
    for note in report.notes:
        events.add_text("notes", note, report.step)
    for step, look in report.looks:
        if look.picture is not None:
            import numpy as np

            events.add_image("preview", np.asarray(look.picture.convert("RGB")), step, dataformats="HWC")
