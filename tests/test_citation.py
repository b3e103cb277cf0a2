"""CITATION.cff and the changelog have the form that they say they have, and speak of this version."""

import re
import tomllib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML

from tests.test_docs import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


class Part(BaseModel):
    """What the Citation File Format 1.2.0 allows, as far as this project uses it; other keys are refused."""

    model_config = ConfigDict(extra="forbid", alias_generator=lambda name: name.replace("_", "-"))


class Entity(Part):
    name: str


class Person(Part):
    family_names: str
    given_names: str


class Identifier(Part):
    type: Literal["doi", "url", "swh", "other"]
    value: str
    description: str


class Reference(Part):
    type: Literal["article"]
    title: str
    authors: Annotated[list[Person], Field(min_length=1)]
    year: int
    url: Annotated[str, Field(pattern=r"^https://arxiv\.org/abs/\d{4}\.\d{5}$")]
    identifiers: list[Identifier]


class Citation(Part):
    cff_version: Literal["1.2.0"]
    message: str
    type: Literal["software"]
    title: str
    version: str
    license: str
    authors: Annotated[list[Entity], Field(min_length=1)]
    abstract: str
    keywords: Annotated[list[str], Field(min_length=1)]
    references: list[Reference]


def test_the_citation_names_this_software_and_the_paper():
    citation = Citation.model_validate(YAML(typ="safe", pure=True).load(ROOT / "CITATION.cff"))
    assert citation.title.startswith(f"{PROJECT['name']}: ")
    assert (citation.version, citation.license) == (PROJECT["version"], PROJECT["license"])
    assert [author.name for author in citation.authors] == [author["name"] for author in PROJECT["authors"]]
    (paper,) = citation.references
    assert [person.family_names for person in paper.authors] == ["Ren", "Liu", "Yu", "Guo"]
    assert paper.identifiers[0].value == f"arXiv:{paper.url.rsplit('/', 1)[-1]}" == "arXiv:2107.08681"


def test_the_changelog_is_in_its_form_and_knows_this_version():
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", version) for version in versions[1:])
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, flags=re.MULTILINE)) <= kinds
    assert PROJECT["version"] in text
