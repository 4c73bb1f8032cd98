"""Language models that read items: loaded once, frozen or with LoRA, with what they read kept."""
