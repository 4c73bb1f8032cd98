"""The page in a browser on MovieLens, where it is: plots and posters of real films."""

import json
import os
from pathlib import Path

import pytest
from browsing import items_of, needs_browser, opened, served, turn_to

pytestmark = [needs_browser, pytest.mark.slow]
MOVIES = Path(os.environ.get("FUSIONLAB_MOVIELENS", "data/movielens-100k"))


@pytest.mark.skipif(not MOVIES.is_dir(), reason=f"{MOVIES}: not here (FUSIONLAB_MOVIELENS)")
def test_films_with_plots_and_posters(chromium, tmp_path):
    from fusionlab.cli import main

    study = {
        "title": "Films",
        "experiment": {
            "dataset": {"name": "movielens", "path": str(MOVIES), "min_rating": 4, "k_core": 30},
            "encoders": {
                "text": {"of": "plot", "encoder": {"name": "tfidf", "width": 16}},
                "image": {"of": "poster", "encoder": {"name": "pixels", "side": 4}},
            },
            "dim": 8,
            "training": {"epochs": 1, "batch_size": 1024, "modality_dropout": 0.3},
        },
        "axes": {"fusion": ["concat", "gated"]},
        "seeds": [0],
        "controls": ["popularity"],
    }
    file, runs = tmp_path / "films.yaml", tmp_path / "runs"
    file.write_text(json.dumps(study))
    command = ["study", str(file), "--runs", str(runs), "--out", str(tmp_path / "out")]
    main(command, standalone_mode=False)
    with served(file, runs=runs) as address, opened(chromium, address) as page:
        for tab, place in (("Recommend", "list-left"), ("Feedback", "feedback-list")):
            turn_to(page, tab)
            page.wait_for_selector(f"#{place} img")
            page.wait_for_function(
                "place => document.querySelector(`#${place} img`).naturalWidth > 50", arg=place
            )
            assert len(items_of(page, place)) == 10
        turn_to(page, "Your item")
        page.get_by_label("Text", exact=True).fill("A spaceship with aliens comes to the earth.")
        page.get_by_role("button", name="Look it up").click()
        page.wait_for_selector("#alike .fl-card")
