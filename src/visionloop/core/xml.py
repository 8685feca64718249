"""XML of strangers: no document type, no entity, no more than so many bytes."""

from __future__ import annotations

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat


def parse_xml(data: bytes, *, max_bytes: int) -> Element:
    """The root element.

    Document types are refused, and entities with them: they can make a parser read files or eat memory.

    Raises:
        ValueError: too large, not well-formed, or with a document type.
    """
    if len(data) > max_bytes:
        raise ValueError(f"the XML is {len(data):,} bytes, more than {max_bytes:,}")
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(f"not well-formed XML ({error})") from None
    except (LookupError, UnicodeError) as error:
        raise ValueError(f"unknown text encoding ({error})") from None
    return builder.close()


def _refuse_doctype(*_: object) -> None:
    raise ValueError("the XML declares a document type, which is refused")
