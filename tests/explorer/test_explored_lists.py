"""Lists on the page are those of the service, whole or with modalities switched off."""

import re
import threading

import pytest
from explored import explorer_of

from fusionlab.errors import FusionlabError
from fusionlab.explorer.reasons import Reasons
from fusionlab.explorer.recommend import Question, answer, history_html, list_html
from fusionlab.serving.recommend import Service
from fusionlab.studies.trained import load_trained


def items_in(html):
    return re.findall(r'class="fl-card" data-item="(\w+)"', html)


def test_a_list_is_that_of_the_run(explorer):
    run = explorer.boards[0].row("concat").records[0].id
    service = Service(load_trained(run, explorer.store))
    (expected,) = service.recommend(["u3"], 7, explain=True)
    html = list_html(explorer, 0, "concat", Question("u3", k=7))
    assert items_in(html) == [item.item for item in expected.items]
    for item in expected.items:
        assert f"{item.score:.4f}" in html
        assert all(f"{amount:+.3f}" in html for amount in item.contributions.values())


@pytest.mark.parametrize("label", ["concat", "mean_scores"])
def test_a_modality_switched_off_is_a_catalogue_without_it(label, explorer):
    with explorer.service(0, label) as service:
        told = answer(service, Question("u4", k=40, without=("image", "smell")))
        asked = service.person("u4")
        scores = service.scoring.task.ranker({"image"})(service.scoring.task.train.users[:0])
        assert scores.shape == (0, 40)
        row = service.user_rows["u4"]
        whole = service.scoring.task.ranker({"image"})(
            service.scoring.task.train.users.new_tensor([row])
        )[0]
    for item in told.found.items:
        assert item.score == pytest.approx(float(whole[service.item_rows[item.item]]), abs=1e-5)
        assert set(item.contributions) == {"text", "audio"}
    assert len(told.found.items) == 40 - len(asked.seen)
    places = list(told.before.values())
    assert sorted(places) == list(range(1, len(places) + 1))


def test_places_that_change_are_told(explorer):
    question = Question("u4", k=30, without=("text",))
    html = list_html(explorer, 0, "concat", question)
    before = items_in(list_html(explorer, 0, "concat", Question("u4", k=30)))
    moved = re.findall(r'data-item="(\w+)".*?fl-moved">(.*?)</span>', html)
    assert [item for item, _ in moved] == items_in(html) != before
    for place, (item, told) in enumerate(moved, 1):
        steps = before.index(item) + 1 - place
        assert told == (f"▲ {steps}" if steps > 0 else f"▼ {-steps}" if steps else "=")


def test_a_profile_is_a_stranger_with_that_history(explorer):
    with explorer.service(0, "concat") as service:
        expected = service.recommend_stranger(5, liked=["i3", "i8"])
    question = Question(None, ("i3", "i8"), k=5)
    assert items_in(list_html(explorer, 0, "concat", question)) == [
        item.item for item in expected.items
    ]
    html = history_html(explorer, 0, "concat", question)
    assert items_in(html) == ["i8", "i3"]
    assert "2 items" in html
    html = history_html(explorer, 0, "concat", Question(None, ("i3", "of another board")))
    assert items_in(html) == ["i3"]
    assert "1 item<" in html


@pytest.mark.parametrize(
    ("label", "question", "message"),
    [
        ("concat", Question("u999"), "found &#x27;u999&#x27;, expected one of 60 ids"),
        ("concat", Question(None), "the profile is empty"),
        ("popularity", Question(None, ("i1",)), "nothing of a stranger"),
        ("concat", Question("<script>"), "&lt;script&gt;"),
        ("concat", Question("u" * 10**5), f"{'u' * 80}&#x27;… (100,000 characters), expected one"),
        ("concat", Question("\ud800"), r"found &#x27;\ud800&#x27;, expected one of 60 ids"),
        ("concat", Question("u1", without=("text", "image", "audio")), "all that the model reads"),
    ],
)
def test_what_cannot_be_answered_is_said(label, question, message, explorer):
    html = list_html(explorer, 0, label, question)
    assert 'role="alert"' in html
    assert message in html
    assert "<script>" not in html
    assert len(html) < 1000


def test_a_control_without_content_has_a_list_and_no_bars(explorer):
    html = list_html(explorer, 0, "popularity", Question("u1", k=5))
    assert len(items_in(html)) == 5
    assert "fl-bar" not in html


def test_a_control_that_reads_no_modality_is_switched_off_by_none(explorer):
    off = Question("u1", k=5, without=("text", "image", "audio"))
    html = list_html(explorer, 0, "popularity", off)
    assert items_in(html) == items_in(list_html(explorer, 0, "popularity", Question("u1", k=5)))


def test_reasons_stand_on_their_cards(explorer):
    reasons = Reasons(lambda prompts, words: [" the lamp." for _ in prompts])
    html = list_html(explorer, 0, "concat", Question("u1", k=4), reasons=reasons)
    assert html.count('class="fl-reason"') == 4
    assert "is recommended" in html


def test_many_threads_get_the_lists_of_one(shop):
    explorer = explorer_of(shop)
    users = [f"u{n}" for n in range(10)]
    questions = [Question(user, k=8) for user in users] * 3
    alone = [items_in(list_html(explorer, 0, "concat", one)) for one in questions]
    together = [None] * len(questions)

    def ask(place):
        together[place] = items_in(list_html(explorer, 0, "concat", questions[place]))

    threads = [threading.Thread(target=ask, args=[place]) for place in range(len(questions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_models_that_were_not_used_for_long_are_let_go(shop, monkeypatch):
    monkeypatch.setattr("fusionlab.explorer.models.MODELS", 1)
    explorer = explorer_of(shop)
    first = list_html(explorer, 0, "concat", Question("u1"))
    list_html(explorer, 0, "mean_scores", Question("u1"))
    assert len(explorer.models) == 1
    assert items_in(list_html(explorer, 0, "concat", Question("u1"))) == items_in(first)


def test_an_unknown_modality_is_refused_by_the_service(explorer):
    with (
        explorer.service(0, "concat") as service,
        pytest.raises(FusionlabError, match=r"without: found 'imge'.*did you mean 'image'"),
    ):
        service.recommend(["u1"], without=["imge"])
