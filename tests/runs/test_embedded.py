"""Texts inside pictures: read as every tool writes them, and refused in words where a file is hostile."""

from __future__ import annotations

import contextlib
import random
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest

from designkit.errors import InputRefused
from designkit.runs.embedded import MAX_TEXT_BYTES, read_embedded_texts
from tests.runs.pictures import HEADER, SIGNATURE, chunk, write_chunks, write_exif, write_png


def code_of(path: Path) -> str:
    with pytest.raises(InputRefused) as caught:
        read_embedded_texts(path)
    (problem,) = caught.value.problems
    assert problem.file == str(path)
    assert problem.fix
    return problem.code


def test_every_kind_of_text_chunk_is_read(tmp_path: Path):
    packed = zlib.compress("naïve".encode())
    path = write_chunks(
        tmp_path / "a.png",
        chunk(b"tEXt", b"latin\0caf\xe9"),
        chunk(b"tEXt", b"utf8\0" + "词 – ok".encode()),
        chunk(b"zTXt", b"packed\0\0" + packed),
        chunk(b"iTXt", b"plain\0\0\0de\0Titel\0" + "Größe".encode()),
        chunk(b"iTXt", b"both\0\1\0\0\0" + packed),
        chunk(b"IDAT", b"x" * 1000),
        chunk(b"tEXt", b"latin\0again"),
        chunk(b"tEXt", b"behind\0the pixels"),
        chunk(b"IEND", b""),
        chunk(b"tEXt", b"after\0the end"),
    )
    assert read_embedded_texts(path) == {
        "latin": "café", "utf8": "词 – ok", "packed": "naïve", "plain": "Größe", "both": "naïve",
        "behind": "the pixels",
    }  # fmt: skip


def test_what_pillow_writes_is_read(tmp_path: Path):
    texts = {"parameters": "a\nb", "unicode": "词", "long": "x" * 100_000}
    assert read_embedded_texts(write_png(tmp_path / "a.png", **texts)) == texts


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le", "utf-16"])
def test_exif_comments_are_read_in_every_byte_order(tmp_path: Path, suffix: str, encoding: str):
    path = write_exif(tmp_path / f"a.{suffix}", b"UNICODE\0" + "soda can, flat\nSteps: 20".encode(encoding))
    assert read_embedded_texts(path) == {"UserComment": "soda can, flat\nSteps: 20"}


def test_exif_comments_in_ascii_and_in_nothing_are_read(tmp_path: Path):
    for start in (b"ASCII\0\0\0", b"\0" * 8, b""):
        assert read_embedded_texts(write_exif(tmp_path / "a.jpg", start + b"soda can")) == {"UserComment": "soda can"}


def test_pictures_without_texts_have_none(tmp_path: Path):
    assert read_embedded_texts(write_png(tmp_path / "a.png")) == {}
    assert read_embedded_texts(write_chunks(tmp_path / "cut.png")) == {}


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, kind: bytes):
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(128)) + packer.flush()  # 134 MB of nothing.
    head = b"k\0\0" if kind == b"zTXt" else b"k\0\1\0\0\0"
    path = write_chunks(tmp_path / "bomb.png", chunk(kind, head + bomb))
    tracemalloc.start()
    try:
        assert code_of(path) == "picture-texts"
        assert tracemalloc.get_traced_memory()[1] < 5 * MAX_TEXT_BYTES
    finally:
        tracemalloc.stop()


def test_many_small_bombs_are_refused_too(tmp_path: Path):
    packed = zlib.compress(bytes(MAX_TEXT_BYTES // 3))
    chunks = [chunk(b"zTXt", b"k%d\0\0" % number + packed) for number in range(50)]
    assert code_of(write_chunks(tmp_path / "bombs.png", *chunks)) == "picture-texts"
    many = [chunk(b"tEXt", b"k%d\0x" % number) for number in range(200)]
    assert code_of(write_chunks(tmp_path / "many.png", *many)) == "picture-texts"


def test_damaged_and_foreign_files_are_refused_in_words(tmp_path: Path):
    good = chunk(b"tEXt", b"parameters\0a can")
    assert code_of(write_chunks(tmp_path / "sum.png", good[:-1] + bytes([good[-1] ^ 1]))) == "picture-damaged"
    assert code_of(write_chunks(tmp_path / "cut.png", good[:-8])) == "picture-damaged"
    assert code_of(write_chunks(tmp_path / "key.png", chunk(b"tEXt", b"no end of the keyword"))) == "picture-damaged"
    assert code_of(write_chunks(tmp_path / "zip.png", chunk(b"zTXt", b"k\0\0not packed"))) == "picture-damaged"
    assert code_of(write_chunks(tmp_path / "utf.png", chunk(b"iTXt", b"k\0\0\0\0\0\xff\xfe"))) == "picture-damaged"
    huge = struct.pack(">I", 2**31 - 1) + b"tEXt" + b"parameters\0"
    assert code_of(write_chunks(tmp_path / "huge.png", huge)) == "picture-texts"
    (tmp_path / "text.png").write_text("Steps: 20, Sampler: Euler")
    assert code_of(tmp_path / "text.png") == "picture-kind"
    (tmp_path / "empty.png").write_bytes(b"")
    assert code_of(tmp_path / "empty.png") == "picture-kind"
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe1\x00\x10Exif\0\0garbage")
    assert code_of(tmp_path / "bad.jpg") == "picture-damaged"
    assert code_of(tmp_path / "missing.png") == "file-unreadable"
    assert code_of(tmp_path) == "file-unreadable"


def test_endless_empty_chunks_end(tmp_path: Path):
    path = tmp_path / "endless.png"
    path.write_bytes(SIGNATURE + HEADER + chunk(b"aaAa", b"") * 150_000)
    began = time.perf_counter()
    assert code_of(path) == "picture-damaged"
    assert time.perf_counter() - began < 2


def test_random_damage_never_raises_anything_but_a_refusal(tmp_path: Path):
    whole = write_png(tmp_path / "a.png", parameters="a can\nSteps: 20, Seed: 1", workflow="{}" * 50).read_bytes()
    comment = write_exif(tmp_path / "a.jpg", b"UNICODE\0" + "a can".encode("utf-16-be")).read_bytes()
    chance = random.Random(5)
    for number in range(600):
        data = bytearray(whole if number % 2 else comment)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(4, len(data))] = chance.randrange(256)
        path = tmp_path / "damaged"
        path.write_bytes(data[: chance.randint(4, len(data))])
        with contextlib.suppress(InputRefused):
            read_embedded_texts(path)
