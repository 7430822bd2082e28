"""Running the command as a user does, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROMPTS = """\
prompt: "a {colour} {thing}, flat style"
axes:
  colour: [red, teal, yellow]
  thing: [can, bottle]
sizes: [96x96, 64x128]
seeds: 1
model: draft
"""


def start(*arguments: str | Path, cwd: Path, **options: Any) -> subprocess.Popen[str]:
    """Start `designkit ...` in the folder `cwd`."""
    environment = {**os.environ, **options.pop("env", {})}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), environment.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "designkit", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        text=True,
        stdin=options.pop("stdin", subprocess.DEVNULL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def run(*arguments: str | Path, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `designkit ...` in the folder `cwd` to its end, or for two minutes unless `timeout` is another."""
    timeout = options.pop("timeout", 120)
    process = start(*arguments, cwd=cwd, **options)
    stdout, stderr = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def run_json(*arguments: str | Path, cwd: Path, code: int = 0) -> Any:
    """The document that `designkit ... --json` prints."""
    done = run(*arguments, "--json", cwd=cwd)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def pictures(folder: Path) -> dict[str, bytes]:
    """Every picture of a run, by its name."""
    return {path.name: path.read_bytes() for path in (folder / "images").iterdir()}


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a run by its name; of the manifest the records without their timings, ordered by id."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    records = [json.loads(line) for line in found["manifest.jsonl"].splitlines()]
    for record in records:
        del record["seconds"]
    found["manifest.jsonl"] = json.dumps(sorted(records, key=lambda record: record["id"])).encode()
    return found
