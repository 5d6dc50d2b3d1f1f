"""What a benchmark is: one TOML file. The paper's three and your own have the same form.

``assets/examples/workshop.toml`` is one to copy, ``assets/benchmarks`` holds the paper's. A description says what the
classes are called and where the texts are (:class:`Data`); it may hold a prompt that asks a language model for more.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config

from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import BUNDLED

FOLDER = BUNDLED / "benchmarks"
EXAMPLE = BUNDLED / "examples" / "workshop.toml"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
PLACEHOLDERS = {"label", "num_of_words", "num_of_examples", "examples"}
EXAMPLE_PLACEHOLDERS = {"text", "pair", "label"}
PROMPT = ("system_title", "system", "user", "again", "example")

Text = Annotated[str, Field(pattern=r"\S")]
Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=1)]
Source = Count | Text | dict[str, Any]
STRICT = ConfigDict(extra="forbid")


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Reading:
    """A file and how to read it (:mod:`paper_repro.texts.readers`).

    ``text``, ``label`` and ``pair`` name its columns (``pair`` is empty for single texts); ``order`` is a column of
    whole numbers that sorts the rows. The ``format`` follows from the file's ending where it is empty. In CSV
    ``separator`` is what stands between columns, and with ``quotes = false`` a quote is a character like any other.
    """

    file: str = ""
    text: Text = "text"
    label: Text = "label"
    pair: str = ""
    format: str = ""
    encoding: str = "utf-8"
    separator: str = ""
    quotes: Flag = True
    order: str = ""

    def __post_init__(self) -> None:
        columns = [column for column in (self.text, self.label, self.pair) if column]
        if len(set(columns)) != len(columns):
            raise ValueError(f"text, label and pair name one column twice: {', '.join(columns)}")
        if len(self.separator) > 1 or self.separator in tuple('"\r\n'):
            raise ValueError(f'separator = {self.separator!r}; expected one character, such as ";"')
        try:
            "".encode(self.encoding)
        except (LookupError, ValueError):
            raise ValueError(f"encoding = {self.encoding!r}; expected one such as utf-8 or cp1252") from None


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Data(Reading):
    """``[data]``, and ``[hub]`` for published texts. Its fields are those of a reading and

    * ``train`` (D_P; ``file`` is another name for it), ``dev`` (D_P'), ``test``, ``generated`` (D_Q): a file each, as a
      path or as a table with a reading of its own: ``test = { file = "t.csv", encoding = "cp1252" }``. For ``dev`` and
      ``test`` a number will do: so many texts are drawn from ``train`` by ``seed``, with the classes in proportion;
    * ``splits``: a JSON file with the 0-based rows that each pool takes of its file (all, where it is not named);
    * ``keep_duplicates``: a text that stands in several places stays in all of them, not in the first of test, dev and
      train;
    * ``repository`` and ``revision`` on the hub.
    """

    train: Source = ""
    dev: Source
    test: Source
    generated: Source = ""
    splits: str = ""
    seed: Annotated[int, Field(strict=True, ge=0)] = 0
    keep_duplicates: Flag = False
    repository: str = ""
    revision: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.file) == bool(self.train):
            raise ValueError("expected either file or train: the file that holds D_P")
        for pool in ("train", "dev", "test", *(["generated"] if self.generated else [])):
            if isinstance(self.reading(pool), int) and pool in ("train", "generated"):
                raise ValueError(f"{pool} is a number; expected a file")

    def reading(self, pool: str) -> Reading | int:
        """How the texts of ``pool`` are read, or their number. D_Q shares the columns with the data, no more."""
        source = (self.train or self.file) if pool == "train" else getattr(self, pool)
        if isinstance(source, int):
            return source
        given = source if isinstance(source, dict) else {"file": source}
        usual = {f.name: f.default for f in fields(Reading)}
        for name, value in given.items():
            if type(value) is not type(usual.get(name)):
                raise ValueError(f"{pool}: {name} = {value!r}; a file has {', '.join(usual)}")
        if not given.get("file"):
            raise ValueError(f"{pool}: its table names no file")
        shared = ("text", "label", "pair") if pool == "generated" else tuple(usual)
        return Reading(**{name: getattr(self, name) for name in shared} | given)


@with_config(STRICT)
@dataclass(frozen=True)
class Length:
    """How {num_of_words} is drawn: log-normal with standard deviation ``sigma`` of the logarithm,
    cut off at ``shortest`` and ``longest`` times the benchmark's mean."""

    sigma: Annotated[float, Field(ge=0)]
    shortest: Annotated[float, Field(gt=0, le=1)]
    longest: Annotated[float, Field(ge=1)]


def _worded(entry: Any) -> Any:
    """A table from names to wording, of a list of names too."""
    if isinstance(entry, list) and not all(isinstance(name, str) for name in entry):
        raise ValueError('expected names in quotes: labels = ["1", "2"]')
    table = dict(zip(entry, entry, strict=True)) if isinstance(entry, list) else entry
    if not isinstance(table, dict) or not len({*map(str.strip, table)}) == len(entry) >= 2:
        raise ValueError("expected at least two different names")
    return {name.strip(): words for name, words in table.items()}


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Description:
    """A benchmark as its TOML file describes it; no text has been looked at.

    ``worded`` (in the file: ``labels``) maps the class names, in order, to what a prompt calls them. ``written`` is
    what the files write for the classes, where that is not their names: ``["0", "1"]``. Data with a ``hub`` lie in a
    data directory or come from the hub; ``published`` holds ``Pool.fingerprint`` by pool. Labels that ``generator``
    gave: ``few_shot`` is a CSV (test_row, label) of those of the test set, ``labelled`` one (text_sha256, label) of
    those of training inputs. The rest is a prompt in the form of Table 6, which may be missing as a whole: the two
    messages, how to ask again, the line of one example, and what few-shot prediction asks about a text.
    """

    path: Path
    title: Text
    worded: Annotated[dict[Text, Text], BeforeValidator(_worded), Field(validation_alias="labels")]
    data: Data
    written: tuple[Text, ...] = ()
    hub: Data | None = None
    published: Mapping[Literal["train", "dev", "test"], str] = field(default_factory=dict)
    generator: str = ""
    few_shot: str = ""
    labelled: str = ""
    system_title: str = ""
    system: str = ""
    user: str = ""
    again: str = ""
    example: str = ""
    question: str = ""
    length: Length | None = None

    def __post_init__(self) -> None:
        if not self.data.generated:
            raise ValueError("data: 'generated' is missing: the file of D_Q, which need not be there yet")
        clash = any(self.spellings[spelling] != i for i, spelling in enumerate(self.written))
        if self.written and (clash or not len({*self.written}) == len(self.written) == len(self.labels)):
            raise ValueError(f"written = {list(self.written)}; expected one text for each label, in their order")
        if len({*self.wording}) < len(self.labels):
            raise ValueError("labels: two have the same wording")
        messages = {name: getattr(self, name) for name in PROMPT}
        for name, text in messages.items() if self.has_prompt else ():
            if not text.strip():
                raise ValueError(f"{name} is missing; a prompt has {', '.join(PROMPT)}")
            known = EXAMPLE_PLACEHOLDERS if name == "example" else PLACEHOLDERS
            if strange := placeholders(text) - known:
                choice = ", ".join(f"{{{word}}}" for word in sorted(known))
                raise ValueError(f"{name} holds {{{min(strange)}}}; known placeholders are {choice}")
        if self.has_prompt and ("pair" in placeholders(self.example)) != self.paired:
            what = "must hold {pair}, too" if self.paired else "holds {pair}, but [data] names no column 'pair'"
            raise ValueError(f"example = {self.example!r} {what}")

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.worded)

    @property
    def wording(self) -> tuple[str, ...]:
        return tuple(self.worded.values())

    @property
    def spellings(self) -> dict[str, int]:
        """Class indices by everything that a file may write for a label."""
        return {spelling: i for names in (self.written, self.labels) for i, spelling in enumerate(names)}

    @property
    def paired(self) -> bool:
        return bool(self.data.pair)

    @property
    def has_prompt(self) -> bool:
        return any(getattr(self, name) for name in PROMPT)

    @property
    def one_label(self) -> bool:
        """Whether a request asks for texts of one label (MRPC's asks for both)."""
        return "label" in placeholders(self.system + self.user)

    def beside(self, file: str) -> Path:
        """A path of the TOML file, which goes from the folder that it lies in."""
        return self.path.parent / os.path.expanduser(file)

    @property
    def generated(self) -> Path:
        """The file of D_Q, which need not be there yet."""
        return self.beside(self.made)

    @property
    def made(self) -> str:
        """The file of D_Q as the description writes it."""
        source = self.data.generated
        return str(source["file"] if isinstance(source, dict) else source)


_CHECKED = TypeAdapter(Description)


def read(benchmark: str | Path) -> Description:
    """The description of a bundled benchmark (by name) or of your own (by the path of its TOML file).

    Raises UserError for a file that is missing or no TOML, for unknown and missing fields and wrong values.
    """
    path = FOLDER / f"{benchmark}.toml" if str(benchmark) in NAMES else Path(os.path.expanduser(benchmark)).resolve()
    known = f"the package has {', '.join(NAMES)}; your own is given by its TOML file, as {EXAMPLE} is"
    if path.suffix != ".toml":
        raise UserError(f"Unknown benchmark {str(benchmark)!r}: {known}")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"no benchmark file {path}: {known}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    return parse(content, path)


def parse(content: bytes, path: Path) -> Description:
    """The description in ``content`` for ``path``, which need not be there. Raises UserError as :func:`read`."""
    if not NAME.fullmatch(path.stem) or path.suffix != ".toml":
        raise UserError(f"{path}: a benchmark file is called by letters, digits, - and _, then .toml: my_texts.toml")
    if path.stem in NAMES and path.parent != FOLDER:
        raise UserError(f"{path}: {path.stem} is a benchmark of the package; give yours another name")
    try:
        table = tomllib.loads(content.decode("utf-8-sig"))
        return _CHECKED.validate_python({**table, "path": path})
    except ValidationError as error:
        raise UserError(f"{path}: {_first(error)}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a TOML file in UTF-8 ({error})") from None


def _first(error: ValidationError) -> str:
    """What is wrong, in a line: an unknown field first; of a field with several forms the error that went furthest."""
    unknown = "unexpected_keyword_argument"
    first = max(error.errors(include_url=False), key=lambda one: (one["type"] == unknown, len(one["loc"])))
    place = ".".join(map(str, first["loc"]))
    if first["type"] == unknown:
        names = {f.name for f in fields(Data if len(first["loc"]) > 1 else Description)}
        names = {"labels" if name == "worded" else name for name in names - {"path"}}
        return f"unknown field {place!r}; known are {', '.join(sorted(names))}"
    found = "" if isinstance(first["input"], dict) else f", found {first['input']!r:.80}"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}{found}".removeprefix(": ")


def columns(paired: bool) -> tuple[str, ...]:
    """The columns that a D_Q of this package has: text and label, and of pairs the second text."""
    return ("sentence1", "label", "sentence2") if paired else ("text", "label")


def placeholders(text: str) -> set[str]:
    """The names in braces. Raises ValueError for braces that do not match."""
    try:
        return {name for _, name, _, _ in Formatter().parse(text) if name is not None}
    except ValueError as error:
        raise ValueError(f"{text[:60]!r}: {error}; write a literal brace as {{{{ or }}}}") from None
