"""A text to words: what each step leaves, in English and Chinese."""

import pickle
import shutil
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionlab.encoders.text import steps as steps_module
from fusionlab.encoders.text.steps import TextSteps, Words
from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.schema import validate

pytest.importorskip("spacy", reason="pip install 'fusionlab-recsys[classic-text]'")
pytest.importorskip("jieba", reason="pip install 'fusionlab-recsys[classic-text]'")

EVERYTHING = {"keep_stop_words": True, "keep_punctuation": True}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def words(text, **options):
    return Words(TextSteps(**options))(text)


def test_english_words_are_cut_by_rules_and_not_only_at_spaces():
    found = words("Don't stop! The U.S. costs $5.50.", language="en", **EVERYTHING)
    assert found == ["do", "n't", "stop", "!", "the", "u.s.", "costs", "$", "5.50", "."]


def test_chinese_words_are_cut_where_no_space_is():
    assert words("我来到北京清华大学", language="zh", **EVERYTHING) == [
        "我",
        "来到",
        "北京",
        "清华大学",
    ]


def test_auto_cuts_each_script_by_its_own_rules():
    found = words("Don't miss 功夫熊猫 in 北京", **EVERYTHING)
    assert found == ["do", "n't", "miss", "功夫", "熊猫", "in", "北京"]


def test_stop_words_of_both_languages_go():
    assert words("The cat is on the mat; 我的电影很好看") == ["cat", "mat", "电影", "好看"]


def test_every_step_is_shown_by_its_name():
    trace = dict(Words(TextSteps()).after_each_step("Ｔhe Cat!"))
    assert trace == {
        "unicode": ["The Cat!"],
        "words": ["The", "Cat", "!"],
        "stop_words": ["Cat", "!"],
        "punctuation": ["Cat"],
        "lower_case": ["cat"],
    }


def test_a_step_that_is_off_is_not_in_the_trace():
    off = TextSteps(unicode="none", lower_case=False, **EVERYTHING)
    assert dict(Words(off).after_each_step("Ａ b")) == {"words": ["Ａ", "b"]}


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=40), form=st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_normalisation_is_idempotent_and_words_hold_no_space(text, form):
    cut = Words(TextSteps(unicode=form))
    trace = dict(cut.after_each_step(text))
    (once,) = trace["unicode"]
    assert (
        dict(cut.after_each_step(once))["unicode"] == [once] == [unicodedata.normalize(form, text)]
    )
    found = cut(text)
    assert all(word and not any(map(str.isspace, word)) for word in found)
    assert found == cut(once)


@settings(max_examples=40, deadline=None)
@given(text=st.text(alphabet="ab 1!北京电影。,", max_size=30))
def test_steps_only_take_words_away(text):
    for language in ("en", "zh", "auto"):
        kept = words(text, language=language)
        everything = words(text, language=language, **EVERYTHING)
        rest = iter(everything)
        assert all(word in rest for word in kept)  # a subsequence
        assert "".join(everything) == "".join(text.lower().split())


def test_words_travel_without_their_pipelines():
    cut = Words(TextSteps())
    expected = cut("red dogs 北京")
    sent = pickle.dumps(cut)
    assert len(sent) < 2000
    assert pickle.loads(sent)("red dogs 北京") == expected


@pytest.fixture
def tagger(tmp_path):
    import spacy

    pipeline = spacy.blank("en", meta={"name": "by_rules"})
    rules = pipeline.add_pipe("attribute_ruler")
    for word, tag in {"dog": "NOUN", "cat": "NOUN", "red": "ADJ", "runs": "VERB"}.items():
        rules.add([[{"LOWER": word}]], {"POS": tag})
    pipeline.to_disk(tmp_path / "tagger")
    return str(tmp_path / "tagger")


def test_parts_of_speech_that_are_not_asked_for_go(tagger):
    options = {"language": "en", "tagger": tagger}
    assert words("Red dog runs", parts_of_speech=("NOUN",), **options) == ["dog"]
    assert words("Red dog runs", parts_of_speech=("NOUN", "ADJ"), **options) == ["red", "dog"]


def test_a_tagger_is_part_of_the_version(tagger):
    plain = Words(TextSteps(language="en"))
    tagged = Words(TextSteps(language="en", tagger=tagger, parts_of_speech=("NOUN",)))
    assert plain.versions() == Words(TextSteps(language="en", lower_case=False)).versions()
    assert len({plain.versions(), tagged.versions(), Words(TextSteps()).versions()}) == 3


def test_a_pipeline_that_does_not_tag_is_refused(tmp_path):
    import spacy

    spacy.blank("en").to_disk(tmp_path / "blank")
    cut = Words(TextSteps(language="en", tagger=str(tmp_path / "blank"), parts_of_speech=("NOUN",)))
    with pytest.raises(FusionlabError, match="no part of speech"):
        cut("red dog")


def test_a_tagger_of_another_language_is_refused(tagger):
    with pytest.raises(FusionlabError, match="is for language 'en', but language is 'zh'"):
        Words(TextSteps(language="zh", tagger=tagger, parts_of_speech=("NOUN",)))


@pytest.mark.parametrize("name", ["numpy", "json", "blank:en", "en"])
def test_a_tagger_that_is_no_pipeline_is_not_imported(name, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.import_module", lambda found: pytest.fail(f"imports {found}"))
    with pytest.raises(FusionlabError, match=f"found '{name}', which is neither an installed"):
        Words(TextSteps(language="en", tagger=name, parts_of_speech=("NOUN",)))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("meta.json", "{}"),
        ("meta.json", "nothing"),
        ("meta.json", None),
        ("config.cfg", "[nlp"),
        ("config.cfg", "[nlp]\nlang = 'xx'\n[components.x]\nfactory = 'nowhere'"),
        ("vocab/strings.json", "nothing"),
        ("attribute_ruler/patterns", b"\xc1nothing"),
    ],
)
def test_a_damaged_folder_of_a_tagger_is_refused(file, content, tagger):
    place = Path(tagger) / file
    place.unlink()
    if content is not None:
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FusionlabError, match="cannot be loaded, expected a spaCy pipel") as told:
        Words(TextSteps(language="en", tagger=tagger, parts_of_speech=("NOUN",)))
    assert tagger in str(told.value)
    assert len(str(told.value).splitlines()) == 1


def test_a_tagger_of_a_package_is_loaded(tagger, tmp_path, monkeypatch):
    site, home = tmp_path / "site", tmp_path / "site" / "en_by_rules"
    shutil.copytree(tagger, home / "data")
    (home / "__init__.py").write_text(
        "import spacy\nfrom pathlib import Path\n"
        "def load(**more):\n    return spacy.load(Path(__file__).parent / 'data', **more)\n"
    )
    about = site / "en_by_rules-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: en_by_rules\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[spacy_models]\nen_by_rules = en_by_rules\n")
    monkeypatch.syspath_prepend(str(site))
    options = {"language": "en", "tagger": "en_by_rules", "parts_of_speech": ("NOUN",)}
    assert words("Red dog runs", **options) == ["dog"]


def test_a_tagger_that_is_not_installed_says_how_to_install_it():
    wanted = TextSteps(language="en", tagger="en_core_nowhere", parts_of_speech=("NOUN",))
    with pytest.raises(FusionlabError, match="python -m spacy download en_core_nowhere"):
        Words(wanted)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"language": "en", "tagger": "x"}, "need each other"),
        ({"parts_of_speech": ["NOUN"]}, "need each other"),
        ({"tagger": "x", "parts_of_speech": ["NOUN"]}, "set language to en or zh"),
        ({"parts_of_speech": ["NOUNS"]}, "did you mean 'NOUN'"),
        ({"lowercase": True}, "did you mean 'lower_case'"),
    ],
)
def test_wrong_steps_are_explained(options, said):
    with pytest.raises(ConfigError, match=said):
        validate(TextSteps, options)


def test_a_library_that_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(steps_module.util, "find_spec", lambda name: None)
    with pytest.raises(FusionlabError, match=r"fusionlab-recsys\[classic-text\]"):
        Words(TextSteps())
