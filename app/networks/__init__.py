"""The networks that visitors choose: zoos, uploads, API arguments. No gradio."""
