"""The two architectures that every check of a language model runs on."""

import pytest
import small_models

from fusionlab.encoders.text.tiny import TINY


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory):
    return small_models.write_gpt2(tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(params=["llama", "gpt2"])
def model(request, gpt2_folder):
    return TINY if request.param == "llama" else gpt2_folder
