"""A folder with ``wtsflow.yaml``: where the scripts, targets, lock and manifests are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from wtsflow import source
from wtsflow.errors import ConfigError, ManifestError
from wtsflow.model.text import did_you_mean, shown
from wtsflow.model.values import Json
from wtsflow.model.workflow import Input
from wtsflow.ports import Clock
from wtsflow.source.foreign import refuse_foreign
from wtsflow.workspace.environment import Environment, unknown, unsaid

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

    ``environments`` are those that the file names. :meth:`within` one of them, ``present`` is that
    and ``base`` the workspace outside of all.
    """

    root: Path
    scripts: Mapping[str, str] = field(default_factory=dict)
    inventories: tuple[Path, ...] = ()
    manifests: Path = Path("manifests")
    settings: Mapping[str, Json] = field(default_factory=dict)
    signatures: bool = False
    allowed_signers: Path | None = None
    ssh: Mapping[str, Json] = field(default_factory=dict)
    environments: Mapping[str, Environment] = field(default_factory=dict)
    default_environment: str = ""
    present: Environment | None = None
    base: "Workspace | None" = field(default=None, repr=False, compare=False)

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
        default = document.data.get("default_environment")
        if default is not None and default not in (known := document.data.get("environments", {})):
            raise ConfigError(
                f"default_environment: there is no environment '{shown(default)}'",
                cure=did_you_mean(default, known) or "write it under 'environments:'",
                location=document.location(("default_environment",)),
            )
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
            environments={
                name: Environment.read(name, said)
                for name, said in data.get("environments", {}).items()
            },
            default_environment=data.get("default_environment", ""),
        )

    # --- environments -------------------------------------------------------------------------

    @property
    def environment(self) -> str:
        """The name of the environment that this is within; empty: none."""
        return self.present.name if self.present else ""

    def chosen(self, said: str) -> str:
        """The environment that is meant: ``said``, or the default, or none where there are none.

        Raises UsageError for one that there is not, and where one has to be said.
        """
        name = said or self.default_environment
        if name and name not in self.environments:
            raise unknown(name, self.environments)
        if self.environments and not name:
            raise unsaid(self.environments)
        return name

    def within(self, name: str) -> "Workspace":
        """The workspace as it is in one environment; empty: outside of all.

        Raises UsageError for one that there is not.
        """
        outside = self.base or self
        if not name:
            return outside
        if name not in self.environments:
            raise unknown(name, self.environments)
        here = self.environments[name]
        timeout = here.settings.get("connect_timeout")
        also = {} if timeout is None else {"connect_timeout": timeout}
        return replace(
            outside,
            inventories=outside.inventories
            if here.inventories is None
            else _inventories(self.root, here.inventories),
            settings={**outside.settings, **here.settings},
            ssh={**outside.ssh, **also, **here.ssh},
            present=here,
            base=outside,
        )

    @property
    def access(self) -> Path | None:
        """The file of the access rules that hold in the present environment."""
        return self.root / self.present.access if self.present and self.present.access else None

    def fill(self, inputs: Mapping[str, Input], given: Mapping[str, Json]) -> dict[str, Json]:
        """Values of the environment for declared inputs that were not given. Raises ConfigError."""
        return self.present.fill(inputs, given) if self.present else {}

    # --- what is in it ------------------------------------------------------------------------

    def inventory(self, more: Sequence[Path] = ()) -> "Listing":
        """The targets: of ``more`` when given (``--inventory``), else of the workspace."""
        from wtsflow import inventory

        sudo = self.ssh.get("sudo_password")
        return inventory.load(
            tuple(more) or self.inventories,
            inventory.Facts(settings={"ssh": {"sudo_password": sudo}}) if sudo else None,
            renamed=self.present.renamed if self.present else None,
        )

    @property
    def transports(self) -> Mapping[str, Mapping[str, Json]]:
        """The defaults of each transport. They say how, not what: no plan holds them."""
        said = self.present.renamed(self.ssh) if self.present else self.ssh
        return {"ssh": {key: self._from_here(key, value) for key, value in said.items()}}

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
