"""What goes to a model hub and what comes from it, tried on a small server that speaks the hub's language."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import gulmfit.pretrained
from gulmfit.checkpoint import load
from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.exchange.hub import pull, push
from gulmfit.pretrained import Hosted
from gulmfit.weights import save_weights, weights_digest

constants = pytest.importorskip("huggingface_hub.constants")

TOKEN = "hf_right"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TEMPERATURE = {"kind": "temperature", "temperature": 1.7, "knots": [], "threshold": 0.4}


@dataclass
class Repository:
    private: bool = True
    files: dict[str, bytes] = field(default_factory=dict)
    revisions: set[str] = field(default_factory=lambda: {"main", COMMIT})


@dataclass
class Hub:
    """The state of the server, for tests to look at."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    commits: int = 0
    refuse: int = 0


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def answer(self, content: Any, status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str = "") -> None:
        self.answer({"error": "refused"}, status, X_Error_Code=code, X_Error_Message="refused")

    def do_GET(self) -> None:
        self.hub.tokens.add(self.headers.get("Authorization"))
        if self.hub.refuse:
            return self.refuse(self.hub.refuse)
        about = re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)(?:/revision/([^/?]+))?(?:\?.*)?", self.path)
        file = re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)", self.path)
        match = about or file
        repository = self.hub.repositories.get(match[1]) if match else None
        if repository is None or match is None:
            return self.refuse(404, "RepoNotFound")
        if (match[2] or "main") not in repository.revisions:
            return self.refuse(404, "RevisionNotFound")
        if about:
            siblings = [{"rfilename": name} for name in repository.files]
            content = {"id": match[1], "sha": COMMIT, "private": repository.private, "siblings": siblings}
            return self.answer(content)
        if self.command == "GET":
            self.hub.fetched.append(match[3])
        return self.answer(repository.files[match[3]], ETag=f'"{hash(repository.files[match[3]])}"')

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        self.hub.tokens.add(self.headers.get("Authorization"))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.refuse(401)
        if self.hub.refuse:
            return self.refuse(self.hub.refuse)
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'owner'}/{asked['name']}"
            private = asked.get("private", asked.get("visibility") == "private")
            old = self.hub.repositories.setdefault(name, new := Repository(private))
            return self.answer({"url": f"http://{self.headers['Host']}/{name}"}, 200 if old is new else 409)
        if self.path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        match = re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)/(preupload|commit|branch)/([^?]+).*", self.path)
        if match is None:
            return self.refuse(400)
        repository = self.hub.repositories[match[1]]
        if match[2] == "branch":
            repository.revisions.add(match[3])
            return self.answer({})
        if match[2] == "preupload":
            files = json.loads(body)["files"]
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            return self.answer({"files": [{"path": file["path"], **modes} for file in files]})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                repository.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        self.hub.commits += 1
        address = f"http://{self.headers['Host']}/{match[1]}/commit/{COMMIT}"
        return self.answer({"success": True, "commitOid": COMMIT, "commitUrl": address})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    state = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneHandler", (Handler,), {"hub": state}))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(make_model: Any) -> Path:
    """A finished run with everything that must stay at home."""
    folder: Path = make_model(classes=["a", "b"], calibration=TEMPERATURE)
    (folder / "metrics.json").write_text(json.dumps({"run": "mine", "metrics": {"test/accuracy": 0.5}}))
    for name in ("checkpoints/best.ckpt", "predictions/test.tsv", "split.tsv", "model/notes.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("private")
    return folder


def test_shards_arrive_and_a_missing_one_is_told(hub: Hub, run: Path, tmp_path: Path) -> None:
    loaded, folder = load(run), run / "model"
    (folder / "model.safetensors").unlink()
    save_weights(folder, loaded.model.state_dict(), 500)
    shards = sorted(file.name for file in folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    push(model=str(run), repo="owner/large", license="mit")
    assert set(shards) < set(hub.repositories["owner/large"].files)
    pull(repo="owner/large", output=str(tmp_path / "back"))
    assert weights_digest(tmp_path / "back") == weights_digest(folder)
    del hub.repositories["owner/large"].files[shards[0]]
    with pytest.raises(CheckpointError):
        pull(repo="owner/large", output=str(tmp_path / "again"))
    assert not (tmp_path / "again").exists()


def test_a_model_arrives_as_it_was_sent(hub: Hub, run: Path, tmp_path: Path) -> None:
    push(model=str(run), repo="owner/mine", license="mit")
    repository = hub.repositories["owner/mine"]
    assert set(repository.files) == {"config.json", "model.safetensors", "calibration.json", "README.md"}
    assert repository.private
    assert hub.commits == 1
    assert b"`mine`" in repository.files["README.md"]
    assert b'license: "mit"' in repository.files["README.md"]
    pull(repo="owner/mine", output=str(tmp_path / "theirs"))
    for name, content in repository.files.items():
        assert (tmp_path / "theirs" / name).read_bytes() == content, name
        if name != "README.md":
            assert (run / "model" / name).read_bytes() == content, name
    assert {file.name for file in (tmp_path / "theirs").iterdir()} == set(repository.files)
    assert load(tmp_path / "theirs").classes == ["a", "b"]
    assert hub.tokens == {f"Bearer {TOKEN}"}


def test_an_edited_card_and_a_branch_are_kept(hub: Hub, run: Path) -> None:
    (run / "model" / "README.md").write_text("mine own words")
    push(model=str(run / "model"), repo="owner/mine", private=False, revision="v2")
    assert hub.repositories["owner/mine"].files["README.md"] == b"mine own words"
    assert not hub.repositories["owner/mine"].private
    assert "v2" in hub.repositories["owner/mine"].revisions


def test_what_is_public_is_not_written_to_as_if_it_were_private(hub: Hub, run: Path) -> None:
    hub.repositories["owner/mine"] = Repository(private=False)
    with pytest.raises(CheckpointError, match="public"):
        push(model=str(run), repo="owner/mine")
    assert not hub.repositories["owner/mine"].files


def test_only_the_files_of_a_model_are_fetched(
    hub: Hub, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    files = {file.name: file.read_bytes() for file in (run / "model").iterdir() if file.name != "notes.txt"}
    evil = {"pytorch_model.bin": b"x", "model.py": b"x", ".gitattributes": b"x", "sub/config.json": b"x"}
    hub.repositories["owner/theirs"] = Repository(files=files | evil)
    pull(repo="owner/theirs", output=str(tmp_path / "out"))
    assert {file.name for file in (tmp_path / "out").rglob("*")} == set(files)
    assert set(hub.fetched) == set(files)
    assert hub.tokens == {None}


def test_a_model_with_a_name_is_fetched_by_it(
    hub: Hub, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the commit that gulmfit names, with its card and sketch, to where the name then stands for it."""
    files = {file.name: file.read_bytes() for file in (run / "model").iterdir() if file.name != "notes.txt"}
    files |= {"card.json": b"{}", "corpus.npz": b"sketch"}
    hub.repositories["owner/large-model"] = Repository(files=files, revisions={COMMIT})
    monkeypatch.setattr(gulmfit.pretrained, "HOSTED", {"large": Hosted("owner/large-model", COMMIT)})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="pull repo=large"):
        load("large")
    pull(repo="large")
    assert {file.name: file.read_bytes() for file in (tmp_path / "large").iterdir()} == files
    assert load("large").classes == ["a", "b"]
    pull(repo="large", output=str(tmp_path / "elsewhere"))
    assert load(tmp_path / "elsewhere").classes == ["a", "b"]
    with pytest.raises(ConfigError, match=r"OWNER/NAME.*: large"):
        pull(repo="small", output="small")
    with pytest.raises(ConfigError, match="output="):
        pull(repo="owner/large-model")
    (tmp_path / "package" / "tiny").mkdir(parents=True)
    (tmp_path / "package" / "tiny" / "config.json").write_text("{}")
    monkeypatch.setattr(gulmfit.pretrained, "FOLDER", tmp_path / "package")
    with pytest.raises(ConfigError, match="init_from=tiny"):
        pull(repo="tiny")
    assert not (tmp_path / "small").exists()


WRITES = {"_target_": "gulmfit.predict.outputs.writers.write_tsv", "columns": ["a"], "rows": []}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tokenizer": {**WRITES}}, r"writers\.write_tsv' .*Tokenizer"),
        ({"arch": {"_target_": "gulmfit.errors.ConfigError"}}, r"'gulmfit\.errors\.ConfigError' .*Module"),
        ({"head": {"_target_": "os.system", "command": "ls"}}, "outside gulmfit"),
        ({"arch": {"_target_": "gulmfit.models.awd_rnn.AWDRNN", "hidden_size": "many"}}, r"awd_rnn\.AWDRNN .*built"),
        ({"arch": 5}, "wrong kind"),
        (
            {"arch": {"_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 4}},
            r"embedding\.weight is \(67, 6\), not \(67, 4\)",
        ),
    ],
)
def test_what_is_no_model_is_not_written(
    hub: Hub, run: Path, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    spec = json.loads((run / "model" / "config.json").read_text()) | change
    if isinstance(spec["tokenizer"], dict) and "rows" in spec["tokenizer"]:
        spec["tokenizer"]["path"] = str(victim)
    files = {file.name: file.read_bytes() for file in (run / "model").iterdir()}
    hub.repositories["owner/evil"] = Repository(files=files | {"config.json": json.dumps(spec).encode()})
    with pytest.raises(CheckpointError, match=f"owner/evil.*{says}"):
        pull(repo="owner/evil", output=str(tmp_path / "out"))
    assert victim.read_text() == "precious"
    assert not list(tmp_path.glob("*out*"))


def test_damaged_weights_and_calibrations_are_not_written(hub: Hub, run: Path, tmp_path: Path) -> None:
    files = {file.name: file.read_bytes() for file in (run / "model").iterdir()}
    for name, content in (("model.safetensors", b"x" * 100), ("calibration.json", b'{"kind": "magic"}')):
        hub.repositories["owner/bad"] = Repository(files=files | {name: content})
        with pytest.raises(CheckpointError):
            pull(repo="owner/bad", output=str(tmp_path / "out"))
        assert not list(tmp_path.glob("*out*"))


def test_every_refusal_is_explained(hub: Hub, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = str(tmp_path / "out")
    with pytest.raises(CheckpointError, match=r"owner/nowhere: .*private\b.*HF_TOKEN.*404"):
        pull(repo="owner/nowhere", output=out)
    hub.repositories["owner/mine"] = Repository(files={"README.md": b"x"})
    with pytest.raises(CheckpointError, match=r"no config\.json and no model\.safetensors"):
        pull(repo="owner/mine", output=out)
    with pytest.raises(CheckpointError, match="no revision 'v9'"):
        pull(repo="owner/mine", output=out, revision="v9")
    with pytest.raises(ConfigError, match="OWNER/NAME"):
        pull(repo="mine", output=out)
    hub.refuse = 403
    with pytest.raises(CheckpointError, match="no right"):
        push(model=str(run), repo="owner/mine")
    hub.refuse = 0
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(CheckpointError, match=r"owner/new: .*HF_TOKEN .*401") as caught:
        push(model=str(run), repo="owner/new")
    assert "hf_wrong" not in str(caught.value)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ConfigError, match=r"^HF_TOKEN .*token\b"):
        push(model=str(run), repo="owner/mine")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match=r"owner/mine: .*ConnectError.*HF_ENDPOINT"):
        pull(repo="owner/mine", output=out)
    assert not list(tmp_path.glob("*out*"))
