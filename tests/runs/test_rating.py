"""A rating goes into the XMP packet of a PNG file, and nothing else in the file changes."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from designkit.runs.metadata import picture_texts
from designkit.runs.picture import encode_png
from designkit.runs.rating import rate_packet, rate_png
from tests.runs.records import RECORD

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
PICTURE = Image.effect_noise((40, 30), 90).convert("RGB")


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, offset = [], 8
    while offset < len(png):
        length = struct.unpack(">I", png[offset : offset + 4])[0]
        found.append((png[offset + 4 : offset + 8], png[offset + 8 : offset + 8 + length]))
        offset += 12 + length
    return found


def xmp(png: bytes) -> dict[str, str]:
    """What the packet says of the picture, found by Pillow and read by another XML parser."""
    with Image.open(io.BytesIO(png)) as picture:
        picture.load()
        (description,) = ElementTree.fromstring(picture.info["xmp"]).iter(f"{RDF}Description")
        return {name.rpartition("}")[2]: value for name, value in description.attrib.items()}


def test_only_the_packet_changes_and_it_says_the_rating_too() -> None:
    png = encode_png(PICTURE, picture_texts(RECORD))
    rated = rate_png(png, rating=4, label="Green")
    before, after = chunks(png), chunks(rated)
    differing = [number for number in range(len(before)) if before[number] != after[number]]
    assert len(before) == len(after)
    assert [after[number][0] for number in differing] == [b"iTXt"]
    said = xmp(png)
    assert xmp(rated) == {**said, "Rating": "4", "Label": "Green"}
    assert "trainedAlgorithmicMedia" in said["DigitalSourceType"]
    with Image.open(io.BytesIO(rated)) as picture:
        picture.load()
        assert picture.tobytes() == PICTURE.tobytes()
        assert picture.info["parameters"] == picture_texts(RECORD)["parameters"]
    assert rate_png(rated, rating=4, label="Green") == rated


def test_a_rating_takes_the_place_of_the_one_before() -> None:
    png = rate_png(encode_png(PICTURE, picture_texts(RECORD)), rating=4, label="Green")
    assert "Label" not in xmp(rate_png(png, rating=-1, label=None))
    assert xmp(rate_png(png, rating=-1, label=None))["Rating"] == "-1"
    assert "Rating" not in xmp(rate_png(png, rating=None, label=None))


def test_a_file_without_a_packet_gets_one() -> None:
    bare = encode_png(PICTURE, {})
    rated = rate_png(bare, rating=2, label=None)
    assert xmp(rated) == {"about": "", "Rating": "2"}
    assert [chunk for chunk in chunks(rated) if chunk[0] != b"iTXt"] == chunks(bare)


def test_packets_of_other_programs_keep_what_they_say() -> None:
    packet = (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Other &amp; 1">'
        '<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<r:Description r:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title><r:Alt>'
        '<r:li xml:lang="x-default">夏 &lt;b&gt;</r:li></r:Alt></dc:title></r:Description>'
        '<r:Description r:about="" xmlns:xap="http://ns.adobe.com/xap/1.0/" xap:Label="Red"><xap:Rating>1</xap:Rating>'
        "</r:Description></r:RDF></x:xmpmeta><?xpacket end='w'?>"
    )
    rated = rate_packet(packet, rating=5, label=None)
    assert "夏 &lt;b&gt;" in rated
    assert 'x:xmptk="Other &amp; 1"' in rated
    assert rated.count("Rating") == 1
    assert 'xmp:Rating="5"' in rated
    assert "Label" not in rated
    taken = rate_packet(packet.replace("xmlns:dc=", 'xmlns:xmp="urn:other" xmlns:dc='), rating=3, label=None)
    assert 'xmp_:Rating="3"' in taken


def test_a_compressed_packet_is_read() -> None:
    png = encode_png(PICTURE, picture_texts(RECORD))
    parts = chunks(png)
    place = next(number for number, part in enumerate(parts) if part[1].startswith(b"XML:"))
    text = parts[place][1].split(b"\0", 5)[5]
    parts[place] = (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(text))
    packed = png[:8] + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    assert rate_png(packed, rating=3, label=None) == rate_png(png, rating=3, label=None)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        ('<!DOCTYPE x [<!ENTITY a "b">]><x/>', "document type"),
        ("<x:xmpmeta", "not well formed"),
        ("<a/>", "describes nothing"),
    ],
)
def test_packets_that_cannot_be_read_are_refused(packet: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        rate_packet(packet, rating=1, label=None)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    png = encode_png(PICTURE, picture_texts(RECORD))
    for wrong in (b"", b"GIF89a", png[:-5], png[:60], png[:100] + b"x" + png[101:]):
        with pytest.raises(ValueError, match="PNG file"):
            rate_png(wrong, rating=1, label=None)
