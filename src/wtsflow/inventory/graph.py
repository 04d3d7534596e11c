"""What every kind of inventory is read into: hosts, groups and what they say."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields

from wtsflow.model.plan import Target
from wtsflow.model.values import Json

DEFAULT_TRANSPORT = "ssh"


@dataclass(slots=True)
class Facts:
    """What a host, a group or the defaults say. Empty and None: nothing is said."""

    host: str = ""
    port: int | None = None
    user: str = ""
    transport: str = ""
    os: str = ""
    run_as: str = ""
    become: bool | None = None
    """Whether ``run_as`` is changed to; without a ``run_as`` it is root."""
    variables: dict[str, Json] = field(default_factory=dict)
    settings: dict[str, dict[str, Json]] = field(default_factory=dict)
    """Transport → its own settings."""

    def override(self, other: "Facts") -> None:
        """Take over all that ``other`` says; variables and settings one by one."""
        for item in fields(other):
            value = getattr(other, item.name)
            if isinstance(value, dict):
                continue
            if value not in ("", None):
                setattr(self, item.name, value)
        self.variables.update(other.variables)
        for transport, settings in other.settings.items():
            self.settings.setdefault(transport, {}).update(settings)


@dataclass(slots=True)
class Group:
    """A group: its own hosts, the groups inside it, and what it says for all of them."""

    facts: Facts = field(default_factory=Facts)
    hosts: dict[str, None] = field(default_factory=dict)
    groups: dict[str, None] = field(default_factory=dict)
    priority: int = 1


@dataclass(slots=True)
class Graph:
    """Hosts and groups of one or several inventories."""

    defaults: Facts = field(default_factory=Facts)
    hosts: dict[str, Facts] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    def host(self, name: str) -> Facts:
        """The facts of a host, which is listed from now on."""
        return self.hosts.setdefault(name, Facts())

    def group(self, name: str) -> Group:
        """A group, which exists from now on."""
        return self.groups.setdefault(name, Group())

    def merge(self, other: "Graph") -> None:
        """Add another inventory; where both say something, the other wins."""
        self.defaults.override(other.defaults)
        for name, facts in other.hosts.items():
            self.host(name).override(facts)
        for name, added in other.groups.items():
            group = self.group(name)
            group.facts.override(added.facts)
            group.hosts.update(added.hosts)
            group.groups.update(added.groups)
            group.priority = added.priority if added.priority != 1 else group.priority

    def rename(self, renamed: Callable[[Mapping[str, Json]], dict[str, Json]]) -> None:
        """Let ``renamed`` look at the settings of the defaults, every group and every host."""
        groups = (group.facts for group in self.groups.values())
        for facts in (self.defaults, *groups, *self.hosts.values()):
            facts.settings = {name: renamed(said) for name, said in facts.settings.items()}

    def cycle(self) -> tuple[str, ...]:
        """A chain of groups that ends where it begins, or nothing."""
        done: set[str] = set()
        for start in self.groups:
            if start not in done and (chain := self._cycle(start, done)):
                return chain
        return ()

    def _cycle(self, start: str, done: set[str]) -> tuple[str, ...]:
        """Depth first without recursion: nesting may be deep."""
        stack: list[tuple[str, Iterator[str]]] = [(start, iter(self._inside(start)))]
        path = [start]
        while stack:
            current, children = stack[-1]
            child = next(children, None)
            if child is None:
                stack.pop()
                path.pop()
                done.add(current)
            elif child in path:
                return (*path[path.index(child) :], child)
            elif child not in done:
                stack.append((child, iter(self._inside(child))))
                path.append(child)
        return ()

    def _inside(self, name: str) -> tuple[str, ...]:
        """The groups inside a group, as far as they exist."""
        group = self.groups.get(name)
        return tuple(child for child in group.groups if child in self.groups) if group else ()

    def order(self) -> tuple[str, ...]:
        """Every group, outer before inner; then by priority, then by name (Ansible's order).

        A group's depth is the longest way down to it. The graph has no cycle.
        """
        above = dict.fromkeys(self.groups, 0)
        for name in self.groups:
            for child in self._inside(name):
                above[child] += 1
        depths = dict.fromkeys(self.groups, 0)
        waiting = [name for name, count in above.items() if not count]
        while waiting:
            name = waiting.pop()
            for child in self._inside(name):
                depths[child] = max(depths[child], depths[name] + 1)
                above[child] -= 1
                if not above[child]:
                    waiting.append(child)
        return tuple(sorted(self.groups, key=lambda n: (depths[n], self.groups[n].priority, n)))

    def members(self) -> Mapping[str, tuple[str, ...]]:
        """Each host with all groups that it is in, outer before inner."""
        found: dict[str, list[str]] = {name: [] for name in self.hosts}
        for name in self.order():
            for host in self.below(name):
                found.setdefault(host, []).append(name)
        return {host: tuple(groups) for host, groups in found.items()}

    def below(self, name: str) -> set[str]:
        """The hosts of a group and of all groups inside it."""
        hosts: set[str] = set()
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            current = waiting.pop()
            if current in seen or current not in self.groups:
                continue
            seen.add(current)
            hosts.update(self.groups[current].hosts)
            waiting.extend(self.groups[current].groups)
        return hosts

    def target(self, name: str, groups: tuple[str, ...] = ()) -> Target:
        """A machine: defaults, then its groups from outer to inner, then what it says itself."""
        facts = Facts()
        facts.override(self.defaults)
        for group in groups:
            facts.override(self.groups[group].facts)
        if name in self.hosts:
            facts.override(self.hosts[name])
        transport = facts.transport or DEFAULT_TRANSPORT
        return Target(
            name=name,
            transport=transport,
            host=facts.host,
            port=facts.port,
            user=facts.user,
            os=facts.os,
            run_as=(facts.run_as or "root") if facts.become else "",
            groups=groups,
            variables=facts.variables,
            settings=facts.settings.get(transport, {}),
        )
