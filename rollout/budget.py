"""The words with which a family closes a thought whose budget is used up, before its own closing tag."""

from __future__ import annotations

from rollout.chat import Chat

# Qwen3's report (arXiv 2505.09388, section 4.3) and its model cards; Seed-OSS's model card.
QWEN3 = "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly now."
SEED_OSS = (
    "\n<seed:cot_budget_reflect>I have exhausted my token budget, and now I will start answering the question."
    "</seed:cot_budget_reflect>\n"
)


def closing_words(chat: Chat, model_type: str, thought_end: str) -> str:
    """The words of this family; "" for one that has none, and for a tokenizer that cannot write them. `model_type` is
    that of the model's `config.json`."""
    if "</seed:think>" in thought_end:
        words = SEED_OSS.removesuffix("\n" if thought_end.startswith("\n") else "")
    elif model_type.startswith("qwen3") and "</think>" in thought_end:
        words = QWEN3
    else:
        return ""
    return words if chat.decode(chat.encode(words)) == words else ""
