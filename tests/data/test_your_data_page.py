"""The examples of docs/your-data.md work as they are written, in the order of the page."""

import re
from pathlib import Path

from fusionlab.config import load_experiment
from fusionlab.data.inspect import inspect

PAGE = (Path(__file__).parents[2] / "docs" / "your-data.md").read_text()
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def covered(figures):
    """Entries and files not found of each column of raw media."""
    return {name: (cover.items, cover.files_not_found) for name, cover in figures.media.items()}


def test_every_example_works(home, capsys):
    datasets = {}
    for language, file, content in BLOCK.findall(PAGE):
        if language == "python":
            exec(compile(content, "docs/your-data.md", "exec"), {})
        else:
            Path(file).parent.mkdir(exist_ok=True)
            Path(file).write_text(content)
        if language == "yaml":
            datasets[file] = load_experiment(Path(file)).dataset.build().load()
    shown = {name: inspect(dataset) for name, dataset in datasets.items()}
    assert {name: one.items for name, one in shown.items()} == {
        "shop.yaml": 4,
        "clips.yaml": 5,
        "toys.yaml": 3,
        "films.yaml": 4,
        "movies.yaml": 3,
        "videos.yaml": 3,
        "beauty.yaml": 3,
        "digits.yaml": 30,
        "brands.yaml": 4,
        "new_pots.yaml": 4,
        "visits.yaml": 4,
    }
    assert {name: covered(one) for name, one in shown.items() if one.media} == {
        "toys.yaml": {"name": (3, 0), "story": (2, 0), "photo": (2, 2), "song": (2, 2)},
        "movies.yaml": {"title": (3, 0), "plot": (2, 0), "poster": (1, 0)},
        "videos.yaml": {"title": (2, 0)},
        "beauty.yaml": {
            "title": (2, 0),
            "features": (1, 0),
            "description": (1, 0),
            "image": (1, 0),
        },
        "digits.yaml": {"image": (30, 0), "audio": (30, 0)},
    }
    assert shown["visits.yaml"].clicks.context["device"] in (1, 2)
    assert shown["clips.yaml"].modalities["image"].items == 4
    assert shown["films.yaml"].modalities["plot_emb"].items == 3
    assert "items without any modality" in capsys.readouterr().out


def test_every_block_is_run():
    assert len(BLOCK.findall(PAGE)) * 2 == PAGE.count("```")
