"""x"""
from pathlib import Path
import copy


def save_architecture(model, folder: Path) -> Path:
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    return folder
