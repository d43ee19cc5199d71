"""Dataset cards to and from Croissant 1.0 (MLCommons), the JSON-LD record of a dataset's files, columns and responsible use.

What Croissant has no term for (lawful basis, purposes, withdrawals, generation records) stays in the card; `to_croissant`
says of personal data only whether there is any. Files, columns, licence and description survive the round trip.
"""

from __future__ import annotations

import json
import mimetypes
from pathlib import Path
from typing import Any

from kdgov.declarations.cards import DATASET_CARD, DatasetCard
from kdgov.declarations.data_origin import Column, DataFile
from kdgov.declarations.load import validate
from kdgov.errors import InputError

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
_RAI = "http://mlcommons.org/croissant/RAI/1.0"

_TYPES = {"text": "sc:Text", "integer": "sc:Integer", "number": "sc:Float", "boolean": "sc:Boolean", "date": "sc:Date"}
_TYPES_BACK = {"Text": "text", "URL": "text", "Integer": "integer", "Float": "number", "Number": "number", "Boolean": "boolean"} | {
    "Date": "date",
    "DateTime": "date",
}
_FORMATS = {".jsonl": "application/jsonlines", ".ndjson": "application/jsonlines", ".parquet": "application/x-parquet"} | {
    ".gz": "application/gzip",
    ".zst": "application/zstd",
    ".xz": "application/x-xz",
    ".bz2": "application/x-bzip2",
}

_SPDX_URL = "https://spdx.org/licenses/"


def to_croissant(card: DatasetCard) -> dict[str, Any]:
    """A dataset card as a Croissant document."""
    files = [_file_object(file, number) for number, file in enumerate(card.files)]
    document: dict[str, Any] = {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": [CONFORMS_TO, _RAI],
        "name": card.name,
        "description": card.description or card.name,
        "version": card.version or None,
        "identifier": card.id,
        "url": card.location,
        "license": _license_url(card.license) or card.license_url,
        "creator": {"@type": "sc:Organization", "name": card.issuer} if card.issuer else None,
        "datePublished": card.date.isoformat() if card.date else None,
        "inLanguage": card.language or None,
        "keywords": card.tags or None,
        "copyrightNotice": card.copyright,
        "rai:dataCollection": card.origin or None,
        "rai:dataCollectionType": [card.generation_method] if card.generation_method else None,
        "rai:dataUseCases": [card.intended_purpose] if card.intended_purpose else None,
        "rai:personalSensitiveInformation": _personal(card),
        "distribution": files,
        "recordSet": [_record_set(card, files)] if card.columns and files else None,
    }
    return {key: value for key, value in document.items() if value is not None}


def _file_object(file: DataFile, number: int) -> dict[str, Any]:
    name = Path(file.path).name
    found: dict[str, Any] = {
        "@type": "cr:FileObject",
        "@id": f"file-{number}",
        "name": name,
        "description": file.kind,
        "contentUrl": file.path,
        "encodingFormat": _FORMATS.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "text/plain",
    }
    if file.size_bytes is not None:
        found["contentSize"] = f"{file.size_bytes} B"
    if file.digest is not None:
        found["sha256"] = file.digest.removeprefix("sha256:")
    return found


def _record_set(card: DatasetCard, files: list[dict[str, Any]]) -> dict[str, Any]:
    # Shards share their columns: the fields are drawn from the first file, as Croissant's own converters do.
    source = files[0]["@id"]
    return {
        "@type": "cr:RecordSet",
        "@id": "rows",
        "name": "rows",
        "key": [{"@id": f"rows/{column.name}"} for column in card.columns if column.unique] or None,
        "field": [_field(column, source) for column in card.columns],
    }


def _field(column: Column, source: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"rows/{column.name}",
        "name": f"rows/{column.name}",
        "description": column.description or column.name,
        "dataType": _TYPES.get(column.type, "sc:Text"),
        "repeated": column.type == "list",
        "source": {"fileObject": {"@id": source}, "extract": {"column": column.name}},
    }


def _personal(card: DatasetCard) -> list[str] | None:
    if card.personal_data is None:
        return None
    if card.personal_data is False:
        return ["none"]
    return ["Personal data is present; the data-subject record is kept with the issuer."]


def _license_url(name: str | None) -> str | None:
    if name is None or name.startswith("http"):
        return name
    is_one_id = name.replace("-", "").replace(".", "").isalnum() and not name.startswith("LicenseRef")
    return _SPDX_URL + name if is_one_id and any(c.isupper() for c in name) else name


def read_croissant(path: Path) -> DatasetCard:
    """A Croissant file as a dataset card; what the card has no field for is kept under ``further``.

    Raises:
        InputError: if the file is not a Croissant document; `DeclarationError` names fields of the wrong type.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as JSON: {error}", where=str(path), mend="Name the dataset's croissant.json.") from error
    conforms = str(document.get("conformsTo") or document.get("dct:conformsTo")) if isinstance(document, dict) else ""
    if "mlcommons.org/croissant" not in conforms:
        raise InputError("is not a Croissant document", where=str(path), mend=f"It needs `conformsTo: {CONFORMS_TO}`.")
    plain = _plain(document)
    value = {
        "schema": DATASET_CARD,
        "name": str(plain.get("name", path.stem)),
        "description": str(plain.get("description", "")),
        "version": str(plain.get("version", "")),
        "id": _first(plain.get("identifier")),
        "location": _first(plain.get("url")),
        "license": _license_of(_first(plain.get("license"))),
        "issuer": ", ".join(_called(plain.get("creator") or plain.get("publisher"))),
        "date": str(_first(plain.get("datePublished")) or "")[:10] or None,
        "language": _listed(plain.get("inLanguage")),
        "tags": _listed(plain.get("keywords")),
        "copyright": _first(plain.get("copyrightNotice")),
        "origin": _first(plain.get("dataCollection")) or "",
        "generation_method": ", ".join(_listed(plain.get("dataCollectionType"))),
        "intended_purpose": " ".join(_listed(plain.get("dataUseCases"))),
        "personal_data": _personal_of(_listed(plain.get("personalSensitiveInformation"))),
        "files": _files(plain.get("distribution")),
        "columns": _columns(plain.get("recordSet")),
        "further": {key: plain[key] for key in sorted(plain) if key.startswith("data") and key not in _USED},
    }
    return validate({k: v for k, v in value.items() if v is not None}, DatasetCard, file=str(path))


_USED = ("datePublished", "dataCollection", "dataCollectionType", "dataUseCases")


def _plain(node: Any) -> Any:
    """The document with the usual prefixes taken off its keys."""
    if isinstance(node, dict):
        return {_bare(key): _plain(value) for key, value in node.items() if key != "@context"}
    return [_plain(item) for item in node] if isinstance(node, list) else node


def _bare(key: str) -> str:
    prefix, _, rest = key.partition(":")
    return rest if rest and prefix in ("cr", "sc", "rai", "dct", "schema") else key


def _files(distribution: Any) -> list[dict[str, Any]]:
    files = [node for node in _nodes(distribution) if str(node.get("@type", "")).endswith("FileObject") and node.get("contentUrl")]
    return [
        {"path": str(node["contentUrl"]), "kind": str(node.get("description") or "text")}
        | ({"digest": str(node["sha256"])} if len(str(node.get("sha256", ""))) == 64 else {})
        | ({"size_bytes": size} if (size := _bytes(node.get("contentSize"))) is not None else {})
        for node in files
    ]


def _bytes(text: Any) -> int | None:
    number, _, unit = str(text or "").partition(" ")
    return int(number) if number.isdigit() and unit in ("", "B") else None


def _columns(record_sets: Any) -> list[dict[str, Any]]:
    columns: dict[str, dict[str, Any]] = {}
    for record_set in _nodes(record_sets):
        keys = {str(key.get("@id", "")) for key in _nodes(record_set.get("key"))}
        for node in _nodes(record_set.get("field")):
            source = next(iter(_nodes(node.get("source"))), {})
            extract = next(iter(_nodes(source.get("extract"))), {})
            name = str(extract.get("column") or str(node.get("name") or node.get("@id", "")).rsplit("/", 1)[-1])
            kind = str(_first(node.get("dataType")) or "").rsplit("/", 1)[-1].rsplit(":", 1)[-1]
            column: dict[str, Any] = {"name": name, "type": "list" if node.get("repeated") is True else _TYPES_BACK.get(kind, "text")}
            if str(node.get("@id", "")) in keys:
                column["unique"] = True
            columns.setdefault(name, column | ({"description": str(node["description"])} if node.get("description") else {}))
    return list(columns.values())


def _license_of(name: str | None) -> str | None:
    if name is None:
        return None
    for host in (_SPDX_URL, "http://spdx.org/licenses/"):
        if name.startswith(host):
            return name.removeprefix(host).removesuffix(".html")
    return name


def _personal_of(said: list[str]) -> bool | None:
    if not said:
        return None
    return not all(text.strip().lower() in ("none", "no", "false") for text in said)


def _called(node: Any) -> list[str]:
    return [
        str(item.get("name", "")) if isinstance(item, dict) else str(item) for item in (node if isinstance(node, list) else [node]) if item
    ]


def _nodes(value: Any) -> list[dict[str, Any]]:
    return [node for node in (value if isinstance(value, list) else [value]) if isinstance(node, dict)]


def _listed(value: Any) -> list[str]:
    return [] if value is None else [str(item) for item in (value if isinstance(value, list) else [value])]


def _first(value: Any) -> str | None:
    texts = _listed([item.get("@id", item) if isinstance(item, dict) else item for item in (value if isinstance(value, list) else [value])])
    return texts[0] if texts and texts[0] != "None" else None


_TERMS = (
    *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty", "fileObject"),
    *("fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet"),
    *("references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
)


def _context() -> dict[str, Any]:
    """The context of the Croissant 1.0 specification with the responsible-AI vocabulary."""
    context: dict[str, Any] = {term: f"cr:{term}" for term in _TERMS}
    return context | {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "sc": "https://schema.org/",
        "dct": "http://purl.org/dc/terms/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    }
