"""Hostile prompt files by the thousand: each is counted or refused, in time, in little memory, never by a traceback.

    python tests/prompts/fuzzing.py 100000 [FIRST_SEED]

Each file is made from its number alone. It is read, planned in its length and its first variants filled in, as
`designkit plan` does it. Refusals must say where and what to do. What goes wrong is printed with the file's number;
the last line is the tally.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

MAX_SECONDS = 1.0
MAX_MEGABYTES = 256

ATOMS = (
    *(
        "{",
        "}",
        "|",
        "$$",
        "::",
        "__",
        "${",
        "%{",
        "...",
        "~",
        "!",
        "@",
        "\\",
        "#",
        "# ",
        "=",
        "=!",
        "?=",
        ":",
        "$",
        "%",
    ),
    *(
        "(",
        ")",
        ",",
        "-",
        "*",
        "?",
        "[",
        "]",
        "/",
        "..",
        ".",
        " ",
        "\n",
        "\t",
        "'",
        '"',
        "0",
        "1",
        "2",
        "9",
        "99",
        "0.5",
    ),
    *("a", "b", "red", "look", "größe", "你", "🎉", "\u202e", "\u2028", "brand.name", "x" * 50),
    *("{a}", "{b}", "{look}", "${a}", "${v}", "__c__", "__deep__", "__loop__", "__missing__", "{a|b}", "{2$$a|b|c}"),
    *("${v=!{a|b}}", "${w={a|${v}}}", "${v}", "__t(x={a|b})__", "%{a ... b$$c}", "{~a|b}", "{@a|b}", "{0.5::a|b}"),
    *("{1-$$a|b|c|d|e}", "__*__", "__{a}__", "__${v}__", "{2$$__c__}", "{3$$__c__ __deep__}", "${a=${b}}", "${b=${a}}"),
)
WHOLE_FILE = ("file-too-large", "file-type")  # what is wrong with all of a file is on no line of it
KEYS = (
    *(
        "prompt",
        "prompts",
        "negative",
        "axes",
        "sizes",
        "seeds",
        "seed",
        "sample",
        "exclude",
        "zip",
        "when",
        "copy",
        "name",
    ),
    *("wildcards", "model", "kind", "brand", "steps", "guidance", "promt", "", "sizes"),
)
LISTS = {
    "c.txt": "red\n3::blue\n# no\ngreen {a|b}\n",
    "deep.txt": "__c__ {x|y}\n${v:none}\n{a}\n",
    "loop.txt": "again __loop__\n",
    "t.txt": "with ${x}\n",
    "all.yaml": "more: {some: [x, y], other: [{text: z, weight: 2}]}\n",
    "j.json": '{"j": ["k", "l"]}',
}
SOUND = (
    *("red ", "a can", ", ", "größe", "50% ", "$5 ", "#fff ", "{a} ", "{b}", "{look} ", "{x|y} ", "{x|{a}|}", "__c__ "),
    *("__more/some__", "__t(x={p|q})__ ", "%{in ... out$${a}}", "{2$$x|y|z} ", "{~x|y}", "{@x|y}", "{2$$__c__}", "\\{"),
    *("${u:{m|n}} ", "{0.5::x|3::y}", "{1-2$$ and $${a}|{b}|z} ", "__m*/*__ ", "{x|__j__}"),
)
BOMBS = (
    " ".join(["{" + "|".join("abcdefghij") + "}"] * 400),
    "{" * 5000,
    "{a|" * 19 + "b" + "}" * 19,
    "".join(f"${{v{n}=${{v{n + 1}}}${{v{n + 1}}}}}" for n in range(40)) + "${v40={a|b}}${v0}",
    "".join(f"${{v{n}=!{{${{v{n + 1}}}|${{v{n + 1}}} x}}}}" for n in range(30)) + "${v30=y}${v0}",
    "{40$$" + "|".join(f"{{a{n}|b{n}}}" for n in range(60)) + "}",
    "{-$$" + "|".join("a" * 100) + "}",
    "{999999999$$a|b}",
    "{20$$" + "|".join(f"{{a|b|x{n}}}" for n in range(40)) + "}",
    "{x|{a}{b}{y|{look}}}" * 60,
    "__c__" * 3000,
    "{3$$__c__ __c__ __c__ __c__ __c__ __c__ __c__}",
    "__a(" * 3000,
    "%{" * 19 + "$$" * 19 + "}" * 19,
    "${v=!__c__ __c__ __c__ __c__ __c__ __c__ __c__ __c__ __c__ __c__}${v}",
    "\\" * 9999,
)


@dataclass
class Maker:
    """Makes one prompt file, and says what it is called."""

    number: int
    random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.number)
        # Half of them are sound all through, so that most of what is read is made too.
        self.is_sound = self.random.random() < 0.5

    def file(self) -> tuple[str, bytes]:
        """The file's name and content; every third is damaged."""
        kind = self.random.choices(("yaml", "txt", "csv", "jsonl", "json", "soup"), (60, 10, 12, 12, 2, 4))[0]
        text = {"yaml": self.yaml, "txt": self.txt, "csv": self.csv, "jsonl": self.jsonl}.get(kind, self.soup)()
        data = text.encode("utf-8", "surrogatepass")
        if not self.is_sound and self.random.random() < 0.66:
            data = self.damaged(data)
        return f"f.{'yaml' if kind == 'soup' else kind}", data

    def text(self) -> str:
        if self.is_sound:
            text = "".join(self.random.choice(SOUND) for _ in range(self.random.randint(1, 6)))
            return "${v=!{s|t}}${v} " + text if self.random.random() < 0.1 else text
        if self.random.random() < 0.02:
            return self.random.choice(BOMBS)
        return "".join(self.random.choice(ATOMS) for _ in range(self.random.randint(0, 9)))

    def quoted(self, text: str) -> str:
        return (
            text
            if not self.is_sound and self.random.random() < 0.1
            else json.dumps(text, ensure_ascii=self.random.random() < 0.5)
        )

    def value(self, depth: int = 2) -> str:
        """Any YAML in one line."""
        kind = self.random.random()
        if depth == 0 or kind < 0.6:
            return self.quoted(self.text())
        if kind < 0.8:
            return "[" + ", ".join(self.value(depth - 1) for _ in range(self.random.randint(0, 4))) + "]"
        pairs = (f"{self.key()}: {self.value(depth - 1)}" for _ in range(self.random.randint(0, 4)))
        return "{" + ", ".join(pairs) + "}"

    def key(self) -> str:
        return self.random.choice(
            ("a", "b", "look", "prompt", "if", "steps", "sizes", "method", "count", "text", "c d")
        )

    def axes(self) -> str:
        if self.is_sound:
            return '{a: [red, "{look} b"], b: [a, "__c__"], look: {k: flat, l: "3::bold {1|2}"}, v2: [x, y]}'
        values = (f"{name}: {self.listed()}" for name in self.random.sample(("a", "b", "look", "v"), 3))
        return "{" + ", ".join(values) + "}"

    def listed(self) -> str:
        if self.random.random() < 0.2:
            return "{" + ", ".join(f"k{n}: {self.quoted(self.text())}" for n in range(self.random.randint(1, 4))) + "}"
        return "[" + ", ".join(self.quoted(self.text()) for _ in range(self.random.randint(1, 5))) + "]"

    def yaml(self) -> str:
        rolls = self.random
        likely: dict[str, Callable[[], str]] = {
            "prompt": lambda: self.quoted(self.text()),
            "negative": lambda: self.quoted(self.text()),
            "axes": self.axes,
            "sizes": lambda: rolls.choice(("square", "[64x64, 9x9]", '["{a}"]', self.value())),
            "seeds": lambda: rolls.choice(("2", "[1, 2]", "5-9", "3#7", "0", "99999999999", self.value())),
            "sample": lambda: f"{{method: {rolls.choice(('full', 'random', 'x'))}, count: {rolls.choice((1, 5, -1))}}}",
            "exclude": lambda: rolls.choice(("[{a: red}]", "{a: [b, red], b: a}", self.value())),
            "zip": lambda: rolls.choice(("[a, b]", "[[a, b], [look, v]]", self.value())),
            "when": lambda: rolls.choice(("[{if: {a: red}, steps: 3}]", "{if: {b: a}, sizes: [64x64]}", self.value())),
            "copy": lambda: rolls.choice(('{h: "{a} {look}"}', f"{{h: {self.quoted(self.text())}}}", self.value())),
            "name": lambda: self.quoted(self.text()),
        }
        if self.is_sound:
            return self.sound_yaml()
        keys = [key for key in likely if rolls.random() < 0.5]
        if rolls.random() < 0.9 and "prompt" not in keys:
            keys.insert(0, "prompt")
        lines = [f"{key}: {likely[key]()}" for key in keys]
        if rolls.random() < 0.3:
            lines.insert(rolls.randint(0, len(lines)), f"{rolls.choice(KEYS)}: {self.value()}")
        return "\n".join(lines) + "\n"

    def sound_yaml(self) -> str:
        """A file in which everything is as it should be, or nearly so."""
        rolls = self.random
        lines = [f"prompt: {self.quoted(self.text())}", f"axes: {self.axes()}"]
        more = (
            f"negative: {self.quoted(self.text())}",
            'sizes: ["{v2}x64", 8x8]',
            "sizes: [square, 64x64]",
            "seeds: 3",
            "sample: {method: random, count: 7}",
            "exclude: [{a: red, b: a}, {look: k}]",
            "zip: [look, v2]",
            "when: [{if: {a: red}, steps: 3, sizes: [32x32]}]",
            'copy: {h: "{a} {v2} {now|later}"}',
            'name: "{a}-{b}"',
            "prompts: ['{a}', {prompt: '{b} {look}', steps: 3}]",
            "wildcards: wildcards",
        )
        lines += rolls.sample(more, rolls.randint(0, 4))
        rolls.shuffle(lines)
        return "\n".join(lines) + "\n"

    def txt(self) -> str:
        return "\n".join(self.text() for _ in range(self.random.randint(0, 6)))

    def csv(self) -> str:
        columns = self.random.sample(
            ("prompt", "negative", "a", "b", "size", "seed", "steps", "Prompt", "c d", "name"), 3
        )
        separator = self.random.choice(",;\t")

        def cell() -> str:
            text = self.text()
            return '"' + text.replace('"', '""') + '"' if self.random.random() < 0.8 else text

        rows = [separator.join(cell() for _ in columns) for _ in range(self.random.randint(0, 5))]
        return "\n".join([separator.join(["prompt", *columns[1:]]), *rows])

    def jsonl(self) -> str:
        def row() -> str:
            fields: dict[str, object] = {"prompt": self.text()}
            for _ in range(self.random.randint(0, 3)):
                key = self.random.choice((*KEYS, "a", "b"))
                fields[key] = self.random.choice((self.text(), 3, 1e99, None, [self.text()], {"a": self.text()}, True))
            return json.dumps(fields, ensure_ascii=self.random.random() < 0.5)

        return "\n".join(row() for _ in range(self.random.randint(0, 5)))

    def soup(self) -> str:
        return "".join(
            self.random.choice((*ATOMS, *KEYS, ": ", "\n", "- ")) for _ in range(self.random.randint(0, 200))
        )

    def damaged(self, data: bytes) -> bytes:
        """The bytes with some of them changed, cut off or doubled."""
        rolls = self.random
        for _ in range(rolls.randint(1, 4)):
            place = rolls.randint(0, len(data))
            kind = rolls.randint(0, 4)
            if kind == 0:
                data = data[:place] + bytes([rolls.randint(0, 255)]) + data[place + 1 :]
            elif kind == 1:
                data = data[:place]
            elif kind == 2:
                data = (
                    data[:place]
                    + rolls.choice((b"\xff", b"\x00", b"\t", b"\r\n", b"&a", b"*a", b"!!x ", b"---\n", b"<<: "))
                    + data[place:]
                )
            elif kind == 3:
                data = data[:place] + data[place // 2 :]
            else:
                data = data[place:]
        return data


@dataclass
class Tally:
    """What became of the files."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    codes: Counter[str] = field(default_factory=Counter[str])
    slowest: float = 0.0
    faults: list[str] = field(default_factory=list[str])


def prepare(folder: Path) -> None:
    """Put the lists that the files use into a folder, and a link that leads out of it."""
    (folder / "wildcards").mkdir(parents=True, exist_ok=True)
    for name, text in LISTS.items():
        (folder / "wildcards" / name).write_text(text, encoding="utf-8")


def try_file(number: int, folder: Path, tally: Tally) -> None:
    """Make a file, ask for its variants, and note what happened."""
    from designkit.errors import InputRefused
    from designkit.prompts.expand import Expansion
    from designkit.prompts.file import read_prompts

    name, data = Maker(number).file()
    path = folder / name
    path.write_bytes(data)
    words = {"brand.name": "", "brand.style": "", "brand.avoid": ""}
    began = time.process_time()
    try:
        (file,) = read_prompts([str(path)])
        variants = list(islice(Expansion(file).sample(words), 20))
        tally.outcomes["variants" if variants else "nothing"] += 1
    except InputRefused as error:
        tally.outcomes["refused"] += 1
        tally.codes.update({problem.code for problem in error.problems})
        for problem in error.problems:
            is_placed = problem.file is not None and (problem.line is not None or problem.code in WHOLE_FILE)
            if not is_placed or not problem.fix:
                tally.faults.append(f"{number}: no place or fix: {problem}")
    except BaseException:
        if isinstance(sys.exc_info()[1], KeyboardInterrupt):
            raise
        tally.faults.append(f"{number}: {traceback.format_exc()}")
    seconds = time.process_time() - began
    tally.slowest = max(tally.slowest, seconds)
    if seconds > MAX_SECONDS:
        tally.faults.append(f"{number}: took {seconds:.2f} s")


def peak_megabytes() -> float:
    """The most memory that this program ever held; getrusage would count what started it, too (Linux, fork)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def main() -> int:
    """Try many files and tell what happened."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    folder = Path(tempfile.mkdtemp(prefix="designkit-fuzz-"))
    tally = Tally()
    try:
        prepare(folder)
        for number in range(first, first + count):
            before = len(tally.faults)
            try_file(number, folder, tally)
            print(*tally.faults[before:], sep="\n", end="\n" if len(tally.faults) > before else "", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"codes: {dict(tally.codes.most_common())}")
    print(
        f"{count:,} files: {dict(tally.outcomes)}, {len(tally.faults)} faults, slowest {tally.slowest:.2f} s, "
        f"peak {peak_megabytes():.0f} MB"
    )
    return bool(tally.faults or peak_megabytes() > MAX_MEGABYTES)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    sys.exit(main())
