"""A run that cannot be brought back, or a log that cannot be used, leaves the others at work."""

import re
import shutil
import threading
import time

import pytest
from browsing import browser, items_of, needs_browser, needs_server, opened, served, turn_to
from click.testing import CliRunner
from explored import explorer_of, finished

from fusionlab.cli import main
from fusionlab.errors import FusionlabError
from fusionlab.explorer import models
from fusionlab.explorer.boards import open_board
from fusionlab.explorer.feedback import act, log_html, undo
from fusionlab.explorer.recommend import Question, history_html, list_html
from fusionlab.explorer.state import Explorer
from fusionlab.serving.events import Event
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.serving.run_feedback import feedback_file
from fusionlab.studies.store import MODEL_FILE, RunStore


@pytest.fixture
def own(shop, tmp_path):
    """The study's file and a copy of its runs, to be damaged."""
    file, store = finished(shop)
    shutil.copytree(store.root, tmp_path / "runs", ignore=shutil.ignore_patterns("feedback"))
    return file, RunStore(tmp_path / "runs")


def run_of(file, store, label):
    return open_board(str(file), store).row(label).records[0]


def damage(file, store, label):
    """Cut a row's model short; the id of its run."""
    run = run_of(file, store, label).id
    model = store.folder(run) / MODEL_FILE
    model.write_bytes(model.read_bytes()[:100])
    return run


def items_in(html):
    return re.findall(r'class="fl-card" data-item="(\w+)"', html)


def test_a_damaged_model_is_named_and_the_others_work(own, explorer):
    file, store = own
    run = damage(file, store, "concat")
    damaged = Explorer([open_board(str(file), store)], store)
    (fault,) = damaged.warm()
    assert fault.startswith("concat: ")
    assert run in fault
    assert "cut off or changed" in fault
    assert damaged.users(0) == explorer.users(0)  # another run of the board knows them
    html = list_html(damaged, 0, "concat", Question("u1"))
    assert 'role="alert"' in html
    assert run in html
    assert history_html(damaged, 0, "concat", Question("u1")) == ""
    whole = list_html(explorer, 0, "mean_scores", Question("u1"))
    assert items_in(list_html(damaged, 0, "mean_scores", Question("u1"))) == items_in(whole)


def test_a_board_that_cannot_be_opened_is_left_out(own, monkeypatch):
    file, store = own
    run, other = run_of(file, store, "concat"), run_of(file, store, "mean_scores")
    (store.folder(run.id) / "record.json").write_text('{"broken')
    boards = []
    monkeypatch.setattr("fusionlab.explorer.app.serve", lambda found, *_: boards.append(found))
    told = CliRunner().invoke(main, ["explore", str(file), other.id, "--runs", str(store.root)])
    assert told.exit_code == 0, told.output
    assert f"left out: {file}: " in told.output
    assert "not a run record" in told.output
    assert [one.title for one in boards[0].boards] == [f"Run {other.id[:12]}"]
    alone = CliRunner().invoke(main, ["explore", str(file), "--runs", str(store.root)])
    assert alone.exit_code == 1
    assert "not a run record" in alone.output


def test_where_nothing_can_be_brought_back_it_is_said(own, monkeypatch):
    file, store = own
    run = damage(file, store, "concat")
    alone = Explorer([open_board(run[:12], store)], store)
    assert alone.users(0) == []
    with pytest.raises(FusionlabError, match=run):
        alone.catalogue(0)
    model, (_, whole) = store.folder(run) / MODEL_FILE, finished(file.parent)
    shutil.copy(whole.folder(run) / MODEL_FILE, model)
    assert run in alone.fault(0, "concat")  # it is not read over and over
    monkeypatch.setattr(models, "AGAIN", 0.0)
    assert alone.fault(0, "concat") == ""


def test_looking_makes_no_log(own):
    file, store = own
    explorer = Explorer([open_board(str(file), store)], store)
    explorer.warm()
    assert items_in(list_html(explorer, 0, "concat", Question("u1")))
    assert not (store.root / "feedback").exists()
    act(explorer, 0, "concat", "u1", "like", "i1")
    assert feedback_file(run_of(file, store, "concat"), store).is_file()


def test_what_another_process_logs_is_heard(own):
    file, store = own
    explorer = Explorer([open_board(str(file), store)], store)
    first = items_in(list_html(explorer, 0, "concat", Question("u1")))
    with FeedbackLog(feedback_file(run_of(file, store, "concat"), store)) as log:
        log.add(Event("like", "u1", first[0]))
    assert first[0] not in items_in(list_html(explorer, 0, "concat", Question("u1")))


def test_a_log_that_cannot_be_made_stops_no_list(own):
    file, store = own
    (store.root / "feedback").write_text("no folder")
    explorer = Explorer([open_board(str(file), store)], store)
    assert explorer.warm() == []
    first = items_in(list_html(explorer, 0, "concat", Question("u1")))
    assert len(first) == 10
    with pytest.raises(FusionlabError, match="cannot be used as a feedback log"):
        act(explorer, 0, "concat", "u1", "like", first[0])
    assert items_in(list_html(explorer, 0, "concat", Question("u1"))) == first


def test_a_log_that_cannot_be_read_is_left_out_and_named(own):
    file, store = own
    log = feedback_file(run_of(file, store, "concat"), store)
    log.parent.mkdir()
    log.write_bytes(b"no database at all " * 100)
    explorer = Explorer([open_board(str(file), store)], store)
    html = list_html(explorer, 0, "concat", Question("u1"))
    assert len(items_in(html)) == 10
    assert 'role="alert">without feedback: ' in html
    assert str(log) in html
    assert log_html(explorer, 0, "concat", "u1") == ""
    with pytest.raises(FusionlabError, match=re.escape(str(log))):
        undo(explorer, 0, "concat", "u1")
    assert 'role="alert"' not in list_html(explorer, 0, "mean_scores", Question("u1"))


def test_who_asks_for_a_model_in_memory_waits_for_no_other(shop, monkeypatch):
    explorer, load = explorer_of(shop), models.load_trained
    list_html(explorer, 0, "concat", Question("u1"))
    loading, go = threading.Event(), threading.Event()

    def slowly(*asked):
        loading.set()
        assert go.wait(60)
        return load(*asked)

    monkeypatch.setattr(models, "load_trained", slowly)
    found = []
    other = threading.Thread(
        target=lambda: found.append(list_html(explorer, 0, "mean_scores", Question("u1")))
    )
    other.start()
    assert loading.wait(60)
    started = time.monotonic()
    asked = threading.Thread(
        target=lambda: found.append(list_html(explorer, 0, "concat", Question("u2"))), daemon=True
    )
    asked.start()
    asked.join(60)
    in_time = len(found) == 1
    go.set()
    other.join()
    assert in_time, f"waited {time.monotonic() - started:.0f} s for a model it did not ask for"
    assert all(len(items_in(html)) == 10 for html in found)


def test_logs_of_models_that_are_let_go_are_closed(own, monkeypatch):
    file, store = own
    monkeypatch.setattr(models, "MODELS", 1)
    explorer = Explorer([open_board(str(file), store)], store)
    act(explorer, 0, "concat", "u1", "like", "i1")
    with explorer.service(0, "concat") as service:
        log = service.log
        list_html(explorer, 0, "mean_scores", Question("u1"))
        assert len(log.events("u1")) == 1
        assert log._log is not None  # in use: held all the same
    list_html(explorer, 0, "mean_scores", Question("u1"))
    assert len(explorer.models) == 1
    assert log._log is None
    assert not [*log.file.parent.glob(f"{log.file.name}-*")]  # SQLite's own, of open logs


@needs_server
@needs_browser
@pytest.mark.slow
def test_the_page_opens_over_a_damaged_run(own):
    file, store = own
    run = damage(file, store, "concat")
    targets = [run[:12], file]  # a board of nothing else, and one of three
    with (
        served(*targets, runs=store.root) as address,
        browser() as chromium,
        opened(chromium, address) as page,
    ):
        for tab, place in (("Recommend", "list-left"), ("Feedback", "feedback-list")):
            turn_to(page, tab)
            page.wait_for_selector(f"#{place} [role=alert]")
            assert run in page.inner_text(f"#{place}")
        turn_to(page, "Recommend")
        page.get_by_label("Study and dataset").click()
        page.get_by_role("option", name="Two").click()
        page.wait_for_selector("#list-right .fl-card")
        page.wait_for_selector("#history .fl-card")
        assert len(items_of(page, "list-right")) == 10
        assert run in page.inner_text("#list-left [role=alert]")
