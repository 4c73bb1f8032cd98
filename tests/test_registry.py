"""Registries: schemas from keyword-only arguments, nested parts, plug-ins, clear errors."""

from functools import cache
from typing import Annotated, Literal

import pytest
from pydantic import Field

from fusionlab import plugins
from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.part_class import check_class
from fusionlab.plugins import load_plugin, source_hash
from fusionlab.registry import FAMILIES, Registry, family


class Shape:
    def __init__(self, canvas: str):
        self.canvas = canvas


class Paint:
    pass


@pytest.fixture
def shapes():
    registry = Registry("shape", Shape, "tests.test_registry")
    paints = Registry("paint", Paint, "tests.test_registry")

    @paints.register("plain")
    class Plain(Paint):
        """Plain."""

        def __init__(self, *, colour: Literal["red", "green"] = "red"):
            self.colour = colour

    @registry.register("circle")
    class Circle(Shape):
        """A circle.

        Options:
            radius: how far it is
                from the middle
            paint: on it
        """

        def __init__(
            self,
            canvas: str,
            *,
            radius: Annotated[int, Field(ge=1)] = 2,
            paint: Paint | None = None,
        ):
            self.canvas, self.radius, self.paint = canvas, radius, paint

    yield registry
    del Registry.families["shape"], Registry.families["paint"]


def test_a_family_has_its_article():
    with pytest.raises(ConfigError, match="found 3, expected an augmentation with a name: "):
        family("augmentation").parse(3)


def test_builds_from_a_name_and_from_options(shapes):
    assert shapes.parse("circle").build("c").radius == 2
    circle = shapes.parse({"name": "circle", "radius": 5, "paint": "plain"}).build("c")
    assert (circle.canvas, circle.radius, circle.paint.colour) == ("c", 5, "red")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("circl", "name: found 'circl', expected one of: circle; did you mean 'circle'?"),
        (3, "found 3, expected a shape with a name: circle"),
        ({"name": "circle", "radios": 3}, "unknown key: found 'radios'"),
        ({"name": "circle", "radius": 0}, "radius: found 0"),
        ({"name": "circle", "radius": "big"}, "radius: found 'big'"),
        (
            {"name": "circle", "paint": {"name": "plain", "colour": "grean"}},
            "paint.colour: found 'grean', expected one of: green, red; did you mean 'green'?",
        ),
    ],
)
def test_errors_name_key_value_and_nearest(shapes, value, message):
    with pytest.raises(ConfigError) as error:
        shapes.parse(value)
    assert message in str(error.value)


def test_schema_has_notes_and_defaults(shapes):
    fields = shapes.schema("circle").model_fields
    assert fields["radius"].description == "how far it is from the middle"
    assert fields["radius"].default == 2
    assert "canvas" not in fields


def test_refuses_a_stranger_and_a_second_of_the_same_name(shapes, tmp_path):
    with pytest.raises(FusionlabError, match="must be a subclass"):
        shapes.register("x")(int)
    plugin = tmp_path / "again.py"
    plugin.write_text(
        "from fusionlab.registry import Registry\n"
        "R = Registry.families['shape']\n"
        "@R.register('circle')\n"
        "class Other(R.base): pass\n"
    )
    with pytest.raises(FusionlabError, match="registered twice"):
        load_plugin(str(plugin))


def test_plugin_file_registers_and_is_hashed(shapes, tmp_path):
    plugin = tmp_path / "square.py"
    plugin.write_text(
        "from fusionlab.registry import Registry\n"
        "R = Registry.families['shape']\n"
        "@R.register('square')\n"
        "class Square(R.base):\n    '''A square.'''\n"
    )
    load_plugin(str(plugin))
    before = source_hash(shapes["square"])
    plugin.write_text(plugin.read_text() + "# edited\n")
    assert before is not None
    assert source_hash(shapes["square"]) != before
    assert source_hash(family("fusion")["concat"]) is None


@pytest.mark.parametrize("source", ["nowhere.py", "no_such_module_at_all"])
def test_missing_plugin_is_named(source):
    with pytest.raises(FusionlabError, match=source):
        load_plugin(source)


def test_unknown_family_is_named():
    with pytest.raises(ConfigError, match="did you mean 'fusion'"):
        family("fusoin")


def test_an_installed_package_brings_parts_by_entry_point(shapes, monkeypatch):
    class Entry:
        @staticmethod
        def load():
            shapes.register("hexagon")(type("Hexagon", (Shape,), {"__doc__": "Six sides."}))

    asked = []
    monkeypatch.setattr(plugins, "installed", cache(plugins.installed.__wrapped__))
    monkeypatch.setattr(plugins, "entry_points", lambda group: asked.append(group) or [Entry])
    assert "hexagon" in shapes.names()
    plugins.load_installed()
    assert asked == ["fusionlab.plugins"]  # once a process


@pytest.mark.parametrize("name", FAMILIES)
def test_every_part_of_the_package_is_as_one_from_outside_must_be(name):
    registry = family(name)
    assert registry.names()
    for one in registry.names():
        check_class(registry[one], registry.base)
