"""Make ZenML's stack match a stack file: idempotent, each change in words, nothing the second time."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from errors import StackError

if TYPE_CHECKING:
    from uuid import UUID

    from zenml.client import Client
    from zenml.enums import StackComponentType
    from zenml.models import ComponentResponse, StackResponse

    from stacks.spec import Component, Stack


_WITHOUT = "-without-"


def apply(stack: Stack, *, without: Collection[str] = ()) -> tuple[UUID, list[str]]:
    """Create or update the stack and its parts; returns its id and what was changed, a line each.

    Parts are registered under the stack's name. A part whose flavor changed is registered anew, since
    ZenML cannot change a flavor; the part of before stays registered for the runs that used it.
    `without` some parts it is a stack of its own, which shares the others: ZenML imports every part of the
    active stack, used or not.

    Raises:
        StackError: a flavor or one of its settings is unknown or wrong.
    """
    from zenml.client import Client
    from zenml.enums import StackComponentType

    client = Client()
    changes: list[str] = []
    components: dict[StackComponentType, UUID] = {}
    for type_name, component in stack.components().items():
        if type_name in without:
            continue
        kind = StackComponentType(type_name)
        components[kind] = _component(client, stack.name, kind, component, changes)
    name = _WITHOUT.join([stack.name, *without])
    return _stack(client, name, components, changes), changes


def in_cluster() -> bool:
    """Whether the active stack runs pipelines as pods, which go on without the command that started them."""
    from zenml.client import Client

    return bool(Client().active_stack.orchestrator.flavor == "modelyard")


def file_of(name: str) -> str:
    """The name that a ZenML stack of `apply` has in its file."""
    return name.partition(_WITHOUT)[0]


def find(name: str) -> StackResponse | None:
    """ZenML's stack of that name, or None."""
    from zenml.client import Client

    found = Client().list_stacks(name=name, hydrate=True).items
    return found[0] if found else None


def _check(client: Client, kind: StackComponentType, component: Component) -> None:
    """Refuse what ZenML would ignore silently: keys that the flavor does not know."""
    from zenml.stack.flavor import Flavor

    try:
        model = client.get_flavor_by_name_and_type(component.flavor, kind)
    except KeyError as error:
        there = ", ".join(sorted(flavor.name for flavor in client.get_flavors_by_type(kind).items))
        raise StackError(
            f"ZenML has no {kind.value} flavor {component.flavor!r}; it has: {there}."
        ) from error
    config = Flavor.from_model(model).config_class
    unknown = sorted(component.configuration.keys() - config.model_fields.keys())
    if unknown:
        raise StackError(
            f"The {kind.value} flavor {component.flavor!r} has no setting {', '.join(unknown)}; "
            f"it has: {', '.join(sorted(config.model_fields))}."
        )
    try:
        config(**component.configuration)
    except ValidationError as error:
        raise StackError(f"The {kind.value} of flavor {component.flavor!r} is wrong: {error}") from error


def _component(
    client: Client, stack: str, kind: StackComponentType, component: Component, changes: list[str]
) -> UUID:
    name = f"{stack}-{component.flavor}"
    existing = _existing(client, name, kind)
    if existing is None:
        _check(client, kind, component)
        changes.append(f"{kind.value}: registered {name} ({_words(component.configuration)})")
        return client.create_stack_component(
            name=name, flavor=component.flavor, component_type=kind, configuration=component.configuration
        ).id
    stale = {key: None for key in existing.configuration if key not in component.configuration} | {
        key: value
        for key, value in component.configuration.items()
        if existing.configuration.get(key) != value
    }
    if stale:
        _check(client, kind, component)
        changes.append(f"{kind.value}: changed {name} ({_words(stale)})")
        client.update_stack_component(existing.id, kind, configuration=stale)
    return existing.id


def _existing(client: Client, name: str, kind: StackComponentType) -> ComponentResponse | None:
    found = client.list_stack_components(name=name, type=kind, hydrate=True).items
    return found[0] if found else None


def _stack(client: Client, name: str, components: dict[StackComponentType, UUID], changes: list[str]) -> UUID:
    existing = find(name)
    if existing is None:
        changes.append(f"stack: registered {name}")
        return client.create_stack(name=name, components=components).id
    current = {kind: parts[0].id for kind, parts in existing.components.items()}
    if current != components:
        changes.append(f"stack: changed the parts of {name}")
        updates: dict[StackComponentType, list[UUID]] = {
            kind: [] for kind in current if kind not in components
        }
        client.update_stack(existing.id, component_updates={**updates, **components})
    return existing.id


def _words(configuration: dict[str, Any]) -> str:
    def word(value: Any) -> Any:
        return "…" if isinstance(value, dict | list) else value

    return ", ".join(f"{key}={word(value)}" for key, value in configuration.items()) or "defaults"
