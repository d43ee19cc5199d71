"""The model card and what lies beside it: Markdown, HTML, charts, tags, the Hugging Face README."""
