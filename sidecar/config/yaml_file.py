"""A configuration file: YAML -> settings by dotted name, each with its line.

Values are the text in the file, not what YAML 1.1 guesses: a product named `no` or 0123 keeps its name. No message
quotes a value, since it may be a secret.
"""

import re
from pathlib import Path

import yaml

from sidecar.config.flat import LISTS_OF_STRUCTS, schema
from sidecar.config.nearest import unknown_setting
from sidecar.config.tree import Tree, tree
from sidecar.config.values import Raw
from sidecar.errors import ConfigError

NULL = "tag:yaml.org,2002:null"
QUOTED = re.compile(r"""\s*('(?:[^'\\]|\\.)*'|"[^"]*"|<[a-z ]+>)""")
TOKENS = {
    "<stream end>": "the end of the file",
    "<block end>": "the end of the section",
    "<block mapping start>": "a setting",
    "<block sequence start>": "a list",
    "<scalar>": "a value",
    "\\t": "'\\t', a tab,",
}


def read_file(path: str) -> dict[str, tuple[Raw | Tree, str]]:
    """Return raw values and their origin (`path:line`) by dotted name. Raises `ConfigError`."""
    root = compose(path, "the configuration")
    settings: dict[str, tuple[Raw | Tree, str]] = {}
    if root is not None and root.tag != NULL:
        _read_mapping(root, "", path, settings)
    return settings


def compose(path: str, what: str) -> yaml.Node | None:
    """Return a file as YAML nodes, `None` if it is empty. Raises `ConfigError`, which calls the file `what`."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"cannot read {what} {path}: {exc.strerror}; name a file that can be read") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: is not UTF-8 text") from exc
    return compose_text(text, path)


def compose_text(text: str, path: str) -> yaml.Node | None:
    """Return a text as YAML nodes, `None` if it is empty. Raises `ConfigError`, which calls it `path`."""
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as exc:
        raise ConfigError(_syntax(path, exc)) from None  # the text of `exc` quotes the file
    except (ValueError, OverflowError):  # a character that does not exist, as in "\\UFFFFFFFF"
        raise ConfigError(f"{path}: is not valid YAML") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply") from None


def location(path: str, node: yaml.Node) -> str:
    """Return `path:line` of a node."""
    return f"{path}:{node.start_mark.line + 1}"


def _read_mapping(node: yaml.Node, section: str, path: str, settings: dict[str, tuple[Raw | Tree, str]]) -> None:
    """Collect the settings of a section and those below it."""
    if node.tag == NULL:
        return
    if not isinstance(node, yaml.MappingNode):
        what = f'"{section}" is a section' if section else "a configuration consists of settings"
        raise ConfigError(f"{location(path, node)}: {what}: write `name: value` lines" + " below it" * bool(section))
    known = schema()
    for key, value in node.value:
        origin = location(path, key)
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{origin}: the name of a setting must be a plain word")
        name = f"{section}.{key.value}" if section else key.value
        if any(other.startswith(f"{name}.") for other in known):
            _read_mapping(value, name, path, settings)
        elif name not in known:
            raise ConfigError(f"{origin}: {unknown_setting(name, known)}")
        elif name in settings:
            raise ConfigError(f"{origin}: {name} is set twice, first at {settings[name][1]}")
        elif value.tag != NULL:
            settings[name] = (_raw(value, name, origin, path), origin)


def _raw(node: yaml.Node, name: str, origin: str, path: str) -> Raw | Tree:
    if name in LISTS_OF_STRUCTS:
        return tree(node, path)
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in node.value):
        return [str(item.value) for item in node.value]
    raise ConfigError(f"{origin}: {name} must be a value or a list of values")


def _syntax(path: str, exc: yaml.YAMLError) -> str:
    """Return the message for invalid YAML, without the text that it quotes: `password: *x` is an unknown alias."""
    if not isinstance(exc, yaml.MarkedYAMLError) or exc.problem_mark is None:
        return f"{path}: is not valid YAML"
    problem = QUOTED.sub(_unless_secret, exc.problem or "it cannot be read")
    line = exc.problem_mark.line + 1
    return f"{path}:{line}: not valid YAML: {problem}; a value with special characters needs quotes"


def _unless_secret(quoted: re.Match[str]) -> str:
    """Return a quoted piece only if it is YAML syntax: a character, or a kind of token in plain words."""
    text = quoted[0].strip().strip("'\"")
    sign = f" {quoted[0].strip()}" if len(text) == 1 and not text.isalnum() else ""
    return f" {TOKENS[text]}" if text in TOKENS else sign
