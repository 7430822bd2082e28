"""What a run and its pictures are called, in the same words on the contact sheet and on the page."""

from __future__ import annotations

from designkit.runs.folder import RunContents
from designkit.runs.metadata import bare_name
from designkit.values import Record

MAX_TITLE = 90


def picture_title(record: Record) -> str:
    """The choices that set a picture apart, or the start of its prompt where there were none."""
    if record.choices:
        return " · ".join(record.choices.values())
    words = " ".join(record.prompt.split())
    return words if len(words) <= MAX_TITLE else f"{words[: MAX_TITLE + 1].rsplit(' ', 1)[0][:MAX_TITLE]} …"


def picture_detail(record: Record) -> str:
    """Size and seed of a picture."""
    return f"{record.width} × {record.height} · seed {record.seed}"


def run_facts(run: RunContents) -> str:
    """How many pictures a run holds, and which model drew them under which licence."""
    num_done = sum(record.status == "done" for record in run.records)
    num_failed = len(run.records) - num_done
    model = run.description.get("model", {})
    facts = [f"{num_done} picture{'' if num_done == 1 else 's'}"]
    if num_failed:
        facts.append(f"{num_failed} failed")
    if model.get("name"):
        facts += [f"drawn by {bare_name(model['name'])}", f"licence {model['licence']}"]
    return " · ".join(facts)
