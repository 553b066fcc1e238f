"""Write what follows from the code lists (`common/codes.json`, `common/regions.json`) and pin every digest.

python scripts/pin_schemas.py            rewrite the three files
python scripts/pin_schemas.py --check    exit 1 if any of them would change
"""  # noqa: INP001 - a program, not a package

import json
import sys
from pathlib import Path
from typing import Any

from gateway.message_types.catalogue import PINS, Catalogue, pins, read
from gateway.resources import schemas_dir

DRAFT = "https://json-schema.org/draft/2020-12/schema"
LABELLED = 100  # longer lists would weigh more in a schema than all its rules; their labels are in codes/
WIDTH = 118
ALL_LEVELS = ("province", "regency", "city", "district", "kelurahan", "desa")
REGIONS = (
    ("Region", "Region", "Wilayah", "any level", "tingkat mana pun", ALL_LEVELS),
    ("Regency", "Regency or city", "Kabupaten atau kota", "regency or city", "kabupaten atau kota", ("regency", "city")),
    ("District", "District", "Kecamatan", "district", "kecamatan", ("district",)),
    ("Village", "Village", "Desa atau kelurahan", "village", "desa atau kelurahan", ("kelurahan", "desa")),
)  # fmt: skip


def words(title: str, title_id: str, description: str, description_id: str) -> dict[str, str]:
    return {
        "title": title,
        "x-title-id": title_id,
        "description": description,
        "x-description-id": description_id,
    }


def codes(documents: dict[str, Any]) -> dict[str, Any]:
    """One definition a code list, but for the regions."""
    definitions = {}
    for path, document in sorted(documents.items()):
        name = path.removeprefix("codes/").removesuffix(".json")
        if not path.startswith("codes/") or name == "region":
            continue
        entries = document["codes"]
        definitions["".join(part.capitalize() for part in name.split("-"))] = {
            **{key: document[key] for key in words("", "", "", "")},
            "type": "string",
            "enum": [entry["code"] for entry in entries],
            "x-code-list": name,
            **(
                {"x-labels": {entry["code"]: {"en": entry["en"], "id": entry["id"]} for entry in entries}}
                if len(entries) <= LABELLED
                else {}
            ),
        }
    about = words(
        "Codes",
        "Kode",
        "Generated from the lists in codes/ by scripts/pin_schemas.py.",
        "Dibuat dari daftar dalam codes/ oleh scripts/pin_schemas.py.",
    )
    return {"$schema": DRAFT, "$id": "urn:sinergi:common:codes:1", **about, "$defs": definitions}


def regions(document: dict[str, Any]) -> dict[str, Any]:
    """One definition a level of region."""
    definitions = {}
    for name, title, title_id, level, level_id, levels in REGIONS:
        definitions[name] = {
            **words(
                title,
                title_id,
                f"Kemendagri code of a region of Banten, {level}.",
                f"Kode Kemendagri wilayah di Banten, {level_id}.",
            ),
            "type": "string",
            "enum": [entry["code"] for entry in document["codes"] if entry["level"] in levels],
            "x-code-list": "region",
            "x-level": level,
        }
    about = words(
        "Regions of Banten",
        "Wilayah Banten",
        f"Generated from codes/region.json by scripts/pin_schemas.py. Source: {document['source']}.",
        f"Dibuat dari codes/region.json oleh scripts/pin_schemas.py. Sumber: {document['source']}.",
    )
    return {"$schema": DRAFT, "$id": "urn:sinergi:common:regions:1", **about, "$defs": definitions}


def layout(value: Any, indent: int = 0) -> str:
    """JSON for people: what fits on a line is on one line."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= WIDTH or not isinstance(value, dict | list):
        return flat
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        lines = [f"{pad}{json.dumps(key)}: {layout(entry, indent + 2)}" for key, entry in value.items()]
        return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + layout(entry, indent + 2) for entry in value) + "\n" + " " * indent + "]"


def generated(directory: Path) -> dict[str, str]:
    """Path and text of every generated file."""
    documents = read(directory)
    documents["common/codes.json"] = codes(documents)
    documents["common/regions.json"] = regions(documents["codes/region.json"])
    pinned = {
        "$comment": "SHA-256 of the RFC 8785 form of every schema and code list; rewritten by scripts/pin_schemas.py",
        **pins(documents, Catalogue(documents)),
    }
    return {
        "common/codes.json": layout(documents["common/codes.json"]) + "\n",
        "common/regions.json": layout(documents["common/regions.json"]) + "\n",
        PINS: layout(pinned) + "\n",
    }


def main(arguments: list[str]) -> int:
    directory = schemas_dir()
    changed = []
    for name, text in generated(directory).items():
        path = directory / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            changed.append(name)
            if "--check" not in arguments:
                path.write_text(text, encoding="utf-8")
    sys.stdout.write("".join(f"{name} changed\n" for name in changed))
    return 1 if changed and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
