"""A page to look, listen, compare and click (the extra ``explorer``, on Gradio)."""
