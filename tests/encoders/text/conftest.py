"""Model folders that the tests of text encoders share."""

import pytest
import tiny_models


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    return tiny_models.tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory):
    return tiny_models.tiny_llama(tmp_path_factory.mktemp("llama"))
