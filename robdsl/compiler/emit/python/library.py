"""The classes and functions of the emitted file, and code that builds modules with them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from robdsl.compiler.emit.python.amounts import Amount
from robdsl.compiler.emit.python.environment import Environment
from robdsl.compiler.emit.python.layers import constructor, write_layers
from robdsl.compiler.emit.python.layout import Code, Group, Item, named_call
from robdsl.compiler.emit.python.source_text import Said
from robdsl.compiler.emit.python.specs import Instance, Layer, OpInstance, Parallel, Series, Spec, Use
from robdsl.compiler.names import module_name
from robdsl.graph.elaborate import arguments_by_name
from robdsl.graph.primitives import Primitive
from robdsl.graph.values import Value
from robdsl.syntax import nodes

Skeleton = Hashable


@dataclass(eq=False)
class Definition:
    """A class or function of the emitted file.

    Attributes:
        name: what it is called there.
        environment: its constructor's parameters; those of the text among them.
        parameters: those of the text.
        sizes: the constructor's parameters that are channels or features of inputs.
        places: where in the environment each instance stands.
        code: its lines.
    """

    name: str
    environment: Environment
    parameters: tuple[nodes.Parameter, ...]
    sizes: frozenset[str]
    places: dict[Instance, int]
    code: list[str]

    def argument(self, instance: Instance, parameter: str) -> Value:
        return self.environment.values[parameter][self.places[instance]]


@dataclass
class Library:
    """What there is to build with.

    Attributes:
        definitions: by instance. An operation that is not here is written out wherever it is used.
    """

    definitions: dict[Instance, Definition] = field(default_factory=dict)
    _plain: dict[Spec, Spec] = field(default_factory=dict)

    # --- specs without what a person would leave out

    def plain(self, spec: Spec) -> Spec:
        """The spec without identities in chains and without operations that have no class."""
        if spec not in self._plain:
            self._plain[spec] = self._without(spec)
        return self._plain[spec]

    def _without(self, spec: Spec) -> Spec:
        match spec:
            case Use(instance=OpInstance() as instance) if instance not in self.definitions:
                return self.plain(instance.body)
            case Series():
                parts = tuple((name, self.plain(part)) for name, part in spec.parts)
                kept = tuple((name, part) for name, part in parts if not is_identity(part))
                return Series(kept, spec.in_shape, spec.out_shape) if kept else identity(spec)
            case Parallel():
                parts = tuple((name, self.plain(part)) for name, part in spec.parts)
                return Parallel(parts, spec.in_shape, spec.out_shape)
        return spec

    def skeleton(self, spec: Spec) -> Skeleton:
        """What two specs share when one piece of code can build both; ``spec`` is `plain`."""
        match spec:
            case Layer():
                return constructor(spec)
            case Use():
                return self.definitions[spec.instance].name
            case Series() | Parallel():
                return type(spec), tuple((name, self.skeleton(part)) for name, part in spec.parts)

    # --- code

    def write(self, specs: Sequence[Spec], entering: Amount, environment: Environment) -> tuple[Code, Amount]:
        """Code that builds specs of one skeleton, an instance each, and the channels that come out."""
        layers = [each for each in specs if isinstance(each, Layer)]
        if layers:
            return write_layers(layers, entering, environment)
        if isinstance(specs[0], Use):
            return self._use([each for each in specs if isinstance(each, Use)], entering, environment)
        composed = [each for each in specs if isinstance(each, Series | Parallel)]
        parts, leaving = self.write_parts(composed, entering, environment)
        helper = "Chain" if isinstance(specs[0], Series) else "Sum"
        return named_call(helper, parts), leaving

    def write_parts(
        self, composed: Sequence[Series | Parallel], entering: Amount, environment: Environment
    ) -> tuple[list[tuple[str, Code]], Amount]:
        """The parts of chains or sums, with their names."""
        parts: list[tuple[str, Code]] = []
        leaving = entering
        for place, (name, _) in enumerate(composed[0].parts):
            source = leaving if isinstance(composed[0], Series) else entering
            code, leaving = self.write([each.parts[place][1] for each in composed], source, environment)
            parts.append((module_name(name), code))
        return parts, leaving

    def _use(self, uses: Sequence[Use], entering: Amount, environment: Environment) -> tuple[Group, Amount]:
        instances = [each.instance for each in uses]
        definition = self.definitions[instances[0]]
        call = environment.text.call([each.span for each in uses]) if environment.text else None
        arguments = _Arguments(definition, instances, environment, entering, call).written()
        return Group(f"{definition.name}(", arguments), outgoing(instances, entering)


@dataclass(frozen=True)
class _Arguments:
    """The arguments of a use, an instance each; ``call`` is how the text writes it, where it writes all alike."""

    definition: Definition
    instances: Sequence[Instance]
    environment: Environment
    entering: Amount
    call: nodes.Call | None

    def written(self) -> tuple[Item, ...]:
        parameters = self.definition.environment.parameters
        codes = [self._code(each) for each in parameters]
        named = [self._needs_name(*each) for each in zip(parameters, codes, strict=True)]
        first = next((place for place, each in enumerate(named) if each), len(codes))
        return tuple(
            Item(code, f"{parameter}=" if place >= first else "")
            for place, (code, parameter) in enumerate(zip(codes, parameters, strict=True))
        )

    def _needs_name(self, parameter: str, code: str) -> bool:
        """Whether a value would not say what it is: a flag, or a number for one of several parameters of the text."""
        several = (
            parameter in self.definition.environment.words and len(self.definition.environment.parameters) > 1
        )
        return code in ("True", "False") or (several and code.lstrip("-")[:1].isdigit() and " " not in code)

    def _code(self, parameter: str) -> str:
        """Code for one argument."""
        values = [self.definition.argument(each, parameter) for each in self.instances]
        word = self.definition.environment.words.get(parameter)
        if word is not None:
            return self.environment.write(values, parameter, self._said(word))
        if parameter in self.definition.sizes:
            return self.environment.amount(values, parameter, hint=self.entering).text or ""
        return self.environment.write(values, parameter)

    def _said(self, word: str) -> Said | None:
        """What the text has for a parameter: what the call gives, else a default that speaks of nothing but `in`."""
        if self.call is None:
            return None
        declared = self.definition.parameters
        given = arguments_by_name(self.call, declared).get(word)
        if given is None:
            given = next((each.default for each in declared if each.name.name == word), None)
            if given is None or any(isinstance(each, nodes.Name) for each in nodes.walk(given)):
                return None
        return self.environment.said(given, self.entering)


def is_identity(spec: Spec) -> bool:
    """Whether a spec hands on what it is given."""
    return isinstance(spec, Layer) and spec.is_identity


def learns(spec: Spec) -> bool:
    """Whether a spec has parameters."""
    match spec:
        case Layer():
            return spec.primitive.learned(spec.in_shape) > 0
        case Use():
            return any(map(learns, spec.instance.specs))
        case Series() | Parallel():
            return any(learns(part) for _, part in spec.parts)


def identity(spec: Spec) -> Layer:
    """The identity for the value that enters a spec."""
    return Layer(Primitive("identity"), spec.in_shape, spec.in_shape)


def outgoing(instances: Sequence[Instance], entering: Amount) -> Amount:
    """The channels that leave instances, written as those that enter where they are the same."""
    values = tuple(each.out_shape[0] for each in instances)
    return entering if values == entering.values else Amount(values)
