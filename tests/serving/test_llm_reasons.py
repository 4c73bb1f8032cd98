"""Reasons: whatever the model writes, no foreign title passes, and only what counted is named."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_causal import smollm2

from fusionlab.errors import FusionlabError
from fusionlab.serving.greedy import Greedy
from fusionlab.serving.grounding import FUNCTION_WORDS, PLAIN, fault, own_words, shown
from fusionlab.serving.llm_reasons import (
    OPENINGS,
    ReasonWriter,
    Recommended,
    fallback_rate,
)

TITLES = ["Toy Story (1995)", "Heat", 'The "Real" McCoy', None, "Cold Comfort Farm"]
FIELDS = [
    {"genre": "Animation, Comedy", "plot": "A cowboy doll is jealous of a new spaceman figure."},
    {"genre": "Crime", "year": "1995", "plot": "A thief and a detective meet in Los Angeles."},
    {"genre": "Crime, Action"},
    {"plot": "a dog runs over the house"},
    {},
]
FOREIGN = [
    "The Godfather",
    "Jaws",
    "2001: A Space Odyssey",
    "E.T.",
    "千と千尋の神隠し",
    "Élite",
    "300",
]
WAYS = [
    'a story like "{}".',
    "a story like {}.",
    "a “{}” of a doll.",
    "{}.",
    "'{}' is a doll.",
    'a doll", "{}" and "a doll.',
    '"{}',
    "a doll (see {}), jealous.",
    "a *{}* doll.",
]
HISTORY = [1, 2]
COUNTED = {"text": 0.4, "image": -0.1, "audio": 0.2}


def writer(generate, **options):
    return ReasonWriter(generate, TITLES, FIELDS, **options)


def always(text):
    return lambda prompts, words: [text] * len(prompts)


def one(generate, item=0, history=HISTORY, counted=COUNTED):
    return writer(generate).write([Recommended(item, history, counted)])[0]


def named_in(reason, begun):
    """Spans of a reason that name something: in quotes, or with a letter that is not small."""
    rest = re.sub(r"[()]", " ", reason.text.removeprefix(begun))
    quoted = rest.split('"')[1::2]
    outside = " ".join(rest.split('"')[0::2])
    odd = [w for w in outside.split() if not PLAIN.fullmatch(w.strip(".,;:"))]
    return quoted, [w for w in odd if w.strip(".,;:")]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_foreign_title_gets_out_through_the_facts(data):
    """Whatever stands in a field that is not declared to list categories."""
    title = data.draw(st.sampled_from(FOREIGN) | st.text(min_size=1, max_size=12))
    way = data.draw(st.sampled_from([*WAYS, "{}", "{}, heat", "(like {})", "dolls/{}"]))
    facts = {"like": way.format(title), "plot": "a doll"}
    made = ReasonWriter(always(""), ["Heat"], [facts])
    for said in (title.lower(), title, "doll"):
        made.generate = always(f" a doll, {said}.")
        reason = made.write([Recommended(0, [], COUNTED)])[0]
        quoted, odd = named_in(reason, '"Heat"')
        assert not quoted
        assert not odd
        if title in FOREIGN:
            rest = reason.text.removeprefix('"Heat"')
            assert title not in rest
            assert title.lower() not in rest.split()


def test_facts_in_capitals_are_for_the_model_alone():
    facts = {"similar": "Jaws", "genre": "Crime|Film Noir", "mood": "dark", "year": "1995"}
    made = ReasonWriter(always(" crime, dark."), ["Heat"], [facts])
    asked = [Recommended(0, [], {"text": 1})]
    said = "is recommended because of its text: crime, dark."
    assert made.write(asked)[0].text == f'"Heat" (genre: crime, film noir; mood: dark) {said}'
    made.categorical = ()
    reason = made.write(asked)[0]
    assert reason.text == '"Heat" (mood: dark) is recommended because of its text.'
    assert "'crime' is not said of the item" in reason.faults


def test_words_in_capitals_are_not_the_items_own_unless_it_is_a_category():
    assert own_words({"similar": "Jaws, heat"}) == {"heat"}
    assert own_words({"similar": "Jaws, Heat"}, ["similar"]) == {"jaws", "heat"}


@pytest.mark.parametrize("blank", ["", "  "])
def test_an_empty_title_is_no_quotation(blank):
    made = ReasonWriter(always(' a doll ""."'), [blank], [{"plot": "a doll"}])
    reason = made.write([Recommended(0, [0], {"text": 1})])[0]
    assert reason.text.startswith("This item (plot: a doll)")
    assert not reason.generated
    assert fault('a doll ""', [""], frozenset({"doll"})) is not None


@pytest.mark.parametrize("item", [-1, 5])
@pytest.mark.parametrize("told", [False, True])
def test_what_is_no_item_is_refused(item, told):
    asked = Recommended(0, [1, item], COUNTED) if told else Recommended(item, [], COUNTED)
    with pytest.raises(FusionlabError, match=f"found item {item}, expected a row from 0 to 4"):
        writer(always(" a doll.")).write([asked])


def test_facts_and_names_that_are_no_text_are_refused():
    none = ReasonWriter(always(""), ["A"], [{"plot": None, "mood": "dark"}])
    assert none.fields == [{"mood": "dark"}]
    with pytest.raises(FusionlabError, match="fields: row 0: year: found 1995, expected text"):
        ReasonWriter(always(""), ["A"], [{"year": 1995}])
    with pytest.raises(FusionlabError, match="fields: row 0: found the name 'Like \"Jaws\"'"):
        ReasonWriter(always(""), ["A"], [{'Like "Jaws"': "dark"}])
    with pytest.raises(FusionlabError, match="contributions: found the name 'Jaws'"):
        writer(always("")).write([Recommended(0, [], {"Jaws": 1})])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_foreign_title_passes_however_it_is_put(data):
    title = data.draw(st.sampled_from(FOREIGN) | st.text(min_size=1, max_size=12))
    way = data.draw(st.sampled_from(WAYS))
    item = data.draw(st.sampled_from([0, 1, 3, 4]))
    reason = one(always(" " + way.format(title)), item)
    asked = Recommended(item, HISTORY, COUNTED)
    begun = [writer(None)._begin(asked, reason.modalities, x).removesuffix(":") for x in OPENINGS]
    start = next(text for text in begun if reason.text.startswith(text))
    quoted, odd = named_in(reason, start)
    assert set(quoted) <= {"Heat", "The 'Real' McCoy", shown(TITLES[item] or "Heat")}
    assert not odd
    if title in FOREIGN:
        assert title not in reason.text.removeprefix(start)
        assert not reason.generated


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (' a doll as in "The Godfather".', "quotes 'The Godfather'"),
        (' a doll as in "toy story (1995)".', "quotes 'toy story"),  # to the letter
        (' a doll as in "Cold Comfort Farm".', "quotes 'Cold Comfort Farm'"),  # not in the history
        (' a doll, "Heat.', "the sentence has no end"),
        (" The Godfather of dolls.", "'The' is no word in small letters"),
        (" a doll and a Godfather.", "'Godfather' is no word in small letters"),
        (" a doll in 1984.", "'1984' is no word in small letters"),
        (" a doll in 神隠し.", "is no word in small letters"),
        (" a doll in 'heat'.", "is no word in small letters"),
        (" a doll and the godfather.", "'godfather' is not said of the item"),
        (" a doll and a crime.", "'crime' is not said of the item"),  # a fact of another item
        (" a doll is jealous", "the sentence has no end"),
        (" a doll is jealous of the.", "the sentence has no end"),
        (" a doll\nis jealous.", "the sentence has no end"),
        ("", "the sentence has no end"),
        (" .", "the sentence has no end"),
        (" not a doll.", "'not' is not said of the item"),
    ],
)
def test_what_is_refused_is_said_and_a_template_stands_in(written, why):
    reason = one(always(written))
    assert not reason.generated
    assert len(reason.faults) == len(OPENINGS)
    assert all(why in said for said in reason.faults)
    assert reason.text == (
        '"Toy Story (1995)" (genre: animation, comedy) is recommended because of its text and '
        "audio."
    )


@pytest.mark.parametrize(
    "written",
    [
        " a cowboy doll is jealous.",
        " an animation, and a comedy.",
        ' a jealous doll, as in "Heat" or "The \'Real\' McCoy".',
        " a doll is new. The Godfather is better.",  # only the first sentence is taken
    ],
)
def test_what_is_known_passes(written):
    reason = one(always(written))
    assert reason.generated
    assert reason.text.endswith(
        f"because of its text and audio:{written.split('. The')[0]}".rstrip(".") + "."
    )
    assert reason.faults == ()


def test_modalities_are_those_that_counted_the_most_important_first():
    assert one(always(" a doll.")).modalities == ("text", "audio")
    counted = {"text": 0.1, "image": 0.3, "audio": 0.2}
    reason = one(always(" a doll."), counted=counted)
    assert reason.modalities == ("image", "audio")
    assert "because of its image and audio:" in reason.text
    fields = [{"plot": "the image of a doll"}]
    for names, passes in (({"text": 1, "image": -1}, False), ({"text": 1, "image": 1}, True)):
        made = ReasonWriter(always(" the image of a doll."), ["A"], fields)
        assert made.write([Recommended(0, [], names)])[0].generated == passes


def test_where_no_modality_counted_none_is_named_and_the_model_is_not_asked():
    reason = one(always(" a doll."), counted={"text": -0.1, "image": 0.0})
    assert reason.modalities == ()
    assert reason.faults == ()
    assert not re.search("text|image", reason.text.split(") is")[1])


def test_only_what_failed_is_tried_again_and_the_rate_is_told():
    calls = []

    def generate(prompts, words):
        calls.append(list(prompts))
        good = " a doll." if len(calls) == 1 else " a thief."
        return [good if "Toy Story (1995)\" (" in prompt or len(calls) > 1 else " Jaws."
                for prompt in prompts]  # fmt: skip

    asked = [Recommended(item, HISTORY, COUNTED) for item in (0, 1, 4)]
    reasons = writer(generate).write(asked)
    assert [reason.item for reason in reasons] == [0, 1, 4]
    assert [len(prompts) for prompts in calls] == [3, 2]
    assert [reason.generated for reason in reasons] == [True, True, False]
    assert reasons[1].text.endswith("is close to you in its text and audio: a thief.")
    assert fallback_rate(reasons) == pytest.approx(1 / 3)
    with pytest.raises(FusionlabError, match="found none"):
        fallback_rate([])


def test_an_item_without_a_title_has_a_reason_too():
    assert one(always(" a dog runs."), item=3).text == (
        "This item (plot: a dog runs over the house) is recommended because of its text and audio: "
        "a dog runs."
    )


def test_the_prompt_tells_the_facts_and_the_last_titles():
    seen = []
    made = writer(lambda prompts, words: seen.extend(zip(prompts, words, strict=True)) or [" a."])
    made.told = 2
    made.write([Recommended(0, [4, 2, 3, 1], COUNTED)])
    prompt, words = seen[0]
    assert 'liked before: "Heat"\n' in prompt
    assert "plot: A cowboy doll is jealous of a new spaceman figure.\n" in prompt
    assert prompt.endswith("is recommended because of its text and audio:")
    assert words == FUNCTION_WORDS | own_words(FIELDS[0], ["genre"])


def test_own_words_leave_names_out():
    assert own_words(FIELDS[1], ["genre"]) >= {"crime", "thief", "detective"}
    assert not own_words(FIELDS[1]) & {"los", "angeles", "Los", "1995"}


def test_fields_are_one_a_title():
    with pytest.raises(FusionlabError, match="fields: found 1 rows, expected 5"):
        ReasonWriter(always(""), TITLES, [{}])


def test_fault_lets_marks_and_nothing_else_stand_between_words():
    words = frozenset({"doll"})
    for text in ("a doll, a doll; the doll: doll.", "the doll's", "  a  doll "):
        assert (fault(text, [], words) is None) == ("'" not in text)
    for mark in "-–—/()[]{}*_#&+=<>|~`´‘’“”«»「」!?":
        assert fault(f"a doll {mark} doll.", [], words) is not None


@pytest.mark.slow
def test_smollm2_writes_reasons_of_the_items_own_words():
    made = writer(Greedy(smollm2()))
    reasons = made.write([Recommended(item, HISTORY, COUNTED) for item in (0, 1)])
    assert fallback_rate(reasons) < 1
    for reason in reasons:
        assert reason.text.startswith(f'"{TITLES[reason.item]}"')
        assert "text and audio" in reason.text
