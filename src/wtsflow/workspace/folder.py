"""A folder with ``wtsflow.yaml``: where the scripts, targets, lock and manifests are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from wtsflow import source
from wtsflow.errors import ConfigError, ManifestError
from wtsflow.model.text import shown
from wtsflow.model.values import Json
from wtsflow.ports import Clock
from wtsflow.source.foreign import refuse_foreign

if TYPE_CHECKING:
    from wtsflow.inventory import Listing
    from wtsflow.scripts import Repository

NAME = "wtsflow.yaml"
LOCK = "wtsflow.lock"
DEFAULT = "default"
"""The alias of the repository whose pins have no prefix."""
PATHS = ("known_hosts", "config", "identity_file", "identity", "certificate_file")
"""Settings of ssh that name files."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """What ``wtsflow.yaml`` says. Paths are absolute.

    ``scripts`` maps an alias to a path (from ``root``) or a URL; ``settings`` and ``ssh`` hold only
    what the file says (durations as written); ``inventories`` is empty where none is named and
    there is no ``inventory.yaml``.
    """

    root: Path
    scripts: Mapping[str, str] = field(default_factory=dict)
    inventories: tuple[Path, ...] = ()
    manifests: Path = Path("manifests")
    settings: Mapping[str, Json] = field(default_factory=dict)
    signatures: bool = False
    allowed_signers: Path | None = None
    ssh: Mapping[str, Json] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """``wtsflow.yaml`` itself."""
        return self.root / NAME

    @property
    def lock(self) -> Path:
        """The file that ties each pin to its bytes."""
        return self.root / LOCK

    @classmethod
    def find(cls, start: Path) -> Self:
        """The workspace that ``start`` (a folder, or a ``wtsflow.yaml``) is in.

        The file is looked for in ``start`` and the folders above it. Raises ConfigError where
        there is none or where somebody else could have written it, ManifestError with every
        finding where it is wrong.
        """
        file = start if start.is_file() else locate(start)
        if file is None:
            raise ConfigError(
                f"there is no {NAME} in {shown(start.absolute(), 200)} or above it",
                cure="`wtsflow new FOLDER` makes a workspace; --workspace names another one",
            )
        return cls.read(file)

    @classmethod
    def read(cls, file: Path) -> Self:
        """The workspace of this file. Raises ConfigError and ManifestError like :meth:`find`."""
        refuse_foreign(file)
        try:
            document = source.load(file.read_bytes(), str(file))
        except OSError as error:
            raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
        if findings := source.check(document, "workspace-1"):
            raise ManifestError(findings)
        return cls._made(file.absolute().parent, document.data)

    @classmethod
    def _made(cls, root: Path, data: Mapping[str, Any]) -> Self:
        trust: Mapping[str, Any] = data.get("trust", {})
        signers = trust.get("allowed_signers")
        said: str | Mapping[str, str] = data.get("scripts", ".")
        return cls(
            root=root,
            scripts={DEFAULT: said} if isinstance(said, str) else said,
            inventories=_inventories(root, data.get("inventory")),
            manifests=root / data.get("manifests", "manifests"),
            settings=data.get("settings", {}),
            signatures=trust.get("signatures") == "required",
            allowed_signers=root / signers if signers else None,
            ssh=data.get("ssh", {}),
        )

    def inventory(self, more: Sequence[Path] = ()) -> "Listing":
        """The targets: of ``more`` when given (``--inventory``), else of the workspace."""
        from wtsflow import inventory

        return inventory.load(tuple(more) or self.inventories)

    @property
    def transports(self) -> Mapping[str, Mapping[str, Json]]:
        """The defaults of each transport. They say how, not what: no plan holds them."""
        return {"ssh": {key: self._from_here(key, value) for key, value in self.ssh.items()}}

    def _from_here(self, key: str, value: Json) -> Json:
        """Files that wtsflow.yaml names are looked for beside it."""
        if key not in PATHS:
            return value
        if isinstance(value, list | tuple):
            return [self._from_here(key, item) for item in value]
        beside = isinstance(value, str) and value and not value.startswith("~")
        return str(self.root / str(value)) if beside else value

    def repository(
        self, cache: Path, clock: Clock, *, allow_deprecated: bool = False
    ) -> "Repository":
        """The pinned scripts, with mirrors in ``cache``; ``clock`` says today for rollouts."""
        from wtsflow.scripts import Repository

        return Repository(
            self.scripts,
            lock=self.lock,
            cache=cache,
            clock=clock,
            signatures=self.signatures,
            allowed_signers=self.allowed_signers,
            allow_deprecated=allow_deprecated,
        )


def locate(start: Path) -> Path | None:
    """The nearest ``wtsflow.yaml`` in a folder or above it."""
    try:
        folder = start.absolute()
    except FileNotFoundError:
        raise ConfigError("the present folder was removed", cure="cd to another one") from None
    for candidate in (folder, *folder.parents):
        if (candidate / NAME).is_file():
            return candidate / NAME
    return None


def _inventories(root: Path, said: str | Sequence[str] | None) -> tuple[Path, ...]:
    if said is None:
        usual = root / "inventory.yaml"
        return (usual,) if usual.exists() else ()
    names = [said] if isinstance(said, str) else said
    return tuple(root / Path(name).expanduser() for name in names)
