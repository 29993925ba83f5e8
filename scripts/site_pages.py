"""What the documentation site has besides docs/*.md: notebooks as pages, docstrings, and pages of the top folder.

MkDocs calls the functions by their names, and mkdocstrings the class (mkdocs.yml). Links in docs/ are those that work
in the repository.
"""

import re
from pathlib import Path
from typing import Any

import griffe
import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[1]
TOP = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
API = """# Python reference

What [`import gulmfit`](python.md) offers, from its docstrings.

## Train

::: gulmfit.api.run_training
    options: {heading: "gulmfit.train"}

::: gulmfit.api.TrainedRun

## Use a model

::: gulmfit.api.Model
    options: {heading: "gulmfit.load, gulmfit.Model"}

::: gulmfit.api.Table

## Parts

::: gulmfit.predict.predictor.Predictor

::: gulmfit.seq.tokens.tokenizer.KmerTokenizer

::: gulmfit.config.compose

## Errors

::: gulmfit.errors
    options: {show_root_heading: false, show_root_toc_entry: false}
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pages that are not written in docs/."""
    files.append(File.generated(config, "api.md", content=API))
    for name, page in TOP.items():
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=text))
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(notebook)
        for name, content in notebook_page(Path(str(notebook.abs_src_path))).items():
            files.append(File.generated(config, str(Path(notebook.src_uri).with_name(name)), content=content))
    return files


def notebook_page(path: Path) -> dict[str, str | bytes]:
    """Return a notebook as a page and its pictures, by their names."""
    page, found = MarkdownExporter().from_notebook_node(nbformat.read(path, as_version=4), {"unique_key": path.stem})
    return {f"{path.stem}.md": page, **{name: bytes(content) for name, content in found["outputs"].items()}}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Turn links of the repository into links of the site; a pipe in the code of a table needs no escape here."""
    for name, page in TOP.items():
        markdown = markdown.replace(f"](../{name}", f"]({page}")
    markdown = re.sub(
        r"(?<=[ |(])`[^`\n]+`(?=.*\|$)", lambda span: span[0].replace("\\|", "|"), markdown, flags=re.MULTILINE
    )
    return re.sub(r"(\]\([^()\s:]+)\.ipynb\)", r"\1.md)", markdown)


class Examples(griffe.Extension):
    """Fence the examples of docstrings, which Markdown would read as quotations."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of a class, function or module."""
        if obj.docstring:
            obj.docstring.value = re.sub(
                r"^>>> .*(?:\n.+)*", r"```pycon\n\g<0>\n```", obj.docstring.value, flags=re.MULTILINE
            )
