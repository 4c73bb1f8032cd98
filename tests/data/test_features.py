"""Names of modalities."""

import pytest

from fusionlab.data.features import FeatureSpec, is_modality_name
from fusionlab.fusion.contract import FUSIONS


@pytest.mark.parametrize("name", ["items", "values", "training", "type", "a.b", ""])
def test_names_that_torch_uses_itself_are_no_modalities(name):
    assert not is_modality_name(name)


@pytest.mark.parametrize("name", ["touch", "text", "a->b", "lidar 2"])
def test_other_names_are_modalities(name):
    assert is_modality_name(name)
    for part in map(FUSIONS.parse, FUSIONS.names()):
        part.build({name: FeatureSpec(3), "text2": FeatureSpec(4)}, 8)
