"""A content tree (PS3.3 C.17.3) as light nodes, read once, for those who look at all of it several times: a report with
a hundred measurement groups has ten thousand items, and pydicom takes its time over each attribute."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pydicom import DataElement, Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

VALUE_TYPE, RELATIONSHIP, NAME, CODE, TEXT, UID, REFERENCE, TEMPLATE, CONTENT = (
    Tag(keyword).real
    for keyword in (
        "ValueType", "RelationshipType", "ConceptNameCodeSequence", "ConceptCodeSequence", "TextValue", "UID",
        "ReferencedSOPSequence", "ContentTemplateSequence", "ContentSequence",
    )
)  # fmt: skip
CODE_VALUES = {Tag(keyword).real for keyword in ("CodeValue", "LongCodeValue", "URNCodeValue")}
TEMPLATE_IDENTIFIER = {Tag("TemplateIdentifier").real}


@dataclass(slots=True, eq=False)
class Node:
    """A content item. Texts are "" where the item has none.

    name, code: Code Value of its concept name and of its value. template: Template Identifier. references: what it
    refers to. item: the item itself.
    """

    item: Dataset
    value_type: str = ""
    relationship: str = ""
    name: str = ""
    code: str = ""
    text: str = ""
    uid: str = ""
    template: str = ""
    references: list[Dataset] = field(default_factory=list)
    children: list["Node"] = field(default_factory=list)

    def walk(self) -> Iterator["Node"]:
        """Every node below."""
        for child in self.children:
            yield child
            yield from child.walk()

    def find(self, name: str) -> "Node | None":
        """The first child with that concept name."""
        return next((child for child in self.children if child.name == name), None)


def read_tree(item: Dataset) -> Node:
    """The content tree below `item`, which is its root."""
    node = Node(item)
    for tag, element in _elements(item):
        if tag == VALUE_TYPE:
            node.value_type = str(element.value)
        elif tag == RELATIONSHIP:
            node.relationship = str(element.value)
        elif tag == NAME:
            node.name = _first(element, CODE_VALUES)
        elif tag == CODE:
            node.code = _first(element, CODE_VALUES)
        elif tag == TEMPLATE:
            node.template = _first(element, TEMPLATE_IDENTIFIER)
        elif tag == CONTENT:
            node.children = [read_tree(child) for child in element.value]
        else:
            _read_value(node, tag, element)
    return node


def _read_value(node: Node, tag: int, element: DataElement) -> None:
    if tag == TEXT:
        node.text = str(element.value or "")
    elif tag == UID:
        node.uid = str(element.value or "")
    elif tag == REFERENCE:
        node.references = list(element.value)


def _elements(item: Dataset) -> Iterator[tuple[int, DataElement]]:
    for found in item.values():
        yield int(found.tag), item[found.tag] if isinstance(found, RawDataElement) else found


def _first(sequence: DataElement, tags: set[int]) -> str:
    """The value of the first of `tags` in the first item."""
    for item in sequence.value:
        return next((str(element.value) for tag, element in _elements(item) if tag in tags), "")
    return ""
