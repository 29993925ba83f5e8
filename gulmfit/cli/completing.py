"""`gulmfit completion`: what a shell asks to complete the words of a command, written from the commands themselves."""

import shlex
import sys
from collections.abc import Iterator, Sequence

import yaml  # type: ignore[import-untyped]

from gulmfit.cli import COMMANDS
from gulmfit.cli.options import QUIET, TRUST, Option, is_not_one_of, read_signature
from gulmfit.errors import ConfigError
from gulmfit.files import config_dir

SHELLS = ("bash", "zsh")
# Shorthand of gulmfit.shorthand, which is not a key of the configuration.
SHORTHAND = ("epochs=", "lr=", "early_stopping=", "report.figures=svg", "report.figures=png", "report.figures=pdf")

# In the words of the shell a "=" may end a word (bash) or not (zsh); bash itself completes the files behind it.
_SCRIPT = r"""# Completion of the words of gulmfit and gulmfit-*, for {shell}.
{begin}
_gulmfit() {{
  local line="${{COMP_LINE:0:$COMP_POINT}}" name="${{1##*/}}"
  local cur="${{line##*[[:space:]]}}"
  local rest="${{line%"$cur"}}"
  rest="${{rest#*[[:space:]]}}"
  [ "$name" = gulmfit ] || rest="${{name#gulmfit-}} $rest"
  local words="" known="${{cur%"${{cur##*=}}"}}" word
  case "$rest" in
{cases}
    *[![:space:]]*) ;;
    *) words={names} ;;
  esac
  COMPREPLY=()
  for word in $(echo "$words"); do
    case "$word" in "$cur"*) ;; *) continue ;; esac
    case "$COMP_WORDBREAKS" in *=*) word="${{word#"$known"}}" ;; esac
    case "$word" in *=) ;; *) word="$word " ;; esac
    COMPREPLY+=("$word")
  done
  if [ -n "$ZSH_VERSION" ] && [ "${{#COMPREPLY[@]}}" = 0 ]; then
    for word in "${{cur##*=}}"*; do [ -e "$word" ] && COMPREPLY+=("$known$word"); done
  fi
}}
complete -o nospace -o default -F _gulmfit {programs}
"""


def print_completion(words: Sequence[str]) -> None:
    """Print a script that completes commands, options and their choices in bash or zsh.

    Write it to a file and `source` that file where your shell starts, in ~/.bashrc or ~/.zshrc.

    Args:
        words: bash or zsh.

    Raises:
        ConfigError: If it is for another shell.
    """
    if len(words) != 1 or words[0] not in SHELLS:
        raise ConfigError(f"{' '.join(words)!r} {is_not_one_of(words[0], SHELLS)}")
    sys.stdout.write(script(words[0]))


def script(shell: str) -> str:
    """Return the script for a shell."""
    groups = sorted({name.partition(" ")[0] for name in COMMANDS if " " in name})
    cases = [f"    {shlex.quote(name)}[[:space:]]*) words={shlex.quote(' '.join(words_of(name)))} ;;"
             for name in sorted(COMMANDS, reverse=True)]  # fmt: skip
    for group in groups:
        inner = sorted(name.removeprefix(f"{group} ") for name in COMMANDS if name.startswith(f"{group} "))
        cases.append(f"    {group}[[:space:]]*) words={shlex.quote(' '.join(inner))} ;;")
    names = sorted({name.partition(" ")[0] for name in COMMANDS})
    return _SCRIPT.format(
        shell=shell,
        begin="autoload -U +X bashcompinit && bashcompinit" if shell == "zsh" else "",
        cases="\n".join(cases),
        names=shlex.quote(" ".join([*names, "--help", "--version"])),
        programs=" ".join(["gulmfit", *(f"gulmfit-{name}" for name in names)]),
    )


def words_of(name: str) -> list[str]:
    """Return the words that a command understands: `option=`, or `option=choice` where there are choices."""
    if name == "completion":
        return [*SHELLS, "--help"]
    options = {key: one for target in COMMANDS[name].targets for key, one in read_signature(target).options.items()}
    found = [word for option in options.values() for word in _of_option(option)]
    if name == "train":
        found += _of_training()
    return [*found, *_of_option(TRUST), *_of_option(QUIET), "--help"]


def _of_option(option: Option) -> list[str]:
    choices = ("true", "false") if option.kind == "bool" else option.choices
    return [f"{option.name}={choice}" for choice in choices if choice] or [f"{option.name}="]


def _of_training() -> list[str]:
    """Return the groups of the configuration with their files, its own keys, and the words that stand for others."""
    found = [f"{file.parent.name}={file.stem}" for file in sorted(config_dir().glob("*/*.yaml"))]
    found = [word for word in found if not word.startswith(("hydra=", "local="))]
    content = yaml.safe_load((config_dir() / "train.yaml").read_text(encoding="utf-8"))
    return [*found, *_keys({key: value for key, value in content.items() if key != "defaults"}), *SHORTHAND, "-m"]


def _keys(content: dict[str, object], before: str = "") -> Iterator[str]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _keys(value, f"{before}{key}.")
        else:
            yield f"{before}{key}="
