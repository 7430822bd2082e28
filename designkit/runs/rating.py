"""A rating inside a PNG file, where photo and asset programs look for it: xmp:Rating and xmp:Label of its XMP packet.

Only the packet is changed: every other chunk of the file, the pixels among them, stays byte for byte, and so does
whatever else the packet says.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from xml.dom import minidom
from xml.parsers.expat import ExpatError

RATING_REJECTED = -1
LABEL_PICKED = "Green"
"""What photo programs call the colour that most teams give to what they chose."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEYWORD = b"XML:com.adobe.xmp"
_XMP = "http://ns.adobe.com/xap/1.0/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMLNS = "http://www.w3.org/2000/xmlns/"
_EMPTY_PACKET = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"><rdf:Description rdf:about=""/></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


def rate_png(png: bytes, *, rating: int | None, label: str | None) -> bytes:
    """The file with that rating (-1 rejected, 0 to 5 stars) and label; None takes what was there away.

    Raises ValueError where it is no PNG file, or its XMP packet cannot be read.
    """
    chunks = list(_chunks(png))
    packets = [number for number, (kind, data) in enumerate(chunks) if _is_packet(kind, data)]
    if len(packets) > 1:
        raise ValueError("the PNG file holds more than one XMP packet")
    if not packets:
        # Behind the header, as the standard advises for text that is to be found without reading the pixels.
        chunks.insert(1, (b"iTXt", b""))
    place = packets[0] if packets else 1
    packet = _packet_text(chunks[place][1]) if packets else _EMPTY_PACKET
    rated = rate_packet(packet, rating=rating, label=label)
    # Not compressed, no language, no translated keyword: what XMP part 3 asks for.
    chunks[place] = (b"iTXt", _KEYWORD + b"\0\0\0\0\0" + rated.encode())
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def rate_packet(packet: str, *, rating: int | None, label: str | None) -> str:
    """An XMP packet with that rating and label instead of its own; raises ValueError where it cannot be read."""
    if "<!DOCTYPE" in packet or "<!ENTITY" in packet:
        raise ValueError("the XMP packet declares a document type, which XMP does not allow")
    try:
        document = minidom.parseString(packet.encode())
    except ExpatError as error:
        raise ValueError(f"the XMP packet is not well formed: {error}") from error
    descriptions = document.getElementsByTagNameNS(_RDF, "Description")
    # Values may be attributes or elements, and stand in any of the descriptions.
    for description in descriptions:
        for name in ("Rating", "Label"):
            if description.hasAttributeNS(_XMP, name):
                description.removeAttributeNS(_XMP, name)
            for element in [node for node in description.childNodes if _is_element(node, name)]:
                description.removeChild(element)
    if not descriptions:
        raise ValueError("the XMP packet describes nothing")
    values = {"Rating": None if rating is None else str(rating), "Label": label}
    for name, value in values.items():
        if value is not None:
            _set_xmp(descriptions[0], name, value)
    return "\n".join(node.toxml() for node in document.childNodes)


def _set_xmp(description: minidom.Element, name: str, value: str) -> None:
    prefix = "xmp"
    bound = description
    # Where another namespace bears this prefix, ours takes one that is free.
    while isinstance(bound, minidom.Element):
        if bound.hasAttributeNS(_XMLNS, prefix):
            if bound.getAttributeNS(_XMLNS, prefix) == _XMP:
                break
            prefix += "_"
        bound = bound.parentNode
    else:
        description.setAttributeNS(_XMLNS, f"xmlns:{prefix}", _XMP)
    description.setAttributeNS(_XMP, f"{prefix}:{name}", value)


def _is_element(node: minidom.Node, name: str) -> bool:
    return node.nodeType == node.ELEMENT_NODE and node.namespaceURI == _XMP and node.localName == name


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and data of every chunk; raises ValueError where the file is damaged."""
    if not png.startswith(_SIGNATURE):
        raise ValueError("this is no PNG file")
    offset = len(_SIGNATURE)
    while offset < len(png):
        head = png[offset : offset + 8]
        if len(head) < 8:
            raise ValueError("the PNG file is cut short")
        length, kind = struct.unpack(">I4s", head)
        data, check = png[offset + 8 : offset + 8 + length], png[offset + 8 + length : offset + 12 + length]
        if len(check) < 4 or struct.unpack(">I", check)[0] != zlib.crc32(kind + data):
            raise ValueError(f"the {kind.decode('latin-1')} chunk of the PNG file is damaged")
        yield kind, data
        offset += 12 + length


def _is_packet(kind: bytes, data: bytes) -> bool:
    return kind == b"iTXt" and data.startswith(_KEYWORD + b"\0")


def _packet_text(data: bytes) -> str:
    """The text of an iTXt chunk, whose head is keyword, two compression bytes, language and translated keyword."""
    head = len(_KEYWORD) + 1
    is_compressed, rest = data[head : head + 1] == b"\1", data[head + 2 :]
    _, _, rest = rest.partition(b"\0")
    _, _, text = rest.partition(b"\0")
    try:
        return (zlib.decompress(text) if is_compressed else text).decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"the XMP packet cannot be read: {error}") from error
