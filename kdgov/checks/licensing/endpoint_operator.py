"""Who operates an endpoint, where its address tells."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def operator_of(base_url: str) -> dict[str, str]:
    """Who operates an endpoint, where its address tells: the organisation's own machines, or a service known by its host."""
    host = (urlsplit(base_url).hostname or "").lower()
    if host in {"localhost", "127.0.0.1", "::1", "0.0.0.0"} or "." not in host.strip(".") or host.endswith((".local", ".internal", ".lan")):  # noqa: S104
        return {"hosted_by": "self"}
    try:
        if ip_address(host).is_private:
            return {"hosted_by": "self"}
    except ValueError:
        pass
    return next(({"hosted_by": who} for domain, who in _OPERATORS.items() if host == domain or host.endswith(f".{domain}")), {})


_OPERATORS = {
    "openai.com": "OpenAI",
    "openai.azure.com": "Azure OpenAI",
    "azure.com": "Azure",
    "anthropic.com": "Anthropic",
    "googleapis.com": "Google",
    "amazonaws.com": "AWS",
    "together.xyz": "Together AI",
    "together.ai": "Together AI",
    "fireworks.ai": "Fireworks AI",
    "groq.com": "Groq",
    "mistral.ai": "Mistral AI",
    "deepseek.com": "DeepSeek",
    "moonshot.ai": "Moonshot AI",
    "moonshot.cn": "Moonshot AI",
    "aliyuncs.com": "Alibaba Cloud",
    "x.ai": "xAI",
    "cohere.com": "Cohere",
    "cohere.ai": "Cohere",
    "openrouter.ai": "OpenRouter",
    "nvidia.com": "NVIDIA",
    "huggingface.co": "Hugging Face",
}
"""Domain of an endpoint → who operates it."""
