"""Low-rank changes of a frozen model's maps that a gradient moves (peft)."""

from __future__ import annotations

import torch
from torch import nn

from fusionlab.errors import FusionlabError
from fusionlab.llm.model import LanguageModel


def add_lora(llm: LanguageModel, rank: int) -> nn.ParameterDict:
    """Give each linear map of the layers a change of ``rank``; its parameters, by place.

    y = W x + (alpha / r) B A x,  alpha = 2 r, B = 0 at the start

    The parameters live in the model as well as in what is returned: move, train and save the
    latter. They are held in float32 whatever the type of W.

    Source: Hu et al. 2022, LoRA; on all linear maps as in Dettmers et al. 2023, QLoRA.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise FusionlabError(
            f"fusion.lora_rank: found {rank}, which needs the package peft: pip install "
            f"'fusionlab-recsys[lora]', or fusion.lora_rank=0 ({error})"
        ) from None
    from transformers.pytorch_utils import Conv1D  # how GPT-2 has them

    before = {id(p) for p in llm.causal.parameters()}
    output = llm.causal.get_output_embeddings()
    maps = {
        name: module
        for name, module in llm.base.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not output
    }
    changes = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules=list(maps),
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in maps.values()),
    )
    inject_adapter_in_model(changes, llm.base)
    found = nn.ParameterDict()
    for name, parameter in llm.base.named_parameters():
        if id(parameter) not in before:
            parameter.data = parameter.data.to(torch.float32)
            found[name.replace(".", "/")] = parameter.requires_grad_(True)
    llm.causal.eval()
    return found
