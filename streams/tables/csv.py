"""CSV files: their separator, their encoding, and their columns as text."""

import gzip
import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".gz")
_SEPARATORS = ",;\t|"
_SAMPLE_BYTES = 1 << 16
#: Beginnings of files in encodings that are not read, and of formats that people call .csv all the same.
_OTHERS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a spreadsheet or zip archive",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
    b"ARROW1": "Arrow",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
}
_NOT_UTF8 = "its text is not UTF-8 (Latin-1, or a Windows code page); save it as UTF-8"
_NUMBER = re.compile(r"-?\d+([.,]\d+)?")


class CsvError(ValueError):
    """A file that is no CSV as we read it; the text names file, place and remedy."""


class CsvFile:
    """A CSV file: UTF-8, with a header, separated by comma, semicolon, tab or bar; gzip where its name ends in .gz.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    names
        Its columns, in order.
    decimal_comma
        Whether its numbers may have a decimal comma: where the comma separates nothing.

    Raises
    ------
    CsvError
        It is empty, of another encoding or format, or two columns have one name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        sample = self._sample()
        header = sample.lstrip("\ufeff").lstrip("\r\n")
        if not header:
            raise CsvError(f"{path} is empty; a CSV file begins with a line of column names")
        if header.startswith("sep="):
            raise CsvError(
                f"{path} begins with the line {header.splitlines()[0]!r}, which spreadsheets alone read; delete it"
            )
        self._separator = separator(header, "\t" if path.suffix.lower() in (".tsv", ".tab") else ",")
        self.decimal_comma = self._separator != ","
        self.names = self._header()
        twice = [name for name, times in Counter(self.names).items() if times > 1]
        if twice:
            raise CsvError(f"{path}: column {twice[0]!r} stands twice in the header; rename one")

        if len(self.names) == 1 and (other := _other_separator(header)):
            raise CsvError(
                f"{path}: its columns seem to be separated by {other!r}; write commas, semicolons, tabs or bars"
            )

    def blocks(self, names: Collection[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Its rows, a block at a time, every column text; an empty text is null.

        Raises
        ------
        CsvError
            A row cannot be read.
        """
        wanted = self._wanted(names)
        convert = pacsv.ConvertOptions(
            column_types=dict.fromkeys(wanted, pa.string()),
            include_columns=wanted,
            strings_can_be_null=True,
            null_values=[""],
        )
        try:
            with pacsv.open_csv(self.path, parse_options=self._parse, convert_options=convert) as reader:
                yield from reader
        except pa.ArrowInvalid as error:
            raise CsvError(f"{self.path}: {self._why(str(error))}") from None

    def table(self, names: Collection[str] | None = None) -> pa.Table:
        """All its rows; see `blocks`."""
        schema = pa.schema([(name, pa.string()) for name in self._wanted(names)])
        return pa.Table.from_batches(self.blocks(names), schema)

    def _wanted(self, names: Collection[str] | None) -> list[str]:
        return self.names if names is None else [name for name in self.names if name in names]

    @property
    def _parse(self) -> pacsv.ParseOptions:
        return pacsv.ParseOptions(delimiter=self._separator, newlines_in_values=True)

    def _header(self) -> list[str]:
        try:
            with pacsv.open_csv(self.path, parse_options=self._parse) as reader:
                return list(reader.schema.names)
        except pa.ArrowInvalid as error:
            raise CsvError(f"{self.path}: {self._why(str(error))}") from None

    def _sample(self) -> str:
        opened = gzip.open if self.path.suffix.lower() == ".gz" else open
        try:
            with opened(self.path, "rb") as file:
                raw: bytes = file.read(_SAMPLE_BYTES)
        except (OSError, EOFError) as error:
            raise CsvError(f"{self.path}: {error}; is it a gzip file? name it .csv if it is not") from None
        for start, other in _OTHERS.items():
            if raw.startswith(start):
                raise CsvError(f"{self.path} is {other}, not CSV in UTF-8; save it so")
        if b"\x00" in raw:
            raise CsvError(f"{self.path} has zero bytes: it is no text in UTF-8; save it so")
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            if error.start >= len(raw) - 4:  # The sample ends within a character.
                return raw[: error.start].decode()
            raise CsvError(f"{self.path}: {_NOT_UTF8}, see byte {error.start}") from None

    def _why(self, error: str) -> str:
        if "UTF8" in error:
            return _NOT_UTF8
        if "Expected" in error and "columns" in error:
            return f"{error.strip()}: the row has another number of columns than the header; correct it"
        return f"{error.strip()}; mend the row, or save the file as Parquet"


def _other_separator(text: str) -> str:
    """Find what a file of one column is separated by after all: it divides every line into as many, with numbers."""
    lines = [line for line in text.splitlines()[:20] if line][: 19 if len(text) >= _SAMPLE_BYTES else 20]
    for other in (" ", ":", "^", "~", "\x01", "#"):
        rows = [line.split(other) for line in lines]
        alike = len({len(row) for row in rows}) == 1 and len(rows[0]) > 1
        if alike and len(rows) > 1 and all(any(_NUMBER.fullmatch(cell) for cell in row) for row in rows[1:]):
            return other
    return ""


def separator(text: str, expected: str = ",") -> str:
    r"""Tell what separates the columns: of comma, semicolon, tab and bar the one that the header has most of, of
    several the one that is expected.

    >>> separator("a\tb,c", "\t")
    '\t'
    >>> [separator(line) for line in ("a,b", "a;b;c", "a\tb", "a|b", '"x,y,z";b', "alone")]
    [',', ';', '\t', '|', ';', ',']
    """
    counts, quoted = Counter[str](), False
    for character in text:
        quoted ^= character == '"'
        if character in "\r\n" and not quoted:
            break
        if not quoted:
            counts[character] += 1
    return max(_SEPARATORS, key=lambda candidate: (counts[candidate], candidate == expected))
