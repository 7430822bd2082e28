"""Whatever a user or a machine does wrong ends in a short message, the right exit code, and nothing lost."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.commands import PROMPTS, files, run, run_json, start

LAUNCHER = """
import errno, os, sys
sys.argv = ["designkit", *sys.argv[2:]]
room = int(os.environ["ROOM_BYTES"])
write = os.write
def write_while_there_is_room(descriptor, data):
    global room
    taken = min(room, len(data))
    if taken < len(data):
        room = 0
        write(descriptor, data[:taken])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    room -= taken
    return write(descriptor, data)
os.write = write_while_there_is_room
from designkit.cli.app import main
main()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a prompt file of twelve small drafts."""
    (tmp_path / "ad.yaml").write_text(PROMPTS)
    return tmp_path


def is_short_message(stderr: str) -> bool:
    """Whether a message fits a screen, begins as it should and is no traceback."""
    return "Traceback" not in stderr and 1 <= len(stderr.strip().split("\n")) <= 20


@pytest.mark.parametrize("out", ["ad.yaml", "ad.yaml/below", "/proc/designkit", "o" * 300])
def test_an_output_place_that_cannot_be_written_exits_with_4_before_the_model_opens(place: Path, out: str) -> None:
    done = run("generate", "ad.yaml", "--out", out, cwd=place)
    assert (done.returncode, done.stdout) == (4, "")
    assert is_short_message(done.stderr)
    assert "opening" not in done.stderr
    assert out.split("/below")[0] in done.stderr
    assert "fix: " in done.stderr


def test_a_read_only_disk_exits_with_4(place: Path) -> None:
    readonly = 'mkdir out && mount -t tmpfs -o ro none out && exec "$0" -m designkit generate ad.yaml --out out'
    done = in_own_mounts(readonly, place)
    assert done.returncode == 4
    assert is_short_message(done.stderr)
    assert "read-only file system" in done.stderr


def test_a_full_disk_exits_with_4_and_goes_on_once_there_is_room(place: Path) -> None:
    """A real file system of 120 kB: the run stops in the middle, is whole there, and goes on when it is enlarged."""
    script = """
        mkdir out && mount -t tmpfs -o size=120k none out
        "$0" -m designkit generate ad.yaml --set 'sizes=[128x128]' --set seeds=4 --out out
        echo "code $?"
        wc -l < out/ad/manifest.jsonl; ls out/ad/images | wc -l; ls -a out/ad out/ad/images | grep -c tmp
        mount -o remount,size=10m out
        "$0" -m designkit generate ad.yaml --set 'sizes=[128x128]' --set seeds=4 --out out && cp -r out/ad kept
    """
    done = in_own_mounts(script, place)
    assert done.returncode == 0, done.stderr
    code, num_recorded, num_pictures, num_temporary, *_ = done.stdout.split("\n")
    assert code == "code 4"
    assert "no space left on device" in done.stderr
    assert "free some space" in done.stderr
    assert 0 < int(num_recorded) < 24
    assert int(num_recorded) <= int(num_pictures) <= int(num_recorded) + 1
    assert num_temporary == "0"
    whole = run("generate", "ad.yaml", "--set", "sizes=[128x128]", "--set", "seeds=4", "--out", "whole", cwd=place)
    assert whole.returncode == 0
    kept, expected = files(place / "kept"), files(place / "whole" / "ad")
    # The page and the sheet are called by the folder's name.
    differing = {name for name in expected if kept.get(name) != expected[name]}
    assert differing <= {"index.html", "contact-sheet.png"}


def in_own_mounts(script: str, place: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script whose mounts nobody else sees; skips where this system allows none."""
    as_root = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        probe = subprocess.run([*as_root, "mount", "-t", "tmpfs", "none", str(place)], capture_output=True, check=False)
    except FileNotFoundError:
        probe = None
    if probe is None or probe.returncode:
        pytest.skip("this system lets nobody mount here; the next test fills a disk without")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [*as_root, "sh", "-c", script, sys.executable],
        cwd=place,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("room", [0, 700, 5_000, 20_000, 40_000])
def test_when_space_runs_out_the_run_ends_with_4_and_the_same_command_completes_it(place: Path, room: int) -> None:
    environment = os.environ | {"ROOM_BYTES": str(room), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, "designkit", "generate", "ad.yaml", "--out", "out"],
        cwd=place,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert is_short_message(done.stderr.split("error:")[-1])
    assert "no space left on device" in done.stderr
    assert run("generate", "ad.yaml", "--out", "out", cwd=place).returncode == 0
    assert run("generate", "ad.yaml", "--out", "whole", cwd=place).returncode == 0
    assert files(place / "out" / "ad") == files(place / "whole" / "ad")


def test_a_file_size_limit_exits_with_4(place: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, 3_000))

    done = run("generate", "ad.yaml", "--out", "out", cwd=place, preexec_fn=limit)
    assert done.returncode == 4
    assert "file too large" in done.stderr
    assert "ulimit -f" in done.stderr
    assert run("generate", "ad.yaml", "--out", "out", cwd=place).returncode == 0


def test_a_second_process_on_the_same_run_exits_with_5_at_once(place: Path) -> None:
    first = start("generate", "ad.yaml", "--set", "sizes=[2000x2000]", "--set", "seeds=40", cwd=place)
    wait_for_images(place / "outputs" / "ad", 1)
    began = time.monotonic()
    second = run("generate", "ad.yaml", cwd=place)
    assert second.returncode == 5
    assert time.monotonic() - began < 5
    assert is_short_message(second.stderr)
    assert f"process {first.pid} on " in second.stderr
    first.kill()
    first.communicate()


def wait_for_images(folder: Path, count: int) -> None:
    """Wait until the run has recorded that many images."""
    manifest = folder / "manifest.jsonl"
    ends = time.monotonic() + 30
    while not (manifest.exists() and manifest.read_bytes().count(b"\n") >= count):
        assert time.monotonic() < ends, "no image in 30 s"
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_in_good_order_and_the_message_tells_how_to_go_on(
    place: Path, number: signal.Signals, code: int
) -> None:
    arguments = ("generate", "ad.yaml", "--set", "sizes=[1500x1500]", "--set", "seeds=10")
    process = start(*arguments, cwd=place)
    wait_for_images(place / "outputs" / "ad", 2)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=10)
    assert (process.returncode, stdout) == (code, "")
    assert "Traceback" not in stderr
    assert stderr.endswith(
        "Stopped; what was made is safe. The same command goes on from here:\n"
        "  designkit generate ad.yaml --set 'sizes=[1500x1500]' --set seeds=10\n"
    )
    assert " of 60 images done" in stderr
    num_recorded = (place / "outputs" / "ad" / "manifest.jsonl").read_bytes().count(b"\n")
    assert f"ad: {num_recorded} of 60 images done" in stderr
    document = run_json(
        "generate",
        "ad.yaml",
        "--set",
        "sizes=[1500x1500]",
        "--limit",
        str(num_recorded),
        "--set",
        "seeds=10",
        cwd=place,
    )
    assert (document["runs"][0]["made"], document["runs"][0]["kept"]) == (0, num_recorded)


def test_a_model_that_does_not_exist_exits_with_7_and_the_nearest_name(place: Path) -> None:
    done = run("generate", "ad.yaml", "--model", "drafft", cwd=place)
    assert done.returncode == 7
    assert is_short_message(done.stderr)
    assert "'drafft'" in done.stderr
    assert "did you mean draft?" in done.stderr


def test_a_wrong_model_in_a_file_is_told_at_its_line(place: Path) -> None:
    (place / "ad.yaml").write_text(PROMPTS.replace("model: draft", "model: {name: drafft}"))
    done = run("plan", "ad.yaml", cwd=place)
    assert done.returncode == 7
    assert "error: ad.yaml:7:model" in done.stderr


def test_every_mistake_of_every_file_is_told_at_once_with_its_line(place: Path) -> None:
    (place / "one.yaml").write_text('promt: "a can"\nseeds: many\n')
    (place / "two.yaml").write_text('prompt: "a {coluor} can"\naxes: {colour: [red]}\n')
    done = run("generate", "one.yaml", "two.yaml", cwd=place)
    assert done.returncode == 2
    assert is_short_message(done.stderr)
    for place_of_mistake in ("one.yaml:1:promt", "one.yaml:2:seeds", "two.yaml:1:prompt"):
        assert place_of_mistake in done.stderr
    assert not (place / "outputs").exists()
    document = run_json("generate", "one.yaml", "two.yaml", cwd=place, code=2)
    assert {(problem["file"], problem["line"]) for problem in document["errors"]} >= {("one.yaml", 1), ("two.yaml", 1)}


def test_more_images_than_anyone_means_are_refused_with_how_to_sample(place: Path) -> None:
    done = run("generate", "ad.yaml", "--set", "seeds=2000", cwd=place)
    assert done.returncode == 2
    assert "24,000 images" in done.stderr
    assert "sample" in done.stderr
    assert "--limit" in done.stderr


def test_a_fault_of_our_own_is_one_message_and_its_traceback_is_there_on_request(place: Path) -> None:
    broken = "import designkit.batch.plan as plan\nplan.make_plan = lambda *a, **k: 1 / 0\n"
    code = (
        f"import sys\nsys.argv = ['designkit', 'plan', 'ad.yaml']\n{broken}from designkit.cli.app import main\nmain()\n"
    )
    for debug in ("0", "1"):
        environment = os.environ | {"DESIGNKIT_DEBUG": debug, "PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=place, env=environment, text=True, capture_output=True, check=False
        )
        assert done.returncode == 1
        assert "ZeroDivisionError" in done.stderr
        assert ("Traceback" in done.stderr) == (debug == "1")


def test_another_precision_than_the_runs_own_is_refused(place: Path) -> None:
    assert run("generate", "ad.yaml", cwd=place).returncode == 0
    description = place / "outputs" / "ad" / "run.json"
    told = json.loads(description.read_text())
    told["generator"]["precision"] = "bf16"
    description.write_text(json.dumps(told))
    (next((place / "outputs" / "ad" / "images").iterdir())).unlink()
    done = run("generate", "ad.yaml", "--precision", "fp32", cwd=place)
    assert done.returncode == 2
    assert "begun in bf16" in done.stderr
    assert run("generate", "ad.yaml", "--precision", "bf16", cwd=place).returncode == 0
