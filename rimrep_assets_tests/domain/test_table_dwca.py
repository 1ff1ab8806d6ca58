from __future__ import annotations

import zipfile

import pytest

from rimrep_assets.domain.errors import DataError
from rimrep_assets_tests.domain.table_examples import fields, proven, table

DWC = "http://rs.tdwg.org/dwc/terms/"
CORE = (
    '<core rowType="{dwc}Occurrence" {form}><files><location>occurrence.txt</location></files>'
    '<id index="0"/><field index="1" term="{dwc}locality"/>{fields}</core>'
)
FORM = r'encoding="UTF-8" fieldsTerminatedBy="\t" linesTerminatedBy="\n" fieldsEnclosedBy="" ignoreHeaderLines="1"'


def meta(inside: str, before: str = "") -> str:
    return f'<?xml version="1.0"?>{before}<archive xmlns="http://rs.tdwg.org/dwc/text/">{inside}</archive>'


def core(form: str = FORM, fields: str = "") -> str:
    return CORE.format(dwc=DWC, form=form, fields=fields)


@pytest.fixture
def published(tmp_path):
    def run(document, text="id\tlocality\n1\tHeron\n2\t\n", coordinates=None, folder="", **options):
        path = tmp_path / "in.zip"
        with zipfile.ZipFile(path, "w") as archive:
            if document is not None:
                archive.writestr(f"{folder}meta.xml", document)
            for name, content in ({"occurrence.txt": text} if isinstance(text, str | bytes) else text).items():
                archive.writestr(f"{folder}{name}", content)
        dataset = table(convert={"read_dwca": options}, coordinates=coordinates or {})
        return proven(path, tmp_path / "v", dataset)

    return run


@pytest.mark.parametrize("folder", ["", "archive/"])
def test_terms_are_columns(published, folder):
    assert published(meta(core()), folder=folder) == [{"id": "1", "locality": "Heron"}, {"id": "2", "locality": None}]


def test_defaults_stand_for_empty_cells_and_for_columns_that_the_file_lacks(published):
    fields = (
        f'<field index="2" term="{DWC}country" default="Australia"/><field term="{DWC}basisOfRecord" default="HUMAN"/>'
    )
    rows = published(meta(core(fields=fields)), "i\tl\tc\n1\ta\t\n2\tb\tFiji\n")
    assert [row["country"] for row in rows] == ["Australia", "Fiji"]
    assert [row["basisOfRecord"] for row in rows] == ["HUMAN", "HUMAN"]


def test_commas_quotes_and_encodings_are_as_the_document_says(published):
    form = 'encoding="ISO-8859-1" fieldsEnclosedBy="&quot;" linesTerminatedBy="\\r\\n"'
    rows = published(meta(core(form)), '1,"Île, ""grande"""\r\n2,"two\r\nlines"\r\n'.encode("latin-1"))
    assert [row["locality"] for row in rows] == ['Île, "grande"', "two\r\nlines"]


def test_a_quote_is_a_letter_where_nothing_encloses_cells(published):
    rows = published(meta(core()), 'i\tl\n1\t"a\n2\tb"\n')
    assert [row["locality"] for row in rows] == ['"a', 'b"']


def test_a_key_that_is_a_term_is_one_column(published):
    fields = f'<field index="0" term="{DWC}occurrenceID"/>'
    assert list(published(meta(core(fields=fields)))[0]) == ["locality", "occurrenceID"]


def test_terms_that_end_alike_are_called_by_the_whole(published):
    fields = '<field index="2" term="http://purl.org/dc/terms/locality"/>'
    rows = published(meta(core(fields=fields)), "i\tl\tm\n1\ta\tb\n")
    assert rows == [{"id": "1", f"{DWC}locality": "a", "http://purl.org/dc/terms/locality": "b"}]


def test_the_files_of_a_core_are_one_table(published):
    inside = core().replace("</location>", "</location><location>more.txt</location>")
    rows = published(meta(inside), {"occurrence.txt": "i\tl\n1\ta\n2\tb\n", "more.txt": "i\tl\n3\tc\n"})
    assert [row["locality"] for row in rows] == ["a", "b", "c"]


def test_words_for_missing_values_are_missing(published):
    rows = published(meta(core()), "i\tl\n1\tunknown\n2\tb\n", na={"locality": ["unknown"]})
    assert [row["locality"] for row in rows] == [None, "b"]


def test_points_are_made_of_the_terms(published):
    fields = f'<field index="2" term="{DWC}decimalLongitude"/><field index="3" term="{DWC}decimalLatitude"/>'
    places = {"x": "decimalLongitude", "y": "decimalLatitude"}
    rows = published(meta(core(fields=fields)), "i\tl\tx\ty\n1\ta\t151.9\t-23.4\n", places)
    assert rows[0]["decimalLongitude"] == 151.9
    assert rows[0]["geometry"] is not None


EXTENSION = core() + core().replace("core", "extension").replace("<id ", "<coreid ").replace("Occurrence", "Event")


def test_an_extension_is_read_by_its_row_type_or_its_file(published):
    inside = EXTENSION.replace("occurrence.txt</location></files><coreid", "event.txt</location></files><coreid")
    texts = {"occurrence.txt": "i\tl\n1\ta\n", "event.txt": "i\tl\n1\tnight\n"}
    for name in ("Event", f"{DWC}Event", "event.txt"):
        assert published(meta(inside), texts, extension=name) == [{"coreid": "1", "locality": "night"}]
    assert published(meta(inside), texts, core=True) == [{"id": "1", "locality": "a"}]
    with pytest.raises(DataError, match=r"read_dwca\.core: true for the core alone"):
        published(meta(inside), texts)
    with pytest.raises(DataError, match=r"'Evnt' is no extension of it; it has 'Event' \(event\.txt\)"):
        published(meta(inside), texts, extension="Evnt")


ENTITIES = '<!DOCTYPE archive [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE archive [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("before", [ENTITIES, OUTSIDE, '<!DOCTYPE archive SYSTEM "http://example.org/x.dtd">'])
def test_a_document_type_is_refused_whatever_it_says(published, before, encoding):
    document = meta(core().replace("occurrence.txt", "&a;"), before).replace('"1.0"', f'"1.0" encoding="{encoding}"')
    with pytest.raises(DataError, match="declares a document type or entities"):
        published(document.encode(encoding))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (None, r"has no meta\.xml: it is no Darwin Core archive"),
        ("<archive", "is no XML"),
        (meta(""), "describes 0 cores, not one"),
        (meta(core() + core()), "describes 2 cores, not one"),
        (
            meta(core().replace("occurrence.txt", "gone.txt")),
            r"names the file 'gone\.txt', which is not in the archive",
        ),
        (meta(core().replace("occurrence.txt", "../occurrence.txt")), "which is not in the archive"),
        (meta(core().replace("occurrence.txt", "http://example.org/o.txt")), "lies elsewhere"),
        (meta(core().replace('index="1"', 'index="x"')), "index 'x' is not the number of a column"),
        (meta(core().replace('index="1"', 'index="7"')), r"'locality' is cell 7 \(from 0\); a row has 2"),
        (meta(core().replace('index="1" ', "")), "has neither index nor default"),
        (meta(core().replace("UTF-8", "klingon")), "encoding 'klingon' is not known"),
        (meta(core().replace("\\t", "||")), r"fieldsTerminatedBy is '\|\|'; one letter is read"),
        (meta(core().replace('linesTerminatedBy="\\n"', 'linesTerminatedBy="|"')), r"lines end in '\|'"),
        (meta(core().replace('Lines="1"', 'Lines="one"')), "ignoreHeaderLines is 'one', not a number"),
        (meta(core(fields=f'<field index="1" term="{DWC}locality"/>')), "gives the term .* 2 times"),
        (meta("<a>" * 50 + "</a>" * 50), "nested more than 10 deep"),
        (meta(core(fields=f'<field index="1" term="{DWC}x"/>' * 6000)), "more than 5000 fields"),
    ],
)
def test_a_document_that_cannot_be_followed_is_refused_in_words(published, document, words):
    with pytest.raises(DataError, match=words):
        published(document)


def test_a_large_document_is_refused_before_it_is_read(published):
    with pytest.raises(DataError, match=r"its meta\.xml has \d+ bytes; at most 1000000 are read"):
        published(meta(core()) + " " * 1_000_001)


def test_files_that_are_not_as_the_document_says_are_refused(published):
    with pytest.raises(DataError, match=r"row 1 .* has 3 cells"):
        published(meta(core()), "i\tl\n1\ta\n2\tb\tc\n")
    with pytest.raises(DataError, match="is not UTF-8"):
        published(meta(core()), b"i\tl\n1\t\xff\n")
    with pytest.raises(DataError, match="no rows below the header"):
        published(meta(core()), "i\tl\n")
    with pytest.raises(DataError, match="0 bytes"):
        published(meta(core()), "")


def test_identifiers_are_texts_and_other_numbers_are_numbers(published):
    """An archive whose catalogue numbers are digits promised integers, until the first letter came."""
    terms = ("occurrenceID", "catalogNumber", "http://example.org/taxonID", "individualCount")
    fields = "".join(
        f'<field index="{at}" term="{"" if "/" in term else DWC}{term}"/>' for at, term in enumerate(terms, start=2)
    )
    (row,) = published(meta(core(fields=fields)), "i\tl\to\tc\tt\tn\n1\ta\t12\t34\t56\t7\n")
    assert row == {
        "id": "1", "locality": "a", "occurrenceID": "12", "catalogNumber": "34", "taxonID": "56", "individualCount": 7,
    }  # fmt: skip


def test_an_identifier_may_be_declared_as_a_number(tmp_path):
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("meta.xml", meta(core()))
        archive.writestr("occurrence.txt", "id\tlocality\n1\tHeron\n")
    rows = proven(path, tmp_path / "v", table(convert={"read_dwca": {}}), fields(id="integer"))
    assert rows == [{"id": 1, "locality": "Heron"}]
