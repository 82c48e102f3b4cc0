"""From a pretrained model to one that can answer in both modes."""
