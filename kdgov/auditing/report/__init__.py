"""The audit report as HTML, Markdown, terminal lines and JSON schema."""
