"""`fusionlab explore` says what it needs, and where it listens."""

import importlib.util

from browsing import needs_server
from click.testing import CliRunner
from explored import finished

from fusionlab.cli import main


def test_without_gradio_it_says_what_to_install(shop, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    file, store = finished(shop)
    done = CliRunner().invoke(main, ["explore", str(file), "--runs", str(store.root)])
    assert done.exit_code == 1
    assert "pip install 'fusionlab-recsys[explorer]'" in done.output


@needs_server
def test_it_listens_at_the_loopback_and_warns_elsewhere(shop, monkeypatch):
    served = []
    monkeypatch.setattr("fusionlab.explorer.app.serve", lambda *asked: served.append(asked))
    file, store = finished(shop)
    command = ["explore", str(file), "--runs", str(store.root)]
    quiet = CliRunner().invoke(main, command)
    open_to_all = CliRunner().invoke(main, [*command, "--host", "0.0.0.0", "--port", "8123"])
    assert (quiet.exit_code, open_to_all.exit_code) == (0, 0)
    assert [asked[1:] for asked in served] == [
        ("127.0.0.1", 7860, None),
        ("0.0.0.0", 8123, None),
    ]
    assert "whoever reaches it" not in quiet.output
    assert "whoever reaches it may look" in open_to_all.output
    assert [board.title for board in served[0][0].boards] == ["Two <fusions> & a shop"]


@needs_server
def test_a_study_that_has_not_run_is_refused(shop, tmp_path):
    file, _ = finished(shop)
    done = CliRunner().invoke(main, ["explore", str(file), "--runs", str(tmp_path)])
    assert done.exit_code == 1
    assert "6 of its 6 runs are not under" in done.output
